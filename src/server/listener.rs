//! Addresses that are listened on.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, TcpSocket, UnixListener, UnixStream};

use super::private_socket;
use super::settings::ListenAddress;
use super::stream::Transport;

/// Connections that wait to be accepted; the system may keep fewer.
const BACKLOG: u32 = 1024;

/// A bound address.
#[derive(Debug)]
pub struct Listener(Kind);

#[derive(Debug)]
enum Kind {
    Tcp(TcpListener),
    Unix { listener: UnixListener, _file: SocketFile },
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}")]
pub struct ListenError {
    address: ListenAddress,
    source: io::Error,
}

/// Takes the file away when the listener closes.
#[derive(Debug)]
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody else may have taken it away already.
        let _gone = std::fs::remove_file(&self.0);
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Kind::Tcp(listener))
    }
}

impl Listener {
    /// Binds an address. The file of a Unix socket that nobody listens on is replaced.
    ///
    /// # Errors
    /// [`ListenError`], which names the address.
    pub async fn bind(address: &ListenAddress) -> Result<Self, ListenError> {
        Self::bind_as(address, false).await
    }

    /// Binds an address that other processes of the same user may bind as well, who have to ask for it, too: the system
    /// gives each of them a part of the connections. A Unix socket is bound as by [`Listener::bind`].
    ///
    /// # Errors
    /// [`ListenError`], which names the address.
    pub async fn bind_shared(address: &ListenAddress) -> Result<Self, ListenError> {
        Self::bind_as(address, true).await
    }

    async fn bind_as(address: &ListenAddress, is_shared: bool) -> Result<Self, ListenError> {
        let bound = match address {
            ListenAddress::Tcp(address) => bind_tcp(*address, is_shared).map(Kind::Tcp),
            ListenAddress::Unix(path) => {
                bind_unix(path).await.map(|listener| Kind::Unix { listener, _file: SocketFile(path.clone()) })
            }
        };
        bound.map(Self).map_err(|source| ListenError { address: address.clone(), source })
    }

    /// Binds an address for the owner of this process alone: the file of a Unix socket has mode 0600, whatever the umask.
    /// An address of TCP is bound as by [`Listener::bind`].
    ///
    /// # Errors
    /// [`ListenError`], which names the address.
    pub async fn bind_private(address: &ListenAddress) -> Result<Self, ListenError> {
        let ListenAddress::Unix(path) = address else { return Self::bind(address).await };
        match private_socket::bind(path).await {
            Ok(listener) => Ok(Self(Kind::Unix { listener, _file: SocketFile(path.clone()) })),
            Err(source) => Err(ListenError { address: address.clone(), source }),
        }
    }

    /// The address that was bound, with the port the system chose for port 0; none for a Unix socket.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.0 {
            Kind::Tcp(listener) => listener.local_addr().ok(),
            Kind::Unix { .. } => None,
        }
    }

    pub(super) async fn accept(&self) -> io::Result<(Transport, Option<SocketAddr>)> {
        match &self.0 {
            Kind::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written in one piece; waiting for more would only delay their last part.
                stream.set_nodelay(true)?;
                Ok((Transport::Tcp(stream), Some(peer)))
            }
            Kind::Unix { listener, .. } => {
                let (stream, _) = listener.accept().await?;
                Ok((Transport::Unix(stream), None))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr, is_shared: bool) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(is_shared)?;
    // Accepted connections inherit it: tunnels have no deadline of their own, and dead peers must be found.
    socket.set_keepalive(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            if !is_abandoned(path).await? {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// Whether this is the file of a socket that nobody listens on.
pub(super) async fn is_abandoned(path: &Path) -> io::Result<bool> {
    // A file that is no socket refuses connections as well, and is not ours to take away.
    let is_socket = std::fs::symlink_metadata(path)?.file_type().is_socket();
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    Ok(is_socket && UnixStream::connect(path).await.is_err_and(refused))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    #[tokio::test]
    async fn a_port_in_use_is_named() {
        let first = Listener::bind(&ListenAddress::Tcp("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let address = first.local_address().unwrap();
        let error = Listener::bind(&ListenAddress::Tcp(address)).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on {address}: ")), "{error}");
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn a_port_is_shared_only_by_those_who_ask_for_it() {
        let any = ListenAddress::Tcp("127.0.0.1:0".parse().unwrap());
        let first = Listener::bind_shared(&any).await.unwrap();
        let address = ListenAddress::Tcp(first.local_address().unwrap());
        assert!(Listener::bind(&address).await.is_err());
        assert!(Listener::bind_shared(&address).await.is_ok());
    }

    #[tokio::test]
    async fn a_socket_file_is_replaced_only_when_nobody_listens() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let address = ListenAddress::Unix(path.clone());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = Listener::bind(&address).await.unwrap();
        let error = Listener::bind(&address).await.unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot listen on unix:{}: ", path.display())), "{error}");
        drop(listener);
        assert!(!path.exists());
        std::fs::write(&path, "no socket").unwrap();
        assert!(Listener::bind(&address).await.is_err() && path.exists());
    }
}
