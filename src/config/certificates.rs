//! Certificates in files: `ca_file`, whose authorities alone are trusted; `certificate` and `key`, which show who we are.

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use crate::tls::TlsIdentity;

use super::secret_file::{refuse_unreadable, secret_text};
use super::section::Section;
use super::setting::Setting;

const HELP: &str = "name a PEM file with the certificates of the authority";

/// Reads the certificates of `ca_file`; none when the key was not written.
pub(super) fn ca_certificates(section: &Section<'_>) -> Vec<CertificateDer<'static>> {
    let Some(setting) = section.setting("ca_file") else { return Vec::new() };
    let Some(name) = setting.string("the path of a PEM file") else { return Vec::new() };
    let path = setting.reading().resolve(name);
    let file = match setting.reading().environment().file(&path) {
        Ok(file) => file,
        Err(error) => {
            refuse_unreadable(&setting, &path, &error, HELP);
            return Vec::new();
        }
    };
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    let refuse = |why: &str| setting.refuse(format!("`{}`: {} {why}", setting.path(), path.display()), HELP);
    match certificates {
        Ok(certificates) if certificates.is_empty() => refuse("holds no certificate"),
        Ok(certificates) => {
            let mut roots = RootCertStore::empty();
            if certificates.iter().all(|certificate| roots.add(certificate.clone()).is_ok()) {
                return certificates;
            }
            refuse("holds something that is no certificate of an authority");
        }
        Err(_) => refuse("is not valid PEM"),
    }
    Vec::new()
}

/// Reads `certificate` and `key`, which must belong together; `None` when neither was written.
pub(super) fn identity(section: &Section<'_>) -> Option<TlsIdentity> {
    match (section.setting("certificate"), section.setting("key")) {
        (Some(certificate), Some(key)) => pair(&certificate, &key),
        (None, None) => None,
        (Some(only), None) | (None, Some(only)) => {
            let message =
                format!("`{}` stands alone: a certificate needs its key, and a key its certificate", only.path());
            only.refuse(message, "write both `certificate` and `key`");
            None
        }
    }
}

fn pair(certificate: &Setting<'_>, key: &Setting<'_>) -> Option<TlsIdentity> {
    let chain = certificate_chain(certificate)?;
    let pem = secret_text(key)?;
    let Ok(private) = PrivateKeyDer::from_pem_slice(pem.as_bytes()) else {
        key.refuse(format!("`{}` holds no private key in PEM", key.path()), "write the path of the key's PEM file");
        return None;
    };
    let usable = aws_lc_rs::default_provider().key_provider.load_private_key(private.clone_key());
    let matches = usable.map(|usable| CertifiedKey::new(chain.clone(), usable).keys_match());
    match matches {
        Ok(Ok(())) => Some(TlsIdentity { chain, key: private }),
        Ok(Err(_)) => {
            let message = format!("`{}` is not the key of the certificate in `{}`", key.path(), certificate.path());
            key.refuse(message, "name the two files that were made together");
            None
        }
        Err(_) => {
            key.refuse(format!("`{}` holds a kind of key that cannot be used", key.path()), "use an EC or RSA key");
            None
        }
    }
}

fn certificate_chain(setting: &Setting<'_>) -> Option<Vec<CertificateDer<'static>>> {
    const HELP: &str = "name a PEM file with our own certificate, then those between it and its authority";
    let path = setting.reading().resolve(setting.string("the path of a PEM file")?);
    let file = setting
        .reading()
        .environment()
        .file(&path)
        .map_err(|error| refuse_unreadable(setting, &path, &error, HELP))
        .ok()?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&file.bytes).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty());
    if chain.is_none() {
        setting.refuse(format!("`{}`: {} holds no certificate in PEM", setting.path(), path.display()), HELP);
    }
    chain
}
