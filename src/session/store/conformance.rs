//! What every store must do, as checks that run against any of them.

use std::time::Duration;

use super::{Change, ChangeKind, IndexKey, Inserted, LastUse, MarkerKey, Replaced, SealedSession, SessionStore};
use crate::clock::Clock;
use crate::origin::{Host, Scheme};
use crate::secret::SessionId;
use crate::session::grant::{GrantId, GrantKey};
use crate::session::lifetime::TOMBSTONE_LIFETIME;
use crate::session::testing::TestClock;
use crate::session::ticket::StoreKey;

/// Time that passes when a test says so, for the gateway and for what the store holds.
pub(in crate::session) trait Time: Sync {
    /// The gateway's clock.
    fn clock(&self) -> &TestClock;

    /// So many seconds pass.
    fn pass(&self, seconds: u64) {
        self.clock().pass(seconds);
    }
}

impl Time for TestClock {
    fn clock(&self) -> &TestClock {
        self
    }
}

/// The key of session number `id`.
pub(in crate::session) fn key(id: u8) -> StoreKey {
    let host = Host::parse("wiki.example.com", Scheme::Https).unwrap();
    StoreKey::of("https://wiki.example.com", &host, &SessionId::new([id; 18]))
}

/// A session that ends `seconds` from now.
pub(in crate::session) fn sealed(generation: u64, clock: &TestClock, seconds: u64) -> SealedSession {
    SealedSession {
        record: [b"record of generation ", &generation.to_be_bytes()[..]].concat().into(),
        card: b"card"[..].into(),
        generation,
        absolute_expiry: clock.now().plus(Duration::from_secs(seconds)),
    }
}

/// A use now, good for `seconds`.
pub(in crate::session) fn used(clock: &TestClock, seconds: u64) -> LastUse {
    LastUse { at: clock.now(), expires: clock.now().plus(Duration::from_secs(seconds)) }
}

fn grant(scope: &str) -> GrantId {
    GrantKey { provider: "corp".into(), scopes: vec![scope.into()], resource: None }.id()
}

/// Runs all checks; each uses sessions of its own.
pub(in crate::session) async fn run(store: &dyn SessionStore, time: &dyn Time) {
    insert_and_load(store, time).await;
    replace_looks_at_the_generation(store, time).await;
    nobody_recreates_what_was_removed(store, time).await;
    touch_extends_but_never_past_the_absolute_expiry(store, time).await;
    absolute_expiry_ends(store, time).await;
    a_replacement_may_end_sooner(store, time).await;
    indexes_name_members(store, time).await;
    index_tombstones_keep_the_later(store, time).await;
    markers_are_put_once(store, time).await;
    leases_have_one_owner(store, time).await;
    changes_are_announced_in_order(store, time).await;
    list_holds_the_living(store, time).await;
}

async fn insert_and_load(store: &dyn SessionStore, time: &dyn Time) {
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    let new = sealed(1, time.clock(), 36_000);
    assert_eq!(store.insert(key(1), new.clone(), used(time.clock(), 3_600)).await.unwrap(), Inserted::Stored);
    let stored = store.load(key(1)).await.unwrap().unwrap();
    assert_eq!((stored.sealed, stored.last_use), (new.clone(), time.clock().now()));
    assert_eq!(store.insert(key(1), new, used(time.clock(), 3_600)).await.unwrap(), Inserted::Refused);
}

async fn replace_looks_at_the_generation(store: &dyn SessionStore, time: &dyn Time) {
    store.insert(key(2), sealed(1, time.clock(), 36_000), used(time.clock(), 3_600)).await.unwrap();
    let before = store.load(key(2)).await.unwrap().unwrap().last_use;
    time.pass(10);
    assert_eq!(store.replace(key(2), 2, sealed(3, time.clock(), 36_000)).await.unwrap(), Replaced::Moved);
    assert_eq!(store.replace(key(2), 1, sealed(2, time.clock(), 36_000)).await.unwrap(), Replaced::Written);
    assert_eq!(store.replace(key(2), 1, sealed(2, time.clock(), 36_000)).await.unwrap(), Replaced::Moved);
    let stored = store.load(key(2)).await.unwrap().unwrap();
    assert_eq!((stored.sealed.generation, stored.last_use), (2, before));
    assert_eq!(store.replace(key(3), 0, sealed(1, time.clock(), 36_000)).await.unwrap(), Replaced::Absent);
}

