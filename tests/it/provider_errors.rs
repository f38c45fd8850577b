//! What a person gets for everything that the provider may say instead of yes.

use std::time::Duration;

use serde_json::json;
use url::Url;
use vestibule::gateway::settings::Settings;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::browser::Page;
use crate::harness::gateway::Stage;
use crate::harness::html::meta_refresh;
use crate::harness::login_steps::{Counts, authorize, begin, call_back, encoded, parameter};
use crate::harness::provider::{Endpoint, TestProvider};

const BACK: &str = "/deep/link?a=b";

/// The answer to a callback in which the provider says `error` to the login that has just begun.
async fn answered_with(stage: &Stage, authorization: &Url, error: &str) -> Page {
    let state = parameter(authorization, "state").unwrap();
    let issuer = encoded(stage.provider.issuer());
    let url = stage
        .url(&format!("/oauth2/callback?error={error}&error_description=mark-description&state={state}&iss={issuer}"));
    // As if from the provider, where the browser has been.
    stage.browser.navigate_once(authorization.as_str()).await;
    call_back(&stage.browser, &url.parse().unwrap()).await
}

#[tokio::test]
async fn an_error_of_the_authorization_endpoint_has_its_page() {
    let stage = Stage::set().await;
    for (error, status, reason) in [
        ("access_denied", 403, "access-denied"),
        ("temporarily_unavailable", 503, "provider-temporarily-unavailable"),
        ("server_error", 503, "provider-temporarily-unavailable"),
        ("invalid_scope", 502, "provider-operator-error"),
        ("unauthorized_client", 502, "provider-operator-error"),
        ("invalid_request", 502, "provider-operator-error"),
        ("unsupported_response_type", 502, "provider-operator-error"),
        ("%3Cscript%3Emark", 502, "provider-operator-error"),
    ] {
        let authorization = begin(&stage.browser, &stage.url(BACK)).await;
        let counts = Counts::of(&stage);
        let errors = stage.gateway.log.lines_with(&["\"level\":\"ERROR\"", "provider.error"]);
        let page = answered_with(&stage, &authorization, error).await;
        counts.assert_failed(&stage, &page, status, reason, BACK, 0);
        assert_eq!(page.header("retry-after").is_some(), status == 503, "{error}");
        // Nothing tries again by itself.
        assert_eq!((page.location(), meta_refresh(&page.text())), (None, None), "{error}");
        assert!(!page.text().contains("mark"), "{error}");
        let told = stage.gateway.log.lines_with(&["\"level\":\"ERROR\"", "provider.error"]) - errors;
        assert_eq!(told, usize::from(status == 502), "{error}");
    }
    assert!(!stage.gateway.everything_written().contains("mark"));
}

#[tokio::test]
async fn a_provider_that_must_talk_to_the_person_gets_one_interactive_attempt() {
    for error in ["login_required", "interaction_required", "consent_required", "account_selection_required"] {
        let stage = Stage::set().await;
        let start = stage.url(&format!("/oauth2/start?rd={}&prompt=none", encoded(BACK)));
        let silent = begin(&stage.browser, &start).await;
        assert_eq!(parameter(&silent, "prompt").as_deref(), Some("none"), "{error}");
        let again = answered_with(&stage, &silent, error).await;
        assert_eq!(again.status, 303, "{error}: {}", again.text());
        let interactive = again.location().unwrap();
        assert_eq!(interactive.path(), "/authorize", "{error}");
        assert_eq!(parameter(&interactive, "prompt"), None, "{error}");
        assert_ne!(parameter(&interactive, "state"), parameter(&silent, "state"), "{error}");
        assert_ne!(parameter(&interactive, "nonce"), parameter(&silent, "nonce"), "{error}");

        let counts = Counts::of(&stage);
        let page = answered_with(&stage, &interactive, error).await;
        counts.assert_failed(&stage, &page, 403, "interaction-required", BACK, 0);
        assert_eq!(stage.provider.hits(Endpoint::Token), 0, "{error}");
    }
}

#[tokio::test]
async fn a_silent_login_of_somebody_the_provider_does_not_know_becomes_an_interactive_one() {
    let stage = Stage::set().await;
    let start = stage.url(&format!("/oauth2/start?rd={}&prompt=none", encoded(BACK)));
    let page = stage.browser.log_in(&start, "alice").await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(BACK).as_str()));
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
}

/// Logs in while one endpoint of the provider behaves so, and judges the page.
async fn with_endpoint(endpoint: Endpoint, behaviour: Behaviour, status: u16, reason: &str, name: &str) {
    let soon = |settings: &mut Settings| settings.providers[0].total_timeout = Duration::from_millis(400);
    let stage = Stage::with_settings(TestProvider::start().await, |_| {}, soon).await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    stage.provider.once(endpoint, behaviour);
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &callback).await;
    counts.assert_failed(&stage, &page, status, reason, BACK, 1);
    assert_eq!(stage.provider.hits(endpoint), 1, "{name}: asked once");
    assert_eq!(page.header("retry-after").is_some(), status == 503, "{name}");
    let errors = stage.gateway.log.lines_with(&["\"level\":\"ERROR\"", "provider.error"]);
    assert_eq!(errors, usize::from(status == 502), "{name}: {}", stage.gateway.log.text());
    assert!(!page.text().contains("mark-") && !stage.gateway.log.text().contains("mark-"), "{name}");

    // The code is not sent again, and the link of the page leads to a login that works.
    let again = call_back(&stage.browser, &callback).await;
    assert_eq!((again.status.as_u16(), stage.provider.hits(Endpoint::Token)), (400, 1), "{name}");
    let page = stage.browser.click(&page.links()[0].0).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(BACK).as_str()), "{name}");
}

