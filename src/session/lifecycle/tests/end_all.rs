use super::*;

/// How many have ended, and how many could not be.
async fn end_all(sessions: &Sessions) -> (usize, usize) {
    let outcomes = sessions.end_all(EndReason::Revoked).await.unwrap();
    let ended = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    (ended, outcomes.len() - ended)
}

#[tokio::test]
async fn everything_is_also_what_cannot_be_listed_here() {
    let scene = Scene::new();
    let alice = scene.begin("alice").await;
    let rotated = scene.other(settings(&[2]), NAMESPACE, clients());
    let bob = rotated.begin(scene.login("bob")).await.unwrap();
    assert_eq!(rotated.list().await.unwrap().len(), 1, "the card of the other one does not open");
    assert_eq!(end_all(&rotated).await, (2, 0));
    assert!(scene.sessions.reload(&alice.session).await.unwrap().is_none() && bob.session.has_ended());
}

#[tokio::test]
async fn everything_is_also_what_is_written_in_between_and_nothing_that_begins_later() {
    let scene = Scene::new();
    let alice = scene.begin("alice").await;
    let late = scene.login("carol");
    let bob = scene.begin("bob").await;
    // Alice steps up, and Carol logs in, once it is known who is to go.
    let (sessions, clock) = (Arc::clone(&scene.sessions), Arc::clone(&scene.clock));
    let (step_up, dave) = (scene.login("alice"), scene.login("dave"));
    let replaced = Arc::clone(&alice.session);
    *scene.store.before_remove.lock().unwrap() = Some(Box::pin(async move {
        sessions.begin(late).await.unwrap();
        clock.pass(5);
        let step_up = NewSession { replaces: Some(&replaced), steps_up: true, ..step_up };
        let step_up = NewSession { login_issued: clock.now(), auth_time: Some(clock.now()), ..step_up };
        sessions.begin(step_up).await.unwrap();
        let dave = NewSession { login_issued: clock.now(), ..dave };
        sessions.begin(dave).await.unwrap();
    }));
    let (_, failed) = end_all(&scene.sessions).await;
    assert_eq!(failed, 0);
    assert!(matches!(scene.open(&bob.cookie).await, Opened::None(_)));
    let left: Vec<_> = scene.sessions.list().await.unwrap().into_iter().map(|one| one.card.subject).collect();
    assert_eq!(left, ["dave"]);
}

#[tokio::test]
async fn what_the_store_does_not_take_has_not_ended() {
    let scene = Scene::new();
    scene.begin("alice").await;
    let store = Arc::clone(&scene.store);
    // After the first.
    *scene.store.before_remove.lock().unwrap() = Some(Box::pin(async move {
        store.away.store(true, Ordering::SeqCst);
    }));
    scene.begin("bob").await;
    let (ended, failed) = end_all(&scene.sessions).await;
    assert_eq!((ended, failed), (1, 1));
}
