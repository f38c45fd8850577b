//! TLS on a listener: several certificates, each for the names that it holds.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use webpki::EndEntityCert;

use super::settings::{ListenTls, TlsVersion};
use crate::tls::TlsIdentity;

/// The first protocol that both know is spoken (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [HTTP2, b"http/1.1"];
/// HTTP/2 as ALPN names it (RFC 9113 §3.2).
pub(super) const HTTP2: &[u8] = b"h2";

/// The server's side of TLS. Sessions are resumed from memory; nothing is written anywhere, and no data is accepted
/// before the handshake is over, since it could be replayed.
///
/// # Errors
/// A key that cannot be used or does not belong to its certificate, a certificate that is none, no certificate at all.
pub(super) fn server_config(settings: &ListenTls) -> Result<Arc<ServerConfig>, rustls::Error> {
    const ALL: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
    const NEWEST: &[&SupportedProtocolVersion] = &[&version::TLS13];
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificates = Certificates::new(&settings.identities, &provider)?;
    let versions = match settings.minimum_version {
        TlsVersion::Tls12 => ALL,
        TlsVersion::Tls13 => NEWEST,
    };
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
    Ok(Arc::new(config))
}

/// The certificates by the names they hold.
struct Certificates {
    first: Arc<CertifiedKey>,
    names: HashMap<String, Arc<CertifiedKey>>,
    /// What follows `*.` in a name: it stands for one label (RFC 9525 §6.3).
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificates").finish_non_exhaustive()
    }
}

impl Certificates {
    fn new(identities: &[Arc<TlsIdentity>], provider: &CryptoProvider) -> Result<Self, rustls::Error> {
        let (mut first, mut names, mut wildcards) = (None, HashMap::new(), HashMap::new());
        for identity in identities {
            let certified =
                Arc::new(CertifiedKey::from_der(identity.chain.clone(), identity.key.clone_key(), provider)?);
            for name in names_in(&certified) {
                // Of two certificates for one name the one that is listed first is shown.
                match name.strip_prefix("*.") {
                    Some(parent) => wildcards.entry(parent.to_owned()).or_insert_with(|| Arc::clone(&certified)),
                    None => names.entry(name).or_insert_with(|| Arc::clone(&certified)),
                };
            }
            first.get_or_insert(certified);
        }
        let first = first.ok_or(rustls::Error::NoCertificatesPresented)?;
        Ok(Self { first, names, wildcards })
    }

    fn of_name(&self, name: &str) -> Option<&Arc<CertifiedKey>> {
        let name = name.to_ascii_lowercase();
        self.names.get(&name).or_else(|| self.wildcards.get(name.split_once('.')?.1))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| self.of_name(name));
        Some(Arc::clone(named.unwrap_or(&self.first)))
    }
}

fn names_in(certified: &CertifiedKey) -> Vec<String> {
    let own = certified.cert.first().and_then(|certificate| EndEntityCert::try_from(certificate).ok());
    own.iter().flat_map(|own| own.valid_dns_names()).map(str::to_ascii_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::PrivateKeyDer;

    fn identity(names: &[&str]) -> Arc<TlsIdentity> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::Pkcs8(pair.signing_key.serialize_der().into());
        Arc::new(TlsIdentity { chain: vec![pair.cert.der().clone()], key })
    }

    #[test]
    fn a_name_finds_its_certificate_and_any_other_the_first() {
        let identities =
            [identity(&["a.example"]), identity(&["b.example", "*.b.example"]), identity(&["A.example", "c.example"])];
        let certificates = Certificates::new(&identities, &aws_lc_rs::default_provider()).unwrap();
        let shown = |name: &str| {
            let found = certificates.of_name(name)?.cert.first()?.clone();
            identities.iter().position(|identity| identity.chain.first() == Some(&found))
        };
        for (name, expected) in [
            ("a.example", Some(0)),
            ("A.EXAMPLE", Some(0)),
            ("b.example", Some(1)),
            ("x.b.example", Some(1)),
            ("x.y.b.example", None),
            ("c.example", Some(2)),
            ("d.example", None),
            ("example", None),
            ("", None),
        ] {
            assert_eq!(shown(name), expected, "{name}");
        }
        assert_eq!(certificates.first.cert.first(), identities[0].chain.first());
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        let settings = |identities| ListenTls { identities, minimum_version: TlsVersion::Tls13 };
        assert!(server_config(&settings(vec![identity(&["a.example"])])).is_ok());
        assert!(server_config(&settings(Vec::new())).is_err());
        let (one, other) = (identity(&["a.example"]), identity(&["a.example"]));
        let mixed = TlsIdentity { chain: one.chain.clone(), key: other.key.clone_key() };
        assert!(server_config(&settings(vec![Arc::new(mixed)])).is_err());
    }
}
