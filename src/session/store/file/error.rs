//! Why the file store cannot be opened, in words for whoever runs the gateway.

use std::io;
use std::path::PathBuf;

/// The store cannot be opened. Each text says what is wrong with which file, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileStoreError {
    /// The directory cannot be made, because the one above it is not there.
    #[error("{} cannot be made, because the directory above it does not exist: create that one first", path.display())]
    NoParent {
        /// The directory of the store.
        path: PathBuf,
    },
    /// The path names something else than a directory.
    #[error("{} is not a directory (a symbolic link is refused too): name the directory itself", path.display())]
    NotADirectory {
        /// The directory of the store.
        path: PathBuf,
    },
    /// One of the files is something else.
    #[error("{} is not a regular file (a symbolic link is refused too): move it away", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else's directory or file.
    #[error("{} belongs to user {owner}, and this process runs as user {us}: chown {us} {}", path.display(), path.display())]
    Foreign {
        /// The directory or file.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Others may get at it.
    #[error("{} is open to other users (mode {mode:03o}): chmod {wanted:03o} {}", path.display(), path.display())]
    OpenToOthers {
        /// The directory or file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        wanted: u32,
    },
    /// A running process has it open.
    #[error(
        "{} is in use by {}: stop that one first, or give each gateway a directory of its own; replicas that share \
         sessions need a store in Redis",
        path.display(),
        process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"))
    )]
    Owned {
        /// The directory of the store.
        path: PathBuf,
        /// Its number, as that process sees itself; in a container it may be another than outside.
        process: Option<u32>,
    },
    /// It was written in another format.
    #[error(
        "{} has format {found}, and this version of the program writes format {ours}: start the version that wrote it, \
         or move the file away, which ends all sessions",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The one format that is written and read.
        ours: u64,
    },
    /// It cannot be read as what it should be.
    #[error(
        "{} is damaged or was not written by this program: put a copy back, or move the file away, which ends all \
         sessions",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The system refuses.
    #[error("{} cannot be used: check that its disk is there, writable and not full", path.display())]
    Io {
        /// The directory or file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}
