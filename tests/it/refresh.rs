//! Access tokens are renewed behind the person's back: ahead of time, once for everybody, and whoever waits gets it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::provider::Endpoint;
use crate::harness::received::Received;
use crate::harness::signing::parts;

/// The development provider's access tokens live for a minute; after this they are due, and still serve.
const DUE: Duration = Duration::from_secs(40);
/// After this they have run out.
const RUN_OUT: Duration = Duration::from_secs(61);

fn token(received: &Received) -> String {
    received.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned()
}

/// Moves the gateway's timers, which the clock of the test does not reach.
async fn skip(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_token_is_renewed_ahead_of_its_expiry_while_the_old_one_serves() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let old = token(&stage.upstream.last());
    stage.gateway.clock.advance(DUE);
    let (opener, gate) = gate();
    let mut gate = Some(gate);
    stage.provider.on(Endpoint::Token, move |_, response| Behaviour::Respond(response).held(gate.take().unwrap()));
    for _ in 0..10 {
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
        assert_eq!(token(&stage.upstream.last()), old, "nobody waits while the old token serves");
    }
    stage.provider.hits_reach(Endpoint::Token, 2).await;
    opener.open();
    stage.gateway.log_reaches(&["refresh.ok"], 1).await;
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    assert_ne!(token(&stage.upstream.last()), old);
    assert_eq!(stage.provider.hits(Endpoint::Token), 2, "one login, one refresh");
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
    let page = stage.gateway.metrics_page().await;
    assert!(page.contains(r#"vestibule_refresh_total{outcome="ok",provider="default"} 1"#), "{page}");
}

#[tokio::test]
async fn rf_01_a_hundred_requests_with_a_token_that_has_run_out_make_one_call() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let old = token(&stage.upstream.last());
    stage.upstream.forget();
    stage.gateway.clock.advance(RUN_OUT);
    let url = stage.url("/");
    let pages = join_all((0..100).map(|_| stage.browser.fetch(&url))).await;
    assert!(pages.iter().all(|page| page.status == 200));
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
    let seen: Vec<_> = stage.upstream.requests().iter().map(token).collect();
    assert_eq!(seen.len(), 100);
    assert!(seen.iter().all(|token| *token == seen[0] && *token != old));
    assert_eq!(stage.gateway.log.lines_with(&["refresh.ok", "\"generation\":2"]), 1);
}

#[tokio::test]
async fn rf_01_a_tab_that_is_closed_does_not_lose_the_rotated_token() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.gateway.clock.advance(RUN_OUT);
    let (opener, gate) = gate();
    let mut gate = Some(gate);
    stage.provider.on(Endpoint::Token, move |_, response| Behaviour::Respond(response).held(gate.take().unwrap()));
    let (tab, url) = (stage.browser.clone(), stage.url("/"));
    let request = tokio::spawn(async move { tab.fetch(&url).await });
    stage.provider.hits_reach(Endpoint::Token, 2).await;
    request.abort();
    assert!(request.await.unwrap_err().is_cancelled());
    opener.open();
    stage.gateway.log_reaches(&["refresh.ok"], 1).await;
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    assert_eq!(stage.provider.hits(Endpoint::Token), 2);
    // The token that came while nobody was waiting is the one that is spent next; the provider refuses any other.
    stage.provider.restore(Endpoint::Token);
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    assert_eq!(stage.gateway.log.lines_with(&["refresh.ok"]), 2);
}

#[tokio::test]
async fn rf_09_an_answer_without_a_refresh_token_leaves_the_old_one_in_use() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let mut counted = 0;
    stage.provider.instead(Endpoint::Token, move |_| {
        counted += 1;
        let token = format!("access-{counted}");
        Behaviour::json(200, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 60 }))
    });
    for expected in ["access-1", "access-2"] {
        stage.gateway.clock.advance(RUN_OUT);
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
        assert_eq!(token(&stage.upstream.last()), expected);
    }
    let spent: Vec<_> =
        stage.provider.token_requests("refresh_token").iter().map(|sent| sent.form_value("refresh_token")).collect();
    assert_eq!(spent.len(), 2);
    assert!(spent[0].is_some() && spent[0] == spent[1]);
}

