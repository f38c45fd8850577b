//! Where the gateway listens and what it puts up with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use super::trusted_proxies::TrustedProxies;
use crate::secret::AdminToken;
use crate::tls::TlsIdentity;

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Whether no second listener can be bound there; port 0 is another port every time.
    #[must_use]
    pub fn is_taken_by(&self, other: &Self) -> bool {
        self == other && !matches!(self, Self::Tcp(address) if address.port() == 0)
    }
}

/// Limits on what comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Header fields of a request; over it 431.
    pub headers: usize,
    /// Bytes of all header fields; over it 431.
    pub header_bytes: usize,
    /// Bytes of the request target; over it 414.
    pub target_bytes: usize,
    /// Bytes of all `Cookie` fields; over it 431.
    pub cookie_bytes: usize,
    /// Bytes of a request's body; over it 413. `None`: as much as the application takes.
    pub body_bytes: Option<u64>,
    /// Bytes a second that a body must bring on average while it is waited for, until the answer begins; under it 408.
    /// `None`: any pace.
    pub body_rate: Option<u64>,
    /// How long a body may be silent before its pace counts.
    pub body_grace: Duration,
    /// Callbacks a second that may spend a code; over it 429.
    pub callbacks_per_second: usize,
    /// The same a minute for one user agent's address, where it is known.
    pub callbacks_per_address: usize,
    /// WebSockets of one session; over it 429.
    pub websockets_per_session: usize,
    /// WebSockets of one user agent's address, where it is known; over it 429.
    pub websockets_per_address: usize,
    /// Until the header is complete; over it the connection is closed.
    pub header_timeout: Duration,
    /// For the handshake of TLS; over it the connection is closed.
    pub handshake_timeout: Duration,
    /// Between requests on one connection; also for a peer that takes nothing of its answer.
    pub keep_alive: Duration,
    /// Connections at once; over it an idle one is closed, or else the new one.
    pub connections: usize,
    /// The same for one user agent's address, where the connection itself shows it.
    pub connections_per_address: usize,
    /// Requests at once on one connection of HTTP/2; the peer is told, and holds the next ones back.
    pub streams: usize,
    /// Before the listeners close at shutdown, so that a load balancer notices (none on SIGINT).
    pub drain_delay: Duration,
    /// For requests in flight at shutdown.
    pub drain_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            headers: 100,
            header_bytes: 16 << 10,
            target_bytes: 8 << 10,
            cookie_bytes: 16 << 10,
            body_bytes: None,
            body_rate: Some(1 << 10),
            body_grace: Duration::from_secs(10),
            callbacks_per_second: 200,
            callbacks_per_address: 30,
            websockets_per_session: 20,
            websockets_per_address: 1_000,
            header_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(5),
            keep_alive: Duration::from_secs(60),
            connections: 10_000,
            connections_per_address: 256,
            streams: 100,
            drain_delay: Duration::from_secs(5),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// Limits that can be replaced while listeners run; clones are one and the same.
///
/// A connection keeps the limits that were in force when it was accepted.
#[derive(Clone, Debug)]
pub struct SharedLimits(Arc<ArcSwap<Limits>>);

impl SharedLimits {
    /// Limits in force from now on.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(limits)))
    }

    /// The limits in force.
    #[must_use]
    pub fn current(&self) -> Limits {
        **self.0.load()
    }

    /// Puts other limits in force. No connection is cut: where there are more than the new limit allows, idle ones leave
    /// as new ones come.
    pub fn replace(&self, limits: Limits) {
        self.0.store(Arc::new(limits));
    }
}

/// How connections to a listener are encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenTls {
    /// The certificates. The first one is shown to whoever asks for a name that none has, or for none.
    pub identities: Vec<Arc<TlsIdentity>>,
    /// The oldest version that is spoken.
    pub minimum_version: TlsVersion,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

/// The `[listen]` section.
#[derive(Clone, Debug)]
pub struct ListenSettings {
    /// Where browsers or the ingress connect.
    pub address: ListenAddress,
    /// Where probes and metrics are asked.
    pub probe_address: ListenAddress,
    /// Where sessions are listed and ended by people; off unless it is written.
    pub admin_address: Option<ListenAddress>,
    /// What opens it. Without one only a Unix socket is listened on, which the system keeps to its owner.
    pub admin_token: Option<Arc<AdminToken>>,
    /// TLS; without it what comes is in clear.
    pub tls: Option<ListenTls>,
    /// Whether HTTP/2 in clear is spoken with who begins with it (RFC 9113 §3.3).
    pub h2c: bool,
    /// Whether every connection begins with a header of the PROXY protocol, from a trusted proxy.
    pub proxy_protocol: bool,
    /// Whether other processes may listen on the same port (`SO_REUSEPORT`).
    pub reuse_port: bool,
    /// How long the start may wait for the provider before the gateway says that it is ready.
    pub startup_grace: Duration,
    /// Whose word about the user agent's address and scheme is believed, and who may ask for a decision.
    pub trusted_proxies: TrustedProxies,
    /// Limits.
    pub limits: Limits,
}

impl ListenSettings {
    /// Whether the addresses of user agents are known: from the connections themselves, or told by a trusted proxy.
    #[must_use]
    pub const fn knows_addresses(&self) -> bool {
        self.tls.is_some() || !self.trusted_proxies.is_empty()
    }
}
