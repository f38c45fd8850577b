use super::*;
use crate::clock::SystemClock;
use futures_util::FutureExt;
use std::time::Instant;

/// A store on the system's clock, because real time passes here.
async fn real(server: &RedisServer) -> Arc<RedisStore> {
    let store = RedisStore::new(single(server), NAMESPACE, Arc::new(SystemClock::default())).unwrap();
    hearing(&store).await;
    store
}

async fn hearing(store: &RedisStore) {
    let mut state = store.state();
    let hears = state.wait_for(|state| state.deaf_since.is_none());
    tokio::time::timeout(Duration::from_secs(10), hears).await.expect("it hears in time").unwrap();
}

/// Waits until the store answers by itself.
async fn answering(store: &RedisStore) {
    let answers = async {
        while store.load(key(1)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), answers).await.expect("it answers in time");
}

#[expect(clippy::disallowed_methods, reason = "real time is measured")]
fn now() -> Instant {
    Instant::now()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rd_01_a_server_that_hangs_is_an_error_within_two_seconds_then_at_once_and_it_comes_back_by_itself() {
    let server = RedisServer::start();
    let store = real(&server).await;
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    server.pause();
    let (begun, mut state) = (now(), store.state());
    let (first, deaf) = tokio::join!(store.load(key(1)), async {
        state.wait_for(|state| state.deaf_since.is_some()).await.unwrap();
        begun.elapsed()
    });
    assert!(first.is_err() && begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    assert!(deaf < Duration::from_secs(1), "deafness was noticed after {deaf:?}");
    let begun = now();
    for _ in 0..100 {
        assert!(store.load(key(1)).await.is_err());
    }
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    assert!(!store.state().borrow().available);
    server.resume();
    answering(&store).await;
    hearing(&store).await;
    let state = *store.state().borrow();
    assert!(state.available && state.deaf_since.is_none(), "{state:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rd_01_a_server_that_dies_is_an_error_and_is_found_again_when_it_is_back() {
    let mut server = RedisServer::start();
    let store = real(&server).await;
    server.kill();
    let begun = now();
    let error = store.load(key(1)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2));
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.starts_with(&format!("Redis at {}:{PORT}: ", server.host)), "{source}");
    server.run();
    answering(&store).await;
    hearing(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_away_at_the_start_is_as_if_it_went_away_later() {
    let mut server = RedisServer::start();
    server.kill();
    let store = RedisStore::new(single(&server), NAMESPACE, Arc::new(SystemClock::default())).unwrap();
    assert!(store.load(key(1)).await.is_err());
    assert!(store.check().await.is_err());
    assert!(store.state().borrow().deaf_since.is_some());
    server.run();
    answering(&store).await;
    hearing(&store).await;
    store.check().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rd_05_reads_do_not_notice_that_the_server_has_closed_an_idle_connection() {
    let server = RedisServer::start();
    let store = real(&server).await;
    for _ in 0..5 {
        server.close_connections("normal");
        assert_eq!(store.load(key(1)).await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_subscription_is_deafness_until_it_is_there_again() {
    let server = RedisServer::start();
    let store = real(&server).await;
    let mut state = store.state();
    state.mark_unchanged();
    server.close_connections("pubsub");
    let lost = state.wait_for(|state| state.deaf_since.is_some());
    tokio::time::timeout(Duration::from_secs(1), lost).await.expect("within a second").unwrap();
    hearing(&store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_reach_another_replica_in_order_and_garbage_is_ignored() {
    let server = RedisServer::start();
    let clock = TestClock::at(1_800_000_000);
    let (one, other) = (real(&server).await, real(&server).await);
    let mut changes = other.changes();
    let far = |generation| SealedSession {
        absolute_expiry: Timestamp::from_seconds(4_000_000_000),
        ..sealed(generation, &clock, 1)
    };
    let last_use = LastUse { at: clock.now(), expires: Timestamp::from_seconds(4_000_000_000) };
    one.insert(key(1), far(1), last_use).await.unwrap();
    for generation in 1..100 {
        server_publish(&server, one.names.channel(), generation);
        assert_eq!(one.replace(key(1), generation, far(generation + 1)).await.unwrap(), Replaced::Written);
    }
    one.remove(key(1)).await.unwrap();
    let heard = async {
        for generation in 2..=100 {
            let change = Change { key: key(1), kind: ChangeKind::Changed { generation } };
            assert_eq!(changes.recv().await.unwrap(), change);
        }
        assert_eq!(changes.recv().await.unwrap(), Change { key: key(1), kind: ChangeKind::Removed });
    };
    tokio::time::timeout(Duration::from_secs(1), heard).await.expect("within a second");
}

fn server_publish(server: &RedisServer, channel: String, round: u64) {
    if round.is_multiple_of(33) {
        server.cli(&["PUBLISH", &channel, "garbage"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_request_never_leaves_its_answer_for_the_next_one() {
    let server = RedisServer::start();
    let store = real(&server).await;
    let clock = TestClock::at(1_800_000_000);
    let far = Timestamp::from_seconds(4_000_000_000);
    for id in 0..50 {
        let sealed = SealedSession { absolute_expiry: far, ..sealed(u64::from(id) + 1, &clock, 1) };
        store.insert(key(id), sealed, LastUse { at: clock.now(), expires: far }).await.unwrap();
    }
    let mut cancelled = 0;
    for round in 0..4_000_u64 {
        let id = u8::try_from(round * 7 % 50).unwrap();
        let mut loading = store.load(key(id));
        // Given up at each stage: not yet sent, sent, perhaps answered.
        let mut loaded = None;
        for _ in 0..round % 4 {
            loaded = (&mut loading).now_or_never();
            if loaded.is_some() {
                break;
            }
            tokio::task::yield_now().await;
        }
        match loaded {
            Some(loaded) => assert_eq!(loaded.unwrap().unwrap().sealed.generation, u64::from(id) + 1),
            None => cancelled += 1,
        }
    }
    assert!(cancelled > 1_000, "{cancelled} were cancelled");
    for id in 0..50 {
        assert_eq!(store.load(key(id)).await.unwrap().unwrap().sealed.generation, u64::from(id) + 1);
    }
}
