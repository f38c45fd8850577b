//! How sessions are kept and how long they live.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::secret::{SealingKey, StorePassword};
use crate::tls::TlsIdentity;

/// Where session records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// In this process, at most `max_sessions` of them.
    Memory {
        /// At the cap new logins are refused; nobody live is evicted.
        max_sessions: usize,
    },
    /// In a file of this directory, which one process owns.
    File {
        /// The directory, 0700.
        directory: PathBuf,
    },
    /// In Redis, shared by all replicas.
    Redis(RedisSettings),
}

/// `HOST:PORT` of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerAddress {
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// How the Redis servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisTopology {
    /// `redis://HOST:PORT/DATABASE`
    Single {
        /// The server.
        server: ServerAddress,
        /// Its database.
        database: u16,
    },
    /// `redis+sentinel://HOST:PORT,HOST:PORT/MASTER`
    Sentinel {
        /// Those to be asked who the master is.
        sentinels: Vec<ServerAddress>,
        /// The name they know it by.
        master: String,
    },
    /// `redis+cluster://HOST:PORT,HOST:PORT`
    Cluster {
        /// Those to be asked for the others.
        seeds: Vec<ServerAddress>,
    },
}

/// `redis://…` and its kin, with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisSettings {
    /// Where.
    pub topology: RedisTopology,
    /// As whom; taken up anew by a reload.
    pub access: RedisAccess,
}

impl fmt::Display for RedisSettings {
    /// Where the servers are; nothing about who we are.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (servers, rest) = match &self.topology {
            RedisTopology::Single { server, database } => (std::slice::from_ref(server), format!("/{database}")),
            RedisTopology::Sentinel { sentinels, master } => (sentinels.as_slice(), format!("/{master}")),
            RedisTopology::Cluster { seeds } => (seeds.as_slice(), String::new()),
        };
        for (number, ServerAddress { host, port }) in servers.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
            write!(formatter, "{comma}{open}{host}{close}:{port}")?;
        }
        formatter.write_str(&rest)
    }
}

/// With what one connects to Redis.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisAccess {
    /// Who we are at the servers that hold sessions; without it nothing is said.
    pub user: Option<RedisUser>,
    /// Who we are at the sentinels, which have users of their own.
    pub sentinel_user: Option<RedisUser>,
    /// TLS; `None` for the schemes without it.
    pub tls: Option<StoreTls>,
}

/// A user of Redis, and the password that proves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisUser {
    /// The user of the access control list; without one, the default user.
    pub name: Option<String>,
    /// The password.
    pub password: Arc<StorePassword>,
}

/// `[session.store_tls]`
#[derive(Clone, Default, PartialEq, Eq)]
pub struct StoreTls {
    /// Certificates of `ca_file`; when there are any, they alone are trusted.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Our own certificate and its key.
    pub identity: Option<Arc<TlsIdentity>>,
}

impl fmt::Debug for StoreTls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("StoreTls").field("identity", &self.identity.is_some()).finish_non_exhaustive()
    }
}

/// The `[session]` section.
#[derive(Debug)]
pub struct SessionSettings {
    /// Where records are kept.
    pub store: StoreSettings,
    /// A session ends this long after its login, used or not.
    pub lifetime: Duration,
    /// A session ends this long after its last use.
    pub idle_timeout: Duration,
    /// How long an opened session goes on when the store cannot be read; zero for not at all.
    pub outage_grace: Duration,
    /// The first seals, all open. Never empty: one is made at start when none is configured.
    pub keys: Vec<SealingKey>,
    /// Per subject and host; the oldest own one makes room.
    pub max_sessions_per_subject: usize,
    /// How many sessions of ordinary size are kept open; taken up at start.
    pub cache: u64,
}

/// How many sessions of ordinary size are kept open where there is room.
pub const DEFAULT_CACHE: u64 = 50_000;
