//! The store that replicas share: Redis or Valkey, alone, watched over by sentinels, or as a cluster.
//!
//! What belongs to one session lies under keys of one hash tag and changes in one script. Every key has a time to live,
//! counted from now: the clocks of gateway and server are not compared.
//!
//! A write whose answer is lost is an error, and nobody knows whether it was done. Callers are safe: an `insert` that is
//! tried again is refused, and the record without a cookie passes away; a `replace` that is tried again finds the moved
//! generation, and the record that is read then shows whose it is; `remove`, `touch` and what concerns indexes may be done
//! twice; a lease that was taken unheard runs out; a marker that was put up unheard refuses, which is the safe side.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use redis::Value;
use tokio::sync::{broadcast, watch};

use self::dial::{Dialer, Running};
use self::names::{Names, SHARDS};
use self::request::Request;
use self::servers::Servers;
use self::subscriber::Subscriber;
use super::{
    Change, ChangeKind, INDEX_GRACE, IndexKey, Inserted, LastUse, LeaseOwner, ListedSession, MarkerKey, Replaced,
    SealedSession, SessionStore, StoreError, StoreFuture, StoreState, StoredSession,
};
use crate::clock::{Clock, Timestamp};
use crate::session::grant::GrantId;
use crate::session::lifetime::TOMBSTONE_LIFETIME;
use crate::session::settings::{RedisAccess, RedisSettings, RedisTopology};
use crate::session::ticket::StoreKey;

mod backoff;
mod check;
mod cluster;
mod dial;
mod failure;
mod lookup;
mod message;
mod names;
mod node;
mod reply;
mod request;
mod scripts;
mod sentinel;
mod servers;
mod slots;
mod subscriber;

pub use failure::{Failure, RedisFailure, RedisStoreError};

/// How many changes a listener may be behind before it is told that it has missed some.
const CHANGES_KEPT: usize = 1024;

/// Each time an index has grown by so many members, those that are gone are taken off it.
const PRUNE_EVERY: i64 = 32;

/// How many sessions are asked for at once when all are listed.
const AT_ONCE: usize = 64;

/// No time to live is longer: ten years.
const LONGEST_LIFE: Duration = Duration::from_secs(10 * 365 * 86_400);

/// See the module.
pub struct RedisStore {
    servers: Arc<Servers>,
    dialer: Arc<Dialer>,
    names: Names,
    clock: Arc<dyn Clock>,
    changes: broadcast::Sender<Change>,
    state: watch::Sender<StoreState>,
    live: AtomicUsize,
    _subscriber: Running,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RedisStore").field("servers", &self.servers).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// A store for the gateway of this namespace. It does not wait for the servers: while they are away, operations fail.
    /// To be called within a runtime; its tasks end with it.
    ///
    /// # Errors
    /// [`RedisStoreError`] when certificates or key cannot be used, or no server is named.
    pub fn new(settings: RedisSettings, namespace: &str, clock: Arc<dyn Clock>) -> Result<Arc<Self>, RedisStoreError> {
        check::warn_of_plain_text(&settings);
        let database = match settings.topology {
            RedisTopology::Single { database, .. } => database,
            _ => 0,
        };
        let dialer = Arc::new(Dialer::new(settings.access, database)?);
        let servers = Arc::new(Servers::new(settings.topology, &dialer)?);
        let names = Names::new(namespace);
        let changes = broadcast::Sender::new(CHANGES_KEPT);
        let state = watch::Sender::new(StoreState { deaf_since: Some(clock.monotonic()), ..StoreState::GOOD });
        let subscriber = Subscriber {
            servers: Arc::clone(&servers),
            dialer: Arc::clone(&dialer),
            clock: Arc::clone(&clock),
            channel: names.channel(),
            changes: changes.clone(),
            state: state.clone(),
        };
        let _subscriber = Running::spawn(subscriber.run());
        let live = AtomicUsize::new(0);
        Ok(Arc::new(Self { servers, dialer, names, clock, changes, state, live, _subscriber }))
    }

    /// From here on one connects with this. Connections are made anew; requests under way end on the old ones.
    ///
    /// # Errors
    /// [`RedisStoreError::Tls`]; everything stays as it was then.
    pub fn renew(&self, access: RedisAccess) -> Result<(), RedisStoreError> {
        self.dialer.renew(access)
    }

