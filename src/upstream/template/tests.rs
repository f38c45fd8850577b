use super::*;
use serde_json::json;

use crate::claims::Claims;
use crate::secret::{AccessToken, RawIdToken};

fn identity(claims: Value) -> Identity {
    let Value::Object(members) = claims else { unreachable!() };
    Identity {
        issuer: "https://id.example".into(),
        subject: "s-1".into(),
        username: Some("alice".into()),
        groups: Some(vec!["staff".into(), "admins".into()]),
        email: None,
        email_verified: false,
        claims: Claims::new(members),
    }
}

fn render_as(template: &str, principal: &Principal<'_>) -> Result<Option<String>, UnusableValue> {
    let request = RequestValues { id: "r-1", host: "wiki.example.com" };
    let rendered = HeaderTemplate::parse(template).unwrap().render(principal, request)?;
    Ok(rendered.map(|value| value.to_str().unwrap().to_owned()))
}

fn render(template: &str, claims: Value) -> Result<Option<String>, UnusableValue> {
    let identity = identity(claims);
    render_as(template, &Principal { identity: Some(&identity), ..Principal::default() })
}

#[test]
fn values_of_session_and_request_are_filled_in() {
    let identity = identity(json!({"sub": "x", "n": 7, "b": true, "realm_access": {"roles": ["r", "s"]}}));
    let access_token = AccessToken::new("at".into());
    let id_token = RawIdToken::new("a.b.c".into());
    let principal = Principal {
        identity: Some(&identity),
        access_token: Some(&access_token),
        id_token: Some(&id_token),
        created: Some(Timestamp::from_seconds(5)),
        expires: Some(Timestamp::from_seconds(9)),
    };
    for (template, expected) in [
        ("Bearer {access_token}", "Bearer at"),
        ("{id_token}", "a.b.c"),
        ("{session.created}-{session.expires}", "5-9"),
        ("{request.id}@{request.host}", "r-1@wiki.example.com"),
        ("{claims.subject}/{claims.username}/{claims.sub}", "s-1/alice/x"),
        ("{claims.groups}", "staff,admins"),
        ("{claims.realm_access.roles}", "r,s"),
        ("{claims.n} {claims.b}", "7 true"),
        ("{{literal}} }}", "{literal} }"),
    ] {
        assert_eq!(render_as(template, &principal), Ok(Some(expected.into())), "{template}");
    }
}

#[test]
fn tokens_are_marked_as_sensitive() {
    let access_token = AccessToken::new("at".into());
    let principal = Principal { access_token: Some(&access_token), ..Principal::default() };
    let template = HeaderTemplate::parse("Bearer {access_token}").unwrap();
    let value = template.render(&principal, RequestValues { id: "", host: "" }).unwrap().unwrap();
    assert!(value.is_sensitive() && template.uses_access_token());
    assert!(!HeaderTemplate::parse("{claims.email}").unwrap().uses_access_token());
}

#[test]
fn hd_08_hd_11_a_missing_claim_sends_no_header() {
    for template in [
        "{claims.email}",
        "mail={claims.email}",
        "{claims.nothing}",
        "{claims.empty}",
        "{claims.none}",
        "{access_token}",
    ] {
        assert_eq!(render(template, json!({"empty": "", "none": []})), Ok(None), "{template}");
    }
    assert_eq!(render_as("{claims.subject}", &Principal::default()), Ok(None));
    assert_eq!(render_as("fixed", &Principal::default()), Ok(Some("fixed".into())));
}

#[test]
fn hd_11_what_cannot_be_a_header_is_an_error() {
    for (value, error) in [
        (json!("a\r\nx-admin: 1"), UnusableValue::Character),
        (json!("a\nb"), UnusableValue::Character),
        (json!("a\0"), UnusableValue::Character),
        (json!("a\tb"), UnusableValue::Character),
        (json!("Zoë"), UnusableValue::Character),
        (json!("a".repeat(CLAIM_LIMIT + 1)), UnusableValue::Length),
        (json!(" admin"), UnusableValue::Space),
        (json!("admin "), UnusableValue::Space),
        (json!({"a": 1}), UnusableValue::Shape),
        (json!([["a"]]), UnusableValue::Shape),
        (json!(["a", null]), UnusableValue::Shape),
    ] {
        assert_eq!(render("{claims.v}", json!({"v": value})), Err(error), "{value}");
    }
}

#[test]
fn jw_37_a_list_cannot_forge_an_item() {
    assert_eq!(render("{claims.v}", json!({"v": ["a,admins"]})), Err(UnusableValue::Comma));
    assert_eq!(render("{claims.v}", json!({"v": ["a", " admins"]})), Err(UnusableValue::Space));
    assert_eq!(render("{claims.v}", json!({"v": ["a\r\nb"]})), Err(UnusableValue::Character));
    assert_eq!(render("{claims.v}", json!({"v": ["a\"b", "c"]})), Ok(Some("a\"b,c".into())));
    let many: Vec<String> = (0..10_000).map(|number| format!("group-{number}")).collect();
    assert_eq!(render("{claims.v}", json!({"v": many})), Err(UnusableValue::Length));
    // A text alone is one value; its comma is its own.
    assert_eq!(render("{claims.v}", json!({"v": "Doe, Jane"})), Ok(Some("Doe, Jane".into())));
}

#[test]
fn jw_33_a_token_of_64_kib_is_an_error_not_a_header() {
    let access_token = AccessToken::new("a".repeat(64 << 10));
    let principal = Principal { access_token: Some(&access_token), ..Principal::default() };
    assert_eq!(render_as("Bearer {access_token}", &principal), Err(UnusableValue::Length));
}

#[test]
fn what_is_no_template_is_refused_with_what_is_allowed() {
    assert_eq!(HeaderTemplate::parse("{access_token"), Err(InvalidTemplate::Brace));
    assert_eq!(HeaderTemplate::parse("a}b"), Err(InvalidTemplate::Brace));
    for unknown in ["{acces_token}", "{}", "{claims.}", "{claims.{a}", "{request.cookie}", "{identity}"] {
        assert_eq!(HeaderTemplate::parse(unknown), Err(InvalidTemplate::Placeholder), "{unknown}");
    }
    assert_eq!(HeaderTemplate::parse("a\nb"), Err(InvalidTemplate::Character));
    assert!(InvalidTemplate::Placeholder.to_string().contains("{claims.NAME}"));
}
