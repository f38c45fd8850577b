//! What the application is told about the way a request came: `Forwarded` (RFC 7239) and the `X-Forwarded` family.
//!
//! Everything is built here; what came in under these names has been removed before.

use std::fmt::Write as _;
use std::net::IpAddr;

use bytes::Bytes;
use http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue};

use crate::origin::{Host, Scheme};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");
const X_FORWARDED_PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How a request came.
#[derive(Clone, Copy, Debug)]
pub struct ForwardedContext<'a> {
    /// The user agent's address and those of proxies after it, as far as they are believed; without the peer.
    pub hops: &'a [IpAddr],
    /// The peer's address; none on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The scheme of the public URL.
    pub scheme: Scheme,
    /// The canonical host.
    pub host: &'a Host,
    /// The id of the request.
    pub request_id: &'a str,
}

impl ForwardedContext<'_> {
    /// Sets the headers; `host` is the canonical host as a value, `prefix` what was taken off the path.
    ///
    /// Unless a proxy in front is trusted, `X-Forwarded-For` holds the peer alone.
    pub fn set(&self, headers: &mut HeaderMap, host: &HeaderValue, prefix: Option<&HeaderValue>) {
        // One buffer holds all that is written here; the values are parts of it.
        let mut text = String::with_capacity(self.request_id.len() + self.host.as_str().len() + 96);
        text.push_str(self.request_id);
        let (id_end, mut peer_place) = (text.len(), None);
        if let Some(peer) = self.hops.first().copied().or(self.peer) {
            // An IPv6 address stands in brackets and quotes (RFC 7239 §6). A mapped IPv4 address is the IPv4 address to
            // everybody else.
            let (before, after) = match peer.to_canonical() {
                IpAddr::V4(_) => ("for=", ";"),
                IpAddr::V6(_) => ("for=\"[", "]\";"),
            };
            text.push_str(before);
            let start = text.len();
            push_address(&mut text, peer.to_canonical());
            peer_place = Some(start..text.len());
            text.push_str(after);
        }
        let quote = if self.host.as_str().contains([':', '[']) { "\"" } else { "" };
        for part in ["host=", quote, self.host.as_str(), quote, ";proto=", self.scheme.as_str()] {
            text.push_str(part);
        }
        self.push_further_hops(&mut text);
        let text = Bytes::from(text);
        match peer_place {
            _ if !self.hops.is_empty() => set(headers, X_FORWARDED_FOR, Bytes::from(self.list())),
            Some(place) => set(headers, X_FORWARDED_FOR, text.slice(place)),
            None => {}
        }
        set(headers, X_REQUEST_ID, text.slice(..id_end));
        set(headers, FORWARDED, text.slice(id_end..));
        headers.insert(X_FORWARDED_HOST, host.clone());
        let (proto, default_port) = match self.scheme {
            Scheme::Http => ("http", "80"),
            Scheme::Https => ("https", "443"),
        };
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
        let port = self.host.port().map_or(HeaderValue::from_static(default_port), HeaderValue::from);
        headers.insert(X_FORWARDED_PORT, port);
        if let Some(prefix) = prefix {
            headers.insert(X_FORWARDED_PREFIX, prefix.clone());
        }
    }

    /// The addresses after the first one, each an element of its own (RFC 7239 §4).
    fn push_further_hops(&self, text: &mut String) {
        for address in self.addresses().skip(1) {
            let (before, after) = match address {
                IpAddr::V4(_) => (", for=", ""),
                IpAddr::V6(_) => (", for=\"[", "]\""),
            };
            text.push_str(before);
            push_address(text, address);
            text.push_str(after);
        }
    }

    fn list(&self) -> String {
        let mut list = String::new();
        for address in self.addresses() {
            if !list.is_empty() {
                list.push_str(", ");
            }
            push_address(&mut list, address);
        }
        list
    }

    fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.hops.iter().copied().chain(self.peer).map(|address| address.to_canonical())
    }
}

fn set(headers: &mut HeaderMap, name: HeaderName, text: Bytes) {
    // Addresses, hosts and ids are ASCII by their types; anything else is left out rather than sent mangled.
    if let Ok(value) = HeaderValue::from_maybe_shared(text) {
        headers.insert(name, value);
    }
}