    async fn ask(&self, request: Request) -> Result<Value, RedisFailure> {
        let answer = self.servers.send(&request).await;
        let available = answer.as_ref().map_or_else(|failed| failed.failure.is_an_answer(), |_| true);
        self.state.send_if_modified(|state| std::mem::replace(&mut state.available, available) != available);
        answer
    }

    /// Asks, and reads the answer.
    async fn ask_for<T>(
        &self,
        request: Request,
        read: impl FnOnce(Value) -> Result<T, Failure> + Send,
    ) -> Result<T, RedisFailure> {
        read(self.ask(request).await?).map_err(|failure| self.servers.failed(failure))
    }

    /// From now until then, in milliseconds; at least one, so that nothing stays for ever.
    fn until(&self, then: Timestamp) -> u64 {
        milliseconds(then.since(self.clock.now()))
    }

    fn message(key: StoreKey, kind: ChangeKind) -> Vec<u8> {
        message::encode(Change { key, kind })
    }

    fn list_add(&self, key: &StoreKey, life: u64) -> Request {
        Request::script(&scripts::LIST_ADD, [self.names.list_of(key)]).arg(key.as_bytes()).arg(life)
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.min(LONGEST_LIFE).as_millis()).unwrap_or(u64::MAX).max(1)
}

impl From<RedisFailure> for StoreError {
    fn from(failure: RedisFailure) -> Self {
        Self::Unavailable(Box::new(failure))
    }
}

