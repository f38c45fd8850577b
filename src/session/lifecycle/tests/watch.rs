use super::*;
use crate::session::fixtures::tokens;

#[tokio::test(start_paused = true)]
async fn ss_07_whoever_watches_a_session_learns_of_its_removal() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let watch = scene.sessions.watch(&begun.session);
    let waiting = tokio::spawn(async move { watch.ended().await });
    settle().await;
    assert!(!waiting.is_finished());
    scene.sessions.end(&begun.session, EndReason::SignOut).await.unwrap();
    waiting.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn whoever_watches_a_session_learns_of_its_limits() {
    for (passed, touched) in [(3_600, false), (36_000, true)] {
        let scene = Scene::new();
        let begun = scene.begin("alice").await;
        let watch = Arc::new(scene.sessions.watch(&begun.session));
        let waiting = tokio::spawn({
            let watch = Arc::clone(&watch);
            async move { watch.ended().await }
        });
        let mut gone = 0;
        while gone + 100 < passed {
            scene.clock.pass(100);
            gone += 100;
            if touched {
                watch.touch();
            }
            tokio::time::sleep(Duration::from_secs(16)).await;
            assert!(!waiting.is_finished(), "{gone} of {passed}");
        }
        scene.clock.pass(100);
        waiting.await.unwrap();
        assert!(begun.session.has_ended());
        let reasons: Vec<_> = scene.sessions.take_passed().into_iter().map(|passed| passed.reason).collect();
        assert_eq!(reasons, [if touched { EndReason::Expired } else { EndReason::Idle }]);
    }
}

#[tokio::test]
async fn a_held_session_that_a_request_finds_past_its_limit_is_told_of_once() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    // Evicted, but held by a stream, in a store that expires later than we do.
    scene.sessions.cache.clear();
    let stored = scene.store.memory.load(begun.session.store_key()).await.unwrap();
    *scene.store.forged.lock().unwrap() = stored;
    scene.clock.pass(3_600);
    for _ in 0..2 {
        assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Idle);
    }
    let reasons: Vec<_> = scene.sessions.take_passed().into_iter().map(|passed| passed.reason).collect();
    assert_eq!(reasons, [EndReason::Idle]);
}

#[tokio::test(start_paused = true)]
async fn a_held_session_that_the_store_has_let_go_of_is_told_of_once() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let watch = scene.sessions.watch(&begun.session);
    let waiting = tokio::spawn(async move { watch.ended().await });
    settle().await;
    scene.sessions.cache.clear();
    scene.clock.pass(3_600);
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Missing);
    waiting.await.unwrap();
    let reasons: Vec<_> = scene.sessions.take_passed().into_iter().map(|passed| passed.reason).collect();
    assert_eq!(reasons, [EndReason::Idle]);
}

#[tokio::test(start_paused = true)]
async fn rf_16_a_watch_goes_on_across_a_refresh_and_has_the_newest_tokens() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let watch = Arc::new(scene.sessions.watch(&begun.session));
    let waiting = tokio::spawn({
        let watch = Arc::clone(&watch);
        async move { watch.ended().await }
    });
    settle().await;
    let spent = first_grant(&begun.session);
    scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap();
    settle().await;
    assert_eq!(first_grant(&watch.current()).tokens.access_token.expose(), "access-new");
    // Evicted here and written elsewhere: the store has the newest.
    scene.sessions.cache.clear();
    let elsewhere = live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    let spent = first_grant(&elsewhere);
    scene.replica().save_refreshed(&elsewhere, spent, tokens("newest"), None).await.unwrap();
    begun.session.identified.liveness.advance(3);
    settle().await;
    assert_eq!(first_grant(&watch.current()).tokens.access_token.expose(), "access-newest");
    assert!(!waiting.is_finished());
    waiting.abort();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_cuts_nobody_off() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let watch = scene.sessions.watch(&begun.session);
    let waiting = tokio::spawn(async move { watch.ended().await });
    settle().await;
    scene.store.away.store(true, Ordering::SeqCst);
    begun.session.identified.liveness.advance(2);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!waiting.is_finished());
    waiting.abort();
}
