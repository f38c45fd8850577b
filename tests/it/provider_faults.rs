//! A provider that fails or answers nonsense: nobody gets in, nobody is asked twice, nobody hammers.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::behaviour::{Behaviour, response};
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::provider::Endpoint;

/// After this the development provider's access tokens have run out.
const RUN_OUT: Duration = Duration::from_secs(61);
const JSON: (&str, &str) = ("content-type", "application/json");

/// One login by a new browser whose token call is answered so; it must end with this status.
async fn login(stage: &Stage, what: &str, answer: Behaviour, status: u16) {
    let (calls, upstream) = (stage.provider.hits(Endpoint::Token), stage.upstream.hits());
    stage.provider.once(Endpoint::Token, answer);
    let page = stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
    assert_eq!(page.status, status, "{what}: {}", page.text());
    assert_eq!(stage.provider.hits(Endpoint::Token), calls + 1, "{what}: a code is sent once");
    let nothing = (stage.provider.hits(Endpoint::Userinfo), stage.upstream.hits());
    assert_eq!(nothing, (0, upstream), "{what}");
    assert_eq!((stage.gateway.sessions().live_sessions(), page.set_cookies().len()), (0, 0), "{what}");
}

#[tokio::test]
async fn if_03_a_provider_that_gives_no_answer_is_not_hammered() {
    let stage = Stage::set().await;
    stage.provider.instead(Endpoint::Token, |_| Behaviour::Reset);
    for attempt in 0..5 {
        let page = stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
        assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("10")), "{attempt}");
    }
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "provider.error", "token", "interrupted"]), 5);
    // Now one call in every pause goes ahead, and each pause is longer than the one before.
    patiently("the open circuit", async {
        while stage.gateway.log.lines_with(&["DEBUG", "provider.error", "token", "circuit-open"]) == 0 {
            stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
        }
    })
    .await;
    stage.provider.restore(Endpoint::Token);
    // When a probe has succeeded, all others follow.
    let before = stage.provider.hits(Endpoint::Token);
    patiently("a probe", async {
        while stage.provider.hits(Endpoint::Token) == before {
            tokio::time::sleep(Duration::from_millis(50)).await;
            stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
        }
    })
    .await;
    stage.log_in().await;
    assert_eq!(stage.provider.hits(Endpoint::Token), before + 2);
}

#[tokio::test]
async fn if_03_strangers_whose_codes_upset_the_provider_stop_nobody_else() {
    for status in [500, 503, 429] {
        let stage = Stage::set().await;
        stage.log_in().await;
        let failing = move |_: &_| Behaviour::with_headers(status, &[JSON, ("retry-after", "30")], "{}");
        stage.provider.instead(Endpoint::Token, failing);
        for attempt in 0..8 {
            let page = stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
            assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("10")), "{status}, {attempt}");
        }
        stage.provider.restore(Endpoint::Token);
        assert_eq!(stage.provider.hits(Endpoint::Token), 9);
        stage.gateway.clock.advance(RUN_OUT);
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200, "{status}: a refresh");
        let other = stage.gateway.browser().log_in(&stage.url("/"), "bob").await;
        assert_eq!(other.status, 200, "{status}: a login");
        assert_eq!(stage.gateway.log.lines_with(&["circuit-open"]), 0);
    }
}

#[tokio::test]
async fn if_03_refreshes_that_fail_open_a_circuit_of_their_own() {
    let stage = Stage::set().await;
    let mut browsers = Vec::new();
    for _ in 0..8 {
        let browser = stage.gateway.browser();
        assert_eq!(browser.log_in(&stage.url("/"), "alice").await.status, 200);
        browsers.push(browser);
    }
    // Long enough that the circuit does not close again meanwhile, however slow the machine is.
    let failing = |_: &_| Behaviour::with_headers(503, &[JSON, ("retry-after", "3")], "{}");
    stage.provider.instead(Endpoint::Token, failing);
    stage.gateway.clock.advance(RUN_OUT);
    for browser in &browsers {
        assert_eq!(browser.fetch(&stage.url("/")).await.status, 503);
    }
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 5, "the circuit opens after five failures");
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "provider.error", "token", "unavailable"]), 5);
    assert_eq!(stage.gateway.log.lines_with(&["DEBUG", "provider.error", "token", "circuit-open"]), 3);
    stage.provider.restore(Endpoint::Token);
    stage.log_in().await;
    // After the pause one call goes ahead; when it has succeeded, all others follow.
    patiently("a probe", async {
        while stage.provider.token_requests("refresh_token").len() == 5 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            browsers[0].fetch(&stage.url("/")).await;
        }
    })
    .await;
    for browser in &browsers {
        assert_eq!(browser.fetch(&stage.url("/")).await.status, 200);
    }
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 5 + 8);
}

