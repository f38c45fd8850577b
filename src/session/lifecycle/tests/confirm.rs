use super::*;

/// Alice logged in at one replica, warm at another that follows the store.
async fn followed() -> (Scene, Begun, tokio::task::JoinHandle<()>) {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let follower = tokio::spawn(Arc::clone(scene.replica()).run());
    settle().await;
    live(open_there(&scene, &begun).await.unwrap());
    (scene, begun, follower)
}

async fn open_there(scene: &Scene, begun: &Begun) -> Result<Opened, SessionError> {
    scene.replica().open(&wiki(), begun.cookie.as_bytes()).await
}

fn loads(scene: &Scene) -> usize {
    scene.store.loads.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_warm_session_is_not_read_while_every_change_is_heard() {
    let (scene, begun, _follower) = followed().await;
    let before = loads(&scene);
    for _ in 0..50 {
        scene.clock.pass(10);
        live(open_there(&scene, &begun).await.unwrap());
    }
    assert_eq!(loads(&scene), before);
}

#[tokio::test]
async fn while_changes_may_be_missed_a_session_is_read_at_most_once_a_second() {
    let (scene, begun, _follower) = followed().await;
    scene.go_deaf().await;
    let before = loads(&scene);
    scene.clock.pass(1);
    for _ in 0..20 {
        live(open_there(&scene, &begun).await.unwrap());
    }
    assert_eq!(loads(&scene), before + 1);
    scene.clock.pass(1);
    scene.store.memory.remove(begun.session.store_key()).await.unwrap();
    assert_eq!(why(open_there(&scene, &begun).await.unwrap()), WhyNot::Missing, "whatever has been heard of it");
}

#[tokio::test]
async fn ss_01_an_opened_session_goes_on_for_the_grace_and_then_nothing_is_known() {
    let (scene, begun, _follower) = followed().await;
    let unseen = scene.begin("bob").await;
    scene.clock.pass(100);
    scene.go_deaf().await;
    scene.set_away(true);
    assert!(scene.replica().open(&wiki(), unseen.cookie.as_bytes()).await.is_err(), "a cold one is not known");
    for _ in 0..59 {
        scene.clock.pass(1);
        live(open_there(&scene, &begun).await.unwrap());
    }
    scene.clock.pass(1);
    for _ in 0..3 {
        assert!(matches!(open_there(&scene, &begun).await, Err(SessionError::Store(_))), "503, never logged out");
    }
    scene.set_away(false);
    scene.clock.pass(1);
    live(open_there(&scene, &begun).await.unwrap());
    scene.hear_again().await;
    live(open_there(&scene, &begun).await.unwrap());
}

#[tokio::test]
async fn of_many_after_the_grace_none_is_refused_once_the_store_is_back() {
    let (scene, begun, _follower) = followed().await;
    scene.go_deaf().await;
    scene.set_away(true);
    scene.clock.pass(61);
    assert!(open_there(&scene, &begun).await.is_err());
    scene.set_away(false);
    scene.store.slow_loads.store(true, Ordering::SeqCst);
    scene.clock.pass(1);
    let before = loads(&scene);
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (replica, cookie) = (Arc::clone(scene.replica()), begun.cookie.as_bytes().to_vec());
        opening.spawn(async move { replica.open(&wiki(), &cookie).await });
    }
    while let Some(opened) = opening.join_next().await {
        live(opened.unwrap().unwrap());
    }
    assert_eq!(loads(&scene), before + 1);
}

#[tokio::test]
async fn without_a_grace_nothing_goes_on() {
    let scene = Scene::with(SessionSettings { outage_grace: Duration::ZERO, ..settings(&[1]) }, 10);
    let begun = scene.begin("alice").await;
    let follower = tokio::spawn(Arc::clone(&scene.sessions).run());
    settle().await;
    scene.go_deaf().await;
    scene.set_away(true);
    scene.clock.pass(1);
    assert!(scene.sessions.open(&wiki(), begun.cookie.as_bytes()).await.is_err());
    follower.abort();
}

#[tokio::test]
async fn what_was_missed_is_seen_at_the_first_use_after_the_gap() {
    let (scene, begun, _follower) = followed().await;
    scene.go_deaf().await;
    scene.store.memory.remove(begun.session.store_key()).await.unwrap();
    // The announcement is lost: this replica reads it before it has been told that it was deaf.
    scene.hear_again().await;
    let before = loads(&scene);
    assert_eq!(why(open_there(&scene, &begun).await.unwrap()), WhyNot::Missing);
    assert!(loads(&scene) <= before + 1);
}

#[tokio::test]
async fn a_gap_that_nobody_has_looked_at_while_it_lasted_is_a_gap() {
    let (scene, begun, _follower) = followed().await;
    scene.clock.pass(1);
    let before = loads(&scene);
    scene.store.state.send_replace(StoreState { gaps: 1, ..StoreState::GOOD });
    settle().await;
    live(open_there(&scene, &begun).await.unwrap());
    assert_eq!(loads(&scene), before + 1);
}

#[tokio::test]
async fn a_newer_version_that_cannot_be_read_leaves_the_known_one_in_service() {
    let (scene, begun, _follower) = followed().await;
    scene.sessions.note_upstream(&begun.session, "tools").await.unwrap();
    settle().await;
    scene.set_away(true);
    let known = live(open_there(&scene, &begun).await.unwrap());
    assert!(!known.is_current());
    scene.set_away(false);
    assert!(live(open_there(&scene, &begun).await.unwrap()).is_current());
}

#[tokio::test]
async fn a_stream_is_cut_once_nobody_can_say_that_its_session_goes_on() {
    let (scene, begun, _follower) = followed().await;
    let watch = scene.replica().watch(&live(open_there(&scene, &begun).await.unwrap()));
    scene.go_deaf().await;
    scene.set_away(true);
    tokio::time::pause();
    let mut ended = tokio::spawn(async move { watch.ended().await });
    for _ in 0..58 {
        scene.clock.pass(1);
        tokio::time::advance(Duration::from_secs(1)).await;
        settle().await;
    }
    assert!(!ended.is_finished());
    for _ in 0..4 {
        scene.clock.pass(1);
        tokio::time::advance(Duration::from_secs(1)).await;
        settle().await;
    }
    tokio::time::resume();
    tokio::time::timeout(Duration::from_secs(5), &mut ended).await.unwrap().unwrap();
    assert!(!begun.session.has_ended(), "and nobody has been logged out");
}
