//! One gateway that keeps its sessions in a file: killed and restarted under load, and nobody is logged out.

use std::time::Duration;

use crate::harness::crowd::{Crowd, Outcome, Tally, ask, count};
use crate::harness::replicas::Replicas;

const HOUR: Duration = Duration::from_secs(3_600);

async fn one_gateway(directory: &tempfile::TempDir, access_token_lifetime: Duration) -> Replicas {
    let store = format!("store = \"file:{}\"", directory.path().join("sessions").display());
    Replicas::start(1, access_token_lifetime, move |_| store.clone()).await
}

/// Everybody was served or met no listener.
fn only_a_listener_was_missing(tally: &Tally) {
    let harmless = |outcome: &Outcome| matches!(outcome, Outcome::Served | Outcome::Broken);
    assert!(tally.keys().all(harmless) && count(tally, Outcome::Served) > 0, "{tally:?}");
}

#[tokio::test]
async fn ss_10_kill_9_under_load_loses_no_session_and_brings_none_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut replicas = one_gateway(&directory, HOUR).await;
    let mut people = replicas.log_in(6).await;
    let mut gone = Vec::new();
    for _ in 0..4 {
        let crowd = Crowd::of(&people, &replicas.balancer);
        crowd.goes_on_for(40).await;
        let late = replicas.log_in_one(people.len() + gone.len(), 0).await;
        let leaving = replicas.log_in_one(people.len() + gone.len() + 1, 0).await;
        assert_eq!(replicas.sign_out(0, &leaving).await, 303);
        // The moment after both were told that it is done.
        replicas.kill(0).await;
        replicas.start_one(0).await;
        crowd.goes_on_for(40).await;
        only_a_listener_was_missing(&crowd.disperse().await);
        people.push(late);
        gone.push(leaving);
        for person in &people {
            assert_eq!(ask(replicas.address(0), person).await, Outcome::Served, "{}", person.subject);
        }
        for person in &gone {
            assert_eq!(ask(replicas.address(0), person).await, Outcome::LoggedOut, "{}", person.subject);
        }
    }
}

#[tokio::test]
async fn a_restart_in_order_under_load_logs_nobody_out_and_spends_each_refresh_token_once() {
    let directory = tempfile::tempdir().unwrap();
    // Short, so that refreshes are always under way.
    let mut replicas = one_gateway(&directory, Duration::from_secs(2)).await;
    let people = replicas.log_in(8).await;
    let crowd = Crowd::of(&people, &replicas.balancer);
    for _ in 0..3 {
        crowd.goes_on_for(150).await;
        replicas.stop(0).await;
        replicas.start_one(0).await;
    }
    crowd.goes_on_for(150).await;
    only_a_listener_was_missing(&crowd.disperse().await);
    replicas.each_refresh_token_was_spent_once();
}
