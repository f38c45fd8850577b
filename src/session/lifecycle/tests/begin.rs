use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::claims::Identity;
use crate::session::index::IndexName;
use crate::session::store::file::FileStore;

#[tokio::test]
async fn ck_01_a_login_has_a_new_id_and_the_old_session_dies() {
    let scene = Scene::new();
    let preset = scene.begin("mallory").await;
    let old = live(scene.open(&preset.cookie).await);
    let new = scene.sessions.begin(NewSession { replaces: Some(&old), ..scene.login("alice") }).await.unwrap();
    assert_ne!(new.cookie, preset.cookie);
    assert_ne!(new.session.store_key(), old.store_key());
    assert!(old.has_ended());
    for sessions in [&scene.sessions, scene.replica()] {
        assert!(matches!(sessions.open(&wiki(), preset.cookie.as_bytes()).await.unwrap(), Opened::None(_)));
        let session = live(sessions.open(&wiki(), new.cookie.as_bytes()).await.unwrap());
        assert_eq!(session.identity().subject, "alice");
    }
}

#[tokio::test]
async fn every_session_has_an_id_of_its_own() {
    let scene = Scene::with(SessionSettings { max_sessions_per_subject: 1_000, ..settings(&[1]) }, 1_000);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..50 {
        let begun = scene.begin("alice").await;
        assert!(seen.insert(begun.cookie) && seen.insert(format!("{:?}", begun.session.store_key())));
    }
}

#[tokio::test]
async fn ss_12_at_capacity_a_login_is_refused_and_nobody_else_makes_room() {
    let scene = Scene::with(settings(&[1]), 2);
    let (alice, bob) = (scene.begin("alice").await, scene.begin("bob").await);
    assert!(matches!(scene.sessions.begin(scene.login("carol")).await, Err(SessionError::AtCapacity)));
    live(scene.open(&alice.cookie).await);
    live(scene.open(&bob.cookie).await);
}

#[tokio::test]
async fn ss_12_at_capacity_a_login_takes_the_room_of_the_session_it_ends_anyway() {
    let scene = Scene::with(SessionSettings { max_sessions_per_subject: 1, ..settings(&[1]) }, 2);
    let (alice, bob) = (scene.begin("alice").await, scene.begin("bob").await);
    let again = NewSession { replaces: Some(&alice.session), ..scene.login("alice") };
    let again = scene.sessions.begin(again).await.unwrap();
    assert!(again.displaced.is_empty());
    assert!(matches!(scene.open(&alice.cookie).await, Opened::None(_)));
    live(scene.open(&again.cookie).await);
    let elsewhere = scene.begin("alice").await;
    assert_eq!(elsewhere.displaced.first().unwrap().store_key, again.session.store_key());
    assert_eq!(elsewhere.displaced.len(), 1);
    live(scene.open(&elsewhere.cookie).await);
    live(scene.open(&bob.cookie).await);
    assert!(scene.sessions.take_passed().is_empty(), "whoever began it tells");
}

#[tokio::test]
async fn ss_12_at_capacity_a_login_that_was_ended_costs_no_session() {
    let scene = Scene::with(settings(&[1]), 1);
    let alice = scene.begin("alice").await;
    let name = IndexName::Sid { issuer: "https://id.example.com", sid: "other" };
    scene.sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
    let again = NewSession { replaces: Some(&alice.session), sid: Some("other".into()), ..scene.login("alice") };
    assert!(matches!(scene.sessions.begin(again).await, Err(SessionError::EndedMeanwhile)));
    live(scene.open(&alice.cookie).await);
}

#[tokio::test]
async fn a_logout_finds_a_session_by_the_sub_of_its_id_token_whatever_the_mapping() {
    let scene = Scene::new();
    let login = || NewSession { sub: "s-1".into(), ..scene.login("alice") };
    let begun = scene.sessions.begin(login()).await.unwrap();
    let other = scene.begin("s-1").await;
    let of = |subject| scene.sessions.of_subject("https://id.example.com", subject);
    assert_eq!((of("alice").await.unwrap().len(), of("s-1").await.unwrap().len()), (1, 1), "people, not their subs");
    scene.sessions.end(&other.session, EndReason::SignOut).await.unwrap();
    let name = IndexName::Subject { issuer: "https://id.example.com", subject: "s-1" };
    let ended = scene.sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert!(begun.session.has_ended());
    assert!(matches!(scene.sessions.begin(login()).await, Err(SessionError::EndedMeanwhile)), "nor a login under way");
}

