//! What happens to logins and sessions is told in audit events, each once, under stable names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{SESSION, cookie, pair, program, send, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::provider::{Endpoint, TestProvider};

/// The audit events so far, in order.
fn events(stage: &Stage) -> Vec<Value> {
    let text = stage.gateway.log.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["target"] == "audit").collect()
}

/// Their names with how often each came.
fn counted(stage: &Stage) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for event in events(stage) {
        *counted.entry(event["event"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counted
}

fn expected(pairs: &[(&str, usize)]) -> BTreeMap<String, usize> {
    pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn only(stage: &Stage, name: &str) -> Value {
    let mut found: Vec<_> = events(stage).into_iter().filter(|event| event["event"] == name).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    found.remove(0)
}

#[tokio::test]
async fn a_day_of_a_session_is_told_event_by_event() {
    let stage = Stage::set().await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    let callback = page.hop("/oauth2/callback").header("x-request-id").unwrap().to_owned();
    stage.gateway.clock.advance(Duration::from_secs(20));
    let refresh = Asked::new(Kind::Fetch).method("POST");
    assert_eq!(stage.browser.ask(&stage.url("/oauth2/session/refresh"), refresh).await.status, 200);
    stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
    let told = expected(&[
        ("login.started", 1),
        ("login.ok", 1),
        ("session.created", 1),
        ("refresh.ok", 1),
        ("logout.local", 1),
        ("logout.at-provider", 1),
        ("session.ended", 1),
    ]);
    assert_eq!(counted(&stage), told);
    let (begun, ended) = (only(&stage, "session.created"), only(&stage, "session.ended"));
    assert_eq!(begun["request_id"], callback.as_str());
    assert_eq!((&begun["session"], &begun["user"]), (&ended["session"], &ended["user"]));
    assert_eq!(begun["session"].as_str().unwrap().len(), 16);
    assert_eq!((&ended["reason"], &ended["level"]), (&Value::from("sign-out"), &Value::from("INFO")));
    assert_eq!(only(&stage, "refresh.ok")["session"], begun["session"]);
    // The access log speaks of the session and its person by the same names.
    let written = stage.gateway.everything_written();
    let line = written.lines().find(|line| line.contains("\"access\"") && line.contains("\"upstream\":\"app\""));
    assert!(written.contains(begun["session"].as_str().unwrap()), "{line:?}");
}

#[tokio::test]
async fn a_refused_login_is_told_once_with_its_reason() {
    let stage = Stage::set().await;
    stage.provider.once(Endpoint::Token, Behaviour::json_text(400, "{\"error\":\"invalid_grant\"}"));
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!(page.status, 400);
    assert_eq!(counted(&stage), expected(&[("login.started", 1), ("login.rejected", 1)]));
    let event = only(&stage, "login.rejected");
    assert_eq!((&event["reason"], &event["level"]), (&Value::from("code-rejected"), &Value::from("WARN")));
    assert_eq!(event["request_id"], page.header("x-request-id").unwrap());
    let metrics = stage.gateway.metrics.encode();
    for line in [
        "vestibule_login_total{reason=\"\",step=\"started\"} 1",
        "vestibule_login_total{reason=\"\",step=\"exchanging\"} 1",
        "vestibule_login_total{reason=\"code-rejected\",step=\"rejected\"} 1",
    ] {
        assert!(metrics.contains(line), "{line}");
    }
}

#[tokio::test]
async fn who_is_not_allowed_is_told_at_every_request() {
    let rule = "access = { claim = \"groups\", contains = \"nobody\" }";
    let stage = Stage::with(|setup| setup.upstream = rule.to_owned()).await;
    assert_eq!(stage.browser.log_in(&stage.url("/"), "alice").await.status, 403);
    let event = only(&stage, "authz.denied");
    assert_eq!((&event["upstream"], &event["level"]), (&Value::from("app"), &Value::from("INFO")));
    assert_eq!(event["session"], only(&stage, "session.created")["session"]);
    stage.browser.fetch(&stage.url("/")).await;
    assert_eq!(counted(&stage)["authz.denied"], 2);
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn a_session_that_its_refresh_ends_is_told_once() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.provider.instead(Endpoint::Token, |_| Behaviour::json_text(400, "{\"error\":\"invalid_grant\"}"));
    stage.gateway.clock.advance(Duration::from_secs(120));
    for _ in 0..3 {
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
    }
    let told = counted(&stage);
    assert_eq!((told["refresh.failed"], told["session.ended"]), (1, 1));
    assert_eq!(only(&stage, "session.ended")["reason"], "refresh-rejected");
    assert_eq!(only(&stage, "refresh.failed")["reason"], "invalid-grant");
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
}

#[tokio::test]
async fn attacks_are_told_where_an_operator_looks() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let own = session_cookie(&stage.browser);
    let other = format!("{}{}", &own[..67], if own.ends_with('A') { "B" } else { "A" });
    program(&stage.gateway, "/", &pair(&other)).await;
    program(&stage.gateway, "/", &pair("x")).await;
    send(&stage.gateway, "POST", "/", &[("Cookie", &pair(&own)), ("Sec-Fetch-Site", "cross-site")]).await;
    send(&stage.gateway, "GET", "/%00", &[]).await;
    send(&stage.gateway, "GET", "/", &[("Authorization", "a\tb")]).await;
    stage.browser.navigate_once(&stage.url("/oauth2/start?rd=//evil.example")).await;
    for (name, level) in [
        ("session.tampered", "ERROR"),
        ("session.cookie-invalid", "WARN"),
        ("csrf.denied", "WARN"),
        ("return-url.rejected", "WARN"),
    ] {
        assert_eq!(only(&stage, name)["level"], level, "{name}");
    }
    let malformed: Vec<_> = events(&stage).into_iter().filter(|event| event["event"] == "http.malformed").collect();
    assert_eq!(malformed.len(), 2, "{malformed:?}");
    assert!(malformed.iter().all(|event| event["level"] == "INFO" && event["request_id"].is_string()));
    assert!(cookie(&stage.browser, SESSION).is_some());
}

#[tokio::test]
async fn a_provider_whose_metadata_cannot_be_used_is_told() {
    let provider = TestProvider::start().await;
    provider.put(Endpoint::Metadata, "issuer", "https://evil.example".into());
    let stage = Stage::with_provider(provider, |setup| setup.listen = "startup_grace = \"0s\"".to_owned()).await;
    assert_eq!(stage.browser.navigate_once(&stage.url("/")).await.status, 503);
    assert!(stage.gateway.log.lines_with(&["provider.metadata", "\"provider\":\"default\""]) >= 1);
    assert!(!stage.gateway.log.text().contains("evil.example"));
}

#[tokio::test]
async fn a_call_that_the_provider_does_not_answer_is_told() {
    let stage = Stage::set().await;
    stage.provider.once(Endpoint::Token, Behaviour::status(503));
    assert_eq!(stage.browser.log_in(&stage.url("/"), "alice").await.status, 503);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "\"event\":\"provider.error\"", "\"token\""]), 1);
}

