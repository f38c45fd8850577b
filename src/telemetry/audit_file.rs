//! The file of `log.audit`: appended to, and opened anew when somebody has moved it away.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// An audit log in a file of its own, for its owner alone.
///
/// A line that the file does not take goes to the fallback instead, so that it is not lost.
#[derive(Debug)]
pub struct AuditFile<F> {
    path: PathBuf,
    file: Option<File>,
    fallback: F,
}

impl<F: Write> AuditFile<F> {
    /// Opens or makes the file.
    ///
    /// # Errors
    /// When it cannot be appended to.
    pub fn open(path: &Path, fallback: F) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: Some(append_to(path)?), fallback })
    }

    /// The file that stands under the path now: what rotates logs moves them and expects a new one.
    fn current(&mut self) -> io::Result<&mut File> {
        let here = match (&self.file, std::fs::symlink_metadata(&self.path)) {
            (Some(file), Ok(there)) => file.metadata().is_ok_and(|ours| {
                (ours.dev(), ours.ino()) == (there.dev(), there.ino()) || there.file_type().is_symlink()
            }),
            _ => false,
        };
        if !here {
            self.file = Some(append_to(&self.path)?);
        }
        self.file.as_mut().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

impl<F: Write> Write for AuditFile<F> {
    /// Takes a whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let written = self.current().and_then(|file| file.write_all(line));
        match written {
            Ok(()) => Ok(line.len()),
            Err(_) => self.fallback.write(line),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn lines_are_appended_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.jsonl");
        std::fs::write(&path, "before\n").unwrap();
        let mut audit = AuditFile::open(&path, Vec::new()).unwrap();
        audit.write_all(b"after\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\nafter\n");
        let fresh = folder.path().join("fresh");
        AuditFile::open(&fresh, Vec::new()).unwrap();
        assert_eq!(std::fs::metadata(fresh).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit"), folder.path().join("audit.1"));
        let mut audit = AuditFile::open(&path, Vec::new()).unwrap();
        audit.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        audit.write_all(b"two\n").unwrap();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "one\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "two\n");
    }

    #[test]
    fn what_the_file_does_not_take_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        let mut audit = AuditFile::open(&inner.join("audit"), Vec::new()).unwrap();
        std::fs::remove_dir_all(&inner).unwrap();
        audit.write_all(b"one\n").unwrap();
        assert_eq!(audit.fallback, b"one\n");
        assert!(AuditFile::open(&inner.join("audit"), Vec::new()).is_err());
    }
}
