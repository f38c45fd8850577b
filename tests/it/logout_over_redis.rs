//! The provider logs a person out who has sessions on three gateways over one Redis.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::crowd::{Outcome, Person, ask};
use crate::harness::gateway::CLIENT_ID;
use crate::harness::logout_stage::logout_header;
use crate::harness::patiently;
use crate::harness::redis_server::{PORT, RedisServer};
use crate::harness::replicas::Replicas;

const HOUR: Duration = Duration::from_secs(3_600);

/// The provider says at one of them that sessions have ended: those it calls so, or all of a person.
async fn end_by(replicas: &Replicas, index: usize, name: &str, value: &str) {
    let mut claims = replicas.provider.logout_claims(CLIENT_ID, "", &format!("{name} {value}"));
    claims.as_object_mut().unwrap().remove("sid");
    claims[name] = value.into();
    let token = replicas.provider.mint(&logout_header(&replicas.provider), &claims);
    assert_eq!(replicas.post(index, "/oauth2/backchannel-logout", &format!("logout_token={token}")).await, 200);
}

/// What each of these people gets from each gateway.
async fn outcomes(replicas: &Replicas, people: &[&Person]) -> Vec<Outcome> {
    join_all(people.iter().flat_map(|person| (0..3).map(|index| ask(replicas.address(index), person)))).await
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "what is promised is a time")]
async fn lo_17_all_sessions_of_a_person_end_on_every_replica_within_a_second() {
    let server = RedisServer::start();
    let store = format!("store = \"redis://{}:{PORT}\"", server.host);
    let replicas = Replicas::start(3, HOUR, move |_| store.clone()).await;
    // The provider calls each session of a person by the number of the login.
    let mut logins = 0;
    replicas.provider.alter_claims(move |claims| {
        logins += 1;
        claims["sid"] = format!("session {logins}").into();
    });
    let mut own = Vec::new();
    for index in 0..3 {
        own.push(replicas.log_in_one(0, index).await);
    }
    let other = replicas.log_in_one(1, 0).await;
    // Every gateway has all of them open.
    let [old, between, newest] = [&own[0], &own[1], &own[2]];
    assert_eq!(outcomes(&replicas, &[old, between, newest, &other]).await, [Outcome::Served; 12]);
    // The end of the oldest leaves the newer ones where they can be found.
    end_by(&replicas, 1, "sid", "session 1").await;
    patiently("the end of the oldest", async { while outcomes(&replicas, &[old]).await != [Outcome::LoggedOut; 3] {} })
        .await;
    assert_eq!(outcomes(&replicas, &[between, newest, &other]).await, [Outcome::Served; 9]);
    end_by(&replicas, 0, "sub", &newest.subject).await;
    let told = Instant::now();
    patiently("the end of all", async {
        loop {
            let sent = told.elapsed();
            if outcomes(&replicas, &[old, between, newest]).await == [Outcome::LoggedOut; 9] {
                break;
            }
            // Answers may take their time on a busy machine; what was asked after a second must not be served.
            assert!(sent < Duration::from_secs(1), "{sent:?}");
        }
    })
    .await;
    assert_eq!(outcomes(&replicas, &[&other]).await, [Outcome::Served; 3]);
}