/// IPv4 digit by digit: the formatter of the standard library costs more than all the rest of this file.
fn push_address(text: &mut String, address: IpAddr) {
    match address {
        IpAddr::V4(address) => {
            for (place, octet) in address.octets().into_iter().enumerate() {
                if place > 0 {
                    text.push('.');
                }
                for (digit, from) in [(octet / 100, 100), (octet / 10 % 10, 10), (octet % 10, 0)] {
                    if octet >= from {
                        text.push(char::from(b'0' + digit));
                    }
                }
            }
        }
        IpAddr::V6(address) => {
            let _infallible = write!(text, "{address}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(peer: Option<&str>, scheme: Scheme, host: &str, prefix: Option<&'static str>) -> HeaderMap {
        let host = Host::parse(host, scheme).unwrap();
        let context = ForwardedContext {
            hops: &[],
            peer: peer.map(|peer| peer.parse().unwrap()),
            scheme,
            host: &host,
            request_id: "r-1",
        };
        let mut headers = HeaderMap::new();
        let value = HeaderValue::from_str(host.as_str()).unwrap();
        context.set(&mut headers, &value, prefix.map(HeaderValue::from_static).as_ref());
        headers
    }

    #[test]
    fn the_way_of_a_request_is_told_in_both_languages() {
        let headers = headers(Some("192.0.2.7"), Scheme::Https, "wiki.example.com", Some("/wiki"));
        let expect = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "wiki.example.com"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-port", "443"),
            ("x-forwarded-prefix", "/wiki"),
            ("forwarded", "for=192.0.2.7;host=wiki.example.com;proto=https"),
            ("x-request-id", "r-1"),
        ];
        for (name, value) in expect {
            assert_eq!(headers.get(name).unwrap(), value, "{name}");
        }
        assert_eq!(headers.len(), expect.len());
    }

    #[test]
    fn hd_07_addresses_have_one_form() {
        let mapped = headers(Some("::ffff:192.0.2.7"), Scheme::Http, "localhost:8080", None);
        assert_eq!(mapped.get("x-forwarded-for").unwrap(), "192.0.2.7");
        assert_eq!(mapped.get("x-forwarded-port").unwrap(), "8080");
        for octets in [[0, 9, 10, 99], [100, 109, 110, 255]] {
            let address = IpAddr::from(octets).to_string();
            let four = headers(Some(&address), Scheme::Https, "a.example", None);
            assert_eq!(four.get("x-forwarded-for").unwrap(), &address);
        }
        let six = headers(Some("2001:db8::1"), Scheme::Http, "[::1]:8080", None);
        assert_eq!(six.get("x-forwarded-for").unwrap(), "2001:db8::1");
        assert_eq!(six.get("forwarded").unwrap(), "for=\"[2001:db8::1]\";host=\"[::1]:8080\";proto=http");
    }

    #[test]
    fn believed_hops_come_before_the_peer() {
        let host = Host::parse("wiki.example.com", Scheme::Https).unwrap();
        let hops = ["2001:db8::7".parse().unwrap(), "10.0.0.9".parse().unwrap()];
        let context = ForwardedContext {
            hops: &hops,
            peer: Some("::ffff:10.0.0.1".parse().unwrap()),
            scheme: Scheme::Https,
            host: &host,
            request_id: "r-1",
        };
        let mut headers = HeaderMap::new();
        context.set(&mut headers, &HeaderValue::from_static("wiki.example.com"), None);
        assert_eq!(headers.get("x-forwarded-for").unwrap(), "2001:db8::7, 10.0.0.9, 10.0.0.1");
        let told = "for=\"[2001:db8::7]\";host=wiki.example.com;proto=https, for=10.0.0.9, for=10.0.0.1";
        assert_eq!(headers.get("forwarded").unwrap(), told);
    }

    #[test]
    fn a_peer_without_an_address_is_not_invented() {
        let headers = headers(None, Scheme::Https, "a.example", None);
        assert!(!headers.contains_key("x-forwarded-for"));
        assert_eq!(headers.get("forwarded").unwrap(), "host=a.example;proto=https");
    }
}