#[tokio::test]
async fn mm_04_the_oldest_own_session_makes_room_and_never_anybody_elses() {
    let scene = Scene::new();
    let bob = scene.begin("bob").await;
    let mut own = Vec::new();
    for _ in 0..5 {
        scene.clock.pass(1);
        own.push(scene.begin("alice").await);
    }
    let elsewhere = NewSession { host: host("tools.example.com"), ..scene.login("alice") };
    scene.sessions.begin(elsewhere).await.unwrap();
    for (at, begun) in own.iter().enumerate() {
        assert_eq!(matches!(scene.open(&begun.cookie).await, Opened::Live(_)), at >= 2, "session {at}");
    }
    assert!(own[2].displaced.is_empty());
    assert_eq!(own[3].displaced.len(), 1);
    let displaced = own[3].displaced.first().unwrap();
    assert_eq!(displaced.store_key, own[0].session.store_key());
    assert!(displaced.opened.is_some(), "its tokens can be revoked");
    live(scene.open(&bob.cookie).await);
}

#[tokio::test]
async fn a_replaced_session_does_not_count_against_the_limit() {
    let scene = Scene::new();
    let first = scene.begin("alice").await;
    scene.clock.pass(1);
    scene.begin("alice").await;
    scene.clock.pass(1);
    let third = scene.begin("alice").await;
    let renewed = NewSession { replaces: Some(&third.session), ..scene.login("alice") };
    assert!(scene.sessions.begin(renewed).await.unwrap().displaced.is_empty());
    live(scene.open(&first.cookie).await);
}

#[tokio::test]
async fn a_logout_in_between_leaves_no_live_session_in_either_order() {
    for (before, by_sid) in [(true, true), (true, false), (false, true), (false, false)] {
        let scene = Scene::new();
        let sessions = Arc::clone(&scene.sessions);
        let step: Step = Box::pin(async move {
            let issuer = "https://id.example.com";
            let name = if by_sid {
                IndexName::Sid { issuer, sid: "sid-alice" }
            } else {
                IndexName::Subject { issuer, subject: "alice" }
            };
            sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
        });
        let slot = if before { &scene.store.before_insert } else { &scene.store.after_insert };
        *slot.lock().unwrap() = Some(step);
        let begun = scene.sessions.begin(scene.login("alice")).await;
        assert!(matches!(begun, Err(SessionError::EndedMeanwhile)), "before: {before}");
        assert_eq!(scene.sessions.live_sessions(), 0);
    }
}

#[tokio::test]
async fn a_login_after_the_logout_is_not_refused_and_one_before_it_is() {
    let scene = Scene::new();
    let name = IndexName::Subject { issuer: "https://id.example.com", subject: "alice" };
    scene.sessions.end_by_index(name, Some(scene.clock.now()), EndReason::BackChannelLogout).await.unwrap();
    let stale = scene.login("alice");
    assert!(matches!(scene.sessions.begin(stale).await, Err(SessionError::EndedMeanwhile)));
    scene.clock.pass(1);
    live(scene.open(&scene.begin("alice").await.cookie).await);
    scene.begin("bob").await;
}

#[tokio::test]
async fn a_key_rotated_between_logout_and_login_hides_no_tombstone() {
    let scene = Scene::new();
    let name = IndexName::Subject { issuer: "https://id.example.com", subject: "alice" };
    scene.sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
    let rotated = scene.other(settings(&[2, 1]), NAMESPACE, clients());
    assert!(matches!(rotated.begin(scene.login("alice")).await, Err(SessionError::EndedMeanwhile)));
}

#[tokio::test]
async fn ss_02_a_store_that_is_away_begins_nothing() {
    let scene = Scene::new();
    let old = scene.begin("alice").await;
    scene.store.away.store(true, Ordering::SeqCst);
    let new = NewSession { replaces: Some(&old.session), ..scene.login("bob") };
    assert!(matches!(scene.sessions.begin(new).await, Err(SessionError::Store(_))));
    scene.store.away.store(false, Ordering::SeqCst);
    live(scene.open(&old.cookie).await);
    assert_eq!(scene.sessions.live_sessions(), 1);
}

