use super::*;
use crate::oidc::test_keys::{public_keys, token, token_signed_by};
use serde_json::json;

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://id.example";

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "app", "iat": NOW, "exp": NOW + 120, "jti": "j", "sid": "s", "events": { EVENT: {} }})
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

fn verify_raw(raw: &str) -> Result<LogoutToken, LogoutTokenError> {
    let keys = JwkSet::parse(public_keys().to_string().as_bytes(), 256 * 1024).unwrap();
    let now = Timestamp::from_seconds(NOW);
    let expected = LogoutExpectations { issuer: ISSUER, client_id: "app", now, leeway: Duration::from_secs(60) };
    UnverifiedLogoutToken::parse(raw)?.verify(&keys, &expected)
}

fn verify(claims: &Value) -> Result<(), &'static str> {
    verify_raw(&token(claims)).map(|_| ()).map_err(LogoutTokenError::check)
}

fn typed(typ: &str) -> Result<LogoutToken, LogoutTokenError> {
    let header = json!({"alg": "ES256", "kid": "p256", "typ": typ}).to_string();
    verify_raw(&token_signed_by("ES256", &header, &claims().to_string()))
}

fn reject_each(check: &str, name: &str, values: &[Value]) {
    for value in values {
        assert_eq!(verify(&with(name, value.clone())), Err(check), "{name} {value}");
    }
}

#[test]
fn a_good_token_names_the_session_or_else_the_person() {
    let by_sid = verify_raw(&token(&with("sub", json!("alice")))).unwrap();
    assert_eq!(by_sid.logged_out(), &LoggedOut::Session("s".into()));
    assert_eq!((by_sid.jti(), by_sid.issued_at()), ("j", Timestamp::from_seconds(NOW)));
    let mut by_sub = without("sid");
    by_sub["sub"] = json!("alice");
    assert_eq!(verify_raw(&token(&by_sub)).unwrap().logged_out(), &LoggedOut::Subject("alice".into()));
    assert_eq!(verify(&with("aud", json!(["app"]))), Ok(()));
}

#[test]
fn lo_12_a_token_that_names_nobody_is_rejected() {
    assert_eq!(verify(&without("sid")), Err("sub-or-sid"));
    reject_each("sid", "sid", &[json!(""), json!(7), json!(null), json!(["s"])]);
    // Even where the sid would do.
    let wrong = [json!(""), json!("x".repeat(256)), json!("a\nb"), json!(7), json!(null), json!(["alice"])];
    reject_each("sub", "sub", &wrong);
}

#[test]
fn lo_13_a_token_is_of_now_and_has_a_name() {
    for (name, check) in [("iat", "iat"), ("exp", "exp"), ("jti", "jti"), ("events", "events"), ("aud", "aud")] {
        assert_eq!(verify(&without(name)), Err(check));
    }
    reject_each("iat", "iat", &[json!(NOW - 361), json!(NOW + 61), json!("1"), json!(null), json!(-1), json!(1e300)]);
    reject_each("jti", "jti", &[json!(""), json!(7), json!(null), json!("j".repeat(256)), json!(["j"])]);
    reject_each("exp", "exp", &[json!(NOW - 60), json!(NOW + 3_661), json!(NOW + 31_536_000), json!("9"), json!(null)]);
    reject_each("nbf", "nbf", &[json!(NOW + 61), json!("0"), json!(null)]);
    for (name, value) in [("iat", NOW - 360), ("iat", NOW + 60), ("exp", NOW - 59), ("exp", NOW + 3_660)] {
        assert_eq!(verify(&with(name, json!(value))), Ok(()), "{name} {value}");
    }
    assert_eq!(verify(&with("jti", json!("j".repeat(255)))), Ok(()));
}

#[test]
fn a_token_is_good_until_it_expires_or_is_too_old_whichever_comes_first() {
    let until = |claims: &Value| verify_raw(&token(claims)).unwrap().good_until().as_seconds();
    assert_eq!(until(&claims()), NOW + 120);
    assert_eq!(until(&with("exp", json!(NOW + 3_600))), NOW + 300);
}

#[test]
fn events_say_that_it_is_a_logout() {
    let with_member = |value: Value| with("events", json!({ EVENT: value }));
    for value in [json!(null), json!(true), json!("x"), json!([]), json!(1)] {
        assert_eq!(verify(&with_member(value)), Err("events"));
    }
    let other = json!({ "http://schemas.openid.net/event/other": {} });
    reject_each("events", "events", &[json!(null), json!([]), json!([EVENT]), json!(EVENT), json!({}), other]);
    assert_eq!(verify(&with_member(json!({ "why": "x" }))), Ok(()));
}

#[test]
fn lo_14_another_kind_of_token_is_no_logout_token() {
    reject_each("nonce", "nonce", &[json!("n"), json!(null), json!("")]);
    let id_token = json!({"iss": ISSUER, "aud": "app", "sub": "alice", "iat": NOW, "exp": NOW + 120, "nonce": "n"});
    assert_eq!(verify(&id_token), Err("events"));
    for typ in ["at+jwt", "application/at+jwt", "dpop+jwt", "secevent+jwt", "client-authentication+jwt", ""] {
        assert_eq!(typed(typ).unwrap_err().check(), "typ", "{typ}");
    }
    for typ in ["logout+jwt", "application/logout+jwt", "LOGOUT+JWT", "JWT", "jwt"] {
        assert!(typed(typ).is_ok(), "{typ}");
    }
    let untyped = token_signed_by("ES256", r#"{"alg":"ES256","kid":"p256"}"#, &claims().to_string());
    assert!(verify_raw(&untyped).is_ok());
}

#[test]
fn lo_07_and_jw_11_a_token_is_signed_and_says_nothing_twice() {
    let mut forged = token(&claims());
    forged.truncate(forged.len() - 4);
    forged.push_str("AAAA");
    assert_eq!(verify_raw(&forged).unwrap_err(), LogoutTokenError::Jws(JwsError::Signature));
    let unsigned = token_signed_by("none", r#"{"alg":"none"}"#, &claims().to_string());
    assert_eq!(verify_raw(&unsigned).unwrap_err().check(), "alg");
    let twice = claims().to_string().replacen('{', r#"{"sid":"other","#, 1);
    let raw = token_signed_by("ES256", r#"{"alg":"ES256","kid":"p256"}"#, &twice);
    assert_eq!(verify_raw(&raw).unwrap_err().check(), "payload");
}

#[test]
fn lo_09_issuer_audience_and_authorized_party_are_ours() {
    reject_each("iss", "iss", &[json!("https://id.example/"), json!("https://evil.example"), json!(null), json!(7)]);
    reject_each(
        "aud",
        "aud",
        &[json!("other"), json!([]), json!(["app", "other"]), json!("ap"), json!(7), json!(null)],
    );
    reject_each("azp", "azp", &[json!("other"), json!(null)]);
}

#[test]
fn debug_shows_nothing_of_the_token() {
    let raw = token(&claims());
    let shown = format!("{:?}", UnverifiedLogoutToken::parse(&raw).unwrap());
    assert_eq!(shown, "UnverifiedLogoutToken { .. }");
}
