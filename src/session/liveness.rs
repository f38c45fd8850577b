//! What this process knows about each session it has open: whether it has ended, its newest generation, its last use.
//!
//! All opened versions of a session share one [`Liveness`], so that an end reaches those who hold an old version (an
//! open WebSocket, a request halfway) as well as the cache. Looking at it takes no lock.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::cache::CacheKey;
use super::lifecycle::stamp;
use super::opened::OpenedSession;
use super::ticket::StoreKey;
use crate::clock::Timestamp;

const SHARDS: usize = 16;

type Shard = Mutex<HashMap<StoreKey, Weak<Liveness>>>;

/// The state of one session in this process.
#[derive(Debug)]
pub(super) struct Liveness {
    store_key: StoreKey,
    /// Known once somebody has proved to hold the cookie.
    cached_under: OnceLock<CacheKey>,
    ended: AtomicBool,
    /// Somebody has taken it upon them to tell of its end by time.
    told: AtomicBool,
    newest_generation: AtomicU64,
    last_touch: AtomicU64,
    /// When that was on the clock nobody can set.
    touched_at: AtomicU64,
    /// When the store was last asked and had it, as a [`stamp`]; what it says was so then.
    read_at: AtomicU64,
    /// When somebody last set out to ask.
    asked_at: AtomicU64,
    /// Since when its newest version is not in the store, though it has been announced.
    lost_since: AtomicU64,
    /// When it was last asked in vain.
    unanswered_at: AtomicU64,
    /// Counts the leases on its grants that were given back, on any replica.
    lease_releases: AtomicU64,
    changed: Notify,
    /// The session that has stepped up from this one, where this process made it.
    successor: OnceLock<Arc<OpenedSession>>,
    registry: Arc<Registry>,
}

impl Liveness {
    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    /// Ends it for everybody in this process who holds it.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Whether this is the first to ask: of many requests that find a session past its limit, one tells.
    pub(super) fn is_untold(&self) -> bool {
        !self.told.swap(true, Ordering::AcqRel)
    }

    pub(super) fn newest_generation(&self) -> u64 {
        self.newest_generation.load(Ordering::Acquire)
    }

    /// Learns that a record of this generation has been written; what is older is stale from here on.
    pub(super) fn advance(&self, generation: u64) {
        if self.newest_generation.fetch_max(generation, Ordering::AcqRel) < generation {
            self.changed.notify_waiters();
        }
    }

    /// For how long its newest version has not been found where it should be.
    pub(super) fn lost_for(&self, monotonic: Duration) -> Duration {
        let now = stamp(monotonic);
        let since = self.lost_since.compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
        Duration::from_millis(now.saturating_sub(since.map_or_else(|since| since, |_| now)))
    }

    /// It has been found.
    pub(super) fn found(&self) {
        self.lost_since.store(0, Ordering::Release);
    }

