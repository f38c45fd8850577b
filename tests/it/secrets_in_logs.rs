//! Nothing secret is in a log at any level, in a metric, or in what a browser is shown.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use url::Url;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Browser, Kind, Page};
use crate::harness::by_hand::{LOGIN, SESSION, cookie, pair, program};
use crate::harness::gateway::{CLIENT_SECRET, Stage};
use crate::harness::provider::{Endpoint, TestProvider};

/// Planted where a provider, an upstream or a browser can put something.
const MARKS: [&str; 6] = ["mark-secret", "mark-body", "mark-error", "mark-query", "mark-header", "mark-person"];

/// Everything that has been secret in this run: tokens, codes, states, verifiers, nonces, cookies.
#[derive(Default)]
struct Secrets {
    /// Nobody may see these.
    everywhere: BTreeSet<String>,
    /// These stand in addresses and cookies that the browser needs, and in no log.
    from_logs: BTreeSet<String>,
}

impl Secrets {
    /// What provider and upstream have given and received.
    fn gather(&mut self, stage: &Stage) {
        for request in stage.provider.requests(Endpoint::Token) {
            for name in ["code_verifier", "refresh_token"] {
                self.everywhere.extend(request.form_value(name));
            }
            self.from_logs.extend(request.form_value("code"));
            let credentials = request.header("authorization").unwrap().strip_prefix("Basic ").unwrap();
            self.everywhere.insert(credentials.to_owned());
        }
        for request in stage.provider.requests(Endpoint::Revocation) {
            self.everywhere.extend(request.form_value("token"));
        }
        for request in stage.provider.requests(Endpoint::Authorization) {
            for name in ["state", "nonce", "code_challenge"] {
                self.from_logs.extend(request.query_value(name));
            }
        }
        for request in stage.provider.requests(Endpoint::EndSession) {
            self.from_logs.extend(request.query_value("id_token_hint"));
            self.from_logs.extend(request.query_value("state"));
        }
        for received in stage.upstream.requests() {
            let token = received.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
            self.everywhere.extend(token.map(ToOwned::to_owned));
        }
    }

    fn gather_cookies(&mut self, browser: &Browser) {
        for name in [SESSION, LOGIN] {
            self.from_logs.extend(cookie(browser, name));
        }
    }
}

/// What a page showed, hop by hop: status, headers, body. Only the gateway's own hops count.
fn shown(page: &Page) -> String {
    let own = page.hops.iter().filter(|hop| hop.url.host_str() == Some("app.example"));
    own.map(|hop| format!("{} {:?}\n{}\n", hop.status, hop.headers, hop.text())).collect()
}

/// The parts of a secret that would give it away: all of it, and its ends.
fn pieces(secret: &str) -> Vec<&str> {
    assert!(secret.len() >= 16 && secret.is_ascii(), "{secret} is no secret to look for");
    // The first bytes of cookies and sealed values are the same in all: version and key id.
    vec![secret, &secret[secret.len() - 16..]]
}

