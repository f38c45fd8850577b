//! Three gateways over one Redis, as processes: gateways and servers are killed, paused, failed over, emptied and cut off
//! under load. Nobody is served with another's session, nobody is logged out, and each refresh token is spent once.

use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::harness::crowd::{Crowd, Outcome, Tally, ask, count};
use crate::harness::patiently;
use crate::harness::redis_server::{PORT, PRIMARY, RedisServer, SentinelGroup};
use crate::harness::relay::Relay;
use crate::harness::replicas::Replicas;

const HOUR: Duration = Duration::from_secs(3_600);
/// Short, so that refreshes are always under way.
const MOMENT: Duration = Duration::from_secs(2);

fn store_at(server: &RedisServer) -> String {
    format!("store = \"redis://{}:{PORT}\"", server.host)
}

/// Keeps what it has confirmed, whatever happens to it.
fn durable() -> RedisServer {
    RedisServer::with(&["appendonly yes".to_owned(), "appendfsync always".to_owned()])
}

async fn three(server: &RedisServer, access_token_lifetime: Duration) -> Replicas {
    let store = store_at(server);
    Replicas::start(3, access_token_lifetime, move |_| store.clone()).await
}

fn only(tally: &Tally, allowed: &[Outcome]) {
    assert!(tally.keys().all(|outcome| allowed.contains(outcome)) && count(tally, Outcome::Served) > 0, "{tally:?}");
}

