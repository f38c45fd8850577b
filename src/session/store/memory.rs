//! The store inside this process: bounded, expiring, gone with the process.
//!
//! Sessions lie in shards, each under a plain mutex that is held for a map operation and never over an await.

use std::collections::HashMap;
use std::fmt;
use std::future::ready;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::broadcast;

use super::expiring::{Deadline, Expiring, Moment};
use super::{
    Change, ChangeKind, INDEX_GRACE, IndexKey, Inserted, LastUse, LeaseOwner, ListedSession, MarkerKey, Replaced,
    SealedSession, SessionStore, StoreError, StoreFuture, StoredSession,
};
use crate::clock::{Clock, Timestamp};
use crate::session::grant::GrantId;
use crate::session::lifetime::TOMBSTONE_LIFETIME;
use crate::session::ticket::StoreKey;

const SHARDS: usize = 16;

/// More than 200 callbacks a second can make in the hour that each marker stands.
const MAX_MARKERS: usize = 1 << 20;

/// How many changes a listener may be behind before it is told that it has missed some.
const CHANGES_KEPT: usize = 1024;

struct Entry {
    stored: StoredSession,
    deadline: Deadline,
}

#[derive(Default)]
struct Shard {
    sessions: HashMap<StoreKey, Entry>,
    tombstones: Expiring<StoreKey, ()>,
    leases: Expiring<(StoreKey, GrantId), LeaseOwner>,
}

struct Member {
    key: StoreKey,
    /// Named so recently that its record may still be on its way.
    young: Deadline,
    deadline: Deadline,
}

#[derive(Default)]
struct Indexes {
    members: HashMap<IndexKey, Vec<Member>>,
    tombstones: Expiring<IndexKey, Timestamp>,
}

/// See the module.
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    max_sessions: usize,
    /// Records that take up room, expired ones included until they are swept.
    held: AtomicUsize,
    shards: [Mutex<Shard>; SHARDS],
    indexes: Mutex<Indexes>,
    markers: Mutex<Expiring<MarkerKey, ()>>,
    changes: broadcast::Sender<Change>,
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("MemoryStore").field("held", &self.held).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves a map that is whole: no operation stops halfway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn answer<'a, T: Send + 'a>(value: T) -> StoreFuture<'a, T> {
    Box::pin(ready(Ok(value)))
}

impl MemoryStore {
    /// An empty store for at most `max_sessions`.
    #[must_use]
    pub fn new(max_sessions: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            max_sessions,
            held: AtomicUsize::new(0),
            shards: std::array::from_fn(|_| Mutex::default()),
            indexes: Mutex::default(),
            markers: Mutex::default(),
            changes: broadcast::Sender::new(CHANGES_KEPT),
        }
    }

    fn now(&self) -> Moment {
        Moment::of(&*self.clock)
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, Shard> {
        let [first, ..] = key.as_bytes();
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of shards")]
        let shard = &self.shards[usize::from(*first) % SHARDS];
        lock(shard)
    }

    fn announce(&self, key: StoreKey, kind: ChangeKind) {
        // Nobody listening is fine.
        let _ = self.changes.send(Change { key, kind });
    }

    /// Takes room for one more session; sweeps when there seems to be none.
    fn reserve(&self) -> bool {
        let take = || {
            let more = |held| (held < self.max_sessions).then_some(held + 1);
            self.held.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
        };
        take() || {
            self.sweep_sessions();
            take()
        }
    }

    fn sweep_sessions(&self) {
        let now = self.now();
        for shard in &self.shards {
            let mut shard = lock(shard);
            let before = shard.sessions.len();
            shard.sessions.retain(|_, entry| !entry.deadline.has_passed(now));
            let after = shard.sessions.len();
            self.held.fetch_sub(before - after, Ordering::SeqCst);
            if shard.sessions.capacity() > 64 && after < shard.sessions.capacity() / 4 {
                shard.sessions.shrink_to_fit();
            }
            shard.tombstones.sweep(now);
            shard.leases.sweep(now);
        }
    }

    /// Forgets members whose session is gone, once it can no longer be on its way.
    fn sweep_indexes(&self) {
        let now = self.now();
        let mut indexes = lock(&self.indexes);
        indexes.tombstones.sweep(now);
        indexes.members.retain(|_, members| {
            members.retain(|member| {
                !member.deadline.has_passed(now)
                    && (!member.young.has_passed(now) || self.shard(&member.key).sessions.contains_key(&member.key))
            });
            !members.is_empty()
        });
    }
}

impl SessionStore for MemoryStore {
    fn insert(&self, key: StoreKey, sealed: SealedSession, last_use: LastUse) -> StoreFuture<'_, Inserted> {
        if !self.reserve() {
            return answer(Inserted::AtCapacity);
        }
        let now = self.now();
        let mut shard = self.shard(&key);
        if shard.tombstones.find(&key, now).is_some() || shard.sessions.contains_key(&key) {
            self.held.fetch_sub(1, Ordering::SeqCst);
            return answer(Inserted::Refused);
        }
        let deadline = now.until(last_use.expires.min(sealed.absolute_expiry));
        shard.sessions.insert(key, Entry { stored: StoredSession { sealed, last_use: last_use.at }, deadline });
        answer(Inserted::Stored)
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredSession>> {
        let now = self.now();
        let shard = self.shard(&key);
        answer(
            shard.sessions.get(&key).filter(|entry| !entry.deadline.has_passed(now)).map(|entry| entry.stored.clone()),
        )
    }

