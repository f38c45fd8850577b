use super::*;
use crate::session::fixtures;
use std::io;
use std::sync::Mutex;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn begin(&self) -> tracing::subscriber::DefaultGuard {
        let log = self.clone();
        tracing::subscriber::set_default(
            tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || log.clone()).finish(),
        )
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn rd_09_every_key_passes_away() {
    let server = RedisServer::start();
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    let (store, clock) = (&stage.store, &*stage.clock);
    let index = IndexKey([1; 32]);
    let far = clock.now().plus(Duration::from_secs(36_000));
    for id in 0..40 {
        store.index_add(index, key(id), far).await.unwrap();
        store.insert(key(id), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
        store.replace(key(id), 1, sealed(2, clock, 36_000)).await.unwrap();
        store.touch(key(id), used(clock, 3_600)).await.unwrap();
    }
    store.remove(key(1)).await.unwrap();
    store.put_once(MarkerKey([1; 16]), Timestamp::MAX).await.unwrap();
    store.put_once(MarkerKey([2; 16]), Timestamp::EPOCH).await.unwrap();
    store.write_index_tombstone(index, clock.now(), TOMBSTONE_LIFETIME).await.unwrap();
    store.take_lease(key(2), fixtures::grant("a").key.id(), [1; 16], Duration::from_secs(15)).await.unwrap();
    store.sweep().await.unwrap();
    assert_eq!(store.live_sessions(), 39);
    let keys = server.keys();
    assert!(keys.len() > 55, "{keys:?}");
    for name in &keys {
        assert!(name.starts_with("vestibule:"), "{name}");
        assert_ne!(server.cli(&["PTTL", name]), "-1", "{name} has no time to live");
    }
    stage.pass(36_000);
    let left = server.keys();
    assert!(left.iter().all(|name| name.starts_with("vestibule:marker:")), "{left:?}");
}

#[tokio::test]
async fn mm_03_an_index_lets_go_of_sessions_that_are_gone_but_not_of_those_on_their_way() {
    let server = RedisServer::start();
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    let (store, clock) = (&stage.store, &*stage.clock);
    let index = IndexKey([1; 32]);
    let far = || clock.now().plus(Duration::from_secs(36_000));
    for id in 0..31 {
        store.index_add(index, key(id), far()).await.unwrap();
    }
    store.insert(key(3), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    stage.pass(60);
    store.index_add(index, key(31), far()).await.unwrap();
    let mut members = store.index_members(index).await.unwrap();
    members.sort();
    let mut expected = [key(3), key(31)];
    expected.sort();
    assert_eq!(members, expected);
}

#[tokio::test]
async fn rd_06_a_lease_or_a_tombstone_that_a_failover_has_lost_lets_nobody_write_twice_or_bring_back() {
    let server = RedisServer::start();
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    let (store, clock) = (&stage.store, &*stage.clock);
    let (grant, ttl) = (fixtures::grant("a").key.id(), Duration::from_secs(15));
    store.insert(key(1), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    assert!(store.take_lease(key(1), grant, [1; 16], ttl).await.unwrap());
    assert_eq!(server.cli(&["DEL", &names::lease(&key(1), &grant)]), "1");
    assert!(store.take_lease(key(1), grant, [2; 16], ttl).await.unwrap(), "two have it now");
    // Both have read the first generation; one of them writes.
    assert_eq!(store.replace(key(1), 1, sealed(2, clock, 36_000)).await.unwrap(), Replaced::Written);
    assert_eq!(store.replace(key(1), 1, sealed(2, clock, 36_000)).await.unwrap(), Replaced::Moved);
    store.release_lease(key(1), grant, [1; 16]).await.unwrap();
    assert!(!store.take_lease(key(1), grant, [3; 16], ttl).await.unwrap(), "the late one gives back nobody else's");
    // A session that has ended, and the mark of its end is lost: there is nothing to write into.
    store.remove(key(1)).await.unwrap();
    assert_eq!(server.cli(&["DEL", &names::tombstone(&key(1))]), "1");
    assert_eq!(store.replace(key(1), 2, sealed(3, clock, 36_000)).await.unwrap(), Replaced::Absent);
    assert!(!store.touch(key(1), used(clock, 3_600)).await.unwrap());
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    // The other way round: the record came back with a replica that had not heard of its end. The mark still stands, or
    // its time has come.
    store.insert(key(2), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    server.cli(&["SET", &names::tombstone(&key(2)), "", "EX", "300"]);
    assert_eq!(store.replace(key(2), 1, sealed(2, clock, 36_000)).await.unwrap(), Replaced::Absent);
    stage.pass(36_000);
    assert_eq!(store.load(key(2)).await.unwrap(), None);
}

#[tokio::test]
async fn rd_10_two_gateways_on_one_server_do_not_see_each_other() {
    let server = RedisServer::start();
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    let clock = Arc::clone(&stage.clock);
    let other = RedisStore::new(single(&server), "https://shop.example.com", clock).unwrap();
    let mut heard = other.changes();
    stage.store.insert(key(1), sealed(1, &stage.clock, 36_000), used(&stage.clock, 3_600)).await.unwrap();
    other.insert(key(2), sealed(1, &stage.clock, 36_000), used(&stage.clock, 3_600)).await.unwrap();
    other.state().wait_for(|state| state.deaf_since.is_none()).await.unwrap();
    stage.store.remove(key(3)).await.unwrap();
    other.remove(key(4)).await.unwrap();
    assert_eq!(heard.recv().await.unwrap().key, key(4));
    let listed: Vec<_> = other.list().await.unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(listed, [key(2)]);
}

#[tokio::test]
async fn ss_03_garbage_in_the_place_of_a_session_is_an_error_or_none_and_hides_no_other() {
    let server = RedisServer::start();
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    let (store, clock) = (&stage.store, &*stage.clock);
    let name = names::session(&key(1));
    let garbage: [&[&str]; 6] = [
        &["SET", &name, "text"],
        &["RPUSH", &name, "a", "list"],
        &["HSET", &name, "r", "record"],
        &["HSET", &name, "r", "record", "c", "card", "g", "many", "a", "5", "u", "6"],
        &["HSET", &name, "r", "record", "c", "card", "g", "1", "a", "-5", "u", "6"],
        &[
            "EVAL",
            "return redis.call('HSET', KEYS[1], 'r', string.rep('x', 10 * 1024 * 1024), 'c', 'c', 'g', 1, 'a', 5, 'u', 6)",
            "1",
            &name,
        ],
    ];
    for command in garbage {
        server.cli(&["FLUSHALL"]);
        for id in [1, 2] {
            store.insert(key(id), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
        }
        server.cli(&["DEL", &name]);
        server.cli(command);
        let error = store.load(key(1)).await.unwrap_err();
        assert!(matches!(error, StoreError::NotASession), "{command:?}");
        let _ = store.replace(key(1), 1, sealed(2, clock, 36_000)).await;
        let _ = store.touch(key(1), used(clock, 3_600)).await;
        assert!(store.list().await.unwrap().iter().any(|listed| listed.key == key(2)));
        store.remove(key(1)).await.unwrap();
        assert_eq!(store.load(key(1)).await.unwrap(), None);
    }
    server.cli(&["SET", &names::members(&IndexKey([1; 32])), "text"]);
    server.cli(&["SET", &names::index_tombstone(&IndexKey([1; 32])), "text"]);
    assert!(store.index_members(IndexKey([1; 32])).await.is_err());
    assert!(store.index_tombstone(IndexKey([1; 32])).await.is_err());
    assert!(store.state().borrow().available, "the server was there all the time");
}

#[tokio::test]
async fn a_full_server_refuses_what_is_new_and_still_lets_sessions_end() {
    let server = RedisServer::start();
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    let (store, clock) = (&stage.store, &*stage.clock);
    store.insert(key(1), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1"]);
    let inserted = store.insert(key(2), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    assert_eq!(inserted, Inserted::AtCapacity);
    assert!(matches!(store.put_once(MarkerKey([1; 16]), Timestamp::MAX).await, Err(StoreError::Full)));
    assert!(store.load(key(1)).await.unwrap().is_some());
    server.age(1_800);
    let last_use = LastUse { at: clock.now().plus(Duration::from_secs(1_800)), ..used(clock, 5_400) };
    assert!(store.touch(key(1), last_use).await.unwrap(), "who uses a session keeps it");
    server.age(2_700);
    assert_eq!(store.load(key(1)).await.unwrap().unwrap().last_use, last_use.at);
    store.write_index_tombstone(IndexKey([1; 32]), clock.now(), TOMBSTONE_LIFETIME).await.unwrap();
    assert!(store.remove(key(1)).await.unwrap());
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]);
    let again = store.insert(key(1), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    assert_eq!(again, Inserted::Refused, "its tombstone stands");
}

#[tokio::test]
async fn rd_07_and_rd_08_what_is_unwise_is_said_once() {
    let server = RedisServer::with(&["maxmemory-policy allkeys-lru".to_owned()]);
    let log = Log::default();
    let _guard = log.begin();
    let far_away = ServerAddress { host: "redis.example".into(), port: PORT };
    let mut settings = single(&server);
    settings.topology = RedisTopology::Cluster { seeds: vec![address(&server), far_away] };
    drop(RedisStore::new(settings, NAMESPACE, Arc::new(TestClock::at(1))).unwrap());
    let stage = Stage::new(single(&server), |seconds| server.age(seconds)).await;
    stage.store.check().await.unwrap();
    let text = log.text();
    assert_eq!(text.matches("store.plain-text").count(), 1, "{text}");
    assert!(text.contains("redis.example:6379") && text.contains("rediss://"));
    assert_eq!(text.matches("store.evicts").count(), 1, "{text}");
    assert!(text.contains("allkeys-lru") && text.contains("set maxmemory-policy noeviction"));
}

#[tokio::test]
async fn credentials_are_in_no_log_no_error_and_no_debug_and_new_ones_are_taken_up() {
    let server = RedisServer::start();
    server.cli(&["CONFIG", "SET", "requirepass", "planted-password"]);
    let log = Log::default();
    let _guard = log.begin();
    let access = |password: &str| RedisAccess {
        user: Some(RedisUser { name: None, password: Arc::new(StorePassword::new(password.to_owned())) }),
        ..RedisAccess::default()
    };
    let mut settings = single(&server);
    settings.access = access("planted-but-wrong");
    let store = RedisStore::new(settings.clone(), NAMESPACE, Arc::new(TestClock::at(1_800_000_000))).unwrap();
    let error = store.load(key(1)).await.unwrap_err();
    let mut shown = format!("{error} {error:?} {settings:?} {store:?}");
    store.renew(access("planted-password")).unwrap();
    store.state().wait_for(|state| state.deaf_since.is_none()).await.unwrap();
    assert_eq!(store.load(key(1)).await.unwrap(), None);
    shown += &log.text();
    assert!(!shown.contains("planted"), "{shown}");
    assert!(shown.contains("does not accept the user and password"), "{shown}");
}

#[tokio::test]
async fn a_user_who_may_too_little_is_told_apart_and_named() {
    for (without, named) in [
        ("+publish", "the user may not PUBLISH; docs/operations.md"),
        ("+zadd +hmget", "the user may not HMGET, ZADD; docs/operations.md"),
        ("+evalsha", "may not use a command, key or channel"),
        ("+subscribe", "may not use a command, key or channel"),
        ("&vestibule:*", "the user may not PUBLISH; docs/operations.md"),
        ("~vestibule:*", "may not use a command, key or channel"),
    ] {
        let server = RedisServer::start();
        let mut user = documented_user("planted-password");
        user.retain(|word| !without.split(' ').any(|taken| taken == word));
        server.cli(&user.iter().map(String::as_str).collect::<Vec<_>>());
        let mut settings = single(&server);
        let password = Arc::new(StorePassword::new("planted-password".into()));
        settings.access.user = Some(RedisUser { name: Some("vestibule".into()), password });
        let log = Log::default();
        let _guard = log.begin();
        let store = RedisStore::new(settings, NAMESPACE, Arc::new(TestClock::at(1))).unwrap();
        let denied = store.check().await.unwrap_err().to_string();
        assert!(denied.contains(named), "{without}: {denied}");
        if ["+subscribe", "&vestibule:*"].contains(&without) {
            let told = async {
                while log.text().matches("store.not-listening").count() != 1 {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), told).await.expect("it is told");
        }
    }
}
