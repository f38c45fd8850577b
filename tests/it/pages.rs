//! The pages that the gateway shows to people: each is looked at in a real browser.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::behaviour::Behaviour;
use crate::harness::chromium::look_at;
use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;
use crate::harness::upstream::RecordingUpstream;

const PAGES: &str = "[pages]\nname = \"Example Corp\"\ncontact = \"it@example.com\"\n";

/// The session of the stage's browser, for Chromium.
fn session_cookie(stage: &Stage) -> Value {
    let name = format!("vestibule-dev-{}", stage.gateway.address.port());
    let jar = stage.browser.jar();
    let value = &jar.find("localhost", &name).expect("the browser is logged in").value;
    json!([{ "name": name, "value": value, "url": stage.url("/") }])
}

#[tokio::test]
async fn every_page_can_be_read_and_breaks_no_rule_of_accessibility() {
    let mut away = RecordingUpstream::start().await;
    let slow = RecordingUpstream::start().await;
    slow.answer(|_| Behaviour::Hang);
    let more = [
        ("away", away.url(), ""),
        ("slow", slow.url(), "timeouts = { response_header = \"1s\" }"),
        ("staff", slow.url(), "access = { claim = \"groups\", contains = \"nobody-has-this\" }"),
        ("closed", slow.url(), "anonymous = \"deny\""),
    ]
    .map(|(name, target, keys)| {
        format!("[[upstream]]\nname = \"{name}\"\npath = \"/{name}\"\ntarget = \"{target}\"\n{keys}\n")
    });
    let stage = Stage::with(|setup| {
        setup.public_url = "http://localhost:{port}".to_owned();
        setup.more = format!("{}{PAGES}", more.concat());
    })
    .await;
    away.stop().await;
    stage.log_in_as("bob").await;
    let cookies = session_cookie(&stage);
    let page = |name: &str, path: &str, status: u16, heading: &str, logged_in: bool| {
        let cookies = if logged_in { cookies.clone() } else { json!([]) };
        json!({ "name": format!("gateway-{name}"), "url": stage.url(path), "status": status, "heading": heading, "cookies": cookies })
    };
    let by_address = format!("http://127.0.0.1:{}/", stage.gateway.address.port());
    let long = format!("/{}", "a".repeat(17_000));
    look_at(&json!([
        page("callback", "/oauth2/callback?code=x&state=y", 400, "Your login could not be completed", false),
        page("malformed-path", "/a%2Fb", 400, "The address is not correct", true),
        page("anonymous-denied", "/closed", 401, "You are not logged in", false),
        page("forbidden", "/staff", 403, "You do not have access", true),
        page("not-found", "/oauth2/nothing", 404, "There is nothing here", true),
        page("method", "/oauth2/session/refresh", 405, "This cannot be done here", true),
        page("target-too-long", &long, 414, "The address is too long", true),
        { "name": "gateway-misdirected", "url": by_address, "status": 421, "heading": "There is no such site here" },
        page("unreachable", "/away", 502, "The application cannot be reached", true),
        page("timeout", "/slow", 504, "The application does not answer", true),
        page("signed-out", "/oauth2/signed_out", 200, "You are signed out", false),
    ]))
    .await;

    // The token has run out and the provider is away: nobody is logged out for that.
    stage.provider.instead(Endpoint::Token, |_| Behaviour::status(503));
    stage.gateway.clock.advance(Duration::from_secs(61));
    look_at(&json!([page("refresh-unavailable", "/", 503, "Your login cannot be renewed right now", true)])).await;
}