#[tokio::test]
async fn rf_13_nobody_gets_the_token_of_somebody_else() {
    let stage = Stage::set().await;
    let people = ["alice", "bob", "carol"].map(|name| (name, stage.gateway.browser()));
    for (name, browser) in &people {
        assert_eq!(browser.log_in(&stage.url("/"), name).await.status, 200);
    }
    stage.upstream.forget();
    stage.gateway.clock.advance(RUN_OUT);
    let urls: Vec<_> = people.iter().map(|(name, _)| stage.url(&format!("/{name}"))).collect();
    let requests = (0..30).flat_map(|_| people.iter().zip(&urls).map(|((_, browser), url)| browser.fetch(url)));
    assert!(join_all(requests).await.iter().all(|page| page.status == 200));
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 3);
    let received = stage.upstream.requests();
    assert_eq!(received.len(), 90);
    for request in received {
        let claims = parts(&token(&request)).1;
        assert_eq!(claims["sub"], format!("subject-of-{}", &request.path()[1..]));
    }
}

#[tokio::test]
async fn rf_14_what_a_refresh_writes_is_read_by_the_next_one() {
    let stage = Stage::set().await;
    stage.log_in().await;
    for refreshes in 1..=4 {
        stage.gateway.clock.advance(RUN_OUT);
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
        assert_eq!(stage.gateway.log.lines_with(&["refresh.ok"]), refreshes);
    }
    // Every refresh token was spent once, in the order in which they came.
    let spent: std::collections::HashSet<_> =
        stage.provider.token_requests("refresh_token").iter().map(|sent| sent.form_value("refresh_token")).collect();
    assert_eq!(spent.len(), 4);
    assert_eq!(stage.gateway.sessions().live_sessions(), 1);
}

#[tokio::test]
async fn rf_16_a_web_socket_lives_through_a_refresh_and_asks_for_it_itself() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    socket.send(Message::text("before")).await.unwrap();
    assert_eq!(patiently("an echo", socket.next()).await.unwrap().unwrap(), Message::text("before"));
    for refreshes in 1..=2 {
        stage.gateway.clock.advance(DUE);
        skip(Duration::from_secs(16)).await;
        stage.gateway.log_reaches(&["refresh.ok"], refreshes).await;
        socket.send(Message::text("after")).await.unwrap();
        assert_eq!(patiently("an echo", socket.next()).await.unwrap().unwrap(), Message::text("after"));
    }
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 2);
}

#[tokio::test]
async fn rf_16_a_stream_of_events_lives_through_a_refresh() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let (events, stream) = Behaviour::events();
    stage.upstream.answer_once(stream);
    let mut response = stage.browser.stream(&stage.url("/events"), Asked::new(Kind::Fetch)).await;
    assert_eq!(response.status(), 200);
    stage.gateway.clock.advance(RUN_OUT);
    skip(Duration::from_secs(16)).await;
    stage.gateway.log_reaches(&["refresh.ok"], 1).await;
    events.send(Bytes::from("data: 1\n\n")).await.unwrap();
    let frame = patiently("an event", response.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: 1\n\n");
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
}

#[tokio::test]
async fn jw_38_a_group_that_was_taken_away_is_gone_with_the_next_refresh() {
    // With an ID token, and without one: then userinfo alone can tell.
    for with_id_token in [true, false] {
        let only_admins = "access = { claim = \"groups\", contains = \"admins\" }";
        let stage = Stage::with(|setup| setup.upstream = only_admins.into()).await;
        stage.log_in().await;
        stage.provider.put(Endpoint::Userinfo, "groups", json!(["staff"]));
        if with_id_token {
            stage.provider.alter_claims(|claims| claims["groups"] = json!(["staff"]));
        } else {
            stage.provider.omit(Endpoint::Token, "id_token");
        }
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
        stage.gateway.clock.advance(RUN_OUT);
        let page = stage.browser.fetch(&stage.url("/")).await;
        assert_eq!(page.status, 403, "{}", page.text());
        assert_eq!(stage.upstream.hits(), 2);
        assert_eq!((stage.provider.hits(Endpoint::Token), stage.provider.hits(Endpoint::Userinfo)), (2, 2));
        assert_eq!(stage.gateway.sessions().live_sessions(), 1, "the person is still logged in");
        assert_eq!(stage.gateway.log.lines_with(&["authz.denied"]), 1);
    }
}
