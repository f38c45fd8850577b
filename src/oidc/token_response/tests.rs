use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

const NOW: Timestamp = Timestamp::from_seconds(1_700_000_000);

fn read(answer: &Value, id_token_required: bool) -> Result<Tokens, TokenResponseError> {
    let scopes = ["openid".to_owned()];
    let expectations = TokenExpectations { id_token_required, scopes: &scopes, now: NOW };
    parse(answer.to_string().as_bytes(), 256 * 1024, &expectations)
}

/// A good answer with one member replaced.
fn with(name: &str, value: Value) -> Value {
    let mut answer = json!({"access_token": "at", "token_type": "Bearer", "expires_in": 300, "id_token": "a.b.c"});
    answer[name] = value;
    answer
}

fn refusal(answer: &Value) -> TokenResponseError {
    read(answer, true).expect_err(&answer.to_string())
}

#[test]
fn a_whole_answer_is_read() {
    let mut answer = with("refresh_token", json!("rt"));
    answer["scope"] = json!("openid  calendar");
    let tokens = read(&answer, true).unwrap();
    assert_eq!(tokens.access_token.expose(), "at");
    assert_eq!(tokens.access_expires, Some(Timestamp::from_seconds(1_700_000_300)));
    assert_eq!(tokens.refresh_token.unwrap().expose(), "rt");
    assert_eq!(tokens.id_token.unwrap().expose(), "a.b.c");
    assert_eq!(tokens.scopes, ["openid", "calendar"]);
}

#[test]
fn without_a_scope_the_one_asked_for_was_granted() {
    assert_eq!(read(&with("scope", Value::Null), true).unwrap().scopes, ["openid"]);
    assert_eq!(read(&with("scope", json!("user:email,read:user")), true).unwrap().scopes, ["user:email", "read:user"]);
    assert_eq!(refusal(&with("scope", json!(["openid"]))), TokenResponseError::Scope);
}

#[test]
fn jw_29_an_id_token_must_come_when_openid_was_asked_for() {
    for missing in [json!(null), json!(""), json!(7), json!(["a.b.c"])] {
        assert_eq!(refusal(&with("id_token", missing)), TokenResponseError::IdTokenMissing);
    }
    assert!(read(&with("id_token", Value::Null), false).unwrap().id_token.is_none());
}

#[test]
fn jw_30_only_bearer_tokens_are_understood() {
    for good in ["Bearer", "bearer", "BEARER"] {
        assert!(read(&with("token_type", json!(good)), true).is_ok(), "{good}");
    }
    for bad in [json!(null), json!("mac"), json!("N_A"), json!("DPoP"), json!(""), json!(["Bearer"]), json!("Bearer ")]
    {
        assert_eq!(refusal(&with("token_type", bad)), TokenResponseError::TokenType);
    }
}

#[test]
fn jw_31_lifetimes_are_bounded_or_refused() {
    for bad in [json!(""), json!("3600"), json!(-1), json!(0), json!(0.5), json!([1]), json!(true)] {
        assert_eq!(refusal(&with("expires_in", bad)), TokenResponseError::ExpiresIn);
    }
    let expires = |value: Value| read(&with("expires_in", value), true).unwrap().access_expires;
    let farthest = NOW.plus(MAX_LIFETIME);
    for large in [json!(1e18), json!(1_000_000_000_000_000_000_u64), json!(u64::MAX), json!(1e300)] {
        assert_eq!(expires(large), Some(farthest));
    }
    assert_eq!(expires(json!(1.5)), Some(NOW.plus(Duration::from_secs(1))));
    assert_eq!(expires(Value::Null), None);
}

#[test]
fn jw_31_without_a_lifetime_the_exp_of_a_jwt_access_token_is_the_hint() {
    let jwt = |claims: &Value| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    let hint = |token: String| {
        let mut answer = with("access_token", json!(token));
        answer["expires_in"] = Value::Null;
        read(&answer, true).unwrap().access_expires
    };
    assert_eq!(hint(jwt(&json!({"exp": 1_700_000_900}))), Some(Timestamp::from_seconds(1_700_000_900)));
    for token in [jwt(&json!({"exp": "1700000900"})), jwt(&json!([])), "opaque".into(), "a.b".into(), "a.!.c".into()] {
        assert_eq!(hint(token), None);
    }
}

#[test]
fn jw_33_a_token_that_no_upstream_would_take_is_refused() {
    for name in ["access_token", "id_token", "refresh_token"] {
        assert_eq!(refusal(&with(name, json!("x".repeat(64 * 1024)))), TokenResponseError::TokenSize);
    }
    assert!(read(&with("access_token", json!("x".repeat(MAX_TOKEN))), true).is_ok());
    for bad in [json!("a\r\nb"), json!("a b"), json!("é"), json!(""), json!(null), json!(1)] {
        assert_eq!(refusal(&with("access_token", bad)), TokenResponseError::AccessToken);
    }
}

#[test]
fn if_04_a_200_that_is_no_token_answer_is_told_apart() {
    let parse = |body: &str| {
        let expectations = TokenExpectations { id_token_required: true, scopes: &[], now: NOW };
        parse(body.as_bytes(), 256 * 1024, &expectations).expect_err(body)
    };
    let duplicate = r#"{"access_token":"a","access_token":"b","token_type":"Bearer","id_token":"a.b.c"}"#;
    for body in ["", "null", "[]", "<html>", "{}", r#"{"error":"invalid_grant"}"#, duplicate] {
        assert!(parse(body).is_no_token_answer(), "{body}");
    }
    assert_eq!(refusal(&with("error", json!("x"))), TokenResponseError::ErrorMember);
    assert!(!refusal(&with("token_type", json!("mac"))).is_no_token_answer());
}
