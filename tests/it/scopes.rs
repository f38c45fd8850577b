//! Scopes of an upstream: whoever's login was not granted one of them may not in, and is told which.

use crate::harness::by_hand::{NAVIGATION, pair, program, send, session_cookie};
use crate::harness::gateway::{Setup, Stage};
use crate::harness::provider::{Endpoint, TestProvider};

const ASKED: &str = "scopes = [\"openid\", \"profile\", \"email\", \"calendar.read\"]";
const NEEDED: &str = "scopes = [\"calendar.read\"]";

/// A provider that says in every answer that it has granted this; nothing leaves `scope` out.
async fn stage(granted: Option<&'static str>, adjust: impl FnOnce(&mut Setup)) -> Stage {
    let provider = TestProvider::start().await;
    match granted {
        Some(granted) => provider.put(Endpoint::Token, "scope", granted.into()),
        None => provider.omit(Endpoint::Token, "scope"),
    }
    Stage::with_provider(provider, |setup| {
        setup.provider = ASKED.to_owned();
        setup.upstream = NEEDED.to_owned();
        adjust(setup);
    })
    .await
}

#[tokio::test]
async fn without_a_scope_that_the_upstream_needs_there_is_403_that_names_it() {
    let stage = stage(Some("openid email"), |_| {}).await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!(page.status, 403);
    let text = page.text();
    assert!(text.contains("Not granted: <strong>calendar.read</strong>") && text.contains("alice"), "{text}");
    assert!(page.links().iter().any(|(href, _)| href.starts_with("/oauth2/sign_out")));
    let ours = pair(&session_cookie(&stage.browser));
    let answer = program(&stage.gateway, "/", &ours).await;
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(
        (answer.status, &problem["code"], &problem["scope"]),
        (403, &"scope-not-granted".into(), &"calendar.read".into())
    );
    let challenge = "Bearer realm=\"app.example\", error=\"insufficient_scope\", scope=\"calendar.read\"";
    assert_eq!(answer.header("www-authenticate"), Some(challenge));
    assert_eq!(stage.upstream.hits(), 0);
    assert_eq!(stage.gateway.log.lines_with(&["INFO", "\"authz.denied\"", "\"scope-not-granted\""]), 2);
    let asked = ["\"login.ok\"", "\"asked\":\"openid profile email calendar.read\"", "\"granted\":\"openid email\""];
    assert_eq!(stage.gateway.log.lines_with(&asked), 1);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "\"grant.narrowed\"", "\"profile calendar.read\""]), 1);
    let metrics = stage.gateway.metrics.encode();
    let denied = "vestibule_access_denied_total{reason=\"scope-not-granted\",upstream=\"app\"} 2";
    assert!(metrics.contains(denied), "{metrics}");
}

#[tokio::test]
async fn with_the_scope_or_where_the_provider_says_nothing_the_request_goes_on() {
    for granted in [Some("calendar.read openid"), None] {
        let stage = stage(granted, |_| {}).await;
        assert_eq!(stage.browser.log_in(&stage.url("/"), "alice").await.status, 200, "{granted:?}");
        assert_eq!(stage.upstream.hits(), 1);
    }
}

#[tokio::test]
async fn access_comes_first_and_step_up_last() {
    let outsider = "access = { claim = \"groups\", contains = \"nobody\" }";
    let stage1 = stage(Some("openid"), |setup| setup.upstream = format!("{NEEDED}\n{outsider}")).await;
    assert_eq!(stage1.browser.log_in(&stage1.url("/"), "alice").await.status, 403);
    assert_eq!(stage1.gateway.log.lines_with(&["\"authz.denied\"", "\"not-allowed\""]), 1);
    let rule = "[[upstream.rule]]\npath = \"/strong\"\nstep_up = { acr = \"urn:strong\" }";
    let stage2 = stage(Some("openid"), |setup| setup.upstream = format!("{NEEDED}\n{rule}")).await;
    let page = stage2.browser.log_in(&stage2.url("/strong"), "alice").await;
    assert_eq!(page.status, 403);
    assert!(page.text().contains("calendar.read"), "{}", page.text());
    assert_eq!(stage2.gateway.log.lines_with(&["\"login.started\"", "step-up"]), 0);
}

#[tokio::test]
async fn scopes_bind_nobody_whose_session_is_not_looked_at() {
    let upstream = format!("{NEEDED}\npublic = [\"/public/**\"]\nanonymous = \"forward\"");
    let stage = stage(Some("openid"), |setup| setup.upstream = upstream).await;
    for path in ["/public/x", "/"] {
        assert_eq!(send(&stage.gateway, "GET", path, &NAVIGATION).await.status, 200, "{path}");
    }
    stage.browser.navigate(&stage.url("/oauth2/start?rd=/")).await;
    assert_eq!(stage.browser.login_as("alice").await.status, 403);
    let ours = pair(&session_cookie(&stage.browser));
    assert_eq!(program(&stage.gateway, "/public/x", &ours).await.status, 200);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 403);
}

#[tokio::test]
async fn the_session_says_what_the_upstreams_of_its_host_miss() {
    let stage = stage(Some("openid profile"), |setup| {
        setup.more = "[[upstream]]\nname = \"files\"\npath = \"/files\"\nscopes = [\"files.read\", \"openid\"]\n\
                      target = \"http://127.0.0.1:1\"\n[[upstream]]\nname = \"other\"\nhost = \"other.example\"\n\
                      scopes = [\"other.read\"]\ntarget = \"http://127.0.0.1:1\""
            .to_owned();
    })
    .await;
    assert_eq!(stage.browser.log_in(&stage.url("/"), "alice").await.status, 403);
    let session = stage.browser.fetch(&stage.url("/oauth2/session")).await.json();
    assert_eq!(session["scopes_granted"], serde_json::json!(["openid", "profile"]));
    assert_eq!(session["scopes_missing"], serde_json::json!(["email", "calendar.read", "files.read"]));
}
