//! A provider that leaves the groups out because there are too many is never taken for one that says "no groups".

use serde_json::{Value, json};

use crate::harness::gateway::{Setup, Stage};

/// A stage whose provider says this about everybody, in the ID token and at userinfo.
async fn stage(mut claims: Value, adjust: impl FnOnce(&mut Setup)) -> Stage {
    let stage = Stage::with(adjust).await;
    if claims.get("groups").is_none() {
        claims["groups"] = Value::Null;
    }
    stage.provider.say(claims);
    stage
}

fn overage() -> Value {
    json!({ "_claim_names": { "groups": "src1" }, "_claim_sources": { "src1": { "endpoint": "https://x.example" } } })
}

#[tokio::test]
async fn jw_37_a_rule_that_needs_groups_is_refused_with_a_code_of_its_own() {
    for claims in [
        overage(),
        json!({ "hasgroups": true }),
        json!({ "hasgroups": "true", "groups": [] }),
        json!({ "hasgroups": true, "groups": ["admins"] }),
    ] {
        let rule =
            "[[upstream.rule]]\npath = \"/admin/**\"\naccess = { not = { claim = \"groups\", contains = \"x\" } }";
        let stage = stage(claims.clone(), |setup| setup.more = rule.to_owned()).await;
        stage.log_in().await;
        let hits = stage.upstream.hits();
        let page = stage.browser.navigate(&stage.url("/admin/x")).await;
        assert_eq!(page.status, 403);
        assert!(page.text().contains("Your groups could not be read"), "{}", page.text());
        assert!(page.text().contains("<strong>alice</strong>"));
        assert_eq!(page.links().len(), 2, "another account, log out");
        let answer = stage.browser.fetch(&stage.url("/admin/x")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (403, &json!("groups-overage")), "{claims}");
        assert_eq!(stage.upstream.hits(), hits);
        assert_eq!(stage.browser.fetch(&stage.url("/other")).await.status, 200, "nothing needs groups there");
    }
}

#[tokio::test]
async fn jw_37_a_header_that_needs_groups_is_never_left_out() {
    for (provider, header) in [
        ("", "{claims.groups}"),
        ("", "groups: {claims.groups}"),
        ("claims = { groups = \"roles\" }", "{claims.groups}"),
        ("claims = { groups = \"roles\" }", "{claims.roles}"),
    ] {
        let claims = json!({ "_claim_names": { "groups": "src1", "roles": "src1" } });
        let upstream = format!("public = [\"/public\"]\nheaders = {{ x-groups = \"{header}\" }}");
        let adjust = |setup: &mut Setup| (setup.provider, setup.upstream) = (provider.to_owned(), upstream);
        let stage = stage(claims, adjust).await;
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        assert_eq!((page.status.as_u16(), stage.upstream.hits()), (403, 0), "{header}");
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.json()["code"], "groups-overage", "{header}");
        assert_eq!(stage.browser.fetch(&stage.url("/public")).await.status, 200, "nobody is told of there");
    }
    // Without an overage a missing claim sends no header, as ever.
    let upstream = "headers = { x-groups = \"{claims.groups}\" }";
    let stage = stage(json!({}), |setup| setup.upstream = upstream.to_owned()).await;
    stage.log_in().await;
    assert_eq!(stage.upstream.last().header("x-groups"), None);
}

#[tokio::test]
async fn jw_37_what_can_be_decided_without_groups_is() {
    let any = "access = { any = [{ claim = \"groups\", contains = \"x\" }, { email_domain = \"example.com\" }] }";
    let stage = stage(overage(), |setup| setup.upstream = any.to_owned()).await;
    assert_eq!(stage.browser.log_in(&stage.url("/"), "alice").await.status, 200);
}

#[tokio::test]
async fn jw_37_the_operator_is_told_what_to_change_and_not_at_every_request() {
    let rule = "access = { claim = \"groups\", contains = \"staff\" }";
    let stage = stage(overage(), |setup| setup.upstream = rule.to_owned()).await;
    stage.browser.log_in(&stage.url("/"), "alice").await;
    for _ in 0..3 {
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 403);
    }
    let told =
        || stage.gateway.log.lines_with(&["WARN", "access.groups-overage", "Groups assigned to the application"]);
    assert_eq!(told(), 1);
    assert_eq!(stage.gateway.log.lines_with(&["authz.denied", "\"reason\":\"groups-overage\""]), 4);
    let metrics = stage.gateway.metrics.encode();
    let line = "vestibule_access_denied_total{reason=\"groups-overage\",upstream=\"app\"} 4";
    assert!(metrics.contains(line), "{metrics}");
}
