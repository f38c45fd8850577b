//! How sessions are kept and how long they live.

use std::time::Duration;

use crate::secret::SealingKey;

/// Where session records are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreSettings {
    /// In this process, at most `max_sessions` of them.
    Memory {
        /// At the cap new logins are refused; nobody live is evicted.
        max_sessions: usize,
    },
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
    /// The first seals, all open. Never empty: one is made at start when none is configured.
    pub keys: Vec<SealingKey>,
    /// Per subject and host; the oldest own one makes room.
    pub max_sessions_per_subject: usize,
}
