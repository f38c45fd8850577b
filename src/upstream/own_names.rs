//! Names of headers that no template may have: they belong to the message or the connection, or the gateway writes them
//! itself. A template for one of them would break framing, routing or the cookies, or stand beside what we say.

use http::header::HeaderName;

use super::managed::is_plain;

/// Headers that frame messages, belong to one connection, or that the gateway writes itself, by their whole name.
pub const OWN: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "http2-settings",
    "keep-alive",
    "origin",
    "proxy",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-request-id",
];

/// The same by how the name begins: what a browser says about its request, and what is between two proxies.
pub const OWN_PREFIXES: &[&str] = &["access-control-", "proxy-", "sec-"];

/// Whether a configured header may have this name.
#[must_use]
pub fn may_be_set(name: &HeaderName) -> bool {
    let name = name.as_str();
    let own = OWN.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    name.bytes().all(is_plain) && !own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_of_the_message_itself_cannot_be_configured() {
        assert!(may_be_set(&HeaderName::from_static("authorization")));
        for name in [
            "host",
            "content-length",
            "transfer-encoding",
            "cookie",
            "connection",
            "x-forwarded-for",
            "x-request-id",
            "x_user",
        ] {
            assert!(!may_be_set(&HeaderName::from_static(name)), "{name}");
        }
    }
}
