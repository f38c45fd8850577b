//! What the gateway is told about a connection.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use super::occupancy::Serving;

/// The peer of a connection, in the extensions of each of its requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The peer's address, or the one that a trusted proxy has told by the PROXY protocol; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    /// Whether that is the address of whoever asks, unless it is a trusted proxy's: the connection has TLS of ours, or the
    /// address was told.
    pub is_direct: bool,
}

/// Keeps a connection of HTTP/2 from being taken for an idle one: in the extensions of a request that becomes a tunnel,
/// to be held as long as that is open.
#[derive(Clone)]
pub struct Stay {
    _serving: Arc<Serving>,
}

impl Stay {
    pub(super) fn new(serving: Serving) -> Self {
        Self { _serving: Arc::new(serving) }
    }
}

impl fmt::Debug for Stay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Stay")
    }
}
