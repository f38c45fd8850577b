//! TLS towards Redis: who is trusted, and as whom we come. There is no way to trust everybody.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use crate::session::settings::StoreTls;

/// TLS 1.2 and 1.3 with the given certification authorities, else those of the system, else the list compiled in.
///
/// # Errors
/// A certificate or a key that is none, or that do not belong together.
pub(super) fn client_config(settings: &StoreTls) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut roots = RootCertStore::empty();
    if settings.ca_certificates.is_empty() {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
    } else {
        for certificate in &settings.ca_certificates {
            roots.add(certificate.clone())?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    let config = match &settings.identity {
        Some(identity) => builder.with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?,
        None => builder.with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::settings::ClientIdentity;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    #[test]
    fn what_cannot_be_used_is_refused_at_start() {
        let pair = rcgen::generate_simple_self_signed(["redis.example".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["redis.example".to_owned()]).unwrap();
        let with = |ca: &[u8], key: Vec<u8>| {
            let key = PrivateKeyDer::Pkcs8(key.into());
            let identity = ClientIdentity { chain: vec![pair.cert.der().clone()], key };
            let ca_certificates = vec![CertificateDer::from(ca.to_vec())];
            client_config(&StoreTls { ca_certificates, identity: Some(Arc::new(identity)) })
        };
        assert!(client_config(&StoreTls::default()).is_ok());
        assert!(with(pair.cert.der(), pair.signing_key.serialize_der()).is_ok());
        assert!(with(b"no certificate", pair.signing_key.serialize_der()).is_err());
        assert!(with(pair.cert.der(), b"no key".to_vec()).is_err());
        assert!(with(pair.cert.der(), other.signing_key.serialize_der()).is_err(), "the key of another certificate");
    }
}
