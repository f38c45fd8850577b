//! The store of a schedule: one state with compare-and-swap and expiring leases, which a failover can set back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use super::view::View;
use super::world::World;
use crate::clock::Timestamp;
use crate::session::lifetime::TOMBSTONE_LIFETIME;
use crate::session::store::{Change, ChangeKind, LeaseOwner, StoredSession};
use crate::session::{GrantId, StoreKey};

/// So many writes can a failover lose.
const TAIL: usize = 6;

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) stored: StoredSession,
    pub(super) expires: Timestamp,
}

/// Everything a store holds. Deadlines are milliseconds of the world, or its wall clock where the caller names them so.
#[derive(Clone, Default)]
pub(super) struct State {
    pub(super) sessions: BTreeMap<StoreKey, Entry>,
    pub(super) tombstones: BTreeMap<StoreKey, u64>,
    pub(super) leases: BTreeMap<(StoreKey, GrantId), (LeaseOwner, u64)>,
    pub(super) members: BTreeMap<[u8; 32], BTreeSet<StoreKey>>,
    pub(super) ended: BTreeMap<[u8; 32], (Timestamp, u64)>,
}

impl State {
    pub(super) fn live(&mut self, key: &StoreKey, wall: Timestamp) -> Option<&mut Entry> {
        self.sessions.get_mut(key).filter(|entry| wall < entry.expires)
    }

    pub(super) fn is_buried(&self, key: &StoreKey, now: u64) -> bool {
        self.tombstones.get(key).is_some_and(|until| now < *until)
    }

    pub(super) fn bury(&mut self, key: StoreKey, now: u64) {
        self.tombstones.insert(key, now + u64::try_from(TOMBSTONE_LIFETIME.as_millis()).unwrap());
    }
}

/// What an operation on the state has come to.
pub(super) struct Done<T> {
    pub(super) answer: T,
    pub(super) wrote: bool,
    pub(super) change: Option<Change>,
}

impl<T> Done<T> {
    pub(super) const fn read(answer: T) -> Self {
        Self { answer, wrote: false, change: None }
    }

    pub(super) const fn wrote(answer: T) -> Self {
        Self { answer, wrote: true, change: None }
    }

    pub(super) const fn announced(answer: T, key: StoreKey, kind: ChangeKind) -> Self {
        Self { answer, wrote: true, change: Some(Change { key, kind }) }
    }
}

#[derive(Default)]
struct Inner {
    state: State,
    /// The states before the last writes.
    before: VecDeque<State>,
    listeners: Vec<Arc<View>>,
}

pub(super) struct Store {
    pub(super) world: Arc<World>,
    inner: Mutex<Inner>,
}

impl Store {
    pub(super) fn new(world: &Arc<World>) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), inner: Mutex::default() })
    }

    pub(super) fn listen(&self, view: &Arc<View>) {
        let mut inner = self.inner.lock().unwrap();
        inner.listeners.retain(|other| !other.is_dead());
        inner.listeners.push(Arc::clone(view));
    }

    /// One operation, in one step.
    pub(super) fn apply<T>(&self, operation: impl FnOnce(&mut State, u64, Timestamp) -> Done<T>) -> T {
        let mut inner = self.inner.lock().unwrap();
        let before = inner.state.clone();
        let done = operation(&mut inner.state, self.world.now(), self.world.wall());
        if done.wrote {
            inner.before.push_back(before);
            if inner.before.len() > TAIL {
                inner.before.pop_front();
            }
        }
        if let Some(change) = done.change {
            for listener in &inner.listeners {
                listener.announce(change);
            }
        }
        done.answer
    }

    /// Whether it has this session.
    pub(super) fn holds(&self, key: &StoreKey) -> bool {
        self.inner.lock().unwrap().state.live(key, self.world.wall()).is_some()
    }

    /// A replica of the store takes over that has not seen the last writes.
    pub(super) fn fail_over(&self, lost: usize) {
        let mut inner = self.inner.lock().unwrap();
        for _ in 0..lost.min(inner.before.len()) {
            inner.state = inner.before.pop_back().unwrap();
        }
        let listeners = inner.listeners.clone();
        drop(inner);
        listeners.iter().for_each(|listener| listener.lose_connection());
        self.world.ledger.lock().unwrap().failovers.push(self.world.now());
    }
}
