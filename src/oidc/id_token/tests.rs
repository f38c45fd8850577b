use super::*;
use crate::oidc::test_keys::{encode, public_keys, token, token_signed_by};
use serde_json::json;

const NOW: u64 = 1_700_000_000;
const ISSUER: &str = "https://id.example";

fn keys() -> JwkSet {
    JwkSet::parse(public_keys().to_string().as_bytes(), 256 * 1024).unwrap()
}

fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "app", "sub": "alice", "exp": NOW + 300, "iat": NOW, "nonce": "n"})
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

fn login_raw(raw: &str, max_age: Option<Duration>) -> Result<IdToken, IdTokenError> {
    let raw = RawIdToken::new(raw.into());
    let expected = Expectations {
        issuer: ISSUER,
        client_id: "app",
        access_token: &AccessToken::new("at".into()),
        now: Timestamp::from_seconds(NOW),
        leeway: Duration::from_secs(60),
    };
    let (nonce, code) = (Nonce::new("n".into()), AuthorizationCode::new("code".into()));
    let attempt = Attempt { nonce: &nonce, code: &code, state: "state", max_age };
    UnverifiedIdToken::parse(&raw)?.verify_login(&keys(), &expected, &attempt)
}

fn login(claims: &Value) -> Result<(), &'static str> {
    login_raw(&token(claims), None).map(|_| ()).map_err(IdTokenError::check)
}

fn refresh(claims: &Value, nonce: Option<&str>, auth_time: Option<u64>) -> Result<(), IdTokenError> {
    refresh_raw(&token(claims), nonce, auth_time)
}

fn refresh_raw(raw: &str, nonce: Option<&str>, auth_time: Option<u64>) -> Result<(), IdTokenError> {
    let raw = RawIdToken::new(raw.into());
    let expected = Expectations {
        issuer: ISSUER,
        client_id: "app",
        access_token: &AccessToken::new("at".into()),
        now: Timestamp::from_seconds(NOW),
        leeway: Duration::from_secs(60),
    };
    let original = Original { subject: "alice", auth_time: auth_time.map(Timestamp::from_seconds), nonce };
    UnverifiedIdToken::parse(&raw)?.verify_refresh(&keys(), &expected, &original).map(|_| ())
}

/// Each value of a claim fails under the same check name, at login and at refresh.
fn reject_each(check: &str, name: &str, values: &[Value]) {
    for value in values {
        let claims = with(name, value.clone());
        assert_eq!(login(&claims), Err(check), "{name} {value}");
        assert!(refresh(&claims, Some("n"), None).is_err(), "refresh {name} {value}");
    }
}

#[test]
fn a_good_token_says_who_it_is() {
    let mut claims = with("auth_time", json!(NOW - 10));
    claims["acr"] = json!("gold");
    claims["sid"] = json!("s1");
    claims["azp"] = json!("app");
    claims["aud"] = json!(["app"]);
    let token = login_raw(&token(&claims), None).unwrap();
    assert_eq!((token.subject(), token.acr(), token.sid()), ("alice", Some("gold"), Some("s1")));
    assert_eq!(token.auth_time(), Some(Timestamp::from_seconds(NOW - 10)));
    assert_eq!(token.issued_at(), Timestamp::from_seconds(NOW));
}

