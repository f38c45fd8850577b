use super::*;

async fn answering(store: &RedisStore, id: u8) {
    let answers = async {
        while store.load(key(id)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answers).await.expect("it answers in time");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rd_06_after_a_takeover_the_old_primary_is_left_and_what_it_wrote_last_is_absent() {
    let group = SentinelGroup::start();
    let stage = Stage::new(sentinel(&group), |_| {}).await;
    let (store, clock) = (&stage.store, &*stage.clock);
    store.insert(key(1), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    let old = &group.servers[group.primary()];
    let new = group.servers.iter().find(|server| server.host != old.host).unwrap();
    redis_server::wait_until("the replica has the first", || !new.keys().is_empty());
    // What is written from here on reaches no replica.
    new.pause();
    store.insert(key(2), sealed(1, clock, 36_000), used(clock, 3_600)).await.unwrap();
    old.pause();
    new.resume();
    redis_server::wait_until("the replica has taken over", || new.is_primary());
    answering(store, 1).await;
    stage.hears().await;
    old.resume();
    // The old one still says that it is a primary; nobody goes back to it.
    let first = store.load(key(1)).await.unwrap();
    assert_eq!(first.unwrap().sealed.generation, 1);
    assert_eq!(store.replace(key(1), 1, sealed(2, clock, 36_000)).await.unwrap(), Replaced::Written);
    assert_eq!(store.replace(key(1), 1, sealed(2, clock, 36_000)).await.unwrap(), Replaced::Moved);
    assert!(new.cli(&["HGET", &names::session(&key(1)), "g"]) == "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_a_primary_serves_on_and_its_changes_are_heard() {
    let mut group = ClusterGroup::start();
    let stage = Stage::new(cluster(&group), |_| {}).await;
    let (store, clock) = (Arc::clone(&stage.store), Arc::clone(&stage.clock));
    for id in 0..30 {
        store.insert(key(id), sealed(1, &clock, 36_000), used(&clock, 3_600)).await.unwrap();
    }
    let is_listened_to = |server: &RedisServer| !server.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).trim().is_empty();
    let owner = group.servers.iter().position(|server| server.is_primary() && !is_listened_to(server)).unwrap();
    let held = group.servers[owner].keys();
    let lost = (0..30).find(|id| held.contains(&names::session(&key(*id)))).expect("every primary has some");
    let gaps = store.state().borrow().gaps;
    group.servers[owner].kill();
    // Each of the others learns of it in its own time.
    for id in 0..30 {
        answering(&store, id).await;
    }
    // What it has said last may be lost, though the connection that is listened on has not broken.
    let mut state = store.state();
    let gap = state.wait_for(|state| state.gaps > gaps);
    drop(tokio::time::timeout(Duration::from_secs(10), gap).await.expect("a gap is told of").unwrap());
    stage.hears().await;
    let mut changes = store.changes();
    store.remove(key(lost)).await.unwrap();
    let heard = tokio::time::timeout(Duration::from_secs(2), changes.recv()).await.expect("heard in time").unwrap();
    assert_eq!(heard, Change { key: key(lost), kind: ChangeKind::Removed });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_that_want_a_user_are_asked_as_that_user() {
    let group = SentinelGroup::start();
    for sentinel in &group.sentinels {
        let may = ["+ping", "+sentinel|get-master-addr-by-name"];
        sentinel.cli(&[&["ACL", "SETUSER", "asker", "on", ">planted-password", "-@all"], &may[..]].concat());
        sentinel.cli(&["ACL", "SETUSER", "default", "off"]);
    }
    let clock = Arc::new(TestClock::at(1_800_000_000));
    let store = RedisStore::new(sentinel(&group), NAMESPACE, clock).unwrap();
    let refused = store.load(key(1)).await.unwrap_err();
    let refused = std::error::Error::source(&refused).unwrap().to_string();
    assert!(refused.contains("store_sentinel_password"), "{refused}");
    let password = Arc::new(StorePassword::new("planted-password".into()));
    let sentinel_user = Some(RedisUser { name: Some("asker".into()), password });
    store.renew(RedisAccess { sentinel_user, ..RedisAccess::default() }).unwrap();
    answering(&store, 1).await;
}
