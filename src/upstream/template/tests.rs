use super::value::{CLAIM_LIMIT, ITEM_LIMIT};
use super::*;
use crate::clock::Timestamp;
use serde_json::Value;
use serde_json::json;

use crate::secret::{AccessToken, RawIdToken};
use crate::upstream::tests::alice as identity;

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
    for unknown in ["{acces_token}", "{}", "{claims.}", "{claims.{a}", "{request.cookie}", "{identities}"] {
        assert_eq!(HeaderTemplate::parse(unknown), Err(InvalidTemplate::Placeholder), "{unknown}");
    }
    assert_eq!(HeaderTemplate::parse("a\nb"), Err(InvalidTemplate::Character));
    assert!(InvalidTemplate::Placeholder.to_string().contains("{claims.NAME}"));
}

fn lines_of(template: &HeaderTemplate, claims: Value) -> Result<Vec<String>, UnusableValue> {
    let identity = identity(claims);
    let principal = Principal { identity: Some(&identity), ..Principal::default() };
    let mut lines = Vec::new();
    template.lines(&principal, RequestValues { id: "r-1", host: "h" }, None, |value| {
        lines.push(value.to_str().unwrap().to_owned());
    })?;
    Ok(lines)
}

#[test]
fn a_repeated_list_is_one_line_for_each_item() {
    let repeated = |name: &str| HeaderTemplate::parse(&format!("{{claims.{name}}}")).unwrap().repeated().unwrap();
    assert_eq!(lines_of(&repeated("groups"), json!({})), Ok(vec!["staff".into(), "admins".into()]));
    for (value, expected) in [
        (json!(["a", "", 7, true]), vec!["a", "7", "true"]),
        (json!("alone"), vec!["alone"]),
        (json!(7), vec!["7"]),
        (json!([]), vec![]),
        (json!(["", ""]), vec![]),
        (Value::Null, vec![]),
    ] {
        let lines = lines_of(&repeated("v"), json!({"v": value})).unwrap();
        assert_eq!(lines, expected, "{value}");
    }
}

#[test]
fn jw_37_a_repeated_list_cannot_forge_an_item_either() {
    let repeated = HeaderTemplate::parse("{claims.v}").unwrap().repeated().unwrap();
    for (value, error) in [
        (json!(["a,admins"]), UnusableValue::Comma),
        (json!("a,admins"), UnusableValue::Comma),
        (json!(["a", "b\r\nx-admin: 1"]), UnusableValue::Character),
        (json!([" a"]), UnusableValue::Space),
        (json!([["a"]]), UnusableValue::Shape),
        (json!(vec!["a"; ITEM_LIMIT + 1]), UnusableValue::Length),
        (json!(["a".repeat(CLAIM_LIMIT / 2), "a".repeat(CLAIM_LIMIT / 2 + 1)]), UnusableValue::Length),
    ] {
        assert_eq!(lines_of(&repeated, json!({"v": value})), Err(error), "{value}");
    }
    assert_eq!(lines_of(&repeated, json!({"v": vec!["a"; ITEM_LIMIT]})).unwrap().len(), ITEM_LIMIT);
    for several in ["{claims.a}{claims.b}", "x{claims.a}", "{access_token}", "a"] {
        assert_eq!(HeaderTemplate::parse(several).unwrap().repeated(), None, "{several}");
    }
}

#[test]
fn hd_11_percent_encoding_makes_every_text_a_header() {
    let encoded = |text: &str| HeaderTemplate::parse(text).unwrap().percent_encoded().unwrap();
    for (value, expected) in [
        (json!("Zoë Ω"), "Zo%C3%AB%20%CE%A9"),
        (json!("a\r\nx-admin: 1"), "a%0D%0Ax-admin%3A%201"),
        (json!(" a,b "), "%20a%2Cb%20"),
        (json!("-._~Az09"), "-._~Az09"),
        (json!("100%"), "100%25"),
        (json!(["a,b", "c"]), "a%2Cb,c"),
        (json!(-1.5), "-1.5"),
    ] {
        assert_eq!(lines_of(&encoded("n={claims.v}"), json!({"v": value})).unwrap(), [format!("n={expected}")]);
    }
    let repeated = encoded("{claims.v}").repeated().unwrap();
    assert_eq!(lines_of(&repeated, json!({"v": ["a,b", "ü"]})).unwrap(), ["a%2Cb", "%C3%BC"]);
    assert_eq!(
        lines_of(&encoded("{claims.v}"), json!({"v": "ü".repeat(CLAIM_LIMIT / 6 + 1)})),
        Err(UnusableValue::Length)
    );
    assert_eq!(lines_of(&encoded("{claims.v}"), json!({"v": ""})).unwrap(), [""; 0]);
    assert_eq!(HeaderTemplate::parse("{access_token}").unwrap().percent_encoded(), None);
}

#[test]
fn basic_credentials_are_those_of_rfc_7617() {
    let basic = HeaderTemplate::basic(BasicPassword::new("open sesame".into()));
    let render = |username: Option<&str>| {
        let mut identity = identity(json!({}));
        identity.username = username.map(Into::into);
        let principal = Principal { identity: Some(&identity), ..Principal::default() };
        basic.render(&principal, RequestValues { id: "", host: "" })
    };
    // RFC 7617 §2.
    let value = render(Some("Aladdin")).unwrap().unwrap();
    assert_eq!(value, "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    assert!(value.is_sensitive() && !basic.uses_access_token());
    assert_eq!(render(Some("Zoë")).unwrap().unwrap(), "Basic Wm/DqzpvcGVuIHNlc2FtZQ==");
    assert_eq!((render(None), render(Some(""))), (Ok(None), Ok(None)));
    for (username, error) in [
        ("root:x", UnusableValue::Colon),
        ("a\nb", UnusableValue::Character),
        ("a\u{85}b", UnusableValue::Character),
        ("a\u{7f}", UnusableValue::Character),
        ("root ", UnusableValue::Space),
        ("\u{a0}root", UnusableValue::Space),
    ] {
        assert_eq!(render(Some(username)), Err(error), "{username:?}");
    }
    assert!(!format!("{basic:?}").contains("sesame"));
}

#[test]
fn an_assertion_stands_alone_or_with_text() {
    for (text, alone) in [
        ("{identity}", true),
        ("Bearer {identity}", true),
        ("{identity}{identity}", false),
        ("{identity} {claims.sub}", false),
    ] {
        let template = HeaderTemplate::parse(text).unwrap();
        assert!(template.uses_identity());
        assert_eq!(template.is_identity_and_text(), alone, "{text}");
    }
}
