use super::*;
use crate::session::fixtures::tokens;
use crate::session::grant::{GrantKey, GrantMark};
use crate::session::lifetime::Freshness;
use crate::session::record;

fn access(session: &OpenedSession) -> &str {
    first_grant(session).tokens.access_token.expose()
}

fn written(saved: Saved) -> Arc<OpenedSession> {
    match saved {
        Saved::Written(session) => session,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refreshed_tokens_are_found_by_every_replica_at_once() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    let follower = tokio::spawn(Arc::clone(scene.replica()).run());
    settle().await;
    let spent = first_grant(&begun.session);
    let saved = scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap();
    let session = written(saved);
    assert_eq!((access(&session), session.generation()), ("access-new", 2));
    assert_eq!(first_grant(&session).token_generation, 2);
    assert!(!begun.session.is_current() && session.is_current());
    begun.session.superseded(0).await;
    settle().await;
    for sessions in [&scene.sessions, scene.replica()] {
        let session = live(sessions.open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
        assert_eq!(access(&session), "access-new");
    }
    follower.abort();
}

#[tokio::test]
async fn rf_14_what_a_refresh_writes_is_read_like_what_a_login_writes() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let head = |stored: &StoredSession| (stored.sealed.record[0], stored.sealed.record[1..5].to_vec());
    let before = scene.store.memory.load(begun.session.store_key()).await.unwrap().unwrap();
    let spent = first_grant(&begun.session);
    scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap();
    let after = scene.store.memory.load(begun.session.store_key()).await.unwrap().unwrap();
    assert_eq!(head(&before), head(&after));
    assert_ne!(before.sealed.record[21..53], after.sealed.record[21..53], "a fresh salt at every write");
    let cold = live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    let bytes = record::encode(&cold.content).unwrap();
    assert_eq!(record::decode(&bytes).unwrap(), cold.content);
}

#[tokio::test]
async fn rf_09_the_old_refresh_token_is_kept_when_none_comes() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let mut answer = tokens("new");
    answer.refresh_token = None;
    let spent = first_grant(&begun.session);
    let session = written(scene.sessions.save_refreshed(&begun.session, spent, answer, None).await.unwrap());
    assert_eq!(first_grant(&session).tokens.refresh_token.as_ref().unwrap().expose(), "refresh-alice");
}

#[tokio::test]
async fn rf_17_a_write_in_between_is_merged() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let (replica, cookie) = (Arc::clone(scene.replica()), begun.cookie.clone());
    *scene.store.before_replace.lock().unwrap() = Some(Box::pin(async move {
        let session = live(replica.open(&wiki(), cookie.as_bytes()).await.unwrap());
        replica.note_upstream(&session, "tools").await.unwrap().unwrap();
    }));
    let spent = first_grant(&begun.session);
    let session = written(scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap());
    assert_eq!((access(&session), session.generation()), ("access-new", 3));
    assert_eq!(session.upstreams(), ["wiki", "tools"]);
}

#[tokio::test]
async fn newer_tokens_of_somebody_else_are_used_and_ours_dropped() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let theirs = live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    let spent = first_grant(&theirs);
    written(scene.replica().save_refreshed(&theirs, spent, tokens("theirs"), None).await.unwrap());
    let spent = first_grant(&begun.session);
    match scene.sessions.save_refreshed(&begun.session, spent, tokens("ours"), None).await.unwrap() {
        Saved::Superseded(session) => assert_eq!(access(&session), "access-theirs"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn rf_08_a_logout_during_a_refresh_wins_and_the_tokens_come_back() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let (replica, key) = (Arc::clone(scene.replica()), begun.session.store_key());
    *scene.store.before_replace.lock().unwrap() = Some(Box::pin(async move {
        replica.end_by_key(key, EndReason::SignOut).await.unwrap().unwrap();
    }));
    let spent = first_grant(&begun.session);
    match scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap() {
        Saved::Gone(grant) => assert_eq!(grant.tokens.access_token.expose(), "access-new"),
        other => panic!("{other:?}"),
    }
    assert!(begun.session.has_ended());
    assert_eq!(why(scene.open(&begun.cookie).await), WhyNot::Missing);
    assert_eq!(scene.sessions.live_sessions(), 0);
}

#[tokio::test(start_paused = true)]
async fn new_tokens_outlive_a_store_that_fails_for_a_moment() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.store.refuses_writes.store(true, Ordering::SeqCst);
    let (sessions, session) = (Arc::clone(&scene.sessions), Arc::clone(&begun.session));
    let saving = tokio::spawn(async move {
        let spent = Arc::clone(first_grant(&session));
        sessions.save_refreshed(&session, &spent, tokens("new"), None).await
    });
    settle().await;
    scene.store.refuses_writes.store(false, Ordering::SeqCst);
    assert_eq!(access(&written(saving.await.unwrap().unwrap())), "access-new");
}

