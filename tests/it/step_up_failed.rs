//! A step-up that comes to nothing: always a page, never a redirect; the session that was there goes on as it was.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vestibule::clock::OffsetClock;

use crate::harness::by_hand::{pair, program, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::login_steps::{
    LOGIN_COOKIE, SESSION_COOKIE, authorize, begin, call_back, encoded, parameter, start_link,
};
use crate::harness::page::Page;
use crate::harness::provider::{Endpoint, TestProvider};

/// What the page of a step-up that came to nothing leads to.
const LOG_OUT: &str = "/oauth2/sign_out";

/// Seconds since the epoch, at the provider.
fn now() -> u64 {
    use vestibule::clock::{Clock, SystemClock};
    SystemClock::default().now().as_seconds()
}

/// The page says no, leads on by two links and nothing else, and has changed nothing.
fn assert_failed(stage: &Stage, page: &Page, status: u16, back: &str) {
    assert_eq!(page.status.as_u16(), status, "{}: {}", page.url, page.text());
    assert_eq!(page.set_cookies(), Vec::<&str>::new(), "{}", page.url);
    assert!(page.location().is_none() && !page.text().contains("http-equiv"), "{}", page.text());
    assert!(page.links().iter().any(|(href, _)| *href == start_link(back)), "{:?}", page.links());
    assert_eq!(stage.gateway.sessions().live_sessions(), 1, "{}", page.url);
}

#[tokio::test]
async fn jw_27_an_acr_below_what_is_wanted_brings_no_session() {
    for acr in [json!("urn:weak"), json!("urn:strong urn:weak"), json!(""), Value::Null] {
        let stage = Stage::with_step_up().await;
        stage.log_in().await;
        let cookie = session_cookie(&stage.browser);
        stage.claim("acr", acr.clone());
        // However often: each time there is a page.
        for round in 1..=4 {
            let page = stage.step_up("/strong/x?a=b", "alice").await;
            assert_failed(&stage, &page, 403, "/strong/x?a=b");
            assert!(page.text().contains("alice") && page.links().iter().any(|(href, _)| href.starts_with(LOG_OUT)));
            let log = &stage.gateway.log;
            assert_eq!(log.lines_with(&["login.rejected", "step-up-required", "\"detail\":\"acr\""]), round, "{acr}");
        }
        assert_eq!(session_cookie(&stage.browser), cookie);
        assert_eq!(stage.browser.fetch(&stage.url("/plain")).await.status, 200, "the session goes on");
        assert_eq!(stage.provider.hits(Endpoint::Revocation), 0, "which would take the session's own tokens along");
    }
}

#[tokio::test]
async fn jw_27_without_a_session_left_a_weak_step_up_brings_none_either() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    stage.claim("acr", json!("urn:weak"));
    let authorization = begin(&stage.browser, &stage.url("/strong/x")).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    stage.browser.jar().remove("app.example", SESSION_COOKIE);
    let page = call_back(&stage.browser, &callback).await;
    assert_failed(&stage, &page, 403, "/strong/x");
    assert!(!page.links().iter().any(|(href, _)| href.starts_with(LOG_OUT)), "nobody is logged in");
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
}

#[tokio::test]
async fn a_login_that_was_not_made_anew_is_a_page() {
    for auth_time in [json!(now() - 3_000), Value::Null, json!("soon"), json!(now() + 3_000)] {
        let stage = Stage::with_step_up().await;
        stage.claim("auth_time", json!(now() - 3_000));
        stage.log_in().await;
        stage.provider.restore(Endpoint::Token);
        stage.claim("auth_time", auth_time.clone());
        for _ in 0..4 {
            let page = stage.step_up("/fresh/x", "alice").await;
            assert_failed(&stage, &page, 403, "/fresh/x");
        }
        assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "step-up-required"]), 4, "{auth_time}");
        assert_eq!(stage.browser.fetch(&stage.url("/plain")).await.status, 200);
    }
}

