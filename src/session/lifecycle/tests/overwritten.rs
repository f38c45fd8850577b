//! Somebody has put something else in the place of a session.

use super::*;
use crate::session::index::IndexName;

const ISSUER: &str = "https://id.example.com";

/// Two sessions of alice's; in the place of the first lies something else. Nothing is in memory.
async fn scene() -> (Scene, Begun, Begun) {
    let scene = Scene::with(SessionSettings { max_sessions_per_subject: 2, ..settings(&[1]) }, 10);
    let (broken, whole) = (scene.begin("alice").await, scene.begin("alice").await);
    *scene.store.overwritten.lock().unwrap() = Some(broken.session.store_key());
    scene.sessions.cache.clear();
    (scene, broken, whole)
}

#[tokio::test]
async fn ss_03_what_is_no_session_is_nobodys_and_its_person_logs_in_again() {
    let (scene, broken, whole) = scene().await;
    assert_eq!(why(scene.open(&broken.cookie).await), WhyNot::Tampered);
    assert!(scene.sessions.reload(&broken.session).await.unwrap().is_none());
    live(scene.open(&whole.cookie).await);
    let again = scene.begin("alice").await;
    live(scene.open(&again.cookie).await);
    assert!(again.displaced.is_empty(), "it does not count");
    assert_eq!(scene.sessions.find(broken.session.store_key()).await.unwrap(), None);
    assert_eq!(scene.sessions.of_subject(ISSUER, "alice").await.unwrap().len(), 2);
}

#[tokio::test]
async fn ss_03_a_logout_of_a_person_ends_what_is_whole_and_takes_away_what_is_not() {
    let (scene, broken, whole) = scene().await;
    let name = IndexName::Subject { issuer: ISSUER, subject: "alice" };
    let ended = scene.sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
    assert_eq!(ended.len(), 2);
    assert_eq!(ended.iter().filter(|ended| ended.card.is_none()).count(), 1);
    *scene.store.overwritten.lock().unwrap() = None;
    for cookie in [&broken.cookie, &whole.cookie] {
        assert_eq!(why(scene.open(cookie).await), WhyNot::Missing);
    }
    assert_eq!(scene.sessions.live_sessions(), 0);
}