#[tokio::test]
async fn the_token_endpoint_s_errors_are_told_apart_by_who_can_do_something() {
    let error = |status, code: &str| Behaviour::json(status, &json!({ "error": code, "error_description": "mark-x" }));
    for (behaviour, status, reason, name) in [
        (error(400, "invalid_grant"), 400, "code-rejected", "invalid_grant"),
        (error(403, "invalid_grant"), 400, "code-rejected", "invalid_grant with 403"),
        (error(401, "invalid_client"), 502, "provider-operator-error", "invalid_client"),
        (error(400, "invalid_request"), 502, "provider-operator-error", "invalid_request"),
        (error(400, "unauthorized_client"), 502, "provider-operator-error", "unauthorized_client"),
        (error(400, "unsupported_grant_type"), 502, "provider-operator-error", "unsupported_grant_type"),
        (error(400, "invalid_scope"), 502, "provider-operator-error", "invalid_scope"),
        (Behaviour::html(403, "mark-no"), 502, "provider-operator-error", "403 as HTML"),
        (Behaviour::status(404), 502, "provider-operator-error", "404"),
        (error(400, "temporarily_unavailable"), 503, "provider-unavailable", "temporarily_unavailable"),
        (error(400, "slow_down"), 503, "provider-unavailable", "slow_down"),
        (Behaviour::status(429), 503, "provider-unavailable", "429"),
        (Behaviour::status(500), 503, "provider-unavailable", "500"),
        (error(503, "invalid_grant"), 503, "provider-unavailable", "503 with invalid_grant"),
        (Behaviour::Close, 503, "provider-unavailable", "closed"),
        (Behaviour::Reset, 503, "provider-unavailable", "reset"),
        (Behaviour::Hang, 503, "provider-unavailable", "silent"),
        (Behaviour::Raw(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()), 503, "provider-unavailable", "cut off"),
    ] {
        with_endpoint(Endpoint::Token, behaviour, status, reason, name).await;
    }
}

#[tokio::test]
async fn a_200_of_the_token_endpoint_that_is_no_token_answer_starts_again() {
    for (behaviour, name) in [
        (Behaviour::json(200, &json!({ "error": "invalid_grant" })), "error"),
        (Behaviour::html(200, "<p>mark-page</p>"), "HTML"),
        (Behaviour::json_text(200, ""), "nothing"),
        (Behaviour::json_text(200, "null"), "null"),
        (Behaviour::json_text(200, "[]"), "array"),
        (Behaviour::json_text(200, "{\"access_token\":\"mark-a\",\"access_token\":\"mark-b\"}"), "duplicate keys"),
        (Behaviour::json_text(200, b"\xff\xfe{\0}\0".to_vec()), "UTF-16"),
        (Behaviour::json(201, &json!({ "access_token": "mark-a", "token_type": "Bearer" })), "201"),
        (Behaviour::status(204), "204"),
        (Behaviour::redirect(302, "https://evil.example/"), "redirect"),
    ] {
        with_endpoint(Endpoint::Token, behaviour, 400, "code-rejected", name).await;
    }
}

#[tokio::test]
async fn keys_and_userinfo_that_are_away_are_nobody_s_fault_here() {
    for endpoint in [Endpoint::Keys, Endpoint::Userinfo] {
        for behaviour in [Behaviour::status(500), Behaviour::status(429), Behaviour::Hang, Behaviour::Reset] {
            let name = format!("{endpoint:?} {behaviour:?}");
            with_endpoint(endpoint, behaviour, 503, "provider-unavailable", &name).await;
        }
    }
    with_endpoint(Endpoint::Userinfo, Behaviour::status(403), 502, "provider-operator-error", "userinfo 403").await;
}

#[tokio::test]
async fn a_token_endpoint_that_cannot_be_reached_gives_the_same_page_within_its_time() {
    let mut stage = Stage::set().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    stage.provider.go_down().await;
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &callback).await;
    counts.assert_failed(&stage, &page, 503, "provider-unavailable", BACK, 0);
    stage.provider.come_back().await;
    let page = stage.browser.click(&page.links()[0].0).await;
    assert_eq!((page.status.as_u16(), stage.provider.hits(Endpoint::Token)), (200, 1), "{}", page.text());
}

#[tokio::test]
async fn a_login_whose_browser_has_gone_meanwhile_still_spends_the_code_once() {
    let stage = Stage::set().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let (opener, gate) = gate();
    stage.provider.once(Endpoint::Token, Behaviour::status(500).held(gate));
    let leaving = stage.browser.clone();
    let request = tokio::time::timeout(Duration::from_secs(20), async {
        tokio::select! {
            _ = call_back(&leaving, &callback) => panic!("nothing has answered yet"),
            () = stage.provider.hits_reach(Endpoint::Token, 1) => {}
        }
    });
    request.await.unwrap();
    opener.open();
    let page = call_back(&stage.browser, &callback).await;
    assert_eq!((page.status.as_u16(), stage.provider.hits(Endpoint::Token)), (400, 1));
}