#[tokio::test]
async fn what_the_provider_says_instead_has_its_page_though_there_is_a_session() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    for (error, status, reason) in [
        ("access_denied", 403, "access-denied"),
        ("login_required", 403, "interaction-required"),
        ("interaction_required", 403, "interaction-required"),
        ("unmet_authentication_requirements", 403, "step-up-required"),
        ("temporarily_unavailable", 503, "provider-temporarily-unavailable"),
        ("invalid_request", 502, "provider-operator-error"),
    ] {
        let authorization = begin(&stage.browser, &stage.url("/strong/x")).await;
        let state = parameter(&authorization, "state").unwrap();
        let issuer = encoded(stage.provider.issuer());
        let callback = stage.url(&format!("/oauth2/callback?error={error}&state={state}&iss={issuer}"));
        let page = call_back(&stage.browser, &callback.parse().unwrap()).await;
        assert_failed(&stage, &page, status, "/strong/x");
        assert_eq!(stage.gateway.log.lines_with(&["login.rejected", reason, error]), 1, "{error}");
    }
    assert_eq!(stage.browser.fetch(&stage.url("/plain")).await.status, 200);
}

#[tokio::test]
async fn an_unusable_callback_of_a_step_up_has_its_page_though_there_is_a_session() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let state = async || parameter(&begin(&stage.browser, &stage.url("/strong/x")).await, "state").unwrap();
    let issuer = encoded(stage.provider.issuer());
    for (query, reason) in [
        (format!("state={}&iss={issuer}", state().await), "code-missing"),
        (format!("state={}&code=x&iss=https://evil.example", state().await), "iss-mismatch"),
        (format!("state={}&code=x", state().await), "iss-missing"),
        (format!("state={}&code=wrong&iss={issuer}", state().await), "code-rejected"),
    ] {
        let callback = stage.url(&format!("/oauth2/callback?{query}"));
        let page = call_back(&stage.browser, &callback.parse().unwrap()).await;
        assert_failed(&stage, &page, 400, "/strong/x");
        assert_eq!(stage.gateway.log.lines_with(&["login.rejected", reason]), 1);
    }
}

#[tokio::test]
async fn a_failed_login_is_not_sent_on_to_a_page_that_wants_a_step_up() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    for (back, status) in [("/plain", 303), ("/strong/x", 400)] {
        // A plain login that goes to the page, begun before there was a session.
        let other = stage.gateway.browser();
        let authorization = begin(&other, &stage.url(back)).await;
        let state = parameter(&authorization, "state").unwrap();
        let login = other.jar().find("app.example", LOGIN_COOKIE).unwrap().value.clone();
        let session = session_cookie(&stage.browser);
        let cookies = format!("Cookie: {}; {}={login}", pair(&session), LOGIN_COOKIE);
        let target = format!("GET /oauth2/callback?state={state}");
        let fields = [cookies.as_str(), "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
        assert_eq!(stage.spelled(&target, &fields).await.status, status, "{back}");
    }
}

#[tokio::test]
async fn another_account_is_refused_and_the_session_stays_whose_it_was() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let cookie = session_cookie(&stage.browser);
    let page = stage.step_up("/strong/x", "bob").await;
    assert_failed(&stage, &page, 403, "/strong/x");
    assert!(page.text().contains("alice") && !page.text().contains("bob"), "{}", page.text());
    assert!(page.links().iter().any(|(href, _)| href.starts_with(LOG_OUT)));
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "step-up-other-account"]), 1);
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
    assert_eq!(session_cookie(&stage.browser), cookie);
    let own = program(&stage.gateway, "/oauth2/userinfo", &pair(&cookie)).await;
    assert!(own.text().contains("subject-of-alice"), "{}", own.text());
}

#[tokio::test]
async fn a_max_age_of_nothing_does_not_go_round() {
    let clock = Arc::new(OffsetClock::default());
    let stage = Stage::with_step_up_at(TestProvider::with(Arc::clone(&clock) as _, |_| {}).await).await;
    stage.log_in().await;
    // The provider's clock is behind, within the leeway.
    stage.gateway.clock.advance(Duration::from_secs(1_000));
    clock.advance(Duration::from_secs(950));
    let page = stage.step_up("/now/x", "alice").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/now/x"), "{}", page.text());
    let authorizations = stage.provider.hits(Endpoint::Authorization);
    assert_eq!(stage.browser.navigate(&stage.url("/now/x")).await.status, 200);
    assert_eq!(stage.provider.hits(Endpoint::Authorization), authorizations);
    // Further behind than that, no login looks fresh: a page says so, each time.
    stage.gateway.clock.advance(Duration::from_secs(70));
    for _ in 0..4 {
        let page = stage.step_up("/now/x", "alice").await;
        assert_eq!((page.status.as_u16(), page.location()), (403, None));
    }
}
