use super::*;
use crate::session::index::IndexName;

const ISSUER: &str = "https://id.example.com";

#[tokio::test]
async fn an_end_reaches_every_replica_and_every_holder() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let elsewhere = live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    let follower = tokio::spawn(Arc::clone(scene.replica()).run());
    settle().await;
    scene.sessions.end(&begun.session, EndReason::SignOut).await.unwrap();
    assert!(begun.session.has_ended());
    settle().await;
    assert!(elsewhere.has_ended());
    for sessions in [&scene.sessions, scene.replica()] {
        assert_eq!(why(sessions.open(&wiki(), begun.cookie.as_bytes()).await.unwrap()), WhyNot::Missing);
        assert_eq!(sessions.cache.len(), 0);
    }
    scene.sessions.end(&begun.session, EndReason::SignOut).await.unwrap();
    assert!(scene.sessions.end_by_key(begun.session.store_key(), EndReason::Revoked).await.unwrap().is_none());
    assert!(scene.sessions.reload(&begun.session).await.unwrap().is_none());
    follower.abort();
}

#[tokio::test]
async fn an_end_that_the_store_does_not_take_is_an_error_and_the_session_goes_on() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.store.away.store(true, Ordering::SeqCst);
    assert!(scene.sessions.end(&begun.session, EndReason::SignOut).await.is_err());
    scene.store.away.store(false, Ordering::SeqCst);
    live(scene.open(&begun.cookie).await);
}

#[tokio::test]
async fn a_replica_that_has_missed_changes_looks_again() {
    let scene = Scene::new();
    let (alice, bob) = (scene.begin("alice").await, scene.begin("bob").await);
    let held = live(scene.replica().open(&wiki(), alice.cookie.as_bytes()).await.unwrap());
    let other = live(scene.replica().open(&wiki(), bob.cookie.as_bytes()).await.unwrap());
    let follower = tokio::spawn(Arc::clone(scene.replica()).run());
    settle().await;
    scene.sessions.end(&alice.session, EndReason::SignOut).await.unwrap();
    scene.sessions.note_upstream(&bob.session, "tools").await.unwrap();
    // More than a listener may be behind, in one go.
    for id in 0..3_000_u32 {
        let mut name = [0; 18];
        name[..4].copy_from_slice(&id.to_be_bytes());
        let key = StoreKey::of("https://x.example", &wiki(), &crate::secret::SessionId::new(name));
        scene.store.memory.remove(key).await.unwrap();
    }
    settle().await;
    let replica = scene.replica();
    assert_eq!(why(replica.open(&wiki(), alice.cookie.as_bytes()).await.unwrap()), WhyNot::Missing);
    assert!(held.has_ended());
    let newer = live(replica.open(&wiki(), bob.cookie.as_bytes()).await.unwrap());
    assert!(!other.is_current() && newer.upstreams().contains(&"tools".to_owned()));
    let loads = scene.store.loads.load(Ordering::SeqCst);
    live(replica.open(&wiki(), bob.cookie.as_bytes()).await.unwrap());
    assert_eq!(scene.store.loads.load(Ordering::SeqCst), loads, "and then it is warm again");
    follower.abort();
}

#[tokio::test]
async fn ending_by_sid_ends_that_session_and_by_subject_all_of_them() {
    let scene = Scene::new();
    let sid = |sid: &str| NewSession { sid: Some(sid.into()), ..scene.login("alice") };
    let first = scene.sessions.begin(sid("one")).await.unwrap();
    let second = scene.sessions.begin(sid("two")).await.unwrap();
    let bob = scene.begin("bob").await;
    let name = IndexName::Sid { issuer: ISSUER, sid: "one" };
    let ended = scene.sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended.first().unwrap().store_key, first.session.store_key());
    assert!(matches!(scene.open(&first.cookie).await, Opened::None(_)));
    live(scene.open(&second.cookie).await);
    // The replica does not have it open: the session ends all the same, there are just no tokens to revoke.
    let name = IndexName::Subject { issuer: ISSUER, subject: "alice" };
    let ended = scene.replica().end_by_index(name, None, EndReason::Revoked).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert!(ended.first().unwrap().opened.is_none());
    assert!(scene.replica().open(&wiki(), second.cookie.as_bytes()).await.is_ok());
    live(scene.open(&bob.cookie).await);
    let nobody = IndexName::Subject { issuer: "https://other.example", subject: "bob" };
    assert!(scene.sessions.end_by_index(nobody, None, EndReason::Revoked).await.unwrap().is_empty());
}

#[tokio::test]
async fn sessions_begun_under_an_older_key_are_found_by_index_and_listed() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let rotated = scene.other(settings(&[2, 1]), NAMESPACE, clients());
    assert_eq!(rotated.list().await.unwrap().len(), 1);
    let name = IndexName::Subject { issuer: ISSUER, subject: "alice" };
    assert_eq!(rotated.end_by_index(name, None, EndReason::Revoked).await.unwrap().len(), 1);
    assert!(matches!(rotated.open(&wiki(), begun.cookie.as_bytes()).await.unwrap(), Opened::None(_)));
}

