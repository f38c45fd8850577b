//! Who may in: every knob lets the right people in and keeps the others out, on what the provider says now.

use crate::harness::gateway::{Setup, Stage};
use crate::harness::provider::TestProvider;
use serde_json::{Value, json};

/// How a person fares at an upstream with this rule, when the provider says of them what `claims` adds.
async fn status(access: &str, username: &str, claims: &[(&'static str, Value)]) -> u16 {
    let stage = Stage::with(|setup| setup.upstream = format!("access = {access}")).await;
    stage.provider.say(claims.iter().cloned().collect());
    let page = stage.browser.log_in(&stage.url("/"), username).await;
    let status = page.status.as_u16();
    assert_eq!(stage.upstream.hits(), usize::from(status == 200), "{access}");
    if status == 403 {
        assert_eq!(stage.gateway.log.lines_with(&["authz.denied"]), 1, "{access}");
    }
    status
}

#[tokio::test]
async fn cf_12_every_knob_of_access_lets_in_and_keeps_out() {
    for (access, allowed, denied) in [
        (r#"{ claim = "groups", contains = "admins" }"#, "alice", "bob"),
        (r#"{ claim = "groups", equals = ["staff"] }"#, "bob", "alice"),
        (r#"{ claim = "username", equals = "bob" }"#, "bob", "alice"),
        (r#"{ claim = "subject", equals = "subject-of-bob" }"#, "bob", "alice"),
        (r#"{ claim = "email", equals = "alice@example.com" }"#, "alice", "bob"),
        (r#"{ claim = "name", contains = "Alice Example" }"#, "alice", "bob"),
        (r#"{ claim = "email_verified", equals = true }"#, "alice", "carol"),
        (r#"{ not = { claim = "groups", contains = "admins" } }"#, "bob", "alice"),
        (r#"{ email_domain = "example.com" }"#, "alice", "carol"),
        (r#"{ any = [{ claim = "groups", contains = "guests" }, { email_domain = "example.com" }] }"#, "carol", ""),
        (
            r#"{ all = [{ claim = "groups", contains = "staff" }, { claim = "groups", contains = "admins" }] }"#,
            "alice",
            "bob",
        ),
        (r#"{ claim = "groups", contains = "admin" }"#, "", "alice"),
        (r#"{ claim = "groups", contains = "Admins" }"#, "", "alice"),
        (r#"{ claim = "department", contains = "it" }"#, "", "alice"),
        (r#"{ not = { claim = "department", equals = "it" } }"#, "", "alice"),
        (r#"{ email_domain = "ample.com" }"#, "", "alice"),
        (r#""anyone""#, "carol", ""),
    ] {
        for (username, expected) in [(allowed, 200), (denied, 403)] {
            if !username.is_empty() {
                assert_eq!(status(access, username, &[]).await, expected, "{access} for {username}");
            }
        }
    }
}

#[tokio::test]
async fn jw_36_an_address_that_only_looks_right_is_in_no_domain() {
    let rule = r#"{ email_domain = "corp.com" }"#;
    assert_eq!(status(rule, "alice", &[("email", json!("alice@corp.com"))]).await, 200);
    for email in [
        "a@evil@corp.com",
        "a@corp.com\n",
        "a@corp.com%00",
        "a@corp.com.",
        "a@cоrp.com",
        "\"a@corp.com\"@evil",
        "a@corp.com@evil.example",
        "a@sub.corp.com",
        "@corp.com",
    ] {
        assert_eq!(status(rule, "alice", &[("email", json!(email))]).await, 403, "{email:?}");
    }
    for verified in [json!("false"), json!(false), Value::Null, json!(0)] {
        let claims = [("email", json!("alice@corp.com")), ("email_verified", verified.clone())];
        assert_eq!(status(rule, "alice", &claims).await, 403, "{verified}");
    }
}

#[tokio::test]
async fn jw_37_too_many_groups_are_never_no_groups() {
    let overage = [("groups", Value::Null), ("_claim_names", json!({ "groups": "src1" }))];
    for rule in
        [r#"{ claim = "groups", contains = "staff" }"#, r#"{ not = { claim = "groups", contains = "banned" } }"#]
    {
        assert_eq!(status(rule, "alice", &overage).await, 403, "{rule}");
    }
    assert_eq!(
        status(r#"{ claim = "groups", contains = "staff" }"#, "alice", &[("groups", json!("staff"))]).await,
        200
    );
    assert_eq!(
        status(r#"{ claim = "groups", contains = "staff" }"#, "alice", &[("groups", json!("staff,x"))]).await,
        403
    );
}

#[tokio::test]
async fn jw_38_a_group_that_is_gone_at_the_refresh_keeps_out_at_once() {
    let rule = |setup: &mut Setup| setup.upstream = "access = { claim = \"groups\", contains = \"admins\" }".to_owned();
    let stage = Stage::with_provider(TestProvider::start().await, rule).await;
    stage.log_in().await;
    stage.provider.say(json!({ "groups": ["staff"] }));
    stage.gateway.clock.advance(std::time::Duration::from_secs(61));
    let hits = stage.upstream.hits();
    let response = stage.browser.fetch(&stage.url("/x")).await;
    assert_eq!(response.status, 403, "{}", response.text());
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
    assert_eq!(stage.upstream.hits(), hits);
}

#[tokio::test]
async fn each_upstream_has_its_own_rule_and_the_session_stays() {
    let admin = crate::harness::upstream::RecordingUpstream::start().await;
    let more = format!(
        "[[upstream]]\nname = \"admin\"\npath = \"/admin\"\ntarget = \"{}\"\n\
         access = {{ claim = \"groups\", contains = \"admins\" }}",
        admin.url()
    );
    let stage = Stage::with(|setup| setup.more = more).await;
    stage.log_in_as("bob").await;
    assert_eq!(stage.browser.fetch(&stage.url("/admin/x")).await.status, 403);
    assert_eq!(stage.browser.fetch(&stage.url("/administrator")).await.status, 200);
    assert_eq!(admin.hits(), 0);
    let other = stage.gateway.browser();
    other.log_in(&stage.url("/admin"), "alice").await;
    assert_eq!(admin.last().target, "/admin");
}
