//! A Unix socket that only the owner of this process can ever connect to.
//!
//! Between the making of a socket's file and a change of its mode anybody whom the umask lets in could connect, and a
//! connection outlives the change. So the file is made in a directory that nobody else can enter, and moved when it is
//! closed to others.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use super::listener::is_abandoned;

/// Reading and writing, which is connecting, for the owner.
const OWNER_ALONE: u32 = 0o600;
/// Directories of earlier processes that were killed at this very point are passed over, so many of them.
const ATTEMPTS: u32 = 100;

/// Binds `path`, in the place of a socket that nobody listens on any more.
pub(super) async fn bind(path: &Path) -> io::Result<UnixListener> {
    if fs::symlink_metadata(path).is_ok() && !is_abandoned(path).await? {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    let directory = PrivateDirectory::beside(path)?;
    let inside = directory.0.join("s");
    let listener = UnixListener::bind(&inside)?;
    // The umask may have taken more away than the owner can do without.
    let moved =
        fs::set_permissions(&inside, Permissions::from_mode(OWNER_ALONE)).and_then(|()| fs::rename(&inside, path));
    if moved.is_err() {
        let _gone = fs::remove_file(&inside);
    }
    moved.map(|()| listener)
}

/// An empty directory that only its owner can enter; taken away when it is dropped.
struct PrivateDirectory(PathBuf);

impl PrivateDirectory {
    /// On the same file system as `path`, so that a file can be moved there in one step.
    fn beside(path: &Path) -> io::Result<Self> {
        let parent = path.parent().unwrap_or(Path::new("/"));
        let mut number = 0;
        loop {
            let directory = parent.join(format!(".{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < ATTEMPTS => number += 1,
                made => return made.map(|()| Self(directory)),
            }
        }
    }
}

impl Drop for PrivateDirectory {
    fn drop(&mut self) {
        // Empty by then; if it is not, it stays and harms nobody.
        let _gone = fs::remove_dir(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Listener;
    use crate::server::settings::ListenAddress;

    #[tokio::test]
    async fn ad_02_the_file_is_its_owners_alone_and_nothing_else_is_left_behind() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let address = ListenAddress::Unix(path.clone());
        let listener = Listener::bind_private(&address).await.unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, OWNER_ALONE);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        tokio::net::UnixStream::connect(&path).await.unwrap();
        assert!(Listener::bind_private(&address).await.is_err(), "somebody listens there");
        drop(listener);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn an_abandoned_socket_is_replaced_and_any_other_file_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        let address = ListenAddress::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        // What a process with this very id has left behind when it was killed.
        fs::create_dir(directory.path().join(format!(".{}-0", std::process::id()))).unwrap();
        drop(Listener::bind_private(&address).await.unwrap());
        assert!(!path.exists());
        fs::write(&path, "no socket").unwrap();
        assert!(Listener::bind_private(&address).await.is_err());
        assert_eq!(fs::read(&path).unwrap(), b"no socket");
    }
}