#[tokio::test(start_paused = true)]
async fn new_tokens_outlive_a_store_that_is_away_for_minutes() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.store.refuses_writes.store(true, Ordering::SeqCst);
    let (sessions, session) = (Arc::clone(&scene.sessions), Arc::clone(&begun.session));
    let saving = tokio::spawn(async move {
        let spent = Arc::clone(first_grant(&session));
        sessions.save_refreshed(&session, &spent, tokens("new"), None).await
    });
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert!(!saving.is_finished(), "the tokens exist nowhere else");
    scene.store.refuses_writes.store(false, Ordering::SeqCst);
    assert_eq!(access(&written(saving.await.unwrap().unwrap())), "access-new");
}

#[tokio::test(start_paused = true)]
async fn new_tokens_that_cannot_be_written_are_given_back() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    scene.store.refuses_writes.store(true, Ordering::SeqCst);
    let spent = first_grant(&begun.session);
    let error = scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), None).await.unwrap_err();
    assert!(matches!(error.reason, SessionError::Store(_)));
    assert_eq!(error.grant.tokens.access_token.expose(), "access-new");
    assert_eq!(access(&live(scene.open(&begun.cookie).await)), "access-alice", "the session goes on");
}

#[tokio::test]
async fn tokens_that_do_not_fit_into_a_record_are_given_back_at_once() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let spent = first_grant(&begun.session);
    let large = tokens(&"x".repeat(64 << 10));
    let error = scene.sessions.save_refreshed(&begun.session, spent, large, None).await.unwrap_err();
    assert!(matches!(error.reason, SessionError::TooLarge(_)));
}

#[tokio::test]
async fn rf_10_a_refreshed_identity_of_somebody_else_is_not_written() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let spent = first_grant(&begun.session);
    let mut regrouped = identity("alice");
    regrouped.groups = None;
    let saved = scene.sessions.save_refreshed(&begun.session, spent, tokens("new"), Some(regrouped)).await.unwrap();
    let session = written(saved);
    assert_eq!(session.identity().groups, None);
    let spent = first_grant(&session);
    let stranger = Some(identity("mallory"));
    let error = scene.sessions.save_refreshed(&session, spent, tokens("m"), stranger).await.unwrap_err();
    assert!(matches!(error.reason, SessionError::OtherSubject));
}

#[tokio::test]
async fn marks_are_written_and_newer_tokens_are_not_marked() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let old = Arc::clone(first_grant(&begun.session));
    let mark = GrantMark::UncertainSince(scene.clock.now());
    let marked = scene.sessions.mark(&begun.session, &old, mark).await.unwrap().unwrap();
    assert_eq!(first_grant(&marked).uncertain_since, Some(scene.clock.now()));
    let again = scene.sessions.mark(&marked, first_grant(&marked), mark).await.unwrap().unwrap();
    assert_eq!(again.generation(), marked.generation(), "nothing new to write");
    let cold = live(scene.replica().open(&wiki(), begun.cookie.as_bytes()).await.unwrap());
    assert_eq!(first_grant(&cold).uncertain_since, Some(scene.clock.now()));
    let spent = first_grant(&marked);
    let fresh = written(scene.sessions.save_refreshed(&marked, spent, tokens("new"), None).await.unwrap());
    let left = scene.sessions.mark(&begun.session, &old, GrantMark::RefreshDisabled).await.unwrap().unwrap();
    assert_eq!(left.generation(), fresh.generation());
    assert!(first_grant(&left).is_refreshable());
    scene.sessions.end(&left, EndReason::SignOut).await.unwrap();
    let gone = scene.sessions.mark(&left, first_grant(&left), GrantMark::RefreshDisabled).await.unwrap();
    assert!(gone.is_none());
}

