use super::*;
use crate::session::fixtures::tokens;
use crate::session::index::IndexName;
use crate::session::lifecycle::{Lease, Saved};

const ISSUER: &str = "https://id.example.com";

fn step_up<'a>(scene: &Scene, old: &'a Arc<OpenedSession>) -> NewSession<'a> {
    NewSession { acr: Some("mfa".into()), replaces: Some(old), steps_up: true, ..scene.login("alice") }
}

/// A session of alice and the one that has stepped up from it.
async fn stepped_up(scene: &Scene) -> (Begun, Begun) {
    let old = scene.begin("alice").await;
    let new = scene.sessions.begin(step_up(scene, &old.session)).await.unwrap();
    (old, new)
}

#[tokio::test]
async fn ck_17_the_old_session_serves_ten_seconds_more_at_its_old_level() {
    let scene = Scene::new();
    let (old, new) = stepped_up(&scene).await;
    assert_ne!(old.cookie, new.cookie);
    assert!(!old.session.is_current(), "a version from before the step-up is not found again");
    scene.clock.pass(9);
    for sessions in [&scene.sessions, scene.replica()] {
        let left = live(sessions.open(&wiki(), old.cookie.as_bytes()).await.unwrap());
        assert!(left.is_superseded());
        assert_eq!((left.acr(), left.identity().subject.as_str()), (None, "alice"));
        let fresh = live(sessions.open(&wiki(), new.cookie.as_bytes()).await.unwrap());
        assert_eq!((fresh.acr(), fresh.is_superseded()), (Some("mfa"), false));
    }
    scene.clock.pass(1);
    for sessions in [&scene.sessions, scene.replica()] {
        assert!(matches!(sessions.open(&wiki(), old.cookie.as_bytes()).await.unwrap(), Opened::None(_)));
        live(sessions.open(&wiki(), new.cookie.as_bytes()).await.unwrap());
    }
    assert!(scene.store.memory.load(old.session.store_key()).await.unwrap().is_none());
    assert!(scene.sessions.take_passed().is_empty(), "its end was told of when it was stepped up from");
}

#[tokio::test]
async fn the_old_session_does_not_outlive_a_clock_that_is_set_back() {
    let scene = Scene::new();
    let (old, _) = stepped_up(&scene).await;
    live(scene.open(&old.cookie).await);
    scene.clock.jump(-1_000);
    scene.clock.pass(10);
    assert!(matches!(scene.open(&old.cookie).await, Opened::None(_)));
}

#[tokio::test]
async fn the_old_session_cannot_be_used_longer_by_touching_or_writing_it() {
    let scene = Scene::new();
    let (old, _) = stepped_up(&scene).await;
    scene.clock.pass(5);
    let touches = scene.store.touches.load(Ordering::SeqCst);
    let left = live(scene.open(&old.cookie).await);
    scene.sessions.touch(&left);
    // A request that holds the version from before does not know.
    scene.sessions.touch(&old.session);
    settle().await;
    assert!(scene.store.touches.load(Ordering::SeqCst) <= touches + 1);
    let noted = scene.sessions.note_upstream(&old.session, "tools").await.unwrap().unwrap();
    assert!(noted.is_superseded());
    scene.clock.pass(5);
    assert!(matches!(scene.open(&old.cookie).await, Opened::None(_)));
    assert!(scene.sessions.note_upstream(&old.session, "other").await.unwrap().is_none());
    assert!(scene.sessions.reload(&old.session).await.unwrap().is_none());
}

#[tokio::test]
async fn the_old_session_has_no_refresh_token_left() {
    let scene = Scene::new();
    let (old, new) = stepped_up(&scene).await;
    let left = live(scene.open(&old.cookie).await);
    assert!(!left.can_refresh() && first_grant(&left).tokens.refresh_token.is_none());
    assert!(left.is_superseded() && new.session.can_refresh());
}

#[tokio::test]
async fn rf_17_a_refresh_under_way_at_the_step_up_lands_for_those_who_wait() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    let lease: Lease = scene.sessions.take_lease(&old.session, first_grant(&old.session)).await.unwrap().unwrap();
    let new = scene.sessions.begin(step_up(&scene, &old.session)).await.unwrap();
    let spent = first_grant(&old.session);
    let saved = scene.sessions.save_refreshed(&old.session, spent, tokens("late"), None).await.unwrap();
    scene.sessions.release(lease).await;
    let Saved::Written(written) = saved else { panic!("{saved:?}") };
    assert_eq!(first_grant(&written).tokens.access_token.expose(), "access-late");
    assert!(written.is_superseded() && !written.can_refresh(), "it is not refreshed again");
    let fresh = live(scene.open(&new.cookie).await);
    assert_eq!(first_grant(&fresh).tokens.access_token.expose(), "access-alice");
    scene.clock.pass(10);
    assert!(matches!(scene.open(&old.cookie).await, Opened::None(_)));
}

#[tokio::test]
async fn the_two_count_as_one_session() {
    let scene = Scene::new();
    let first = scene.begin("alice").await;
    scene.clock.pass(1);
    let second = scene.begin("alice").await;
    scene.clock.pass(1);
    let (_, third) = stepped_up(&scene).await;
    assert!(third.displaced.is_empty());
    let keys = |listed: Vec<super::super::SessionSummary>| {
        let mut keys: Vec<_> = listed.into_iter().map(|one| one.store_key).collect();
        keys.sort();
        keys
    };
    let mut expected = [&first, &second, &third].map(|begun| begun.session.store_key());
    expected.sort();
    assert_eq!(keys(scene.sessions.of_subject(ISSUER, "alice").await.unwrap()), expected);
    assert_eq!(keys(scene.sessions.list().await.unwrap()), expected);
    // Three are allowed: the next one displaces the oldest, which the superseded one is not.
    let fourth = scene.begin("alice").await;
    assert_eq!(fourth.displaced.iter().map(|ended| ended.store_key).collect::<Vec<_>>(), [first.session.store_key()]);
}

