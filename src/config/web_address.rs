//! URLs of providers and upstreams.

use std::net::IpAddr;

use url::{Host, Url};

use super::setting::Setting;

/// A `http` or `https` URL without user information and fragment; reports anything else without repeating it.
pub(super) fn url(setting: &Setting<'_>, example: &str) -> Option<Url> {
    read(setting, setting.string(example)?, example)
}

/// The same of a text that stands for that of the setting.
pub(super) fn read(setting: &Setting<'_>, text: &str, example: &str) -> Option<Url> {
    // Asked of the text too: what the parser cannot read may hold a password all the same.
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let parsed = Url::parse(text).ok();
    let credentials = authority.contains('@')
        || parsed.as_ref().is_some_and(|url| !url.username().is_empty() || url.password().is_some());
    if credentials {
        setting.mask();
        let message = format!("`{}` holds a user name or a password", setting.path());
        setting.refuse(message, "take out everything up to the @");
        return None;
    }
    let Some(url) = parsed.filter(|url| url.has_host() && text.contains("://")) else {
        setting.refuse(format!("`{}` is not a URL", setting.path()), format!("write {example}"));
        return None;
    };
    if !matches!(url.scheme(), "http" | "https") {
        setting.refuse(format!("`{}` is neither https nor http", setting.path()), format!("write {example}"));
        return None;
    }
    if url.fragment().is_some() {
        setting.refuse(format!("`{}` has a fragment", setting.path()), "take out everything from the #");
        return None;
    }
    Some(url)
}

/// Whether the host of a URL names this machine.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// Whether the host of a URL is a literal address where no provider is: this machine, this link, or a cloud's
/// metadata service.
pub(super) fn is_local_literal(url: &Url) -> bool {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical(),
        _ => return false,
    };
    address.is_loopback()
        || address.is_unspecified()
        || match address {
            IpAddr::V4(address) => address.is_link_local() || address.octets() == [100, 100, 100, 200],
            IpAddr::V6(address) => {
                address.is_unicast_link_local() || address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
            }
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn di_03_addresses_where_no_provider_is() {
        for local in [
            "http://127.0.0.1/",
            "http://127.9.9.9/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://169.254.169.254/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
            "http://2130706433/",
        ] {
            assert!(is_local_literal(&Url::parse(local).unwrap()), "{local}");
        }
        for elsewhere in ["https://id.example.com/", "https://10.0.0.1/", "https://192.168.1.1/", "http://localhost/"] {
            assert!(!is_local_literal(&Url::parse(elsewhere).unwrap()), "{elsewhere}");
        }
        assert!(is_loopback(&Url::parse("http://localhost:9000/").unwrap()));
        assert!(is_loopback(&Url::parse("http://[::1]:9000/").unwrap()));
        assert!(!is_loopback(&Url::parse("http://localhost.example/").unwrap()));
    }
}
