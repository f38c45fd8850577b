//! `ca_file`: certificates that alone are trusted.

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::secret_file::refuse_unreadable;
use super::section::Section;

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
