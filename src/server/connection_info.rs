//! What the gateway is told about a connection.

use std::net::SocketAddr;

/// The peer of a connection, in the extensions of each of its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The peer's address; none on a Unix socket.
    pub peer: Option<SocketAddr>,
}
