//! Keys that are changed by a restart, with sessions in a durable store: a rotation logs nobody out, and the removal of
//! a key exactly those who are sealed under it.

use std::time::Duration;

use serde_json::json;

use crate::harness::crowd::{Outcome, Person, ask};
use crate::harness::patiently;
use crate::harness::provider::Endpoint;
use crate::harness::redis_server::{PORT, RedisServer};
use crate::harness::replicas::Replicas;

const HOUR: Duration = Duration::from_secs(3_600);

/// All get this from every gateway.
async fn all_get(replicas: &Replicas, count: usize, people: &[Person], wanted: Outcome) {
    for person in people {
        for index in 0..count {
            assert_eq!(ask(replicas.address(index), person).await, wanted, "{} at {index}", person.subject);
        }
    }
}

/// Restarts one after the other with these keys.
async fn restart(replicas: &mut Replicas, count: usize, keys: &[&str]) {
    for index in 0..count {
        replicas.stop(index).await;
        replicas.set_keys(index, keys);
        replicas.start_one(index).await;
    }
}

async fn log_in(replicas: &Replicas, numbers: std::ops::Range<usize>) -> Vec<Person> {
    let mut people = Vec::new();
    for number in numbers {
        people.push(replicas.log_in_one(number, 0).await);
    }
    people
}

async fn keys_are_changed(mut replicas: Replicas, count: usize) {
    let old = log_in(&replicas, 0..5).await;
    // These will be refreshed, and so sealed anew under whatever key is the first then.
    replicas.provider.put(Endpoint::Token, "expires_in", json!(6));
    let refreshed = log_in(&replicas, 5..7).await;
    replicas.provider.restore(Endpoint::Token);
    // First everybody learns to open what is sealed under the new key, and only then it seals.
    restart(&mut replicas, count, &["key", "new"]).await;
    restart(&mut replicas, count, &["new", "key"]).await;
    all_get(&replicas, count, &old, Outcome::Served).await;
    patiently("the refreshes", async {
        while replicas.refresh_tokens_spent().len() < refreshed.len() {
            all_get(&replicas, count, &refreshed, Outcome::Served).await;
        }
    })
    .await;
    let new = log_in(&replicas, 7..9).await;
    all_get(&replicas, count, &new, Outcome::Served).await;
    restart(&mut replicas, count, &["new"]).await;
    all_get(&replicas, count, &old, Outcome::LoggedOut).await;
    all_get(&replicas, count, &refreshed, Outcome::Served).await;
    all_get(&replicas, count, &new, Outcome::Served).await;
    // Whoever is left can be ended as ever, and those who are out can come back.
    assert_eq!(replicas.sign_out(0, &refreshed[0]).await, 303);
    for index in 0..count {
        // Another replica hears of it in a moment.
        patiently("the end to be heard of", async {
            while ask(replicas.address(index), &refreshed[0]).await == Outcome::Served {}
        })
        .await;
    }
    all_get(&replicas, count, &refreshed[..1], Outcome::LoggedOut).await;
    let again = log_in(&replicas, 0..1).await;
    all_get(&replicas, count, &again, Outcome::Served).await;
    replicas.each_refresh_token_was_spent_once();
}

#[tokio::test]
async fn cr_08_with_a_file_keys_change_at_restarts_and_only_a_removed_one_ends_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("store = \"file:{}\"", directory.path().join("sessions").display());
    keys_are_changed(Replicas::start(1, HOUR, move |_| store.clone()).await, 1).await;
}

#[tokio::test]
async fn cr_08_with_redis_keys_change_from_replica_to_replica_and_only_a_removed_one_ends_sessions() {
    let server = RedisServer::start();
    let store = format!("store = \"redis://{}:{PORT}\"", server.host);
    keys_are_changed(Replicas::start(2, HOUR, move |_| store.clone()).await, 2).await;
}
