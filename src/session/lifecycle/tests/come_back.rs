//! A store that was away and is back: who has spent a refresh token writes first, and nobody else spends it.

use super::*;
use crate::session::fixtures::tokens;
use futures_util::FutureExt;

#[tokio::test(start_paused = true)]
async fn new_tokens_are_saved_as_soon_as_the_store_is_back() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.go_deaf().await;
    scene.set_away(true);
    let (sessions, session) = (Arc::clone(&scene.sessions), Arc::clone(&begun.session));
    let saving = tokio::spawn(async move {
        sessions.save_refreshed(&session, first_grant(&session), tokens("new"), None).await.unwrap()
    });
    // Half of a second until the next try.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!saving.is_finished());
    scene.set_away(false);
    scene.hear_again().await;
    let saved = tokio::time::timeout(Duration::from_millis(200), saving).await.expect("at once").unwrap();
    assert!(matches!(saved, Saved::Written(_)));
}

#[tokio::test(start_paused = true)]
async fn nobody_begins_to_spend_until_those_who_have_spent_could_write() {
    let scene = Scene::new();
    let follower = tokio::spawn(Arc::clone(&scene.sessions).run());
    settle().await;
    assert!(scene.sessions.settled().now_or_never().is_some(), "it was never away");
    scene.clock.pass(100);
    scene.go_deaf().await;
    scene.clock.pass(20);
    scene.hear_again().await;
    for _ in 0..2 {
        assert!(scene.sessions.settled().now_or_never().is_none());
        scene.clock.pass(1);
    }
    assert!(scene.sessions.settled().now_or_never().is_some());
    follower.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_was_taken_unheard_keeps_nobody_waiting_for_long() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let (session, grant) = (&begun.session, first_grant(&begun.session));
    scene.store.loses_leases.store(true, Ordering::SeqCst);
    assert!(scene.sessions.take_lease(session, grant).await.is_err());
    scene.store.loses_leases.store(false, Ordering::SeqCst);
    assert!(scene.sessions.take_lease(session, grant).await.unwrap().is_none(), "it has been taken");
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let lease = scene.sessions.take_lease(session, grant).await.unwrap().expect("it was given back");
    // What gives it back again gives back its own alone.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(scene.sessions.take_lease(session, grant).await.unwrap().is_none());
    scene.sessions.release(lease).await;
}
