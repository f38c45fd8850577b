use super::*;
use crate::session::store::conformance::{self, key, sealed, used};
use crate::session::testing::TestClock;

fn store(max_sessions: usize) -> (Arc<TestClock>, MemoryStore) {
    let clock = Arc::new(TestClock::at(1_800_000_000));
    (Arc::clone(&clock), MemoryStore::new(max_sessions, clock))
}

#[tokio::test]
async fn it_does_what_every_store_must() {
    let (clock, store) = store(1_000);
    conformance::run(&store, &*clock).await;
}

#[tokio::test]
async fn ss_12_at_capacity_new_sessions_are_refused_and_old_ones_stay() {
    let (clock, store) = store(3);
    for id in 0..3 {
        assert_eq!(
            store.insert(key(id), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap(),
            Inserted::Stored
        );
    }
    for id in 3..50 {
        let inserted = store.insert(key(id), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
        assert_eq!(inserted, Inserted::AtCapacity);
    }
    assert_eq!(store.live_sessions(), 3);
    for id in 0..3 {
        assert!(store.load(key(id)).await.unwrap().is_some());
    }
    store.remove(key(0)).await.unwrap();
    assert_eq!(store.insert(key(9), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap(), Inserted::Stored);
}

#[tokio::test]
async fn ss_12_sessions_that_have_expired_make_room() {
    let (clock, store) = store(2);
    for id in 0..2 {
        store.insert(key(id), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    }
    clock.pass(3_600);
    assert_eq!(store.insert(key(5), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap(), Inserted::Stored);
    assert_eq!(store.live_sessions(), 1);
}

#[tokio::test]
async fn mm_03_sweeping_forgets_everything_that_has_passed() {
    let (clock, store) = store(10);
    let index = IndexKey([1; 32]);
    let grant = crate::session::fixtures::grant("a").key.id();
    store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    store.index_add(index, key(1), clock.now().plus(Duration::from_secs(36_000))).await.unwrap();
    store.index_add(index, key(2), clock.now().plus(Duration::from_secs(36_000))).await.unwrap();
    store.write_index_tombstone(index, clock.now(), TOMBSTONE_LIFETIME).await.unwrap();
    store.put_once(MarkerKey([1; 16]), clock.now().plus(Duration::from_secs(60))).await.unwrap();
    store.take_lease(key(1), grant, [1; 16], Duration::from_secs(15)).await.unwrap();
    store.remove(key(3)).await.unwrap();

    store.sweep().await.unwrap();
    assert_eq!(lock(&store.indexes).members[&index].len(), 2, "the record of the second may still be on its way");
    clock.pass(60);
    store.sweep().await.unwrap();
    assert_eq!(store.index_members(index).await.unwrap(), [key(1)]);
    clock.pass(3_540);
    store.sweep().await.unwrap();
    assert_eq!(store.live_sessions(), 0);
    let shards: usize = store
        .shards
        .iter()
        .map(|shard| {
            let shard = lock(shard);
            shard.sessions.len() + shard.tombstones.len() + shard.leases.len()
        })
        .sum();
    let indexes = lock(&store.indexes);
    assert_eq!((shards, indexes.members.len(), indexes.tombstones.len(), lock(&store.markers).len()), (0, 0, 0, 0));
}

#[tokio::test]
async fn mm_03_markers_are_bounded_and_the_bound_refuses() {
    let (clock, store) = store(1);
    {
        let now = store.now();
        let mut markers = lock(&store.markers);
        for number in 0..MAX_MARKERS as u64 {
            let mut name = [0; 16];
            name[..8].copy_from_slice(&number.to_be_bytes());
            markers.put(MarkerKey(name), (), now.until(clock.now().plus(Duration::from_secs(10))));
        }
    }
    let until = clock.now().plus(Duration::from_secs(60));
    assert!(matches!(store.put_once(MarkerKey([0xff; 16]), until).await, Err(StoreError::Full)));
    assert!(!store.put_once(MarkerKey([0; 16]), until).await.unwrap(), "what is up stays up");
    clock.pass(10);
    assert!(store.put_once(MarkerKey([0xff; 16]), until).await.unwrap());
    assert_eq!(lock(&store.markers).len(), 1);
}

#[tokio::test]
async fn ck_13_setting_the_clock_back_makes_no_session_live_longer() {
    let (clock, store) = store(10);
    store.insert(key(1), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    clock.jump(-50 * 365 * 86_400);
    clock.pass(3_599);
    assert!(store.load(key(1)).await.unwrap().is_some());
    clock.pass(1);
    assert!(store.load(key(1)).await.unwrap().is_none());
}

#[test]
fn what_the_store_adds_to_a_session_is_little() {
    let entry = size_of::<StoreKey>() + size_of::<Entry>();
    assert!(entry <= 112, "{entry} bytes");
}