#[tokio::test]
async fn if_04_to_if_07_a_success_that_is_no_token_answer_is_refused() {
    let good = json!({ "access_token": "a", "token_type": "Bearer", "id_token": "a.b.c", "expires_in": 60 });
    let utf_16: Vec<u8> = good.to_string().encode_utf16().flat_map(u16::to_be_bytes).collect();
    let twice = r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#;
    let gzip = [JSON, ("content-encoding", "gzip")];
    let large = [JSON, ("content-length", "1000000000")];
    let head = || response(200, &[JSON], "").map(|_| ());
    let two_types = [JSON, ("content-type", "text/html")];
    let cases = [
        ("IF-04: an error", "error-member", Behaviour::json(200, &json!({ "error": "server_error" }))),
        ("IF-04: an error and tokens", "error-member", Behaviour::json(200, &with(&good, "error", json!("x")))),
        ("IF-04: HTML", "content-type", Behaviour::html(200, "<html>")),
        ("IF-04: empty", "not-json", Behaviour::json_text(200, "")),
        ("IF-04: null", "not-json", Behaviour::json_text(200, "null")),
        ("IF-04: an array", "not-json", Behaviour::json(200, &json!([good]))),
        ("IF-04: duplicate members", "not-json", Behaviour::json_text(200, twice)),
        ("IF-04: UTF-16", "not-json", Behaviour::json_text(200, utf_16)),
        ("IF-04: bytes behind it", "not-json", Behaviour::json_text(200, format!("{good}{good}"))),
        ("IF-04: no access token", "access-token", Behaviour::json(200, &with(&good, "access_token", Value::Null))),
        ("IF-04: CRLF in it", "access-token", Behaviour::json(200, &with(&good, "access_token", json!("a\r\nb: c")))),
        ("IF-05: 1 GB", "unusable-body", Behaviour::with_headers(200, &large, "")),
        ("IF-05: endless", "unusable-body", Behaviour::Endless(head(), bytes::Bytes::from_static(&[b' '; 8192]))),
        ("IF-05: gzip", "unusable-body", Behaviour::with_headers(200, &gzip, "\u{1f}\u{8b}")),
        ("IF-06: JSON as HTML", "content-type", Behaviour::html(200, &good.to_string())),
        ("IF-06: JSON as text", "content-type", Behaviour::text(200, &good.to_string())),
        ("IF-06: two types", "content-type", Behaviour::with_headers(200, &two_types, good.to_string())),
        ("IF-06: no type", "content-type", Behaviour::with_headers(200, &[], good.to_string())),
        ("IF-07: 201", "unexpected-status", Behaviour::json(201, &good)),
        ("IF-07: 204", "unexpected-status", Behaviour::status(204)),
        ("a redirect", "unexpected-status", Behaviour::redirect(307, "http://169.254.169.254/")),
    ];
    let stage = Stage::set().await;
    for (what, reason, answer) in cases {
        let line = ["WARN", "login.rejected", "\"reason\":\"code-rejected\"", &format!("\"detail\":\"{reason}\"")];
        let lines = stage.gateway.log.lines_with(&line);
        login(&stage, what, answer, 400).await;
        assert_eq!(stage.gateway.log.lines_with(&line), lines + 1, "{what}: {}", stage.gateway.log.text());
    }
    stage.log_in().await;
}

fn with(answer: &Value, name: &str, value: Value) -> Value {
    let mut answer = answer.clone();
    answer[name] = value;
    answer
}

