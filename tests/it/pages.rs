//! The pages that the gateway shows to people: each is looked at in a real browser.

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::gateway::code::Code;
use vestibule::gateway::respond::{self, RefusalContext};
use vestibule::gateway::settings::PagesSettings;

use crate::harness::behaviour::Behaviour;
use crate::harness::chromium::look_at;
use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;
use crate::harness::upstream::RecordingUpstream;

/// Every reason as the page that people get, with the longest texts that can be expected.
fn every_reason() -> Vec<Value> {
    let name = "Donaudampfschifffahrtsgesellschaft".repeat(6);
    let account = format!("{}@{}.example.com", "a".repeat(64), "b".repeat(130));
    let pages = PagesSettings { name: Some(name), contact: Some(account.clone()) };
    let long = format!("/{}", "path/".repeat(200));
    let context = RefusalContext {
        account: Some(&account),
        again: Some(&long),
        sign_out: Some(&long),
        ..RefusalContext::new(&pages, "0123456789abcdef0123456789abcdef", "wiki.example.com")
    };
    let fields = [(account.clone(), account.repeat(50))];
    let own = |code: Code| match code {
        Code::LoginLoop => respond::login_loop(&context, &long),
        Code::SignOutConfirm => respond::sign_out_confirm(&context, &long, Some(&long)),
        Code::SignedOut => respond::signed_out(&context, &long),
        Code::FrameUnauthenticated => respond::frame_unauthenticated(&context, &long),
        Code::FormNotSent => respond::form_not_sent(&context, &long, Some((&long, &fields)), false),
        Code::StoreUnavailable => respond::form_kept(code, &context, &long, &fields, false),
        _ => respond::page(code, &context),
    };
    let page = |code: &Code| {
        let html = String::from_utf8(own(*code).into_body().to_vec()).unwrap();
        assert!(!html.contains("<script"), "{html}");
        json!({ "name": format!("reason-{}", code.as_str()), "html": html, "alike": true })
    };
    // The page that moves on by itself is looked at where a browser meets it, in chromium.rs.
    Code::ALL.iter().filter(|code| **code != Code::LoginContinues).map(page).collect()
}

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
    let mut every = json!([
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
    ]);
    every.as_array_mut().unwrap().extend(every_reason());
    look_at(&every).await;

    // The token has run out and the provider is away: nobody is logged out for that.
    stage.provider.instead(Endpoint::Token, |_| Behaviour::status(503));
    stage.gateway.clock.advance(Duration::from_secs(61));
    look_at(&json!([page("refresh-unavailable", "/", 503, "Your login cannot be renewed right now", true)])).await;
}
