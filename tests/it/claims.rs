//! Claims that were made to be misunderstood: by a rule, or in a header.

use serde_json::{Value, json};

use crate::harness::gateway::Stage;

/// A login after which ID token and userinfo say this about the person; gives the answer and what the upstream got.
async fn with_claims(upstream: &str, claims: &[(&'static str, Value)]) -> (u16, Stage) {
    let stage = Stage::with(|setup| setup.upstream = upstream.into()).await;
    stage.provider.say(claims.iter().cloned().collect());
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    (page.status.as_u16(), stage)
}

#[tokio::test]
async fn jw_36_an_address_that_only_looks_right_is_denied() {
    let rule = "access = { email_domain = \"corp.com\" }";
    for email in [
        "a@evil@corp.com",
        "a@corp.com\n",
        "a@corp.com\u{0}",
        "a@corp.com%00",
        "a@corp.com.",
        "a@c\u{43e}rp.com",
        "\"a@corp.com\"@evil",
        "a@evilcorp.com",
        "a@corp.com.evil",
        "a@sub.corp.com",
        "@corp.com",
        "corp.com",
        "",
    ] {
        let (status, stage) = with_claims(rule, &[("email", json!(email)), ("email_verified", json!(true))]).await;
        assert_eq!((status, stage.upstream.hits()), (403, 0), "{email:?}");
        assert_eq!(stage.gateway.log.lines_with(&["authz.denied"]), 1, "{email:?}");
    }
    for verified in [json!(null), json!(false), json!("true"), json!("false"), json!(1)] {
        let claims = [("email", json!("a@corp.com")), ("email_verified", verified.clone())];
        let (status, stage) = with_claims(rule, &claims).await;
        assert_eq!((status, stage.upstream.hits()), (403, 0), "{verified}");
    }
    let (status, _) = with_claims(rule, &[("email", json!("a@Corp.com")), ("email_verified", json!(true))]).await;
    assert_eq!(status, 200, "hosts have no case");
}

#[tokio::test]
async fn jw_37_groups_are_joined_safely_or_not_at_all() {
    let header = "[upstream.headers]\nx-groups = \"{claims.groups}\"";
    let many: Vec<_> = (0..1000).map(|number| format!("g{number}")).collect();
    let accepted = [
        (json!("staff"), Some("staff".to_owned())),
        (json!(["a", "b c", "\"q\""]), Some("a,b c,\"q\"".to_owned())),
        (json!(many), Some(many.join(","))),
        (json!(null), None),
    ];
    for (groups, expected) in accepted {
        let (status, stage) = with_claims(header, &[("groups", groups.clone())]).await;
        assert_eq!((status, stage.upstream.hits()), (200, 1), "{groups}");
        assert_eq!(stage.upstream.last().header("x-groups"), expected.as_deref(), "{groups}");
    }
    for groups in [json!(["a,admins"]), json!(["a\r\nx-admin: 1"]), json!("a\r\nx-admin: 1"), json!(["\u{0}"])] {
        let (status, stage) = with_claims(header, &[("groups", groups.clone())]).await;
        assert_eq!((status, stage.upstream.hits()), (502, 0), "{groups}");
        assert_eq!(stage.gateway.log.lines_with(&["upstream.error", "claim-not-a-header"]), 1, "{groups}");
    }
}

#[tokio::test]
async fn jw_37_groups_that_cannot_be_read_are_not_the_same_as_none() {
    let not_a_guest = "access = { not = { claim = \"groups\", contains = \"guests\" } }";
    let overage = json!({ "groups": "src1" });
    let cases = [
        ("a list", vec![("groups", json!(["staff"]))], 200),
        ("an empty list", vec![("groups", json!([]))], 200),
        ("missing", vec![("groups", Value::Null)], 403),
        ("nested", vec![("groups", json!([["guests"]]))], 403),
        ("objects", vec![("groups", json!([{ "name": "guests" }]))], 403),
        ("elsewhere", vec![("groups", Value::Null), ("_claim_names", overage)], 403),
        ("too many to send", vec![("groups", json!([])), ("hasgroups", json!(true))], 403),
    ];
    for (what, claims, expected) in cases {
        let (status, stage) = with_claims(not_a_guest, &claims).await;
        assert_eq!(status, expected, "{what}");
        let warned = stage.gateway.log.lines_with(&["WARN", "provider.claims", "groups-overage"]);
        assert_eq!(warned, usize::from(what == "elsewhere" || what == "too many to send"), "{what}");
    }
    // Ten thousand of them are more than a token or an answer may hold.
    let many: Vec<_> = (0..10_000).map(|number| format!("group-{number}")).collect();
    let (status, stage) = with_claims(not_a_guest, &[("groups", json!(many))]).await;
    assert_eq!((status, stage.upstream.hits()), (400, 0));
}
