//! The public URL, hosts and origins: the one place where hosts are normalised and compared.
//!
//! Scheme, host and port of everything the gateway says about itself come from here, that is from the configuration;
//! what a request carries is only ever compared with it.

use std::borrow::Borrow;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

/// The scheme of the public URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain HTTP; only for development on loopback.
    Http,
    /// HTTP over TLS, here or in front of the gateway.
    Https,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// Why something is no host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a host with an optional port")]
pub struct InvalidHost;

/// A host with its port unless that is the scheme's default: lower-case, without a final dot (RFC 3986 §6.2.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

impl Host {
    /// Reads `host`, `host:port` or `[v6]:port` as it stands in a `Host` field or in a configuration.
    ///
    /// # Errors
    /// [`InvalidHost`] for anything else: user information, a path, an empty name, a bad port, other characters.
    pub fn parse(authority: &str, scheme: Scheme) -> Result<Self, InvalidHost> {
        let (name, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (literal, after) = rest.split_once(']').ok_or(InvalidHost)?;
                let address: Ipv6Addr = literal.parse().map_err(|_| InvalidHost)?;
                let port = match after {
                    "" => None,
                    _ => Some(after.strip_prefix(':').ok_or(InvalidHost)?),
                };
                (format!("[{address}]"), port)
            }
            None => {
                let (name, port) = match authority.split_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (authority, None),
                };
                let name = name.strip_suffix('.').unwrap_or(name);
                let valid = !name.is_empty()
                    && name.len() <= 253
                    && name.split('.').all(|label| !label.is_empty())
                    && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'));
                if !valid {
                    return Err(InvalidHost);
                }
                (name.to_ascii_lowercase(), port)
            }
        };
        let port = match port {
            None => None,
            // A sign or a leading zero is accepted by `parse`, but is no port of anybody's.
            Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse::<u16>().map_err(|_| InvalidHost)?)
            }
            Some(_) => return Err(InvalidHost),
        };
        Ok(match port {
            Some(0) => return Err(InvalidHost),
            Some(port) if port != scheme.default_port() => Self(format!("{name}:{port}").into()),
            _ => Self(name.into()),
        })
    }

    /// Name and port as in a URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its port; brackets stay around an IPv6 literal.
    #[must_use]
    pub fn name(&self) -> &str {
        match self.0.rsplit_once(':') {
            Some((name, port)) if !port.contains(']') => name,
            _ => &self.0,
        }
    }

    /// The port, if it is not the scheme's default.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.0.strip_prefix(self.name())?.strip_prefix(':')?.parse().ok()
    }

    /// Whether this names this machine: `localhost`, a name under it, or a loopback address.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        let name = self.name();
        let literal = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost"
            || name.ends_with(".localhost")
            || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// Hosts are found by the text of a `Host` field as it stands: it is nearly always in the one form.
impl Borrow<str> for Host {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Why something is no public URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicUrl {
    /// Not a URL at all.
    #[error("not a URL of the form https://host[:port][/path]")]
    Malformed,
    /// Neither `http` nor `https`.
    #[error("the scheme must be https (http on loopback only)")]
    Scheme,
    /// `http` on a host that is not this machine.
    #[error("http is accepted only when the host is this machine: cookies and codes would travel in clear")]
    PlainHttp,
    /// User information, a query or a fragment.
    #[error("a public URL has no user information, query or fragment")]
    Surplus,
    /// A path that is not canonical.
    #[error("the path must be plain segments of letters, digits, -, ., _ and ~")]
    Path,
}

/// Scheme, host and path prefix under which browsers reach the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    scheme: Scheme,
    host: Host,
    /// Empty, or `/prefix` without a final slash.
    path: String,
}

impl PublicUrl {
    /// Reads a public URL.
    ///
    /// # Errors
    /// [`InvalidPublicUrl`], which says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicUrl> {
        let (scheme, rest) = text.split_once("://").ok_or(InvalidPublicUrl::Malformed)?;
        let scheme = match scheme {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            _ => return Err(InvalidPublicUrl::Scheme),
        };
        if rest.contains(['?', '#', '@']) {
            return Err(InvalidPublicUrl::Surplus);
        }
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at_checked(at).ok_or(InvalidPublicUrl::Malformed)?,
            None => (rest, ""),
        };
        let host = Host::parse(authority, scheme).map_err(|_| InvalidPublicUrl::Malformed)?;
        if scheme == Scheme::Http && !host.is_loopback() {
            return Err(InvalidPublicUrl::PlainHttp);
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
        };
        if !path.is_empty() && !path.split('/').skip(1).all(plain) {
            return Err(InvalidPublicUrl::Path);
        }
        Ok(Self { scheme, host, path: path.to_owned() })
    }

    /// The scheme browsers use.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host browsers use.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The path prefix: empty, or `/prefix` without a final slash.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The origin (RFC 6454) of one of the gateway's hosts.
    #[must_use]
    pub fn origin_of(&self, host: &Host) -> String {
        format!("{}://{host}", self.scheme.as_str())
    }

    /// Whether cookies need no `Secure`: plain HTTP on loopback, for development.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.scheme == Scheme::Http
    }

    /// What separates gateways that share a store and a key ring: origin and path.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("{}{}", self.origin_of(&self.host), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<String, InvalidHost> {
        Host::parse(text, Scheme::Https).map(|host| host.as_str().to_owned())
    }

    #[test]
    fn a_host_has_one_form() {
        for same in ["wiki.example.com", "WIKI.example.com", "wiki.example.com.", "wiki.example.com:443"] {
            assert_eq!(host(same).unwrap(), "wiki.example.com", "{same}");
        }
        assert_eq!(host("a:8443").unwrap(), "a:8443");
        assert_eq!(host("[::1]:8443").unwrap(), "[::1]:8443");
        assert_eq!(host("[0:0::1]").unwrap(), "[::1]");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in
            ["", ".", "a..b", "a b", "a@b", "a/b", "a:", "a:x", "a:+1", "a:0", "a:65536", "[::1", "[::1]x", "é", "a,b"]
        {
            assert_eq!(host(bad), Err(InvalidHost), "{bad}");
        }
    }

    #[test]
    fn name_and_port_come_apart() {
        let host = Host::parse("[::1]:8443", Scheme::Https).unwrap();
        assert_eq!((host.name(), host.port()), ("[::1]", Some(8443)));
        let host = Host::parse("[::1]", Scheme::Https).unwrap();
        assert_eq!((host.name(), host.port()), ("[::1]", None));
        assert!(host.is_loopback());
    }

    #[test]
    fn plain_http_is_for_loopback() {
        assert!(PublicUrl::parse("http://localhost:8080").is_ok());
        assert!(PublicUrl::parse("http://gw.localhost:8080/x/").is_ok());
        assert_eq!(PublicUrl::parse("http://wiki.example.com"), Err(InvalidPublicUrl::PlainHttp));
        assert_eq!(PublicUrl::parse("ftp://a"), Err(InvalidPublicUrl::Scheme));
        assert_eq!(PublicUrl::parse("https://a/?x"), Err(InvalidPublicUrl::Surplus));
        assert_eq!(PublicUrl::parse("https://a/../b"), Err(InvalidPublicUrl::Path));
        assert_eq!(PublicUrl::parse("https://a/%2e"), Err(InvalidPublicUrl::Path));
    }

    #[test]
    fn the_namespace_is_origin_and_path() {
        assert_eq!(PublicUrl::parse("https://A.example:443/tools/").unwrap().namespace(), "https://a.example/tools");
    }
}