    fn replace(&self, key: StoreKey, expected: u64, sealed: SealedSession) -> StoreFuture<'_, Replaced> {
        let now = self.now();
        let generation = sealed.generation;
        let mut shard = self.shard(&key);
        let standing = shard.tombstones.find(&key, now).is_some();
        let replaced = match shard.sessions.get_mut(&key) {
            Some(entry) if !standing && !entry.deadline.has_passed(now) => {
                if entry.stored.sealed.generation == expected {
                    // A step-up shortens the life of what it leaves behind.
                    entry.deadline = entry.deadline.sooner(now.until(sealed.absolute_expiry));
                    entry.stored.sealed = sealed;
                    Replaced::Written
                } else {
                    Replaced::Moved
                }
            }
            _ => Replaced::Absent,
        };
        // Under the lock, so that changes are announced in the order in which they happened.
        if replaced == Replaced::Written {
            self.announce(key, ChangeKind::Changed { generation });
        }
        answer(replaced)
    }

    fn touch(&self, key: StoreKey, last_use: LastUse) -> StoreFuture<'_, bool> {
        let now = self.now();
        let mut shard = self.shard(&key);
        let touched = match shard.sessions.get_mut(&key) {
            Some(entry) if !entry.deadline.has_passed(now) => {
                entry.deadline = now.until(last_use.expires.min(entry.stored.sealed.absolute_expiry));
                entry.stored.last_use = last_use.at;
                true
            }
            _ => false,
        };
        answer(touched)
    }

    fn remove(&self, key: StoreKey) -> StoreFuture<'_, bool> {
        let now = self.now();
        let mut shard = self.shard(&key);
        let removed = shard.sessions.remove(&key);
        if removed.is_some() {
            self.held.fetch_sub(1, Ordering::SeqCst);
        }
        shard.tombstones.put(key, (), now.after(TOMBSTONE_LIFETIME));
        self.announce(key, ChangeKind::Removed);
        answer(removed.is_some_and(|entry| !entry.deadline.has_passed(now)))
    }

    fn index_add(&self, index: IndexKey, member: StoreKey, expires: Timestamp) -> StoreFuture<'_, ()> {
        let now = self.now();
        let named = Member { key: member, young: now.after(INDEX_GRACE), deadline: now.until(expires) };
        let mut indexes = lock(&self.indexes);
        let members = indexes.members.entry(index).or_insert_with(|| Vec::with_capacity(1));
        members.retain(|other| other.key != member);
        members.push(named);
        answer(())
    }

    fn index_members(&self, index: IndexKey) -> StoreFuture<'_, Vec<StoreKey>> {
        let now = self.now();
        let indexes = lock(&self.indexes);
        let live = indexes.members.get(&index).into_iter().flatten().filter(|member| !member.deadline.has_passed(now));
        answer(live.map(|member| member.key).collect())
    }

    fn write_index_tombstone(&self, index: IndexKey, at: Timestamp, ttl: Duration) -> StoreFuture<'_, ()> {
        let now = self.now();
        let tombstones = &mut lock(&self.indexes).tombstones;
        let later = tombstones.find(&index, now).map_or(at, |standing| at.max(*standing));
        tombstones.put(index, later, now.after(ttl));
        answer(())
    }

    fn index_tombstone(&self, index: IndexKey) -> StoreFuture<'_, Option<Timestamp>> {
        answer(lock(&self.indexes).tombstones.find(&index, self.now()).copied())
    }

    fn put_once(&self, marker: MarkerKey, until: Timestamp) -> StoreFuture<'_, bool> {
        let now = self.now();
        let mut markers = lock(&self.markers);
        if markers.find(&marker, now).is_some() {
            return answer(false);
        }
        if markers.len() >= MAX_MARKERS {
            markers.sweep(now);
        }
        if markers.len() >= MAX_MARKERS {
            return Box::pin(ready(Err(StoreError::Full)));
        }
        markers.put(marker, (), now.until(until));
        answer(true)
    }

    fn take_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner, ttl: Duration) -> StoreFuture<'_, bool> {
        let now = self.now();
        let leases = &mut self.shard(&key).leases;
        let free = leases.find(&(key, grant), now).is_none();
        if free {
            leases.put((key, grant), owner, now.after(ttl));
        }
        answer(free)
    }

    fn release_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner) -> StoreFuture<'_, ()> {
        let now = self.now();
        let mut shard = self.shard(&key);
        if shard.leases.find(&(key, grant), now) == Some(&owner) {
            shard.leases.remove(&(key, grant));
            self.announce(key, ChangeKind::LeaseReleased);
        }
        answer(())
    }

    fn list(&self) -> StoreFuture<'_, Vec<ListedSession>> {
        let now = self.now();
        let mut listed = Vec::with_capacity(self.live_sessions());
        for shard in &self.shards {
            let shard = lock(shard);
            let live = shard.sessions.iter().filter(|(_, entry)| !entry.deadline.has_passed(now));
            listed.extend(live.map(|(key, entry)| entry.stored.listed(*key)));
        }
        answer(listed)
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }

    fn sweep(&self) -> StoreFuture<'_, ()> {
        self.sweep_sessions();
        self.sweep_indexes();
        lock(&self.markers).sweep(self.now());
        answer(())
    }

    fn live_sessions(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