#[tokio::test]
async fn lg_01_no_secret_leaves_by_a_log_a_metric_or_a_page() {
    let provider = TestProvider::start().await;
    provider.alter_claims(|claims| claims["given_name"] = "mark-person".into());
    let stage = Stage::with_provider(provider, |setup| setup.log_level = tracing::Level::TRACE).await;
    let (browser, mut secrets, mut pages) = (&stage.browser, Secrets::default(), String::new());
    let mut show = |page: &Page| pages.push_str(&shown(page));

    // A login by a deep link, and a session that is used, refreshed and looked at.
    show(&browser.log_in(&stage.url("/deep?secret=mark-query"), "alice").await);
    secrets.gather_cookies(browser);
    show(&browser.fetch(&stage.url("/oauth2/userinfo")).await);
    for _ in 0..2 {
        stage.gateway.clock.advance(Duration::from_secs(20));
        let refresh = Asked::new(Kind::Fetch).method("POST").header("x-secret", "mark-header");
        show(&browser.ask(&stage.url("/oauth2/session/refresh"), refresh).await);
        show(&browser.fetch(&stage.url("/")).await);
    }
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 2);

    // Refusals of every kind, each with something planted in it.
    let callback = stage.provider.requests(Endpoint::Token)[0].form_value("code").unwrap();
    for query in [
        format!("code={callback}"),
        format!("code={callback}&state=mark-query-0123456789"),
        format!("code={callback}&code={callback}"),
        "error=mark-error&error_description=mark-error&state=mark-query".to_owned(),
        "access_token=mark-query&state=x".to_owned(),
    ] {
        show(&Browser::clone(browser).navigate_once(&stage.url(&format!("/oauth2/callback?{query}"))).await);
        let stranger = stage.gateway.browser();
        show(&stranger.navigate_once(&stage.url(&format!("/oauth2/callback?{query}"))).await);
    }
    let forged = Asked::new(Kind::Fetch).method("POST").header("sec-fetch-site", "cross-site");
    show(&browser.ask(&stage.url("/?x=mark-query"), forged.header("origin", "https://mark-header")).await);
    let own = cookie(browser, SESSION).unwrap();
    let stolen = format!("{}{}", &own[..67], if own.ends_with('A') { "B" } else { "A" });
    program(&stage.gateway, "/?x=mark-query", &pair(&stolen)).await;
    program(&stage.gateway, "/?x=mark-query", &pair("mark-header")).await;
    secrets.from_logs.insert(stolen);
    show(&browser.navigate_once(&stage.url("/oauth2/start?rd=https%3A%2F%2Fmark-query%2F")).await);

    // A provider and an upstream that fail and say too much.
    for failure in [
        Behaviour::json(400, &json!({ "error": "mark-error", "error_description": "mark-error" })),
        Behaviour::json(400, &json!({ "error": "invalid_client", "error_description": CLIENT_SECRET })),
        Behaviour::html(200, "mark-body"),
        Behaviour::json(200, &json!({ "access_token": "mark-body-mark-body", "token_type": "mark-body" })),
        Behaviour::json(500, &json!({ "error": "mark-error" })),
        Behaviour::Reset,
    ] {
        stage.provider.once(Endpoint::Token, failure);
        let stranger = stage.gateway.browser();
        show(&stranger.log_in(&stage.url("/"), "bob").await);
        secrets.gather_cookies(&stranger);
    }
    stage.provider.replace_id_token(|_, _| "mark-body.mark-body.mark-body".to_owned());
    let stranger = stage.gateway.browser();
    show(&stranger.log_in(&stage.url("/"), "bob").await);
    stage.provider.restore(Endpoint::Token);
    stage.upstream.answer_once(Behaviour::Raw(b"HTTP/1.1 200 OK\r\nmark-header: \r\nmark body\0\r\n\r\n".to_vec()));
    show(&browser.fetch(&stage.url("/")).await);
    stage.upstream.answer_once(Behaviour::Close);
    show(&browser.fetch(&stage.url("/")).await);

    secrets.gather(&stage);
    show(&browser.navigate(&stage.url("/oauth2/sign_out?rd=%2Fbye%3Fmark-query")).await);
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
    secrets.gather(&stage);

    let written = stage.gateway.everything_written();
    let metrics = stage.gateway.metrics_page().await;
    assert!(secrets.everywhere.len() > 10 && secrets.from_logs.len() > 20, "the run was not whole");
    assert!(written.lines().count() > 60, "{written}");
    for secret in secrets.everywhere.iter().chain(&secrets.from_logs) {
        for piece in pieces(secret) {
            assert!(!written.contains(piece), "{piece} is in the log: {}", line_with(&written, piece));
            assert!(!metrics.contains(piece), "{piece} is in a metric");
        }
    }
    for mark in MARKS {
        assert!(!written.contains(mark), "{mark} is in the log: {}", line_with(&written, mark));
        assert!(!metrics.contains(mark), "{mark} is in a metric");
    }
    for person in ["alice", "bob", "subject-of", "example.com"] {
        assert!(!written.contains(person), "{person} is in the log: {}", line_with(&written, person));
    }
    for secret in &secrets.everywhere {
        for piece in pieces(secret) {
            assert!(!pages.contains(piece), "{piece} was shown: {}", line_with(&pages, piece));
        }
    }
    for mark in ["mark-secret", "mark-body", "mark-error", "mark-header"] {
        assert!(!pages.contains(mark), "{mark} was shown: {}", line_with(&pages, mark));
    }
}

fn line_with<'a>(text: &'a str, piece: &str) -> &'a str {
    text.lines().find(|line| line.contains(piece)).unwrap_or_default()
}

#[tokio::test]
async fn lg_01_codes_and_id_tokens_are_shown_to_the_browser_only_where_the_protocol_needs_them() {
    let stage = Stage::set().await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    let code = stage.provider.requests(Endpoint::Token)[0].form_value("code").unwrap();
    // The provider has put the code into the address of the callback; no answer of ours repeats it.
    assert!(!shown(&page).contains(&code));
    let out = stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
    let hinted = Url::parse(out.header("location").unwrap()).unwrap();
    let hint = hinted.query_pairs().find(|(name, _)| name == "id_token_hint").unwrap().1.into_owned();
    assert_eq!(shown(&out).matches(&hint[hint.len() - 16..]).count(), 1, "in the redirect alone");
}

#[tokio::test]
async fn lg_08_the_access_log_has_no_query() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.browser.fetch(&stage.url("/search?q=mark-query")).await;
    let written = stage.gateway.everything_written();
    let line = line_with(&written, "\"path\":\"/search\"");
    assert!(!line.is_empty() && !line.contains('?') && !line.contains("mark-query"), "{line}");
}

#[tokio::test]
async fn lg_04_what_people_send_stays_on_one_line_of_the_log() {
    let provider = TestProvider::start().await;
    let hostile = "al\r\nice\u{1b}[31m\u{2028}\"";
    provider.alter_claims(move |claims| claims["preferred_username"] = hostile.into());
    provider.put(Endpoint::Userinfo, "preferred_username", hostile.into());
    let stage = Stage::with_provider(provider, |setup| setup.more = "[log]\nuser = \"name\"".to_owned()).await;
    stage.log_in().await;
    stage.browser.fetch(&stage.url("/a%0d%0ab%1b%5b31m%e2%80%a8%22")).await;
    let written = stage.gateway.everything_written();
    assert!(!written.contains(['\u{1b}', '\u{2028}', '\r']));
    let lines = written.lines().take_while(|line| !line.starts_with("# HELP")).filter(|line| !line.is_empty());
    for line in lines {
        let read: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(read.is_object());
    }
    assert!(written.contains("al\\r\\nice"), "{written}");
}