/// Waits until this person gets this from one of them.
async fn gets(replicas: &Replicas, index: usize, person: &crate::harness::crowd::Person, wanted: Outcome) {
    patiently(&format!("{wanted:?} at {index}"), async {
        while ask(replicas.address(index), person).await != wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_rolling_restart_under_load_fails_no_request_and_logs_nobody_out() {
    let server = RedisServer::start();
    let mut replicas = three(&server, MOMENT).await;
    let people = replicas.log_in(9).await;
    let crowd = Crowd::of(&people, &replicas.balancer);
    for index in 0..3 {
        crowd.goes_on_for(200).await;
        replicas.stop(index).await;
        replicas.start_one(index).await;
    }
    crowd.goes_on_for(200).await;
    only(&crowd.disperse().await, &[Outcome::Served]);
    replicas.each_refresh_token_was_spent_once();
}

#[tokio::test]
async fn kill_9_of_gateways_under_load_loses_no_session() {
    let server = RedisServer::start();
    let mut replicas = three(&server, HOUR).await;
    let mut people = replicas.log_in(9).await;
    for round in 0..3 {
        let crowd = Crowd::of(&people, &replicas.balancer);
        crowd.goes_on_for(60).await;
        let late = replicas.log_in_one(people.len(), round).await;
        replicas.kill(round).await;
        crowd.goes_on_for(60).await;
        replicas.start_one(round).await;
        crowd.goes_on_for(60).await;
        only(&crowd.disperse().await, &[Outcome::Served, Outcome::Broken]);
        people.push(late);
        for person in &people {
            assert_eq!(ask(replicas.address(round), person).await, Outcome::Served, "{}", person.subject);
        }
    }
}

#[tokio::test]
async fn rf_03_kill_9_in_the_middle_of_refreshes_ends_a_session_only_by_reuse() {
    let server = RedisServer::start();
    let mut replicas = three(&server, MOMENT).await;
    let people = replicas.log_in(9).await;
    let crowd = Crowd::of(&people, &replicas.balancer);
    for index in 0..3 {
        crowd.goes_on_for(150).await;
        replicas.kill(index).await;
        crowd.goes_on_for(150).await;
        replicas.start_one(index).await;
    }
    let tally = crowd.disperse().await;
    let spent = replicas.refresh_tokens_spent();
    let reused = spent.len() - spent.iter().collect::<std::collections::HashSet<_>>().len();
    only(&tally, &[Outcome::Served, Outcome::Broken, Outcome::Unavailable, Outcome::LoggedOut]);
    assert!(reused > 0 || count(&tally, Outcome::LoggedOut) == 0, "{tally:?}");
}

#[tokio::test]
async fn rd_01_a_redis_that_hangs_under_load_costs_nobody_the_session() {
    let server = RedisServer::start();
    let replicas = three(&server, MOMENT).await;
    let people = replicas.log_in(9).await;
    let crowd = Crowd::of(&people, &replicas.balancer);
    crowd.goes_on_for(150).await;
    server.pause();
    // Long enough for tokens to run out.
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.resume();
    for person in &people {
        for index in 0..3 {
            gets(&replicas, index, person, Outcome::Served).await;
        }
    }
    crowd.goes_on_for(150).await;
    only(&crowd.disperse().await, &[Outcome::Served, Outcome::Unavailable]);
    replicas.each_refresh_token_was_spent_once();
}

#[tokio::test]
async fn rd_01_a_redis_that_is_killed_and_comes_back_costs_nobody_the_session() {
    let mut server = durable();
    let replicas = three(&server, HOUR).await;
    let people = replicas.log_in(9).await;
    // Everybody is open everywhere.
    for person in &people {
        for index in 0..3 {
            assert_eq!(ask(replicas.address(index), person).await, Outcome::Served);
        }
    }
    let crowd = Crowd::of(&people, &replicas.balancer);
    crowd.goes_on_for(100).await;
    server.kill();
    patiently("the metric", async {
        while !replicas.probe(0, "/metrics").await.contains("vestibule_store_deaf 1") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert!(replicas.probe(0, "/readyz").await.starts_with("ready"), "all replicas share the store");
    patiently("the word about the store", async {
        while !replicas.probe(0, "/readyz?verbose").await.contains("\"store\":false") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    crowd.goes_on_for(300).await;
    only(&crowd.disperse().await, &[Outcome::Served]);
    server.run();
    // Each finds it again in its own time.
    for index in 0..3 {
        patiently("the store to be back", async {
            while !replicas.probe(index, "/metrics").await.contains("vestibule_store_deaf 0")
                || !replicas.probe(index, "/readyz?verbose").await.contains("\"store\":true")
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
    let late = replicas.log_in_one(20, 1).await;
    for person in people.iter().chain([&late]) {
        gets(&replicas, 2, person, Outcome::Served).await;
    }
}

#[tokio::test]
async fn rd_06_a_failover_under_load_logs_nobody_out() {
    let group = SentinelGroup::start();
    let sentinels: Vec<_> = group.sentinels.iter().map(|sentinel| format!("{}:{PORT}", sentinel.host)).collect();
    let store = format!("store = \"redis+sentinel://{}/{PRIMARY}\"", sentinels.join(","));
    let replicas = Replicas::start(3, HOUR, move |_| store.clone()).await;
    let people = replicas.log_in(9).await;
    let crowd = Crowd::of(&people, &replicas.balancer);
    crowd.goes_on_for(100).await;
    group.fail_over();
    crowd.goes_on_for(200).await;
    for person in &people {
        for index in 0..3 {
            gets(&replicas, index, person, Outcome::Served).await;
        }
    }
    only(&crowd.disperse().await, &[Outcome::Served, Outcome::Unavailable]);
    // What is written after it is written at the new primary.
    patiently("a logout", async {
        while replicas.sign_out(0, &people[0]).await != 303 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    gets(&replicas, 1, &people[0], Outcome::LoggedOut).await;
}

#[tokio::test]
async fn a_redis_that_is_emptied_under_load_shows_nobody_to_anybody_else() {
    let server = RedisServer::start();
    let mut replicas = three(&server, HOUR).await;
    let people = replicas.log_in(9).await;
    let crowd = Crowd::of(&people, &replicas.balancer);
    crowd.goes_on_for(100).await;
    server.cli(&["FLUSHALL"]);
    replicas.kill(2).await;
    replicas.start_one(2).await;
    let new = replicas.log_in_one(30, 0).await;
    crowd.goes_on_for(100).await;
    only(&crowd.disperse().await, &[Outcome::Served, Outcome::Broken, Outcome::LoggedOut]);
    // One that has nothing open finds nobody, which is no error; and everybody may log in again.
    assert_eq!(ask(replicas.address(2), &people[0]).await, Outcome::LoggedOut);
    assert_eq!(ask(replicas.address(2), &new).await, Outcome::Served);
}

#[tokio::test]
#[allow(clippy::disallowed_methods, reason = "what is promised is a time")]
async fn a_revocation_is_effective_on_every_replica_within_a_second_and_on_one_that_is_cut_off_within_the_grace() {
    let server = RedisServer::start();
    let relay = Relay::to(format!("{}:{PORT}", server.host).parse().unwrap()).await;
    let (direct, wired) = (store_at(&server), format!("store = \"redis://{}\"", relay.address));
    let grace = Duration::from_secs(3);
    let session = move |index| {
        let store = if index == 2 { &wired } else { &direct };
        format!("{store}\noutage_grace = \"3s\"")
    };
    let replicas = Replicas::start(3, HOUR, session).await;
    let people = replicas.log_in(3).await;
    for person in &people {
        for index in 0..3 {
            assert_eq!(ask(replicas.address(index), person).await, Outcome::Served);
        }
    }
    assert_eq!(replicas.sign_out(0, &people[0]).await, 303);
    let told = Instant::now();
    for index in 0..3 {
        gets(&replicas, index, &people[0], Outcome::LoggedOut).await;
    }
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());

    relay.cut();
    assert_eq!(replicas.sign_out(0, &people[1]).await, 303);
    let told = Instant::now();
    gets(&replicas, 1, &people[1], Outcome::LoggedOut).await;
    assert!(told.elapsed() < Duration::from_secs(1), "{:?}", told.elapsed());
    assert_eq!(ask(replicas.address(2), &people[2]).await, Outcome::Served, "within the grace");
    gets(&replicas, 2, &people[1], Outcome::Unavailable).await;
    gets(&replicas, 2, &people[2], Outcome::Unavailable).await;
    // The silence must be noticed first, and one look at the store may have been under way.
    assert!(told.elapsed() < grace + Duration::from_secs(3), "{:?}", told.elapsed());
    relay.mend();
    gets(&replicas, 2, &people[2], Outcome::Served).await;
    gets(&replicas, 2, &people[1], Outcome::LoggedOut).await;
}

#[tokio::test]
async fn rf_02_a_thousand_requests_over_three_replicas_on_an_expired_token_make_one_call() {
    let server = RedisServer::start();
    let replicas = three(&server, MOMENT).await;
    let person = replicas.log_in_one(0, 0).await;
    tokio::time::sleep(MOMENT).await;
    // A few hundred at a time: it is the token that is to be scarce, not sockets.
    let mut tally = Tally::new();
    let before = replicas.refresh_tokens_spent().len();
    for outcome in join_all((0..1_000).map(|number| ask(replicas.address(number % 3), &person))).await {
        *tally.entry(outcome).or_default() += 1;
    }
    assert_eq!(tally, Tally::from([(Outcome::Served, 1_000)]));
    let spent = replicas.refresh_tokens_spent();
    replicas.each_refresh_token_was_spent_once();
    assert!(spent.len() > before, "the token had run out");
}
