//! The session of a step-up: a new id, ten seconds for what was under way, one end for both.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use vestibule::clock::{Clock, SystemClock};

use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{pair, program, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::login_steps::{SESSION_COOKIE, authorize, begin, call_back};
use crate::harness::patiently;
use crate::harness::provider::Endpoint;

#[tokio::test]
async fn a_step_up_whose_session_is_gone_is_a_login() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let authorization = begin(&stage.browser, &stage.url("/strong/x")).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    stage.browser.jar().remove("app.example", SESSION_COOKIE);
    let page = stage.browser.ask(callback.as_str(), Asked::new(Kind::Navigation)).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/strong/x"), "with the acr that it has proved");
}

#[tokio::test]
async fn ck_17_requests_with_the_old_cookie_go_on_for_ten_seconds_at_the_old_level() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let old = pair(&session_cookie(&stage.browser));
    let authorization = begin(&stage.browser, &stage.url("/strong/x")).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let gateway = &stage.gateway;
    let fifty = || join_all((0..50).map(|_| program(gateway, "/plain", &old)));
    let (during, page) = tokio::join!(fifty(), call_back(&stage.browser, &callback));
    assert_eq!(page.status, 303, "{}", page.text());
    let new = pair(&session_cookie(&stage.browser));
    let after = fifty().await;
    gateway.clock.advance(Duration::from_secs(6));
    let late = fifty().await;
    for answer in during.iter().chain(&after).chain(&late) {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(program(gateway, "/strong/x", &old).await.status, 403, "the old level");
    assert_eq!(program(gateway, "/strong/x", &new).await.status, 200);
    gateway.clock.advance(Duration::from_secs(5));
    assert_eq!(program(gateway, "/plain", &old).await.status, 401, "dead");
    assert_eq!(program(gateway, "/strong/x", &new).await.status, 200, "and nobody is logged out");
    assert!(stage.provider.token_requests("refresh_token").is_empty());
    assert_eq!(stage.provider.hits(Endpoint::Revocation), 0);
    assert_eq!(gateway.log.lines_with(&["session.ended"]), 1);
}

#[tokio::test]
async fn signing_out_ends_both_sessions_whichever_cookie_is_shown() {
    for shown in ["old", "new"] {
        let stage = Stage::with_step_up().await;
        stage.log_in().await;
        let old = session_cookie(&stage.browser);
        assert_eq!(stage.step_up("/strong/x", "alice").await.status, 200);
        let new = session_cookie(&stage.browser);
        if shown == "old" {
            stage.browser.jar().plant("app.example", SESSION_COOKIE, &old);
        }
        stage.browser.click("/oauth2/sign_out").await;
        for cookie in [old, new] {
            assert_eq!(program(&stage.gateway, "/plain", &pair(&cookie)).await.status, 401, "{shown}");
        }
        assert_eq!(stage.gateway.sessions().live_sessions(), 0, "{shown}");
    }
}

#[tokio::test]
async fn a_refresh_keeps_what_was_proved() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    assert_eq!(stage.step_up("/both/x", "alice").await.status, 200);
    // Whatever a refreshed ID token says of itself, nobody has logged in again.
    stage.claim("acr", json!("urn:weak"));
    stage.gateway.clock.advance(Duration::from_secs(61));
    assert_eq!(stage.browser.fetch(&stage.url("/both/x")).await.status, 200);
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
    stage.claim("auth_time", json!(SystemClock::default().now().as_seconds() + 60));
    stage.gateway.clock.advance(Duration::from_secs(61));
    assert_eq!(stage.browser.fetch(&stage.url("/both/x")).await.status, 200);
    stage.gateway.clock.advance(Duration::from_secs(900 - 122 - 30));
    assert_eq!(stage.browser.fetch(&stage.url("/both/x")).await.status, 200);
    stage.gateway.clock.advance(Duration::from_secs(60));
    assert_eq!(stage.browser.fetch(&stage.url("/both/x")).await.status, 403, "nor made it fresher");
}

#[tokio::test]
async fn tabs_that_were_stepping_up_as_well_go_on_with_what_the_first_has_proved() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let first = begin(&stage.browser, &stage.url("/strong/x")).await;
    let second = begin(&stage.browser, &stage.url("/strong/y")).await;
    let callback = authorize(&stage.browser, &first, "alice").await;
    assert_eq!(call_back(&stage.browser, &callback).await.status, 303);
    let proved = session_cookie(&stage.browser);
    let tokens = stage.provider.hits(Endpoint::Token);
    let callback = authorize(&stage.browser, &second, "alice").await;
    let page = stage.browser.ask(callback.as_str(), Asked::new(Kind::Navigation)).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/strong/y"));
    assert_eq!((stage.provider.hits(Endpoint::Token), session_cookie(&stage.browser)), (tokens, proved));
}

#[tokio::test]
async fn an_open_web_socket_goes_on_with_the_new_session_and_ends_with_it() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    assert_eq!(stage.step_up("/strong/x", "alice").await.status, 200);
    stage.gateway.clock.advance(Duration::from_secs(30));
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(patiently("the echo", socket.next()).await.unwrap().unwrap(), Message::text("still here"));
    stage.browser.click("/oauth2/sign_out").await;
    let end = patiently("the end of the WebSocket", socket.next()).await;
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
}

#[tokio::test]
async fn a_web_socket_is_opened_only_at_the_level_that_its_rule_wants() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let refused = stage.browser.web_socket("/strong/socket", None).await.unwrap_err();
    assert_eq!(refused.status(), 403);
    assert_eq!(stage.step_up("/strong/x", "alice").await.status, 200);
    assert!(stage.browser.web_socket("/strong/socket", None).await.is_ok());
}