async fn nobody_recreates_what_was_removed(store: &dyn SessionStore, time: &dyn Time) {
    store.insert(key(4), sealed(1, time.clock(), 36_000), used(time.clock(), 3_600)).await.unwrap();
    assert!(store.remove(key(4)).await.unwrap());
    assert!(!store.remove(key(4)).await.unwrap());
    assert_eq!(store.load(key(4)).await.unwrap(), None);
    assert_eq!(store.replace(key(4), 1, sealed(2, time.clock(), 36_000)).await.unwrap(), Replaced::Absent);
    assert!(!store.touch(key(4), used(time.clock(), 3_600)).await.unwrap());
    let again = store.insert(key(4), sealed(1, time.clock(), 36_000), used(time.clock(), 3_600)).await.unwrap();
    assert_eq!(again, Inserted::Refused);
    // One that was ended before it was ever written.
    store.remove(key(5)).await.unwrap();
    time.pass(TOMBSTONE_LIFETIME.as_secs() - 1);
    let late = store.insert(key(5), sealed(1, time.clock(), 36_000), used(time.clock(), 3_600)).await.unwrap();
    assert_eq!(late, Inserted::Refused);
}

async fn touch_extends_but_never_past_the_absolute_expiry(store: &dyn SessionStore, time: &dyn Time) {
    store.insert(key(6), sealed(1, time.clock(), 5_000), used(time.clock(), 3_600)).await.unwrap();
    time.pass(3_000);
    assert!(store.touch(key(6), used(time.clock(), 3_600)).await.unwrap());
    let stored = store.load(key(6)).await.unwrap().unwrap();
    assert_eq!((stored.last_use, stored.sealed.generation), (time.clock().now(), 1));
    time.pass(1_999);
    assert!(store.load(key(6)).await.unwrap().is_some());
    time.pass(1);
    assert_eq!(store.load(key(6)).await.unwrap(), None);
    assert!(!store.touch(key(6), used(time.clock(), 3_600)).await.unwrap(), "what has expired is not brought back");
    assert_eq!(store.replace(key(6), 1, sealed(2, time.clock(), 5_000)).await.unwrap(), Replaced::Absent);
}

async fn a_replacement_may_end_sooner(store: &dyn SessionStore, time: &dyn Time) {
    store.insert(key(20), sealed(1, time.clock(), 36_000), used(time.clock(), 3_600)).await.unwrap();
    assert_eq!(store.replace(key(20), 1, sealed(2, time.clock(), 10)).await.unwrap(), Replaced::Written);
    time.pass(9);
    assert!(store.touch(key(20), used(time.clock(), 3_600)).await.unwrap());
    assert!(store.load(key(20)).await.unwrap().is_some());
    time.pass(1);
    assert_eq!(store.load(key(20)).await.unwrap(), None);
    assert!(!store.touch(key(20), used(time.clock(), 3_600)).await.unwrap());
    assert!(store.list().await.unwrap().iter().all(|listed| listed.key != key(20)));
}

async fn absolute_expiry_ends(store: &dyn SessionStore, time: &dyn Time) {
    store.insert(key(7), sealed(1, time.clock(), 100), used(time.clock(), 3_600)).await.unwrap();
    time.pass(99);
    assert!(store.load(key(7)).await.unwrap().is_some());
    time.pass(1);
    assert_eq!(store.load(key(7)).await.unwrap(), None);
}

async fn indexes_name_members(store: &dyn SessionStore, time: &dyn Time) {
    let (index, other) = (IndexKey([1; 32]), IndexKey([2; 32]));
    let expires = time.clock().now().plus(Duration::from_secs(100));
    assert!(store.index_members(index).await.unwrap().is_empty());
    store.index_add(index, key(10), expires).await.unwrap();
    store.index_add(index, key(11), expires).await.unwrap();
    store.index_add(index, key(11), expires).await.unwrap();
    store.index_add(other, key(12), expires).await.unwrap();
    let mut members = store.index_members(index).await.unwrap();
    members.sort();
    let mut expected = [key(10), key(11)];
    expected.sort();
    assert_eq!(members, expected);
    time.pass(100);
    assert!(store.index_members(index).await.unwrap().is_empty());
}

