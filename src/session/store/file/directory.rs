//! The directory of the store: nobody else's, and no other process at work in it.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::FileStoreError;

const DIRECTORY_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A directory that this process owns until this is dropped.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    us: u32,
    /// Held for its lock. The system gives the lock up when the process ends, however it ends.
    lock: File,
}

impl Directory {
    /// Makes the directory if it is not there, checks it, and takes it for this process.
    ///
    /// # Errors
    /// Every [`FileStoreError`] but those about what the files hold.
    pub(super) fn claim(path: &Path) -> Result<Self, FileStoreError> {
        Self::claim_as(path, rustix::process::geteuid().as_raw())
    }

    pub(super) fn claim_as(path: &Path, us: u32) -> Result<Self, FileStoreError> {
        let failed = |source| FileStoreError::Io { path: path.to_owned(), source };
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(FileStoreError::NoParent { path: path.to_owned() });
            }
            Err(error) => return Err(failed(error)),
        }
        // Of the path itself, not of what a link there leads to.
        let found = path.symlink_metadata().map_err(failed)?;
        if !found.is_dir() {
            return Err(FileStoreError::NotADirectory { path: path.to_owned() });
        }
        check_access(path, &found, us, DIRECTORY_MODE)?;
        let lock = take_lock(path, us)?;
        Ok(Self { path: path.to_owned(), us, lock })
    }

    /// The path of a file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Opens a file in it to read and write. `None`: it is not there.
    ///
    /// # Errors
    /// [`FileStoreError`] when it is not a file of ours alone.
    pub(super) fn open(&self, name: &str) -> Result<Option<File>, FileStoreError> {
        open_checked(&self.file(name), self.us)
    }

    /// Makes a file in it that was not there.
    ///
    /// # Errors
    /// [`FileStoreError::Io`]
    pub(super) fn create(&self, name: &str) -> Result<File, FileStoreError> {
        let path = self.file(name);
        create(&path).map_err(|source| FileStoreError::Io { path, source })
    }

    /// Gives a file another name, durably.
    ///
    /// # Errors
    /// [`FileStoreError::Io`]
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), FileStoreError> {
        let renamed = std::fs::rename(self.file(from), self.file(to));
        // The directory holds the names; it is written like a file.
        let durable = renamed.and_then(|()| File::open(&self.path)?.sync_all());
        durable.map_err(|source| FileStoreError::Io { path: self.file(to), source })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // Closing the file is not enough while a process that is just being started has it too. If it cannot be unlocked, the
        // lock ends with the last of them.
        let _ = self.lock.unlock();
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create_new(true).mode(FILE_MODE).open(path)
}

fn check_access(path: &Path, found: &Metadata, us: u32, wanted: u32) -> Result<(), FileStoreError> {
    if found.uid() != us {
        return Err(FileStoreError::Foreign { path: path.to_owned(), owner: found.uid(), us });
    }
    let mode = found.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(FileStoreError::OpenToOthers { path: path.to_owned(), mode, wanted });
    }
    Ok(())
}

fn open_checked(path: &Path, us: u32) -> Result<Option<File>, FileStoreError> {
    let failed = |source| FileStoreError::Io { path: path.to_owned(), source };
    let named = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        named => named.map_err(failed)?,
    };
    if !named.is_file() {
        return Err(FileStoreError::NotAFile { path: path.to_owned() });
    }
    check_access(path, &named, us, FILE_MODE)?;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(failed)?;
    // What was looked at is what was opened.
    let opened = file.metadata().map_err(failed)?;
    if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
        return Err(FileStoreError::NotAFile { path: path.to_owned() });
    }
    Ok(Some(file))
}

/// The lock stands on a file of its own, so that a second process is refused before it has touched the sessions.
fn take_lock(directory: &Path, us: u32) -> Result<File, FileStoreError> {
    let path = directory.join("lock");
    let failed = |source| FileStoreError::Io { path: path.clone(), source };
    let mut file = match open_checked(&path, us)? {
        Some(file) => file,
        None => match create(&path) {
            // Another process was faster; its file is as good.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open_checked(&path, us)?
                .ok_or_else(|| FileStoreError::Owned { path: directory.to_owned(), process: None })?,
            created => created.map_err(failed)?,
        },
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut owner = String::new();
            // What cannot be read is not known; it was only to help.
            let process = (&file).take(16).read_to_string(&mut owner).ok().and_then(|_| owner.trim().parse().ok());
            return Err(FileStoreError::Owned { path: directory.to_owned(), process });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let noted = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    // A full disk keeps nobody from reading the sessions that are there.
    if noted.is_err() {
        tracing::debug!(event = "store.owner-not-noted");
    }
    Ok(file)
}