#[tokio::test]
async fn headers_that_were_taken_off_are_told_by_name_and_not_by_value() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let own = pair(&session_cookie(&stage.browser));
    let before = stage.gateway.metrics.headers_stripped.get();
    let headers = [("Cookie", &*own), ("X-Forwarded-User", "mark-header"), ("X_Auth_Request_User", "mark-header")];
    assert_eq!(send(&stage.gateway, "GET", "/", &headers).await.status, 200);
    for name in ["x-forwarded-user", "x_auth_request_user"] {
        assert_eq!(stage.gateway.log.lines_with(&["DEBUG", "headers.stripped", name]), 1, "{name}");
    }
    assert_eq!(stage.gateway.metrics.headers_stripped.get() - before, 2);
    assert!(!stage.gateway.log.text().contains("mark-header"));
}

#[tokio::test]
async fn an_access_line_says_how_long_the_answer_was() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let written = stage.gateway.everything_written();
    let line = written.lines().find(|line| line.contains("\"status\":200") && line.contains("\"upstream\":\"app\""));
    let line: Value = serde_json::from_str(line.unwrap()).unwrap();
    assert_eq!(line["bytes"], "upstream".len());
    assert!(line["session"].is_string() && line["user"].is_string() && line["duration_us"].is_u64());
}

/// The names in the first column of the tables of a page's section.
fn documented(page: &str, from: &str, to: &str) -> BTreeSet<String> {
    let section = page.split(from).nth(1).unwrap().split(to).next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.split(" |").next().unwrap().replace(['`', ' '], ""));
    cells.flat_map(|cell| cell.split(',').map(ToOwned::to_owned).collect::<Vec<_>>()).collect()
}

/// Every text between `before` and a quotation mark in the sources of the program.
fn written_after(folder: &Path, before: &str, found: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            written_after(&path, before, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.extend(text.split(before).skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
}

#[test]
fn the_page_names_every_event_and_no_other() {
    let page = include_str!("../../docs/operations.md");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut others = BTreeSet::new();
    written_after(&source, "event = \"", &mut others);
    assert_eq!(documented(page, "### Other events", "## Metrics"), others);
    let names = include_str!("../../src/telemetry/audit.rs");
    let names = names.split("pub const fn name").nth(1).unwrap().split("const fn level").next().unwrap();
    let audited = names.split("=> \"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    assert_eq!(documented(page, "### Audit events", "### Other events"), audited);
}