#[test]
fn jw_11_duplicate_claims_are_rejected() {
    let text = claims().to_string().replacen('{', r#"{"sub":"mallory","#, 1);
    let raw = token_signed_by("ES256", r#"{"alg":"ES256","kid":"p256"}"#, &text);
    assert_eq!(login_raw(&raw, None).unwrap_err().check(), "payload");
}

#[test]
fn jw_14_and_jw_15_the_issuer_is_compared_byte_for_byte() {
    let wrong = [
        json!("https://id.example/"),
        json!("https://id.exampl"),
        json!("https://id.example.evil"),
        json!("https://ID.example"),
        json!("http://id.example"),
        json!(null),
        json!([ISSUER]),
        json!(7),
        json!(""),
    ];
    reject_each("iss", "iss", &wrong);
    assert_eq!(login(&without("iss")), Err("iss"));
}

#[test]
fn jw_16_the_audience_is_this_client_alone() {
    let wrong = [
        json!("other"),
        json!([]),
        json!("ap"),
        json!("app "),
        json!("app other"),
        json!(7),
        json!(null),
        json!(["app", "other"]),
        json!([["app"]]),
        json!({"app": true}),
    ];
    reject_each("aud", "aud", &wrong);
    assert_eq!(login(&without("aud")), Err("aud"));
}

#[test]
fn jw_18_the_authorized_party_is_this_client() {
    reject_each("azp", "azp", &[json!("other"), json!(null), json!(["app"]), json!("")]);
}

#[test]
fn jw_19_the_expiry_is_a_number_in_the_future() {
    let wrong =
        [json!("9999999999"), json!(null), json!(-1), json!(1e300), json!(NOW - 61), json!(NOW - 60), json!([NOW + 9])];
    reject_each("exp", "exp", &wrong);
    assert_eq!(login(&without("exp")), Err("exp"));
    let not_a_number = claims().to_string().replace(&(NOW + 300).to_string(), "NaN");
    assert!(login_raw(&token_signed_by("ES256", r#"{"alg":"ES256","kid":"p256"}"#, &not_a_number), None).is_err());
}

#[test]
fn jw_21_a_token_from_the_future_is_rejected() {
    reject_each("nbf", "nbf", &[json!(NOW + 61), json!("1"), json!(null)]);
    reject_each("iat", "iat", &[json!(NOW + 61), json!("1"), json!(null), json!(-1), json!(NOW - 25 * 3600)]);
    assert_eq!(login(&without("iat")), Err("iat"));
}

#[test]
fn if_09_the_leeway_is_exact() {
    assert_eq!(login(&with("exp", json!(NOW - 59))), Ok(()));
    assert_eq!(login(&with("exp", json!(NOW - 61))), Err("exp"));
    assert_eq!(login(&with("iat", json!(NOW + 59))), Ok(()));
    assert_eq!(login(&with("iat", json!(NOW + 61))), Err("iat"));
    assert_eq!(login(&with("nbf", json!(NOW + 60))), Ok(()));
}

#[test]
fn jw_23_the_subject_is_a_short_clean_text() {
    let wrong =
        [json!(""), json!("x".repeat(256)), json!("a\nb"), json!("a\u{0}"), json!(7), json!(null), json!(["a"])];
    reject_each("sub", "sub", &wrong[..2]);
    for value in &wrong {
        assert_eq!(login(&with("sub", value.clone())), Err("sub"), "{value}");
    }
    assert_eq!(login(&without("sub")), Err("sub"));
    assert_eq!(login(&with("sub", json!("x".repeat(255)))), Ok(()));
}

#[test]
fn the_nonce_binds_the_token_to_the_attempt() {
    for value in [json!("m"), json!(""), json!(null), json!(["n"]), json!("nn")] {
        assert_eq!(login(&with("nonce", value)), Err("nonce"));
    }
    assert_eq!(login(&without("nonce")), Err("nonce"));
}

#[test]
fn jw_24_and_jw_25_hashes_are_checked_when_they_are_there() {
    for (name, check, of) in [("at_hash", "at-hash", "at"), ("c_hash", "c-hash", "code"), ("s_hash", "s-hash", "state")]
    {
        let half = encode(&Sha256::digest(of.as_bytes())[..16]);
        assert_eq!(login(&with(name, json!(half))), Ok(()));
        for wrong in [json!("x"), json!(null), json!(encode(Sha256::digest(of.as_bytes()))), json!("")] {
            assert_eq!(login(&with(name, wrong)), Err(check));
        }
    }
    let claims = with("at_hash", json!(encode(&Sha512::digest(b"at")[..32]))).to_string();
    assert!(login_raw(&token_signed_by("EdDSA", r#"{"alg":"EdDSA","kid":"ed"}"#, &claims), None).is_ok());
}

#[test]
fn auth_time_counts_when_it_was_asked_for() {
    let check = |claims: &Value, max_age| {
        login_raw(&token(claims), Some(Duration::from_secs(max_age))).map(|_| ()).map_err(IdTokenError::check)
    };
    assert_eq!(check(&with("auth_time", json!(NOW - 100)), 50), Ok(()));
    assert_eq!(check(&with("auth_time", json!(NOW - 111)), 50), Err("auth-time"));
    assert_eq!(check(&claims(), 50), Err("auth-time"));
    reject_each("auth-time", "auth_time", &[json!("1"), json!(null), json!(NOW + 61)]);
    reject_each("acr", "acr", &[json!(1), json!(null)]);
    reject_each("sid", "sid", &[json!(1), json!(null)]);
}

#[test]
fn jw_28_and_lo_14_another_kind_of_token_is_no_id_token() {
    for typ in ["at+jwt", "logout+jwt", "dpop+jwt", "client-authentication+jwt", "application/at+jwt", "JWE", ""] {
        let header = json!({"alg": "ES256", "kid": "p256", "typ": typ}).to_string();
        let raw = token_signed_by("ES256", &header, &claims().to_string());
        assert_eq!(login_raw(&raw, None).unwrap_err().check(), "typ", "{typ}");
    }
    for header in [r#"{"alg":"ES256","kid":"p256"}"#, r#"{"alg":"ES256","kid":"p256","typ":"jwt"}"#] {
        assert!(login_raw(&token_signed_by("ES256", header, &claims().to_string()), None).is_ok());
    }
    assert_eq!(login(&with("events", json!({}))), Err("typ"));
}

#[test]
fn claims_over_16_kibibytes_are_rejected() {
    assert_eq!(login(&with("x", json!("y".repeat(MAX_CLAIMS)))), Err("size"));
    assert!(login(&with("x", json!("y".repeat(8 * 1024)))).is_ok());
}

#[test]
fn jw_39_a_refreshed_token_of_somebody_else_is_told_apart() {
    assert_eq!(refresh(&with("sub", json!("bob")), Some("n"), None), Err(IdTokenError::OtherIdentity));
    assert_eq!(refresh(&with("iss", json!("https://evil.example")), Some("n"), None), Err(IdTokenError::OtherIdentity));
    let mut forged = token(&with("sub", json!("bob")));
    forged.truncate(forged.len() - 4);
    forged.push_str("AAAA");
    assert_eq!(refresh_raw(&forged, None, None), Err(IdTokenError::Jws(JwsError::Signature)));
}

#[test]
fn jw_39_any_other_failure_of_a_refreshed_token_is_not_another_identity() {
    for (claims, check) in [
        (with("aud", json!("other")), "aud"),
        (with("exp", json!(NOW - 61)), "exp"),
        (with("nonce", json!("m")), "nonce"),
        (with("auth_time", json!(NOW - 11)), "auth-time"),
        (without("sub"), "sub"),
        (without("iss"), "iss"),
        (with("at_hash", json!("x")), "at-hash"),
    ] {
        assert_eq!(refresh(&claims, Some("n"), Some(NOW - 10)).unwrap_err().check(), check);
    }
    assert_eq!(refresh(&claims(), None, None), Err(IdTokenError::Nonce));
    for claims in [claims(), without("nonce"), with("auth_time", json!(NOW - 10))] {
        assert_eq!(refresh(&claims, Some("n"), Some(NOW - 10)), Ok(()));
    }
}