#[tokio::test]
async fn the_first_use_of_an_upstream_is_a_write_and_later_ones_are_not() {
    let scene = Scene::new();
    let begun = scene.begin("alice").await;
    let noted = scene.sessions.note_upstream(&begun.session, "tools").await.unwrap().unwrap();
    assert_eq!((noted.upstreams().len(), noted.generation()), (2, 2));
    let again = scene.sessions.note_upstream(&begun.session, "tools").await.unwrap().unwrap();
    assert_eq!(again.generation(), 2);
    let listed = scene.sessions.list().await.unwrap();
    assert_eq!(listed.first().unwrap().card.upstreams, ["wiki", "tools"]);
}

#[tokio::test]
async fn rf_13_leases_and_flights_of_different_grants_and_people_are_different() {
    let scene = Scene::new();
    let (alice, bob) = (scene.begin("alice").await.session, scene.begin("bob").await.session);
    let other = |provider: &str, scopes: &[&str]| {
        let scopes = scopes.iter().map(|&scope| scope.into()).collect();
        let key = GrantKey { provider: provider.into(), scopes, resource: None };
        Grant::new(key, tokens("x"), scene.clock.now())
    };
    let grants = [other("a", &["bc"]), other("ab", &["c"]), other("a", &["b", "c"])];
    let mut flights = std::collections::HashSet::new();
    for session in [&alice, &bob] {
        for grant in &grants {
            assert!(flights.insert(session.flight_key(grant)));
            let lease = scene.sessions.take_lease(session, grant).await.unwrap();
            assert!(lease.is_some());
            assert!(scene.replica().take_lease(session, grant).await.unwrap().is_none());
        }
    }
    let lease = scene.sessions.take_lease(&alice, first_grant(&alice)).await.unwrap().unwrap();
    scene.sessions.release(lease).await;
    assert!(scene.replica().take_lease(&alice, first_grant(&alice)).await.unwrap().is_some());
}

#[tokio::test]
async fn a_token_is_due_before_it_runs_out_and_only_if_it_can_be_renewed() {
    let scene = Scene::new();
    let session = scene.begin("alice").await.session;
    let grant = first_grant(&session);
    let at = |seconds| Timestamp::from_seconds(NOW + seconds);
    for (seconds, expected) in [
        (0, Freshness::Fresh),
        (230, Freshness::Fresh),
        (250, Freshness::Due),
        (299, Freshness::Due),
        (300, Freshness::RunOut),
        (9_000, Freshness::RunOut),
    ] {
        assert_eq!(session.freshness(at(seconds)), expected, "{seconds}");
    }
    assert!(session.can_refresh());
    let disabled = scene.sessions.mark(&session, grant, GrantMark::RefreshDisabled).await.unwrap().unwrap();
    assert!(!disabled.can_refresh());
    assert!(grant.is_usable(at(299)) && !grant.is_usable(at(300)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rf_13_nobody_sees_anothers_tokens_however_requests_interleave() {
    let scene = Scene::new();
    let mut requests = Vec::new();
    for user in 0..6 {
        let cookie = scene.begin(&format!("u{user}")).await.cookie;
        for sessions in [Arc::clone(&scene.sessions), Arc::clone(scene.replica())] {
            let (cookie, subject) = (cookie.clone(), format!("u{user}"));
            requests.push(tokio::spawn(async move {
                let mut saved = 0;
                for _ in 0..20 {
                    let session = live(sessions.open(&wiki(), cookie.as_bytes()).await.unwrap());
                    assert_eq!(session.identity().subject, subject);
                    assert_eq!(access(&session), format!("access-{subject}"));
                    let spent = first_grant(&session);
                    let own = sessions.save_refreshed(&session, spent, tokens(&subject), None).await.unwrap();
                    match own {
                        Saved::Written(session) => {
                            assert_eq!(session.identity().subject, subject);
                            saved += 1;
                        }
                        Saved::Superseded(session) => assert_eq!(session.identity().subject, subject),
                        Saved::Gone(_) => panic!("nobody has ended anything"),
                    }
                }
                (subject, saved)
            }));
        }
    }
    let mut written = HashMap::<String, u64>::new();
    for request in requests {
        let (subject, saved) = request.await.unwrap();
        *written.entry(subject).or_default() += saved;
    }
    for summary in scene.sessions.list().await.unwrap() {
        let stored = scene.store.memory.load(summary.store_key).await.unwrap().unwrap();
        // Each write moved the generation once: none was lost, none was made twice.
        assert_eq!(stored.sealed.generation, 1 + written[&summary.card.subject]);
    }
}