#[tokio::test]
async fn ending_a_person_ends_nobody_whom_the_provider_calls_by_that_name() {
    let scene = Scene::new();
    let alice = scene.sessions.begin(NewSession { sub: "s-1".into(), ..scene.login("alice") }).await.unwrap();
    let other = scene.begin("s-1").await;
    let ended = scene.sessions.end_each_of_subject(ISSUER, "s-1", EndReason::Revoked).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].as_ref().unwrap().store_key, other.session.store_key());
    live(scene.open(&alice.cookie).await);
    assert!(matches!(scene.sessions.begin(scene.login("s-1")).await, Err(SessionError::EndedMeanwhile)));
    // Of whom nothing can be told, it may be them.
    let begun = scene.begin("bob").await;
    let rotated = scene.other(settings(&[2]), NAMESPACE, clients());
    let index =
        IndexName::Subject { issuer: ISSUER, subject: "bob" }.under_first_key(&rotated.rules.load().ring, NAMESPACE);
    scene.store.index_add(index, begun.session.store_key(), begun.session.content.absolute_expiry).await.unwrap();
    assert_eq!(rotated.end_each_of_subject(ISSUER, "bob", EndReason::Revoked).await.unwrap().len(), 1);
}

#[tokio::test]
async fn mm_03_the_sessions_of_one_person_are_asked_for_a_few_at_a_time() {
    let scene = Scene::new();
    let index = IndexName::Subject { issuer: ISSUER, subject: "alice" };
    let index = index.under_first_key(&scene.sessions.rules.load().ring, NAMESPACE);
    for id in 0..100 {
        let key = StoreKey::of_bytes([id; 32]);
        scene.store.index_add(index, key, scene.clock.now().plus(Duration::from_secs(60))).await.unwrap();
    }
    scene.store.slow_loads.store(true, Ordering::SeqCst);
    assert!(scene.sessions.of_subject(ISSUER, "alice").await.unwrap().is_empty());
    assert_eq!(*scene.store.loading.lock().unwrap(), (0, 16));
    assert_eq!(scene.store.loads.load(Ordering::SeqCst), 100);
}

#[tokio::test]
async fn sessions_are_listed_without_their_cookies() {
    let scene = Scene::new();
    scene.begin("alice").await;
    scene.begin("bob").await;
    let mut names: Vec<_> = scene.sessions.list().await.unwrap().into_iter().map(|one| one.card.subject).collect();
    names.sort();
    assert_eq!(names, ["alice", "bob"]);
    let own = scene.sessions.of_subject(ISSUER, "alice").await.unwrap();
    assert_eq!(own.len(), 1);
    let own = own.first().unwrap();
    assert_eq!((own.card.host.as_str(), own.card.has_refresh_token), ("wiki.example.com", true));
    assert_eq!((own.last_use.as_seconds(), own.absolute_expiry.as_seconds()), (NOW, NOW + 36_000));
}

#[tokio::test]
async fn lo_15_a_logout_token_has_few_turns_and_none_once_it_has_been_carried_out() {
    let scene = Scene::new();
    let until = scene.clock.now().plus(Duration::from_secs(300));
    let named = |jti| NamedToken { issuer: ISSUER, jti, until };
    let taken = async |jti| scene.sessions.take_turn(named(jti)).await.unwrap();
    // Never carried out: as often as there are turns, on whichever replica.
    assert!(taken("a").await.is_some() && scene.replica().take_turn(named("a")).await.unwrap().is_some());
    assert!(taken("a").await.is_some() && taken("a").await.is_none());
    // Carried out at once, and at the second try.
    let turn = taken("b").await.unwrap();
    scene.sessions.use_up(named("b"), turn).await.unwrap();
    assert!(taken("b").await.is_none() && scene.replica().take_turn(named("b")).await.unwrap().is_none());
    assert!(taken("c").await.is_some());
    let turn = taken("c").await.unwrap();
    scene.sessions.use_up(named("c"), turn).await.unwrap();
    assert!(taken("c").await.is_none());
    // Another issuer's token of that name is another token.
    let other = NamedToken { issuer: "https://other.example", ..named("b") };
    assert!(scene.sessions.take_turn(other).await.unwrap().is_some());
    scene.store.away.store(true, Ordering::SeqCst);
    assert!(scene.sessions.take_turn(named("d")).await.is_err());
}

#[tokio::test]
async fn lo_17_a_login_well_after_the_logout_goes_on_however_late_the_word_of_it_comes() {
    let scene = Scene::new();
    let before = scene.begin("alice").await;
    let logout = scene.clock.now();
    scene.clock.pass(61);
    let after = scene.begin("alice").await;
    scene.clock.pass(120);
    let name = IndexName::Subject { issuer: "https://id.example.com", subject: "alice" };
    let ended = scene.sessions.end_by_index(name, Some(logout), EndReason::BackChannelLogout).await.unwrap();
    assert_eq!(ended.iter().map(|ended| ended.store_key).collect::<Vec<_>>(), [before.session.store_key()]);
    live(scene.open(&after.cookie).await);
    // A refresh writes it down again.
    scene.sessions.note_upstream(&after.session, "tools").await.unwrap().unwrap();
    assert!(scene.sessions.end_by_index(name, Some(logout), EndReason::BackChannelLogout).await.unwrap().is_empty());
}
