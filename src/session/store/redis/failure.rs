//! What can go wrong between us and a Redis server, without a word of what was sent or of what it answered.

use std::io;
use std::sync::Arc;

use redis::{ErrorKind, RedisError, ServerErrorKind};

use crate::session::settings::ServerAddress;

/// Redis could not do what it was asked.
///
/// It names the server and the kind of failure. Texts of the server are not repeated: nobody knows what is in them.
#[derive(Clone, Debug, thiserror::Error)]
#[error("Redis at {server}: {failure}")]
pub struct RedisFailure {
    /// The server that was asked, or was to be.
    pub server: Arc<str>,
    /// What went wrong.
    pub failure: Failure,
}

/// What went wrong.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Failure {
    /// There is no connection, and none could be made.
    #[error("it cannot be reached ({0})")]
    Unreachable(io::ErrorKind),
    /// The TLS handshake failed: its certificate is not trusted or has another name, or ours is not.
    #[error("no TLS connection could be made: {0}")]
    Tls(Arc<io::Error>),
    /// The connection was closed.
    #[error("the connection was closed")]
    Closed,
    /// There was no answer in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// It did not take our user and password.
    #[error("it does not accept the user and password; look at store_username and store_password")]
    Credentials,
    /// It wants to know who we are.
    #[error("it wants a password: write store_password, and store_username if it is not that of the default user")]
    NoCredentials,
    /// A sentinel wants to know who we are, or does not believe it.
    #[error("a sentinel does not let us ask; look at store_sentinel_username and store_sentinel_password")]
    SentinelCredentials,
    /// The user may not do this; the list of what it needs is in the documentation.
    #[error(
        "the user may not use a command, key or channel that is needed; docs/operations.md has the list (Redis, User)"
    )]
    NotPermitted,
    /// These commands are denied to the user.
    #[error("the user may not {0}; docs/operations.md has the list of what is needed (Redis, User)")]
    Lacks(Arc<str>),
    /// It is a replica, so it takes no writes.
    #[error("it is a replica")]
    Replica,
    /// It has no memory left and may not evict.
    #[error("it has reached its memory limit")]
    OutOfMemory,
    /// It is reading its data from disk, its primary is away, or the cluster has no majority.
    #[error("it is not serving at the moment")]
    NotServing,
    /// Its answer cannot be read at all.
    #[error("its answer cannot be read")]
    Garbled,
    /// It holds something that we have not written.
    #[error("it holds something that is not ours")]
    Malformed,
    /// No sentinel knows a primary of the configured name.
    #[error("no sentinel names a primary")]
    NoPrimary,
    /// No server of the cluster tells which of them has what.
    #[error("no server tells how the cluster is divided")]
    NoMap,
    /// The cluster has moved the key to this server.
    #[error("the key has moved")]
    Moved(ServerAddress),
    /// The cluster is moving the key to this server.
    #[error("the key is moving")]
    Moving(ServerAddress),
    /// It does not know the script.
    #[error("it does not know the script")]
    UnknownScript,
    /// Any other answer that is an error.
    #[error("it answered with an error")]
    Refused,
}

impl Failure {
    /// Whether the connection can no longer be used, or leads to the wrong server.
    pub(super) const fn ends_connection(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::Tls(_) | Self::Closed | Self::TimedOut | Self::Replica)
    }

    /// Whether another server may have taken over what this one served.
    pub(super) const fn calls_for_a_new_map(&self) -> bool {
        self.ends_connection() || matches!(self, Self::NotServing | Self::Moved(_) | Self::NoMap)
    }

    /// Whether the server was there: it answered, if not as we would like.
    #[must_use]
    pub const fn is_an_answer(&self) -> bool {
        !matches!(
            self,
            Self::Unreachable(_)
                | Self::Tls(_)
                | Self::Closed
                | Self::TimedOut
                | Self::Credentials
                | Self::NoCredentials
                | Self::SentinelCredentials
                | Self::NotServing
                | Self::NoPrimary
                | Self::NoMap
                | Self::Replica
        )
    }
}

impl From<RedisError> for Failure {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Credentials,
            ErrorKind::Parse | ErrorKind::UnexpectedReturnType => Self::Garbled,
            ErrorKind::Io if error.is_timeout() => Self::TimedOut,
            ErrorKind::Io => Self::Closed,
            ErrorKind::Server(kind) => match kind {
                ServerErrorKind::NoPerm => Self::NotPermitted,
                ServerErrorKind::ReadOnly => Self::Replica,
                ServerErrorKind::NoScript => Self::UnknownScript,
                ServerErrorKind::BusyLoading
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::TryAgain => Self::NotServing,
                ServerErrorKind::Moved => redirected(&error).map_or(Self::Refused, Self::Moved),
                ServerErrorKind::Ask => redirected(&error).map_or(Self::Refused, Self::Moving),
                ServerErrorKind::ResponseError => from_a_script(&error),
                _ => Self::Refused,
            },
            _ => match error.code() {
                Some("OOM") => Self::OutOfMemory,
                Some("NOAUTH") => Self::NoCredentials,
                Some("WRONGPASS") => Self::Credentials,
                Some("WRONGTYPE" | "MALFORMED") => Self::Malformed,
                Some("NOREPLICAS" | "MISCONF" | "BUSY") => Self::NotServing,
                _ => Self::Refused,
            },
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error.kind())
    }
}

/// How servers of different ages say within a script that the user may not do something.
const DENIALS: [&str; 3] = ["executing the script can't", "ACL failure in script", "NOPERM"];

/// Redis 6 wraps what a script has met into a text of its own.
fn from_a_script(error: &RedisError) -> Failure {
    let text = error.detail().unwrap_or_default();
    if text.contains(": -OOM ") {
        Failure::OutOfMemory
    } else if text.contains(": -READONLY ") {
        Failure::Replica
    } else if text.contains(": -WRONGTYPE ") {
        Failure::Malformed
    } else if DENIALS.iter().any(|sign| text.contains(sign)) {
        Failure::NotPermitted
    } else {
        Failure::Refused
    }
}

/// Where a `MOVED` or `ASK` points. An empty host stands for the one that was asked; the caller puts it in.
fn redirected(error: &RedisError) -> Option<ServerAddress> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    Some(ServerAddress { host: host.trim_matches(['[', ']']).to_owned(), port: port.parse().ok()? })
}

/// `HOST:PORT`, with an IPv6 address in brackets.
pub(super) fn spelled(server: &ServerAddress) -> String {
    if server.host.contains(':') {
        format!("[{}]:{}", server.host, server.port)
    } else {
        format!("{}:{}", server.host, server.port)
    }
}

/// The store cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum RedisStoreError {
    /// The certificates or the key cannot be used.
    #[error("the certificates or the key for the session store cannot be used")]
    Tls(#[from] rustls::Error),
    /// There is no server in the settings.
    #[error("no Redis server is configured")]
    NoServer,
}
