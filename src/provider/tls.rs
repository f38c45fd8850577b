//! TLS towards the provider: who is trusted. There is no way to trust everybody.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

/// TLS 1.2 and 1.3 with the given certification authorities, else those of the system, else the list compiled in (an
/// image may have no CA files).
///
/// # Errors
/// A configured certificate that is none, or versions that the crypto provider does not have.
pub(crate) fn client_config(ca_certificates: &[CertificateDer<'static>]) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if ca_certificates.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    } else {
        for certificate in ca_certificates {
            roots.add(certificate.clone())?;
        }
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::{PrivateKeyDer, ServerName};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    #[test]
    fn di_10_there_are_always_roots_and_a_bad_certificate_is_refused() {
        assert!(client_config(&[]).is_ok());
        assert!(client_config(&[CertificateDer::from(b"not a certificate".to_vec())]).is_err());
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
        let connector = TlsConnector::from(Arc::new(client_config(trusted).unwrap()));
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