async fn index_tombstones_keep_the_later(store: &dyn SessionStore, time: &dyn Time) {
    let index = IndexKey([3; 32]);
    assert_eq!(store.index_tombstone(index).await.unwrap(), None);
    let (early, late) = (time.clock().now(), time.clock().now().plus(Duration::from_secs(5)));
    store.write_index_tombstone(index, late, TOMBSTONE_LIFETIME).await.unwrap();
    store.write_index_tombstone(index, early, TOMBSTONE_LIFETIME).await.unwrap();
    assert_eq!(store.index_tombstone(index).await.unwrap(), Some(late));
    assert_eq!(store.index_tombstone(IndexKey([4; 32])).await.unwrap(), None);
    time.pass(TOMBSTONE_LIFETIME.as_secs());
    assert_eq!(store.index_tombstone(index).await.unwrap(), None);
}

async fn markers_are_put_once(store: &dyn SessionStore, time: &dyn Time) {
    let until = time.clock().now().plus(Duration::from_secs(60));
    assert!(store.put_once(MarkerKey([1; 16]), until).await.unwrap());
    assert!(!store.put_once(MarkerKey([1; 16]), until).await.unwrap());
    assert!(store.put_once(MarkerKey([2; 16]), until).await.unwrap());
    time.pass(59);
    assert!(!store.put_once(MarkerKey([1; 16]), until).await.unwrap());
    time.pass(1);
    let later = time.clock().now().plus(Duration::from_secs(60));
    assert!(store.put_once(MarkerKey([1; 16]), later).await.unwrap());
}

async fn leases_have_one_owner(store: &dyn SessionStore, time: &dyn Time) {
    let ttl = Duration::from_secs(15);
    let (mine, yours) = ([1; 16], [2; 16]);
    assert!(store.take_lease(key(13), grant("a"), mine, ttl).await.unwrap());
    assert!(!store.take_lease(key(13), grant("a"), yours, ttl).await.unwrap());
    assert!(!store.take_lease(key(13), grant("a"), mine, ttl).await.unwrap(), "not even twice by one");
    assert!(store.take_lease(key(13), grant("b"), yours, ttl).await.unwrap());
    assert!(store.take_lease(key(14), grant("a"), yours, ttl).await.unwrap());
    store.release_lease(key(13), grant("a"), yours).await.unwrap();
    assert!(!store.take_lease(key(13), grant("a"), yours, ttl).await.unwrap(), "only the owner releases");
    store.release_lease(key(13), grant("a"), mine).await.unwrap();
    assert!(store.take_lease(key(13), grant("a"), yours, ttl).await.unwrap());
    time.pass(15);
    assert!(store.take_lease(key(13), grant("a"), mine, ttl).await.unwrap());
    store.release_lease(key(13), grant("a"), yours).await.unwrap();
    assert!(!store.take_lease(key(13), grant("a"), yours, ttl).await.unwrap(), "a late release is nobody's");
}

async fn changes_are_announced_in_order(store: &dyn SessionStore, time: &dyn Time) {
    let mut changes = store.changes();
    store.insert(key(15), sealed(1, time.clock(), 36_000), used(time.clock(), 3_600)).await.unwrap();
    store.touch(key(15), used(time.clock(), 3_600)).await.unwrap();
    store.replace(key(15), 1, sealed(2, time.clock(), 36_000)).await.unwrap();
    store.replace(key(15), 1, sealed(2, time.clock(), 36_000)).await.unwrap();
    store.remove(key(15)).await.unwrap();
    let changed = Change { key: key(15), kind: ChangeKind::Changed { generation: 2 } };
    assert_eq!(changes.recv().await.unwrap(), changed);
    assert_eq!(changes.recv().await.unwrap(), Change { key: key(15), kind: ChangeKind::Removed });
}

async fn list_holds_the_living(store: &dyn SessionStore, time: &dyn Time) {
    store.insert(key(16), sealed(1, time.clock(), 36_000), used(time.clock(), 3_600)).await.unwrap();
    store.insert(key(17), sealed(1, time.clock(), 10), used(time.clock(), 3_600)).await.unwrap();
    time.pass(10);
    let listed = store.list().await.unwrap();
    let stored = store.load(key(16)).await.unwrap().unwrap();
    assert_eq!(listed.iter().find(|one| one.key == key(16)), Some(&stored.listed(key(16))));
    assert!(listed.iter().all(|one| one.key != key(17)));
    store.remove(key(16)).await.unwrap();
    store.sweep().await.unwrap();
    assert!(store.list().await.unwrap().iter().all(|listed| listed.key != key(16)));
}