#[tokio::test]
async fn if_08_a_code_is_not_sent_again_when_the_answer_was_lost() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{".to_vec();
    let stage = Stage::set().await;
    login(&stage, "reset", Behaviour::Reset, 503).await;
    login(&stage, "closed", Behaviour::Close, 503).await;
    login(&stage, "cut off", Behaviour::Raw(half), 503).await;
    stage.provider.restore(Endpoint::Token);
    // On a connection that has served before, too.
    stage.log_in().await;
    let other = stage.gateway.browser();
    stage.provider.once(Endpoint::Token, Behaviour::Reset);
    assert_eq!(other.log_in(&stage.url("/"), "bob").await.status, 503);
    assert_eq!(stage.provider.hits(Endpoint::Token), 5);
    assert_eq!(stage.gateway.log.lines_with(&["provider.error", "interrupted"]), 4);
}

#[tokio::test]
async fn a_client_that_the_provider_refuses_is_the_operators_to_mend() {
    let stage = Stage::set().await;
    for (status, error) in [(401, "invalid_client"), (400, "unauthorized_client"), (403, "invalid_request")] {
        let body = json!({ "error": error, "error_description": "mark-of-the-description" });
        login(&stage, error, Behaviour::json(status, &body), 502).await;
    }
    login(&stage, "no JSON", Behaviour::html(403, "mark-of-the-description"), 502).await;
    assert_eq!(stage.gateway.log.lines_with(&["ERROR", "provider.error", "token"]), 4);
    assert!(!stage.gateway.everything_written().contains("mark-of-the-description"), "bodies are not logged");
}

#[tokio::test]
async fn if_09_the_leeway_for_the_provider_s_clock_has_an_end() {
    // A second or two may pass between the provider's look at the clock and the gateway's; what is exact about the
    // limit is shown where the clock stands still.
    let ahead = |name: &'static str, seconds: i64| {
        move |claims: &mut Value| claims[name] = (claims["iat"].as_i64().unwrap() + seconds).into()
    };
    for (name, seconds, accepted) in [
        ("iat", 59, true),
        ("iat", 63, false),
        ("nbf", 59, true),
        ("nbf", 63, false),
        ("exp", -55, true),
        ("exp", -60, false),
    ] {
        let stage = Stage::set().await;
        stage.provider.alter_claims(ahead(name, seconds));
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        assert_eq!(page.status, if accepted { 200 } else { 400 }, "{name} {seconds}");
        if accepted && name == "iat" {
            let metrics = stage.gateway.metrics_page().await;
            // Both clocks run on while the login does.
            let shown =
                (40..=59).map(|skew| format!("vestibule_provider_skew_seconds{{provider=\"default\"}} {skew}\n"));
            assert!(shown.into_iter().any(|shown| metrics.contains(&shown)), "{metrics}");
        }
        if !accepted {
            assert_eq!(
                stage.gateway.log.lines_with(&["login.rejected", "token-invalid", &format!("\"detail\":\"{name}\"")]),
                1
            );
        }
    }
}

#[tokio::test]
async fn if_11_a_revocation_that_fails_keeps_nobody_logged_in() {
    for answer in [|| Behaviour::status(503), || Behaviour::Hang, || Behaviour::Reset] {
        let stage = Stage::set().await;
        stage.log_in().await;
        stage.provider.instead(Endpoint::Revocation, move |_| answer());
        let page = stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
        assert_eq!((page.status.as_u16(), stage.gateway.sessions().live_sessions()), (303, 0));
        stage.provider.hits_reach(Endpoint::Revocation, 1).await;
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
        assert_eq!(stage.gateway.log.lines_with(&["logout.local"]), 1);
    }
}

#[tokio::test]
async fn if_11_a_revocation_that_fails_is_tried_again_and_then_given_up() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.provider.instead(Endpoint::Revocation, |_| Behaviour::status(503));
    stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
    for tries in 1..=3 {
        stage.provider.hits_reach(Endpoint::Revocation, tries).await;
        stage.gateway.log_reaches(&["provider.error", "revocation"], tries).await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(11)).await;
        tokio::time::resume();
    }
    stage.gateway.log_reaches(&["WARN", "logout.revocation-failed", "\"reason\":\"provider\""], 1).await;
    assert_eq!(stage.provider.hits(Endpoint::Revocation), 3);
}
