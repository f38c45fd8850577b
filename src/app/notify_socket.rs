//! What the service manager is told: the datagrams of sd_notify(3).

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram as StdUnixDatagram};
use std::time::Duration;

use tokio::net::UnixDatagram;

use crate::config::Environment;

/// The service manager empties its socket all the time; one that does not is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Where the service manager says that it wants to be told, sd_notify(3).
const VARIABLE: &str = "NOTIFY_SOCKET";

/// What has happened to this service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// The start, or a reload, is over: requests may come.
    Ready,
    /// The configuration is being read anew; `Ready` says that this is over.
    ///
    /// For `Type=notify`. `Type=notify-reload` wants the monotonic clock with it (`MONOTONIC_USEC=`).
    Reloading,
    /// The process is about to end.
    Stopping,
}

impl ServiceState {
    const fn datagram(self) -> &'static [u8] {
        match self {
            Self::Ready => b"READY=1",
            Self::Reloading => b"RELOADING=1",
            Self::Stopping => b"STOPPING=1",
        }
    }
}

/// The socket of a service manager, if one has started this process and wants to know.
#[derive(Debug, Default)]
pub struct NotifySocket(Option<UnixDatagram>);

impl NotifySocket {
    /// The socket that `NOTIFY_SOCKET` names; a name that cannot be used is logged, and nobody is told anything.
    pub fn from_environment(environment: &dyn Environment) -> Self {
        let Some(name) = environment.variable(VARIABLE).filter(|name| !name.is_empty()) else { return Self(None) };
        match connect(&name) {
            Ok(socket) => Self(Some(socket)),
            Err(error) => {
                tracing::warn!(event = "service.not-told", error = %error.kind(), "the socket in {VARIABLE} is not there");
                Self(None)
            }
        }
    }

    /// Tells the service manager. It is told for its own good: a failure is logged and ends nothing.
    pub async fn tell(&self, state: ServiceState) {
        let Some(socket) = &self.0 else { return };
        let sent = tokio::time::timeout(PATIENCE, socket.send(state.datagram())).await;
        if let Err(error) = sent.unwrap_or_else(|late| Err(late.into())) {
            tracing::warn!(event = "service.not-told", error = %error.kind(), "the service manager could not be told");
        }
    }
}

/// A name that begins with `/` is a path, one with `@` lies in the abstract name space (unix(7)).
fn connect(name: &str) -> io::Result<UnixDatagram> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None if name.starts_with('/') => SocketAddr::from_pathname(name)?,
        None => return Err(io::ErrorKind::Unsupported.into()),
    };
    let socket = StdUnixDatagram::unbound()?;
    socket.connect_addr(&address)?;
    socket.set_nonblocking(true)?;
    UnixDatagram::from_std(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Variable(Option<String>);

    impl Environment for Variable {
        fn variable(&self, name: &str) -> Option<String> {
            self.0.clone().filter(|_| name == VARIABLE)
        }
    }

    fn named(name: &str) -> NotifySocket {
        NotifySocket::from_environment(&Variable(Some(name.to_owned())))
    }

    async fn received(manager: &UnixDatagram) -> String {
        let mut buffer = [0; 64];
        let length = manager.recv(&mut buffer).await.unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_service_manager_is_told_at_a_path_and_in_the_abstract_name_space() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        // Abstract names are everybody's on the machine; the path of a fresh folder is nobody else's.
        let abstract_name = path.display().to_string();
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let abstract_socket = StdUnixDatagram::bind_addr(&address).unwrap();
        abstract_socket.set_nonblocking(true).unwrap();
        for (manager, name) in [
            (UnixDatagram::bind(&path).unwrap(), path.display().to_string()),
            (UnixDatagram::from_std(abstract_socket).unwrap(), format!("@{abstract_name}")),
        ] {
            let told = named(&name);
            for (state, datagram) in [
                (ServiceState::Ready, "READY=1"),
                (ServiceState::Reloading, "RELOADING=1"),
                (ServiceState::Stopping, "STOPPING=1"),
            ] {
                told.tell(state).await;
                assert_eq!(received(&manager).await, datagram, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn without_a_service_manager_nobody_is_told_and_nothing_fails() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = folder.path().join("nobody").display().to_string();
        for name in ["", "notify", "vsock:2:1234", "@", nobody.as_str(), "/with\0nul"] {
            named(name).tell(ServiceState::Ready).await;
        }
        NotifySocket::from_environment(&Variable(None)).tell(ServiceState::Ready).await;
    }
}
