//! A store of sessions that fails when told to, operation by operation.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use vestibule::clock::{Clock, Timestamp};
use vestibule::session::store::memory::MemoryStore;
use vestibule::session::store::{
    Change, IndexKey, Inserted, LastUse, LeaseOwner, ListedSession, MarkerKey, Replaced, SealedSession, SessionStore,
    StoreError, StoreFuture, StoreState, StoredSession,
};
use vestibule::session::{GrantId, StoreKey};

/// The store of the program with a switch in front of it.
pub struct FailingStore {
    inner: MemoryStore,
    failing: Mutex<Vec<&'static str>>,
    clock: Arc<dyn Clock>,
    state: watch::Sender<StoreState>,
}

impl FailingStore {
    pub fn new(max_sessions: usize, clock: Arc<dyn Clock>) -> Self {
        let inner = MemoryStore::new(max_sessions, Arc::clone(&clock));
        Self { inner, failing: Mutex::default(), clock, state: watch::Sender::new(StoreState::GOOD) }
    }

    /// From here on these operations fail, and no others; `all` is every one, and nothing is heard of others either.
    pub fn fail(&self, operations: &[&'static str]) {
        let away = operations.contains(&"all");
        let deaf_since = away.then(|| self.clock.monotonic());
        self.state.send_replace(StoreState { available: operations.is_empty(), deaf_since, gaps: 0 });
        *self.failing.lock().unwrap() = operations.to_vec();
    }

    fn or_fail<'a, T: Send + 'a>(
        &self,
        operation: &'static str,
        perform: impl FnOnce() -> StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        let failing = self.failing.lock().unwrap();
        if failing.iter().any(|failing| *failing == operation || *failing == "all") {
            return Box::pin(std::future::ready(Err(StoreError::Unavailable("told to fail".into()))));
        }
        drop(failing);
        perform()
    }
}

impl SessionStore for FailingStore {
    fn insert(&self, key: StoreKey, sealed: SealedSession, last_use: LastUse) -> StoreFuture<'_, Inserted> {
        self.or_fail("insert", || self.inner.insert(key, sealed, last_use))
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredSession>> {
        self.or_fail("load", || self.inner.load(key))
    }

    fn replace(&self, key: StoreKey, expected: u64, sealed: SealedSession) -> StoreFuture<'_, Replaced> {
        self.or_fail("replace", || self.inner.replace(key, expected, sealed))
    }

    fn touch(&self, key: StoreKey, last_use: LastUse) -> StoreFuture<'_, bool> {
        self.or_fail("touch", || self.inner.touch(key, last_use))
    }

    fn remove(&self, key: StoreKey) -> StoreFuture<'_, bool> {
        self.or_fail("remove", || self.inner.remove(key))
    }

    fn index_add(&self, index: IndexKey, member: StoreKey, expires: Timestamp) -> StoreFuture<'_, ()> {
        self.or_fail("index_add", || self.inner.index_add(index, member, expires))
    }

    fn index_members(&self, index: IndexKey) -> StoreFuture<'_, Vec<StoreKey>> {
        self.or_fail("index_members", || self.inner.index_members(index))
    }

    fn write_index_tombstone(&self, index: IndexKey, at: Timestamp, ttl: Duration) -> StoreFuture<'_, ()> {
        self.or_fail("write_index_tombstone", || self.inner.write_index_tombstone(index, at, ttl))
    }

    fn index_tombstone(&self, index: IndexKey) -> StoreFuture<'_, Option<Timestamp>> {
        self.or_fail("index_tombstone", || self.inner.index_tombstone(index))
    }

    fn put_once(&self, marker: MarkerKey, until: Timestamp) -> StoreFuture<'_, bool> {
        self.or_fail("put_once", || self.inner.put_once(marker, until))
    }

    fn take_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner, ttl: Duration) -> StoreFuture<'_, bool> {
        self.or_fail("take_lease", || self.inner.take_lease(key, grant, owner, ttl))
    }

    fn release_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner) -> StoreFuture<'_, ()> {
        self.or_fail("release_lease", || self.inner.release_lease(key, grant, owner))
    }

    fn list(&self) -> StoreFuture<'_, Vec<ListedSession>> {
        self.or_fail("list", || self.inner.list())
    }

    fn sweep(&self) -> StoreFuture<'_, ()> {
        self.or_fail("sweep", || self.inner.sweep())
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes()
    }

    fn live_sessions(&self) -> usize {
        self.inner.live_sessions()
    }
}
