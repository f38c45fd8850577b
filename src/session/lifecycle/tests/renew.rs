use super::*;
use crate::session::fixtures::tokens;
use crate::session::index::IndexName;
use crate::session::rules::SessionRules;

fn rules(scene: &Scene, keys: &[u8]) -> Arc<SessionRules> {
    scene.sessions.prepare(&mut settings(keys), true, clients()).unwrap()
}

fn passed(scene: &Scene) -> Vec<EndReason> {
    scene.sessions.take_passed().into_iter().map(|passed| passed.reason).collect()
}

#[tokio::test]
async fn cr_08_sessions_end_with_their_key_whether_open_or_not() {
    let scene = Scene::new();
    let (open, cold) = (scene.begin("alice").await, scene.begin("bob").await);
    scene.sessions.adopt(rules(&scene, &[2, 1]));
    let new = scene.begin("carol").await;
    for begun in [&open, &cold, &new] {
        live(scene.open(&begun.cookie).await);
    }
    assert_eq!(scene.sessions.rules().key_ring().kids().count(), 2);
    scene.sessions.cache.remove(cold.session.identified.liveness.cache_key().unwrap());
    scene.sessions.adopt(rules(&scene, &[2]));
    assert_eq!(passed(&scene), [EndReason::KeyRemoved], "of the one that was open, at once");
    for begun in [&open, &cold] {
        assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::UnknownKey);
    }
    live(scene.open(&new.cookie).await);
    assert!(passed(&scene).is_empty());
}

#[tokio::test]
async fn a_session_that_was_opened_while_the_rules_changed_is_compared_with_the_new_ones() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.sessions.adopt(rules(&scene, &[2]));
    assert_eq!(passed(&scene), [EndReason::KeyRemoved]);
    // As whoever read the record before the change puts it into the cache after it.
    let late = scene.begin("bob").await;
    let session = OpenedSession {
        identified: Arc::clone(&late.session.identified),
        generation: 1,
        content: late.session.content.clone(),
        pseudonym: String::new(),
        sealed_under: begun.session.sealed_under,
        edition: begun.session.edition,
        absolute_at: late.session.absolute_at,
        size: 0,
    };
    scene.sessions.keep(&Arc::new(session));
    assert_eq!(why(scene.open(&late.cookie).await), WhyNot::UnknownKey);
    assert_eq!(passed(&scene), [EndReason::KeyRemoved]);
}

#[tokio::test]
async fn cr_08_no_refresh_under_way_carries_a_session_over_to_the_next_key() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.sessions.adopt(rules(&scene, &[2]));
    let spent = first_grant(&begun.session);
    let saved = scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap();
    assert!(matches!(saved, Saved::Gone(_)), "{saved:?}");
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::UnknownKey);
}

#[tokio::test]
async fn a_session_that_is_sealed_anew_is_found_by_its_indexes_when_the_old_key_has_gone() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.sessions.adopt(rules(&scene, &[2, 1]));
    let spent = first_grant(&begun.session);
    scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap();
    scene.sessions.adopt(rules(&scene, &[2]));
    live(scene.open(&begun.cookie).await);
    let issuer = "https://id.example.com";
    let name = IndexName::Sid { issuer, sid: "sid-alice" };
    let ended = scene.sessions.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Missing);
}

#[tokio::test]
async fn another_client_or_issuer_ends_the_sessions_of_its_host_alone() {
    for change in [
        |client: &mut RegisteredClient| client.client_id = "another".into(),
        |client: &mut RegisteredClient| client.issuer = "https://another.example".into(),
    ] {
        let scene = Scene::new();
        let tools = host("tools.example.com");
        let (mine, other) = (scene.begin("alice").await, {
            let login = NewSession { host: tools.clone(), ..scene.login("alice") };
            scene.sessions.begin(login).await.unwrap()
        });
        let mut clients = clients();
        change(clients.get_mut(&wiki()).unwrap());
        let rules = scene.sessions.prepare(&mut settings(&[1]), true, clients).unwrap();
        scene.sessions.adopt(rules);
        assert_eq!(passed(&scene), [EndReason::ProviderChanged]);
        assert_eq!(why(scene.open(&mine.cookie).await), WhyNot::OtherConfiguration);
        live(scene.sessions.open(&tools, other.cookie.as_bytes()).await.unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_a_session_learns_at_once_that_its_key_has_gone() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let watch = scene.sessions.watch(&begun.session);
    let waiting = tokio::spawn(async move { watch.ended().await });
    settle().await;
    // Evicted, but held.
    scene.sessions.cache.clear();
    scene.sessions.adopt(rules(&scene, &[2, 1]));
    settle().await;
    assert!(!waiting.is_finished());
    scene.sessions.adopt(rules(&scene, &[2]));
    settle().await;
    assert!(waiting.is_finished());
    assert_eq!(passed(&scene), [EndReason::KeyRemoved]);
}

#[tokio::test]
async fn the_key_of_this_run_stays_without_configured_keys_and_opens_beside_the_first_ones() {
    let scene = Scene::new();
    scene.sessions.keep_own_key();
    let begun = scene.begin("alice").await;
    let unconfigured = scene.sessions.prepare(&mut settings(&[7]), false, clients()).unwrap();
    scene.sessions.adopt(unconfigured);
    live(scene.open(&begun.cookie).await);
    scene.sessions.adopt(rules(&scene, &[2]));
    live(scene.open(&begun.cookie).await);
    // There is no room beside eight, which are all that a ring may hold.
    scene.sessions.adopt(rules(&scene, &[2, 3, 4, 5, 6, 7, 8, 9]));
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::UnknownKey);
}

#[tokio::test]
async fn a_shorter_lifetime_holds_and_a_longer_one_extends_nothing() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let with = |lifetime| {
        let mut settings = SessionSettings { lifetime: Duration::from_secs(lifetime), ..settings(&[1]) };
        scene.sessions.prepare(&mut settings, true, clients()).unwrap()
    };
    scene.sessions.adopt(with(100_000));
    assert_eq!(scene.sessions.absolute_expiry(&begun.session), Timestamp::from_seconds(NOW + 36_000));
    scene.sessions.adopt(with(600));
    assert_eq!(scene.sessions.absolute_expiry(&begun.session), Timestamp::from_seconds(NOW + 600));
    scene.clock.pass(599);
    live(scene.open(&begun.cookie).await);
    scene.clock.pass(1);
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Expired);
    assert_eq!(passed(&scene), [EndReason::Expired]);
}

#[tokio::test]
async fn keys_that_make_no_ring_change_nothing() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    for keys in [&[][..], &[1, 1], &[1, 2, 3, 4, 5, 6, 7, 8, 9]] {
        assert!(scene.sessions.prepare(&mut settings(keys), true, clients()).is_err());
    }
    live(scene.open(&begun.cookie).await);
}
