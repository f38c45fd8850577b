//! What a configuration draws on outside its own text: environment variables and files.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

use super::memory;
use super::mounts;

/// Larger files are no secrets, certificates or configurations of anybody's.
const LARGEST_FILE: u64 = 1 << 20;

/// A file that the configuration names, with what its rights say.
#[derive(Clone)]
pub struct NamedFile {
    /// What is in it; may be secret.
    pub bytes: Vec<u8>,
    /// Permission bits of the file itself, symbolic links followed.
    pub mode: u32,
    /// It lies on a tmpfs or on a read-only mount, where rights are set by whoever mounted it.
    pub private_mount: bool,
}

/// Where environment variables and files come from; files are those of this machine unless it says otherwise.
pub trait Environment {
    /// An environment variable; `None` when it is not set or not UTF-8.
    fn variable(&self, name: &str) -> Option<String>;

    /// Reads a whole file.
    ///
    /// # Errors
    /// As the operating system says; `IsADirectory` or `InvalidInput` for what is no regular file, `FileTooLarge`
    /// over 1 MiB.
    fn file(&self, path: &Path) -> io::Result<NamedFile> {
        read(path)
    }

    /// The bytes of memory that the process may use at most, where the system says so.
    fn memory_limit(&self) -> Option<u64> {
        None
    }
}

/// The environment and the file system of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    /// As it was at the first question: a store cannot be made smaller while it is in use.
    fn memory_limit(&self) -> Option<u64> {
        static LIMIT: OnceLock<Option<u64>> = OnceLock::new();
        *LIMIT.get_or_init(|| {
            let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
            memory::limit_of(Path::new("/sys/fs/cgroup"), &groups)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }
}

fn read(path: &Path) -> io::Result<NamedFile> {
    // Asked before opening: to open a pipe would wait for its writer.
    let kind = std::fs::metadata(path)?;
    if kind.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let file = File::open(path)?;
    // Rights and content of the same file, even if the name moves on meanwhile.
    let mode = file.metadata()?.mode();
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST_FILE {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let real = std::fs::canonicalize(path)?;
    let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    Ok(NamedFile { bytes, mode, private_mount: mounts::is_private(&mountinfo, &real) })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::path::PathBuf;

    /// Variables and files out of memory.
    #[derive(Default)]
    pub(in crate::config) struct Fake {
        pub(in crate::config) variables: HashMap<String, String>,
        pub(in crate::config) files: HashMap<PathBuf, NamedFile>,
        pub(in crate::config) memory_limit: Option<u64>,
    }

    impl Fake {
        pub(in crate::config) fn with(mut self, path: &str, content: &str) -> Self {
            self.put(path, content.as_bytes(), 0o600, false);
            self
        }

        /// A certificate and its key, as `PATH.crt` and `PATH.key`.
        pub(in crate::config) fn with_identity(self, path: &str) -> Self {
            let pair = rcgen::generate_simple_self_signed(["wiki.example.com".to_owned()]).unwrap();
            self.with(&format!("{path}.crt"), &pair.cert.pem())
                .with(&format!("{path}.key"), &pair.signing_key.serialize_pem())
        }

        pub(in crate::config) fn put(&mut self, path: &str, bytes: &[u8], mode: u32, private_mount: bool) {
            self.files.insert(path.into(), NamedFile { bytes: bytes.to_vec(), mode, private_mount });
        }
    }

    impl Environment for Fake {
        fn variable(&self, name: &str) -> Option<String> {
            self.variables.get(name).cloned()
        }

        fn memory_limit(&self) -> Option<u64> {
            self.memory_limit
        }

        fn file(&self, path: &Path) -> io::Result<NamedFile> {
            self.files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
        }
    }

    #[test]
    fn cf_03_a_directory_or_nothing_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let kind = |path: &Path| SystemEnvironment.file(path).map(|_| ()).unwrap_err().kind();
        assert_eq!(kind(directory.path()), io::ErrorKind::IsADirectory);
        assert_eq!(kind(&directory.path().join("none")), io::ErrorKind::NotFound);
    }

    #[test]
    fn rights_and_content_are_those_behind_a_symbolic_link() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let (file, link) = (directory.path().join("file"), directory.path().join("link"));
        std::fs::write(&file, "content").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&file, &link).unwrap();
        let read = SystemEnvironment.file(&link).unwrap();
        assert_eq!((read.bytes.as_slice(), read.mode & 0o777), (b"content".as_slice(), 0o640));
    }
}
