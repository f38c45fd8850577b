//! TLS towards applications: whom we believe.

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use super::error::InvalidUpstream;

/// The names of protocols in the handshake (RFC 7301).
pub(super) const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// The client's side of TLS 1.2 and 1.3; verification cannot be turned off.
///
/// With certificates of a `ca_file` those alone are believed; else those of the system, and where the system has none
/// (an image without CA files) Mozilla's.
pub(super) fn client_config(ca_certificates: &[CertificateDer<'static>]) -> Result<ClientConfig, InvalidUpstream> {
    let mut roots = RootCertStore::empty();
    if ca_certificates.is_empty() {
        // A single broken file of the system's is no reason not to start; without any root no handshake succeeds.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    }
    for certificate in ca_certificates {
        roots.add(certificate.clone()).map_err(InvalidUpstream::Certificates)?;
    }
    let crypto_provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(crypto_provider)
        .with_safe_default_protocol_versions()
        .map_err(InvalidUpstream::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols.push(HTTP_1.to_vec());
    Ok(config)
}
