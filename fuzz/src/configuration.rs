//! The text of a configuration.

use std::path::Path;
use std::{io, str};

use vestibule::config::{self, Environment, NamedFile};
use vestibule::entropy::{Entropy, NoEntropy};

/// A machine with one secret, and nothing of the real one.
struct Nowhere;

impl Environment for Nowhere {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "CLIENT_SECRET").then(|| "of-the-environment".to_owned())
    }

    fn file(&self, path: &Path) -> io::Result<NamedFile> {
        let known = path.ends_with("client-secret");
        let file = NamedFile { bytes: b"of-the-file\n".to_vec(), mode: 0o600, private_mount: false };
        if known { Ok(file) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// Randomness that is none.
pub struct Fixed;

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.fill(0x5a);
        Ok(())
    }
}

/// A text is a configuration or has problems that can be shown; it says the same when it is read again.
pub fn configuration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let read = || config::parse(text, Path::new("vestibule.toml"), Path::new("/etc/vestibule"), &Nowhere, &Fixed);
    match (read(), read()) {
        (Ok(loaded), Ok(_)) => {
            assert!(!loaded.settings.providers.is_empty(), "a gateway without a provider");
            let shown = format!("{loaded:?}");
            assert!(!shown.contains("of-the-environment") && !shown.contains("of-the-file"), "a secret is shown");
        }
        (Err(error), Err(again)) => {
            let shown = error.to_string();
            assert!(!shown.is_empty() && shown == again.to_string());
            assert!(!shown.contains("of-the-environment") && !shown.contains("of-the-file"), "a secret is shown");
        }
        _ => panic!("once a configuration, once not"),
    }
}
