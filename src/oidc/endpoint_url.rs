//! Which URLs we let ourselves be sent to: an endpoint of a provider, whoever wrote it down.
//!
//! A discovery document is data from outside. Without these rules it could make the gateway send codes and client
//! secrets to services of its own machine or to the metadata service of a cloud (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Why a URL is not called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    /// Not an absolute URL with a host.
    #[error("endpoint-malformed")]
    Malformed,
    /// Neither https nor, where that is allowed, http on loopback.
    #[error("endpoint-not-https")]
    NotHttps,
    /// User information.
    #[error("endpoint-userinfo")]
    UserInformation,
    /// A fragment (RFC 6749 §3.1).
    #[error("endpoint-fragment")]
    Fragment,
    /// A loopback, link-local or metadata-service address that is not the issuer's own host.
    #[error("endpoint-address")]
    Address,
}

impl EndpointUrlError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Malformed => "endpoint-malformed",
            Self::NotHttps => "endpoint-not-https",
            Self::UserInformation => "endpoint-userinfo",
            Self::Fragment => "endpoint-fragment",
            Self::Address => "endpoint-address",
        }
    }
}

/// What decides whether a URL may be called.
#[derive(Clone, Debug)]
pub struct EndpointPolicy {
    /// Issuer and public URL are both plain HTTP on loopback.
    pub plain_http: bool,
    /// The issuer's own host, which may be a literal address.
    pub issuer_host: Option<String>,
}

impl EndpointPolicy {
    /// Reads and checks a URL from a metadata document.
    ///
    /// # Errors
    /// [`EndpointUrlError`], which names the rule.
    pub fn parse(&self, text: &str) -> Result<Url, EndpointUrlError> {
        let url = Url::parse(text).map_err(|_| EndpointUrlError::Malformed)?;
        self.check(&url)?;
        let own = self.issuer_host.as_deref().is_some_and(|own| url.host_str() == Some(own));
        if !own && url.host().is_some_and(|host| is_local(&host) || is_metadata_service(&host)) {
            return Err(EndpointUrlError::Address);
        }
        Ok(url)
    }

    /// Checks a URL that the operator has written down: loopback is fine there, since nobody else has chosen it.
    ///
    /// # Errors
    /// [`EndpointUrlError`], which names the rule.
    pub fn check_by_hand(&self, url: &Url) -> Result<(), EndpointUrlError> {
        self.check(url)?;
        if url.host().is_some_and(|host| is_metadata_service(&host)) {
            return Err(EndpointUrlError::Address);
        }
        Ok(())
    }

    fn check(&self, url: &Url) -> Result<(), EndpointUrlError> {
        let host = url.host().ok_or(EndpointUrlError::Malformed)?;
        match url.scheme() {
            "https" => {}
            "http" if self.plain_http && is_loopback(&host) => {}
            _ => return Err(EndpointUrlError::NotHttps),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointUrlError::UserInformation);
        }
        if url.fragment().is_some() {
            return Err(EndpointUrlError::Fragment);
        }
        Ok(())
    }
}

/// Host and port of a URL, by which endpoints are pinned.
#[must_use]
pub fn authority(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}

fn is_loopback(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            name == "localhost" || name.ends_with(".localhost")
        }
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => embedded(*address).is_some_and(|v4| v4.is_loopback()) || address.is_loopback(),
    }
}

fn is_local(host: &Host<&str>) -> bool {
    let local_v4 = |address: Ipv4Addr| address.is_loopback() || address.is_link_local() || address.octets()[0] == 0;
    is_loopback(host)
        || match host {
            Host::Domain(_) => false,
            Host::Ipv4(address) => local_v4(*address),
            Host::Ipv6(address) => {
                address.is_unspecified()
                    || address.segments()[0] & 0xffc0 == 0xfe80
                    || embedded(*address).is_some_and(local_v4)
            }
        }
}

fn is_metadata_service(host: &Host<&str>) -> bool {
    const V4: [Ipv4Addr; 4] = [
        Ipv4Addr::new(169, 254, 169, 254),
        Ipv4Addr::new(169, 254, 170, 2),
        Ipv4Addr::new(100, 100, 100, 200),
        Ipv4Addr::new(168, 63, 129, 16),
    ];
    const V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
    let address = match host {
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            return name == "metadata.google.internal" || name == "metadata";
        }
        Host::Ipv4(address) => IpAddr::V4(*address),
        Host::Ipv6(address) => embedded(*address).map_or(IpAddr::V6(*address), IpAddr::V4),
    };
    match address {
        IpAddr::V4(address) => V4.contains(&address),
        IpAddr::V6(address) => address == V6,
    }
}

/// The IPv4 address inside an IPv4-mapped or NAT64 one: the same machine by another spelling.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let nat64 = || match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    };
    address.to_ipv4_mapped().or_else(nat64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(plain_http: bool, issuer_host: &str) -> EndpointPolicy {
        EndpointPolicy { plain_http, issuer_host: Some(issuer_host.into()) }
    }

    #[test]
    fn di_02_http_needs_a_development_setting_and_loopback() {
        let strict = policy(false, "id.example");
        assert_eq!(strict.parse("http://id.example/token"), Err(EndpointUrlError::NotHttps));
        assert_eq!(strict.parse("http://localhost/token"), Err(EndpointUrlError::NotHttps));
        let development = policy(true, "127.0.0.1");
        assert!(development.parse("http://127.0.0.1:9000/token").is_ok());
        assert_eq!(development.parse("http://id.example/token"), Err(EndpointUrlError::NotHttps));
    }

    #[test]
    fn di_03_what_a_document_must_not_name_is_refused() {
        let policy = policy(false, "id.example");
        for (text, error) in [
            ("https://a@id.example/", EndpointUrlError::UserInformation),
            ("https://:b@id.example/", EndpointUrlError::UserInformation),
            ("https://id.example/#x", EndpointUrlError::Fragment),
            ("file:///etc/passwd", EndpointUrlError::Malformed),
            ("ftp://id.example/", EndpointUrlError::NotHttps),
            ("/token", EndpointUrlError::Malformed),
            ("", EndpointUrlError::Malformed),
            ("https://127.0.0.1/", EndpointUrlError::Address),
            ("https://2130706433/", EndpointUrlError::Address),
            ("https://0x7f.1/", EndpointUrlError::Address),
            ("https://0.0.0.0/", EndpointUrlError::Address),
            ("https://[::1]/", EndpointUrlError::Address),
            ("https://[::]/", EndpointUrlError::Address),
            ("https://[::ffff:127.0.0.1]/", EndpointUrlError::Address),
            ("https://[64:ff9b::169.254.169.254]/", EndpointUrlError::Address),
            ("https://[fe80::1]/", EndpointUrlError::Address),
            ("https://169.254.169.254/latest", EndpointUrlError::Address),
            ("https://100.100.100.200/", EndpointUrlError::Address),
            ("https://[fd00:ec2::254]/", EndpointUrlError::Address),
            ("https://metadata.google.internal/", EndpointUrlError::Address),
            ("https://localhost/", EndpointUrlError::Address),
            ("https://a.localhost./", EndpointUrlError::Address),
        ] {
            assert_eq!(policy.parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn di_03_other_public_hosts_private_networks_and_the_issuers_own_literal_are_fine() {
        let policy = policy(false, "127.0.0.1");
        for text in ["https://oauth2.googleapis.com/token", "https://10.0.0.8/token", "https://127.0.0.1:8443/token"] {
            assert!(policy.parse(text).is_ok(), "{text}");
        }
    }
}