impl SessionStore for RedisStore {
    fn insert(&self, key: StoreKey, sealed: SealedSession, last_use: LastUse) -> StoreFuture<'_, Inserted> {
        Box::pin(async move {
            let life = self.until(last_use.expires.min(sealed.absolute_expiry));
            let request = Request::script(&scripts::INSERT, [names::session(&key), names::tombstone(&key)])
                .arg(&*sealed.record)
                .arg(&*sealed.card)
                .arg(sealed.generation)
                .arg(sealed.absolute_expiry.as_seconds())
                .arg(last_use.at.as_seconds())
                .arg(life);
            let insert = self.ask_for(request, |answer| reply::number(&answer));
            let (inserted, listed) = tokio::join!(insert, self.ask(self.list_add(&key, life)));
            match inserted {
                Ok(0) => Ok(Inserted::Refused),
                Ok(_) => Ok(listed.map(|_| Inserted::Stored)?),
                Err(RedisFailure { failure: Failure::OutOfMemory, .. }) => Ok(Inserted::AtCapacity),
                Err(failure) => Err(failure.into()),
            }
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredSession>> {
        Box::pin(async move {
            match self.load_one(key).await {
                Err(RedisFailure { failure: Failure::Malformed, .. }) => Err(StoreError::NotASession),
                loaded => Ok(loaded?),
            }
        })
    }

    fn replace(&self, key: StoreKey, expected: u64, sealed: SealedSession) -> StoreFuture<'_, Replaced> {
        Box::pin(async move {
            let changed = ChangeKind::Changed { generation: sealed.generation };
            let request = Request::script(&scripts::REPLACE, [names::session(&key), names::tombstone(&key)])
                .arg(expected)
                .arg(&*sealed.record)
                .arg(&*sealed.card)
                .arg(sealed.generation)
                .arg(sealed.absolute_expiry.as_seconds())
                .arg(self.until(sealed.absolute_expiry))
                .arg(self.names.channel())
                .arg(Self::message(key, changed));
            let replaced = self.ask_for(request, |answer| match reply::number(&answer)? {
                0 => Ok(Replaced::Absent),
                1 => Ok(Replaced::Moved),
                _ => Ok(Replaced::Written),
            });
            Ok(replaced.await?)
        })
    }

    fn touch(&self, key: StoreKey, last_use: LastUse) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let request = Request::script(&scripts::TOUCH, [names::session(&key)])
                .arg(last_use.at.as_seconds())
                .arg(last_use.expires.as_seconds())
                .arg(self.clock.now().as_seconds());
            let life = self.ask_for(request, |answer| reply::number(&answer)).await?;
            if let Ok(life @ 1..) = u64::try_from(life) {
                match self.ask(self.list_add(&key, life)).await {
                    // The session goes on. Its next use puts it on the list again.
                    Ok(_) | Err(RedisFailure { failure: Failure::OutOfMemory, .. }) => {}
                    Err(failure) => return Err(failure.into()),
                }
            }
            Ok(life > 0)
        })
    }

    fn remove(&self, key: StoreKey) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let request = Request::script(&scripts::REMOVE, [names::session(&key), names::tombstone(&key)])
                .arg(milliseconds(TOMBSTONE_LIFETIME))
                .arg(self.names.channel())
                .arg(Self::message(key, ChangeKind::Removed));
            let off_the_list = Request::command("ZREM", self.names.list_of(&key)).arg(key.as_bytes());
            let remove = self.ask_for(request, |answer| reply::number(&answer));
            // The list may name the dead.
            let (removed, _) = tokio::join!(remove, self.ask(off_the_list));
            Ok(removed? > 0)
        })
    }

    fn index_add(&self, index: IndexKey, member: StoreKey, expires: Timestamp) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let keys = [names::members(&index), names::newcomers(&index)];
            let request = Request::script(&scripts::INDEX_ADD, keys)
                .arg(member.as_bytes())
                .arg(self.until(expires))
                .arg(milliseconds(INDEX_GRACE));
            let count = self.ask_for(request, |answer| reply::number(&answer)).await?;
            if count % PRUNE_EVERY == 0 {
                self.prune(index).await?;
            }
            Ok(())
        })
    }

    fn index_members(&self, index: IndexKey) -> StoreFuture<'_, Vec<StoreKey>> {
        Box::pin(async move { Ok(self.members(index).await?) })
    }

    fn write_index_tombstone(&self, index: IndexKey, at: Timestamp, ttl: Duration) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let request = Request::script(&scripts::INDEX_TOMBSTONE, [names::index_tombstone(&index)])
                .arg(at.as_seconds())
                .arg(milliseconds(ttl));
            Ok(self.ask(request).await.map(drop)?)
        })
    }

    fn index_tombstone(&self, index: IndexKey) -> StoreFuture<'_, Option<Timestamp>> {
        Box::pin(async move {
            let request = Request::command("GET", names::index_tombstone(&index)).repeatable();
            Ok(self.ask_for(request, reply::time).await?)
        })
    }

    fn put_once(&self, marker: MarkerKey, until: Timestamp) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let life = self.until(until);
            let request = Request::command("SET", names::marker(&marker)).arg("").arg("NX").arg("PX").arg(life);
            match self.ask_for(request, |answer| reply::is_set(&answer)).await {
                Err(RedisFailure { failure: Failure::OutOfMemory, .. }) => Err(StoreError::Full),
                answer => Ok(answer?),
            }
        })
    }

    fn take_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner, ttl: Duration) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            let request = Request::command("SET", names::lease(&key, &grant));
            let request = request.arg(&owner).arg("NX").arg("PX").arg(milliseconds(ttl));
            Ok(self.ask_for(request, |answer| reply::is_set(&answer)).await?)
        })
    }

    fn release_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let request = Request::script(&scripts::RELEASE, [names::lease(&key, &grant)])
                .arg(&owner)
                .arg(self.names.channel())
                .arg(Self::message(key, ChangeKind::LeaseReleased));
            Ok(self.ask(request).await.map(drop)?)
        })
    }

    fn list(&self) -> StoreFuture<'_, Vec<ListedSession>> {
        Box::pin(async move {
            let mut sessions = Vec::new();
            for shard in 0..SHARDS {
                let mut loads =
                    stream::iter(self.listed(shard).await?).map(|key| self.card_of(key)).buffer_unordered(AT_ONCE);
                while let Some(loaded) = loads.next().await {
                    match loaded {
                        Ok(listed) => sessions.extend(listed),
                        // One that somebody has written over must not hide the others.
                        Err(RedisFailure { failure: Failure::Malformed, .. }) => {}
                        Err(failure) => return Err(failure.into()),
                    }
                }
            }
            Ok(sessions)
        })
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }

    fn sweep(&self) -> StoreFuture<'_, ()> {
        Box::pin(async move {
            let mut live = 0;
            for shard in 0..SHARDS {
                let request = Request::script(&scripts::LIST_SWEEP, [self.names.list(shard)]);
                live += self.ask_for(request, |answer| reply::number(&answer)).await?;
            }
            self.live.store(usize::try_from(live).unwrap_or_default(), Ordering::Relaxed);
            Ok(())
        })
    }

    fn live_sessions(&self) -> usize {
        self.live.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests;