#[tokio::test]
async fn whatever_ends_the_new_session_ends_the_old_one_too() {
    for by in ["cookie", "key", "sid", "subject", "old-cookie", "another-replica"] {
        let scene = Scene::new();
        let old = scene.begin("alice").await;
        let login = NewSession { sid: Some("another".into()), ..step_up(&scene, &old.session) };
        let new = scene.sessions.begin(login).await.unwrap();
        let (sessions, key) = (&scene.sessions, new.session.store_key());
        match by {
            "cookie" => sessions.end(&new.session, EndReason::SignOut).await.unwrap(),
            "old-cookie" => sessions.end(&live(scene.open(&old.cookie).await), EndReason::SignOut).await.unwrap(),
            "key" => assert!(sessions.end_by_key(key, EndReason::Revoked).await.unwrap().is_some()),
            "another-replica" => {
                assert!(scene.replica().end_by_key(key, EndReason::Revoked).await.unwrap().is_some());
            }
            _ => {
                let name = match by {
                    "sid" => IndexName::Sid { issuer: ISSUER, sid: "another" },
                    _ => IndexName::Subject { issuer: ISSUER, subject: "alice" },
                };
                let ended = sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
                assert_eq!(ended.len(), 1, "{by}: one session is told of");
            }
        }
        assert_eq!(scene.store.memory.live_sessions(), 0, "{by}");
        for cookie in [&old.cookie, &new.cookie] {
            if by != "another-replica" {
                assert!(matches!(scene.open(cookie).await, Opened::None(_)), "{by}");
            }
            let elsewhere = scene.replica().open(&wiki(), cookie.as_bytes()).await.unwrap();
            assert!(matches!(elsewhere, Opened::None(_)), "{by}");
        }
    }
}

#[tokio::test]
async fn a_logout_of_the_old_provider_session_leaves_the_new_one() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    let login = NewSession { sid: Some("another".into()), ..step_up(&scene, &old.session) };
    let new = scene.sessions.begin(login).await.unwrap();
    let name = IndexName::Sid { issuer: ISSUER, sid: "sid-alice" };
    let ended = scene.sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
    assert!(ended.is_empty(), "its end has been told of");
    assert!(matches!(scene.open(&old.cookie).await, Opened::None(_)));
    live(scene.open(&new.cookie).await);
}

#[tokio::test]
async fn a_step_up_that_the_store_does_not_take_leaves_everything_as_it_was() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    scene.store.refuses_writes.store(true, Ordering::SeqCst);
    assert!(scene.sessions.begin(step_up(&scene, &old.session)).await.is_err());
    scene.store.refuses_writes.store(false, Ordering::SeqCst);
    assert_eq!(scene.store.memory.live_sessions(), 1);
    let left = live(scene.open(&old.cookie).await);
    assert!(!left.is_superseded() && left.can_refresh());
}

#[tokio::test]
async fn a_step_up_of_a_session_that_has_ended_meanwhile_is_a_login() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    scene.sessions.end(&old.session, EndReason::SignOut).await.unwrap();
    let new = scene.sessions.begin(step_up(&scene, &old.session)).await.unwrap();
    assert_eq!(live(scene.open(&new.cookie).await).acr(), Some("mfa"));
    assert!(matches!(scene.open(&old.cookie).await, Opened::None(_)), "nobody brings it back");
}

#[tokio::test]
async fn a_second_step_up_from_the_same_session_gives_the_old_one_no_more_time() {
    let scene = Scene::new();
    let (old, first) = stepped_up(&scene).await;
    scene.clock.pass(6);
    let left = live(scene.open(&old.cookie).await);
    let second = scene.sessions.begin(step_up(&scene, &left)).await.unwrap();
    scene.clock.pass(4);
    assert!(matches!(scene.open(&old.cookie).await, Opened::None(_)));
    // Nobody knows which of the two cookies the browser has kept.
    live(scene.open(&first.cookie).await);
    live(scene.open(&second.cookie).await);
}

#[tokio::test]
async fn in_a_full_store_the_old_session_makes_room_at_once() {
    let scene = Scene::with(settings(&[1]), 1);
    let (old, new) = stepped_up(&scene).await;
    assert!(matches!(scene.open(&old.cookie).await, Opened::None(_)));
    live(scene.open(&new.cookie).await);
}

#[tokio::test]
async fn what_was_open_goes_on_with_the_new_session_and_ends_with_it() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    let watch = Arc::new(scene.sessions.watch(&old.session));
    let ended = tokio::spawn({
        let watch = Arc::clone(&watch);
        async move { watch.ended().await }
    });
    settle().await;
    let new = scene.sessions.begin(step_up(&scene, &old.session)).await.unwrap();
    settle().await;
    assert_eq!(watch.current().store_key(), new.session.store_key());
    scene.clock.pass(60);
    scene.sessions.sweep().await;
    settle().await;
    assert!(!ended.is_finished());
    scene.sessions.end(&new.session, EndReason::SignOut).await.unwrap();
    tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn signing_out_elsewhere_with_the_old_cookie_in_the_moment_of_the_step_up_ends_both() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    let unaware = live(scene.replica().open(&wiki(), old.cookie.as_bytes()).await.unwrap());
    let new = scene.sessions.begin(step_up(&scene, &old.session)).await.unwrap();
    scene.replica().end(&unaware, EndReason::SignOut).await.unwrap();
    for session in [&old.session, &new.session] {
        assert_eq!(scene.store.memory.load(session.store_key()).await.unwrap(), None);
    }
}
