//! Where sessions are kept: the operations a store offers and what an implementation must guarantee.
//!
//! A store is not trusted with anything: what it holds is sealed, and it is named by hashes. It is trusted to do the
//! following, and `conformance` checks it of every implementation:
//!
//! 1. Each operation is one step: nobody sees half of it, and of two at once one comes first.
//! 2. `replace` writes only where the record is, has exactly the expected generation, and no tombstone stands.
//! 3. `remove` deletes record and card and leaves a tombstone for [`TOMBSTONE_LIFETIME`]; while it stands neither
//!    `insert` nor `replace` brings the session back.
//! 4. A session is gone once its [`LastUse::expires`] has passed; neither `replace` nor `touch` lets it live beyond
//!    its absolute expiry, also one that a `replace` has brought nearer, and `touch` moves no generation.
//! 5. `put_once` answers `true` to exactly one caller until the marker expires.
//! 6. A lease has at most one owner at a time; only its owner releases it early.
//! 7. Every `replace` that wrote, every `remove` and every release of a lease is announced by `changes`, in order, to
//!    everybody who listens, on every replica within a second. A listener that falls behind is told so. When announcements
//!    of others may be missed, `state` says since when, and that it is over only once all that comes is heard again.
//! 8. A failure is an error. It is never reported as an absence; neither is what somebody else has put in a session's place.
//! 9. Nothing grows without bound: what expires is forgotten, and at its limit a store refuses what is new. It never
//!    gives up a live session for it.
//!
//! [`TOMBSTONE_LIFETIME`]: crate::session::lifetime::TOMBSTONE_LIFETIME

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, watch};

use super::grant::GrantId;
use super::ticket::StoreKey;
use crate::clock::Timestamp;

#[cfg(test)]
pub(super) mod conformance;
mod expiring;
pub mod file;
pub mod memory;
pub mod redis;

/// Between naming a session in an index and writing its record a login takes no longer than this.
const INDEX_GRACE: Duration = Duration::from_secs(60);

/// Record and card are at most this long together.
pub(super) const LONGEST_SESSION: usize = 96 << 10;

/// The answer of a store, some time later.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It cannot be reached or has failed; nothing is known about the session.
    #[error("the session store is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// What lies in the place of the session was not put there by a store of ours. Only that session is concerned.
    #[error("something else lies in the place of the session")]
    NotASession,
    /// It holds as many markers as it may.
    #[error("the session store takes no more markers")]
    Full,
}

/// A sealed record and card with what a store needs to know about them.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSession {
    /// The record, sealed under the cookie's secret and the key ring.
    pub record: Arc<[u8]>,
    /// The card, sealed under the key ring.
    pub card: Arc<[u8]>,
    /// Moves by one with every write.
    pub generation: u64,
    /// Ends the session, whatever its use.
    pub absolute_expiry: Timestamp,
}

impl fmt::Debug for SealedSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SealedSession")
            .field("generation", &self.generation)
            .field("absolute_expiry", &self.absolute_expiry)
            .finish_non_exhaustive()
    }
}

/// The last use of a session and when it will be forgotten without another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When it was used.
    pub at: Timestamp,
    /// min(absolute expiry, last use + idle limit).
    pub expires: Timestamp,
}

/// What a store holds of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// The sealed bytes.
    pub sealed: SealedSession,
    /// The last use that was written down.
    pub last_use: Timestamp,
}

impl StoredSession {
    /// What a list tells of it.
    #[must_use]
    pub fn listed(&self, key: StoreKey) -> ListedSession {
        let Self { sealed, last_use } = self;
        ListedSession {
            key,
            card: Arc::clone(&sealed.card),
            absolute_expiry: sealed.absolute_expiry,
            last_use: *last_use,
        }
    }
}

/// What a list tells of a session: all but its record, which is long and opens with the cookie alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedSession {
    /// Its name.
    pub key: StoreKey,
    /// The card, sealed under the key ring.
    pub card: Arc<[u8]>,
    /// Ends the session, whatever its use.
    pub absolute_expiry: Timestamp,
    /// The last use that was written down.
    pub last_use: Timestamp,
}

/// What became of an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inserted {
    /// It is durable.
    Stored,
    /// The store is full of live sessions.
    AtCapacity,
    /// It was ended before it was written, or its key is taken.
    Refused,
}

