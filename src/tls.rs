//! TLS as a client: whom we trust, and as whom we come. There is no way to trust everybody.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// A certificate that shows who we are, and the key that proves it.
#[derive(PartialEq, Eq)]
pub struct TlsIdentity {
    /// The certificate, then those between it and its authority.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

/// The client's side of TLS 1.2 and 1.3, without protocols to choose from.
///
/// With `ca_certificates` those authorities alone are trusted; else those of the system, else the list compiled in (an
/// image may have no CA files). With an `identity` we show it to whoever asks for it.
///
/// # Errors
/// A certificate or a key that is none, or that do not belong together; versions that the crypto provider does not have.
pub fn client_config(
    ca_certificates: &[CertificateDer<'static>],
    identity: Option<&TlsIdentity>,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if ca_certificates.is_empty() {
        // A single broken file of the system's is no reason not to start; without any root no handshake succeeds.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    }
    for certificate in ca_certificates {
        roots.add(certificate.clone())?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    match identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key()),
        None => Ok(builder.with_no_client_auth()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::ServerName;
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    #[test]
    fn di_10_there_are_always_roots_and_what_cannot_be_used_is_refused() {
        let pair = rcgen::generate_simple_self_signed(["redis.example".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["redis.example".to_owned()]).unwrap();
        let with = |ca: &[u8], key: Vec<u8>| {
            let identity = TlsIdentity { chain: vec![pair.cert.der().clone()], key: PrivateKeyDer::Pkcs8(key.into()) };
            client_config(&[CertificateDer::from(ca.to_vec())], Some(&identity))
        };
        assert!(client_config(&[], None).is_ok());
        assert!(with(pair.cert.der(), pair.signing_key.serialize_der()).is_ok());
        assert!(with(b"no certificate", pair.signing_key.serialize_der()).is_err());
        assert!(with(pair.cert.der(), b"no key".to_vec()).is_err());
        assert!(with(pair.cert.der(), other.signing_key.serialize_der()).is_err(), "the key of another certificate");
    }

    #[test]
    fn debug_shows_no_key() {
        let key = PrivateKeyDer::Pkcs8(b"mark-of-the-key".to_vec().into());
        assert_eq!(format!("{:?}", TlsIdentity { chain: Vec::new(), key }), "TlsIdentity { .. }");
    }

    /// Whether a client that trusts these shakes hands with a server of this certificate, under this name.
    async fn connects(trusted: &[CertificateDer<'static>], server: &rcgen::CertifiedKey<rcgen::KeyPair>) -> bool {
        let key = PrivateKeyDer::try_from(server.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![server.cert.der().clone()], key)
            .unwrap();
        let (near, far) = tokio::io::duplex(64 * 1024);
        let connector = TlsConnector::from(Arc::new(client_config(trusted, None).unwrap()));
        let name = ServerName::try_from("id.example").unwrap();
        let (client, _) = tokio::join!(connector.connect(name, near), TlsAcceptor::from(Arc::new(config)).accept(far));
        client.is_ok()
    }

    #[tokio::test]
    async fn di_10_only_the_configured_authorities_and_the_right_name_are_trusted() {
        let own = rcgen::generate_simple_self_signed(["id.example".to_owned()]).unwrap();
        let other_name = rcgen::generate_simple_self_signed(["evil.example".to_owned()]).unwrap();
        assert!(connects(&[own.cert.der().clone()], &own).await);
        assert!(!connects(&[other_name.cert.der().clone()], &own).await);
        assert!(!connects(&[], &own).await);
        assert!(!connects(&[other_name.cert.der().clone()], &other_name).await);
    }
}
