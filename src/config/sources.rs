//! Which files a configuration was read from, and what was in them: what a reload watches and compares.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::environment::{Environment, NamedFile};

/// How many hexadecimal digits of a digest are shown.
const SHOWN: usize = 12;

/// What was found under a path.
#[derive(Clone, PartialEq, Eq)]
enum Found {
    /// A file. Its rights count too: one that others may write is refused until they are taken away.
    File { digest: [u8; 32], mode: u32 },
    /// Nothing that could be read. It may come yet.
    Nothing(io::ErrorKind),
}

impl Found {
    fn of(read: &io::Result<NamedFile>) -> Self {
        match read {
            Ok(file) => Self::File { digest: Sha256::digest(&file.bytes).into(), mode: file.mode },
            Err(error) => Self::Nothing(error.kind()),
        }
    }
}

/// The files of one reading, those that could not be read included.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// The configuration itself; none for a text out of memory.
    file: Option<PathBuf>,
    found: BTreeMap<PathBuf, Found>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Where the path of a secret belongs, the secret itself may stand by mistake.
        write!(formatter, "Sources({} files)", self.found.len())
    }
}

impl Sources {
    /// The configuration itself; none for a text out of memory.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Every path that was read.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.found.keys().map(PathBuf::as_path)
    }

    /// The beginning of the SHA-256 of the configuration file, as `sha256sum` shows it. The files that it names are left
    /// out: a digest of a short secret would let it be guessed. Empty for a text out of memory.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut shown = String::new();
        if let Some(Found::File { digest, .. }) = self.file.as_ref().and_then(|file| self.found.get(file)) {
            for byte in digest.iter().take(SHOWN / 2) {
                // Writing to a string does not fail.
                let _ = write!(shown, "{byte:02x}");
            }
        }
        shown
    }

    /// Whether one of the files is not what it was.
    #[must_use]
    pub fn have_changed(&self, environment: &dyn Environment) -> bool {
        self.found.iter().any(|(path, found)| {
            let read = environment.file(path);
            let now = Found::of(&read);
            // It may have held a secret.
            drop(read.map(|file| Zeroizing::new(file.bytes)));
            now != *found
        })
    }
}

/// An environment that notes what is read from it.
pub(super) struct Recording<'a> {
    inner: &'a dyn Environment,
    found: RefCell<BTreeMap<PathBuf, Found>>,
}

impl<'a> Recording<'a> {
    pub(super) fn new(inner: &'a dyn Environment) -> Self {
        Self { inner, found: RefCell::default() }
    }

    pub(super) fn sources(&self, file: Option<&Path>) -> Sources {
        Sources { file: file.map(Path::to_owned), found: self.found.borrow().clone() }
    }
}

impl Environment for Recording<'_> {
    fn variable(&self, name: &str) -> Option<String> {
        self.inner.variable(name)
    }

    fn memory_limit(&self) -> Option<u64> {
        self.inner.memory_limit()
    }

    fn file(&self, path: &Path) -> io::Result<NamedFile> {
        let read = self.inner.file(path);
        self.found.borrow_mut().insert(path.to_owned(), Found::of(&read));
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::tests::Fake;
    use crate::config::load;
    use crate::entropy::SystemEntropy;

    const TEXT: &str = "public_url = \"https://wiki.example.com\"\n[provider]\nissuer = \"https://id.example.com\"\n\
                        client_id = \"wiki\"\nclient_secret = { file = \"/run/secret\" }\n\
                        [[upstream]]\ntarget = \"http://127.0.0.1:3000\"\n";

    fn good() -> Fake {
        Fake::default().with("/etc/v.toml", TEXT).with("/run/secret", "hush")
    }

    fn read(fake: &Fake) -> Sources {
        load(Path::new("/etc/v.toml"), fake, &SystemEntropy).unwrap().sources
    }

    #[test]
    fn a_reading_knows_its_files_and_sees_any_of_them_change() {
        let sources = read(&good());
        assert_eq!(sources.paths().collect::<Vec<_>>(), [Path::new("/etc/v.toml"), Path::new("/run/secret")]);
        assert_eq!(sources.file(), Some(Path::new("/etc/v.toml")));
        assert!(!sources.have_changed(&good()));
        let mut changed = [good(), good(), good(), good()];
        changed[0].put("/run/secret", b"hush!", 0o600, false);
        changed[1].put("/run/secret", b"hush", 0o660, false);
        changed[2].put("/etc/v.toml", b"", 0o600, false);
        changed[3].files.remove(Path::new("/run/secret"));
        assert!(changed.iter().all(|fake| sources.have_changed(fake)));
    }

    #[test]
    fn what_is_not_there_yet_is_watched_for() {
        let mut fake = good();
        let secret = fake.files.remove(Path::new("/run/secret")).unwrap();
        let refused = load(Path::new("/etc/v.toml"), &fake, &SystemEntropy).unwrap_err();
        assert!(!refused.sources().have_changed(&fake));
        fake.files.insert("/run/secret".into(), secret);
        assert!(refused.sources().have_changed(&fake));
        let nothing = load(Path::new("/etc/v.toml"), &Fake::default(), &SystemEntropy).unwrap_err();
        assert!(nothing.sources().have_changed(&fake));
    }

    #[test]
    fn ad_08_the_digest_is_that_of_the_file_alone() {
        let mut other = good();
        other.put("/run/secret", b"another", 0o600, false);
        let digest = read(&good()).digest();
        assert_eq!((digest.len(), &digest), (SHOWN, &read(&other).digest()));
        other.put("/etc/v.toml", format!("{TEXT}\n").as_bytes(), 0o600, false);
        assert_ne!(digest, read(&other).digest());
        assert!(!format!("{:?}", read(&good())).contains("hush"));
    }
}