/// What became of a replacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It is durable.
    Written,
    /// The record has another generation.
    Moved,
    /// There is no record.
    Absent,
}

/// The name of an index: an HMAC, so that it tells nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct IndexKey(pub(super) [u8; 32]);

impl IndexKey {
    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(formatter, "IndexKey({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// The name of a marker: what it is for and what it marks, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MarkerKey(pub(super) [u8; 16]);

impl MarkerKey {
    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Who holds a lease: random, so that nobody releases another's.
pub type LeaseOwner = [u8; 16];

/// Something has happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which session.
    pub key: StoreKey,
    /// What has happened.
    pub kind: ChangeKind,
}

/// What has happened to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// Its record now has this generation.
    Changed {
        /// The generation of the record that was written.
        generation: u64,
    },
    /// It has ended.
    Removed,
    /// A lease on one of its grants was given back by its owner.
    LeaseReleased,
}

/// How a store is, as far as it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreState {
    /// Whether its last operation found it there.
    pub available: bool,
    /// Since when what others do may be missed, on the monotonic clock; `None` while everything is heard.
    pub deaf_since: Option<Duration>,
    /// How many such times are over: one that has come and gone between two looks is seen by it.
    pub gaps: u64,
}

impl StoreState {
    /// It is there, and everything is heard.
    pub const GOOD: Self = Self { available: true, deaf_since: None, gaps: 0 };
}

/// A store of sessions. See the module for what an implementation must guarantee.
///
/// Futures are boxed so that the store can be chosen at start; the proxied path meets one only when a session is not
/// in the cache.
pub trait SessionStore: Send + Sync + 'static {
    /// Writes a new session.
    fn insert(&self, key: StoreKey, sealed: SealedSession, last_use: LastUse) -> StoreFuture<'_, Inserted>;

    /// Reads a session. Errors with [`StoreError::NotASession`] where something else lies in its place.
    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredSession>>;

    /// Writes a session if its generation is still `expected`; its last use stays.
    fn replace(&self, key: StoreKey, expected: u64, sealed: SealedSession) -> StoreFuture<'_, Replaced>;

    /// Writes a use down. `false`: there is no such session.
    fn touch(&self, key: StoreKey, last_use: LastUse) -> StoreFuture<'_, bool>;

    /// Ends a session, whether it is there or not. `true`: it was there.
    fn remove(&self, key: StoreKey) -> StoreFuture<'_, bool>;

    /// Names a session in an index until `expires`.
    fn index_add(&self, index: IndexKey, member: StoreKey, expires: Timestamp) -> StoreFuture<'_, ()>;

    /// The sessions named in an index; some of them may be gone.
    fn index_members(&self, index: IndexKey) -> StoreFuture<'_, Vec<StoreKey>>;

    /// Notes that all logins up to `at` that an index names have been ended; the later of two notes stands, for `ttl`.
    fn write_index_tombstone(&self, index: IndexKey, at: Timestamp, ttl: Duration) -> StoreFuture<'_, ()>;

    /// Up to when logins that an index names have been ended.
    fn index_tombstone(&self, index: IndexKey) -> StoreFuture<'_, Option<Timestamp>>;

    /// Puts a marker up until `until`. `false`: it was up already.
    ///
    /// Errors with [`StoreError::Full`] when there is no room for it.
    fn put_once(&self, marker: MarkerKey, until: Timestamp) -> StoreFuture<'_, bool>;

    /// Takes the lease on refreshing a grant, for at most `ttl`. `false`: somebody else has it.
    fn take_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner, ttl: Duration) -> StoreFuture<'_, bool>;

    /// Gives a lease back, if `owner` still has it.
    fn release_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner) -> StoreFuture<'_, ()>;

    /// All live sessions without their records, in no order.
    fn list(&self) -> StoreFuture<'_, Vec<ListedSession>>;

    /// What happens to sessions from now on, on every replica.
    fn changes(&self) -> broadcast::Receiver<Change>;

    /// How it is, now and from now on. A store inside this process always hears itself.
    fn state(&self) -> watch::Receiver<StoreState> {
        watch::channel(StoreState::GOOD).1
    }

    /// Forgets what has expired; called from time to time. A store that does so by itself has nothing to do.
    fn sweep(&self) -> StoreFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// About how many sessions are live, for a metric; as of the last sweep where counting costs something.
    fn live_sessions(&self) -> usize;
}