#[tokio::test]
async fn ss_07_a_login_whose_write_was_not_answered_leaves_no_session_that_nobody_has() {
    let scene = Scene::new();
    scene.store.loses_inserts.store(true, Ordering::SeqCst);
    assert!(matches!(scene.sessions.begin(scene.login("alice")).await, Err(SessionError::Store(_))));
    assert_eq!(scene.sessions.live_sessions(), 0);
    scene.store.loses_inserts.store(false, Ordering::SeqCst);
    scene.begin("alice").await;
    assert_eq!(scene.sessions.of_subject("https://id.example.com", "alice").await.unwrap().len(), 1);
}

#[tokio::test]
async fn cr_10_without_randomness_nothing_begins() {
    let scene = Scene::new();
    let sessions = Sessions::new(
        &mut settings(&[1]),
        NAMESPACE.into(),
        clients(),
        Arc::clone(&scene.clock) as _,
        Arc::new(crate::session::testing::Exhausted),
        Arc::clone(&scene.store) as _,
    )
    .unwrap();
    assert!(matches!(sessions.begin(scene.login("alice")).await, Err(SessionError::NoEntropy(_))));
    assert_eq!(sessions.live_sessions(), 0);
}

#[tokio::test]
async fn what_does_not_fit_into_a_record_begins_nothing() {
    let scene = Scene::new();
    let large = NewSession { acr: Some("a".repeat(64 << 10)), ..scene.login("alice") };
    assert!(matches!(scene.sessions.begin(large).await, Err(SessionError::TooLarge(_))));
    // It fits, but stands in the card as well.
    let identity = Identity { username: Some("a".repeat(60 << 10)), ..identity("alice") };
    let large = NewSession { identity, ..scene.login("alice") };
    assert!(matches!(scene.sessions.begin(large).await, Err(SessionError::TooLarge(_))));
    assert_eq!(scene.sessions.live_sessions(), 0);
}

#[tokio::test]
async fn ss_05_the_session_file_holds_nothing_that_can_be_read() {
    let (scene, above) = (Scene::new(), tempfile::tempdir().unwrap());
    let directory = above.path().join("store");
    let store = FileStore::open(&directory, Arc::clone(&scene.clock) as _).unwrap();
    let (clock, entropy) = (Arc::clone(&scene.clock), Arc::clone(&scene.entropy));
    let sessions =
        Sessions::new(&mut settings(&[1]), NAMESPACE.into(), clients(), clock, entropy, Arc::new(store)).unwrap();
    let begun = sessions.begin(scene.login("alice")).await.unwrap();
    assert!(matches!(sessions.open(&wiki(), begun.cookie.as_bytes()).await.unwrap(), Opened::Live(_)));
    let marker = Marker::LogoutToken { issuer: "https://id.example.com", jti: "planted-marker", turn: 0 };
    assert!(sessions.put_once(marker, scene.clock.now().plus(Duration::from_secs(60))).await.unwrap());
    sessions.end(&begun.session, EndReason::SignOut).await.unwrap();
    sessions.begin(scene.login("alice")).await.unwrap();
    let key = begun.session.store_key();
    let mut holds_its_name = false;
    for file in std::fs::read_dir(&directory).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let holds = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
        for hidden in ["alice", "example.com", "access-", "refresh-", "sid-alice", "staff", "planted", &begun.cookie] {
            assert!(!holds(hidden.as_bytes()), "{hidden}");
        }
        let ticket = URL_SAFE_NO_PAD.decode(&begun.cookie).unwrap();
        assert!(!holds(&ticket[1..19]) && !holds(&ticket[19..]), "id and secret");
        holds_its_name |= holds(key.as_bytes());
    }
    assert!(holds_its_name, "this is the file that was written");
}

#[tokio::test]
async fn ss_05_the_store_holds_nothing_that_can_be_read() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let stored = scene.store.memory.load(begun.session.store_key()).await.unwrap().unwrap();
    for bytes in [&stored.sealed.record, &stored.sealed.card] {
        for hidden in ["alice", "example.com", "access-", "refresh-", "sid-", "wiki", "staff"] {
            assert!(!bytes.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
        }
    }
}