    /// What was announced beyond this generation has been lost; unless something newer has been heard of meanwhile.
    pub(super) fn go_back(&self, from: u64, to: u64) {
        let _ = self.newest_generation.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire);
    }

    /// The store had it when it was asked at this time.
    pub(super) fn note_read(&self, monotonic: Duration) {
        let read_at = stamp(monotonic);
        // Those who wait for the answer look again; a session that is read for the first time has none.
        if self.read_at.fetch_max(read_at, Ordering::AcqRel) < read_at {
            self.changed.notify_waiters();
        }
    }

    /// The store was asked, and nothing is known until this time.
    pub(super) fn note_unanswered(&self, monotonic: Duration) {
        self.unanswered_at.fetch_max(stamp(monotonic), Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    /// Whether the store has failed since it last had it.
    pub(super) fn is_unanswered(&self) -> bool {
        self.unanswered_at.load(Ordering::Acquire) > self.read_at()
    }

    /// Whether somebody asks it at the moment, when it has failed before.
    pub(super) fn is_being_asked(&self) -> bool {
        self.asked_at.load(Ordering::Acquire) > self.unanswered_at.load(Ordering::Acquire)
    }

    pub(super) fn read_at(&self) -> u64 {
        self.read_at.load(Ordering::Acquire)
    }

    /// Whether the store may be asked now: by one of those who want to, and not within `pause` of the last time.
    pub(super) fn may_ask(&self, monotonic: Duration, pause: Duration) -> bool {
        let (now, before) = (stamp(monotonic), self.asked_at.load(Ordering::Acquire));
        (before == 0 || u128::from(now.saturating_sub(before)) >= pause.as_millis())
            && self.asked_at.compare_exchange(before, now, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Somebody has given back a lease on one of its grants.
    pub(super) fn lease_released(&self) {
        self.lease_releases.fetch_add(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }

    pub(super) fn lease_releases(&self) -> u64 {
        self.lease_releases.load(Ordering::Acquire)
    }

    /// Tells those who hold the session for longer than a request which one goes on in its place.
    pub(super) fn succeeded_by(&self, successor: Arc<OpenedSession>) {
        let _ = self.successor.set(successor);
        self.changed.notify_waiters();
    }

    pub(super) fn successor(&self) -> Option<&Arc<OpenedSession>> {
        self.successor.get()
    }

    pub(super) const fn changes(&self) -> &Notify {
        &self.changed
    }

    pub(super) fn remember_cache_key(&self, key: CacheKey) {
        let _ = self.cached_under.set(key);
    }

    pub(super) fn cache_key(&self) -> Option<&CacheKey> {
        self.cached_under.get()
    }

    pub(super) fn last_touch(&self) -> Timestamp {
        Timestamp::from_seconds(self.last_touch.load(Ordering::Acquire))
    }

    /// How long ago it was last used, whatever the wall clock was set to since.
    pub(super) fn unused_for(&self, monotonic: Duration) -> Duration {
        monotonic.saturating_sub(Duration::from_secs(self.touched_at.load(Ordering::Acquire)))
    }

    /// Notes a use that is being written down. `false`: another task has just noted one.
    pub(super) fn note_use(&self, before: Timestamp, now: Timestamp, monotonic: Duration) -> bool {
        let noted = self
            .last_touch
            .compare_exchange(before.as_seconds(), now.as_seconds(), Ordering::AcqRel, Ordering::Acquire)
            .is_ok();
        if noted {
            self.touched_at.store(monotonic.as_secs(), Ordering::Release);
        }
        noted
    }

    /// Takes over the last use that the store has, unless this process knows of a later one.
    pub(super) fn learn_use(&self, stored: Timestamp, now: Timestamp, monotonic: Duration) {
        let known = self.last_touch();
        if stored > known || known > now {
            self.last_touch.store(stored.as_seconds(), Ordering::Release);
            let since = monotonic.saturating_sub(now.since(stored));
            self.touched_at.store(since.as_secs(), Ordering::Release);
        }
    }
}

impl Drop for Liveness {
    fn drop(&mut self) {
        let mut shard = self.registry.shard(&self.store_key);
        // In the meantime somebody may have registered the session anew.
        if shard.get(&self.store_key).is_some_and(|registered| registered.strong_count() == 0) {
            shard.remove(&self.store_key);
        }
    }
}

/// The sessions somebody in this process holds.
#[derive(Debug)]
pub(super) struct Registry {
    shards: [Shard; SHARDS],
}

impl Registry {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { shards: std::array::from_fn(|_| Mutex::default()) })
    }

    fn shard(&self, key: &StoreKey) -> MutexGuard<'_, HashMap<StoreKey, Weak<Liveness>>> {
        let [first, ..] = key.as_bytes();
        #[expect(clippy::indexing_slicing, reason = "the remainder is below the number of shards")]
        let shard = &self.shards[usize::from(*first) % SHARDS];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state of a session that is about to be opened. To be asked for before its record is read, so that an end
    /// that comes in between is not missed. One that has ended here is begun anew: the store has the last word.
    pub(super) fn enter(self: &Arc<Self>, key: StoreKey) -> Arc<Liveness> {
        // Declared first: should the one found turn out to be the last of its kind, it must be dropped after the lock.
        let found;
        let mut shard = self.shard(&key);
        found = shard.get(&key).and_then(Weak::upgrade);
        if let Some(live) = found.as_ref().filter(|live| !live.has_ended()) {
            return Arc::clone(live);
        }
        let fresh = Arc::new(Liveness {
            store_key: key,
            cached_under: OnceLock::new(),
            ended: AtomicBool::new(false),
            told: AtomicBool::new(false),
            newest_generation: AtomicU64::new(0),
            last_touch: AtomicU64::new(0),
            touched_at: AtomicU64::new(0),
            read_at: AtomicU64::new(0),
            asked_at: AtomicU64::new(0),
            lost_since: AtomicU64::new(0),
            unanswered_at: AtomicU64::new(0),
            lease_releases: AtomicU64::new(0),
            changed: Notify::new(),
            successor: OnceLock::new(),
            registry: Arc::clone(self),
        });
        shard.insert(key, Arc::downgrade(&fresh));
        drop(shard);
        fresh
    }

    /// The state of a session that somebody holds.
    pub(super) fn find(&self, key: &StoreKey) -> Option<Arc<Liveness>> {
        self.shard(key).get(key).and_then(Weak::upgrade)
    }

    /// Has everybody who waits for a change look again.
    pub(super) fn wake_all(&self) {
        for key in self.held() {
            if let Some(liveness) = self.find(&key) {
                liveness.changed.notify_waiters();
            }
        }
    }

    /// All sessions that somebody holds.
    pub(super) fn held(&self) -> Vec<StoreKey> {
        self.shards
            .iter()
            .flat_map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect::<Vec<_>>())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::store::conformance::key;

    const fn at(seconds: u64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn whoever_enters_shares_the_state_until_it_ends() {
        let registry = Registry::new();
        let first = registry.enter(key(1));
        assert!(Arc::ptr_eq(&first, &registry.enter(key(1))));
        assert!(!Arc::ptr_eq(&first, &registry.enter(key(2))));
        first.end();
        let second = registry.enter(key(1));
        assert!(!Arc::ptr_eq(&first, &second) && !second.has_ended());
        drop(first);
        assert!(Arc::ptr_eq(&second, &registry.find(&key(1)).unwrap()), "the old one took itself off, not the new");
    }

    #[test]
    fn mm_03_what_nobody_holds_takes_no_room() {
        let registry = Registry::new();
        let held = registry.enter(key(1));
        drop(registry.enter(key(2)));
        assert_eq!(registry.held(), [key(1)]);
        drop(held);
        assert!(registry.held().is_empty());
    }

    #[test]
    fn generations_only_rise() {
        let registry = Registry::new();
        let live = registry.enter(key(1));
        live.advance(5);
        live.advance(3);
        assert_eq!(live.newest_generation(), 5);
    }

    #[test]
    fn one_task_notes_a_use_and_later_uses_win() {
        let registry = Registry::new();
        let live = registry.enter(key(1));
        live.learn_use(at(100), at(130), Duration::from_secs(1_000));
        assert_eq!(
            (live.last_touch(), live.unused_for(Duration::from_secs(1_000))),
            (at(100), Duration::from_secs(30))
        );
        assert!(live.note_use(at(100), at(160), Duration::from_secs(1_030)));
        assert!(!live.note_use(at(100), at(160), Duration::from_secs(1_030)));
        live.learn_use(at(100), at(161), Duration::from_secs(1_031));
        assert_eq!(live.last_touch(), at(160), "the store may not have it yet");
        live.learn_use(at(150), at(155), Duration::from_secs(1_032));
        assert_eq!(live.last_touch(), at(150), "a use that lies ahead was noted under a wrong clock");
    }

    #[tokio::test]
    async fn those_who_wait_hear_of_the_end() {
        let live = Registry::new().enter(key(1));
        let waiting = live.changes().notified();
        live.end();
        waiting.await;
        assert!(live.has_ended());
    }
}
