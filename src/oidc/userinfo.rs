//! The userinfo answer (OpenID Connect Core §5.3), the user resource of a plain OAuth 2.0 server, and the list of
//! addresses that some of these have.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::oidc::json::{self, JsonError};
use crate::oidc::jwk_set::JwkSet;
use crate::oidc::jws::{JwsError, UnverifiedJws};
use crate::oidc::token_claims::{self, ClaimError};

/// Why a userinfo answer is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserinfoError {
    /// Not a JSON object.
    #[error("userinfo-not-json")]
    Json(#[from] JsonError),
    /// A signed answer that is not the provider's.
    #[error("userinfo-signature")]
    Jws(#[from] JwsError),
    /// A signed answer of another type.
    #[error("userinfo-typ")]
    Type,
    /// A signed answer for somebody else, from somebody else, or of another time.
    #[error("userinfo-claim")]
    Claim(#[from] ClaimError),
    /// Another subject than the ID token's: the answer must not be used (§5.3.2).
    #[error("userinfo-sub")]
    Subject,
}

impl UserinfoError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Json(_) => "userinfo-not-json",
            Self::Jws(_) => "userinfo-signature",
            Self::Type => "userinfo-typ",
            Self::Claim(_) => "userinfo-claim",
            Self::Subject => "userinfo-sub",
        }
    }
}

/// A userinfo answer whose subject has not been compared.
#[derive(Debug)]
pub struct UnverifiedUserinfo(Map<String, Value>);

/// A userinfo answer that may be used: about the subject of the ID token, or of a server that has no ID tokens.
#[derive(Debug, Default)]
pub struct Userinfo(Map<String, Value>);

/// What a signed answer is measured by.
#[derive(Clone, Copy, Debug)]
pub struct SignedExpectations<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// The client identifier.
    pub client_id: &'a str,
    /// The time.
    pub now: Timestamp,
    /// How far the provider's clock may be off.
    pub leeway: Duration,
}

impl UnverifiedUserinfo {
    /// Reads an answer of type `application/json`.
    ///
    /// # Errors
    /// [`UserinfoError::Json`].
    pub fn from_json(body: &[u8], limit: usize) -> Result<Self, UserinfoError> {
        Ok(Self(json::read_object(body, limit)?))
    }

    /// Verifies an answer of type `application/jwt`, which must name issuer and client.
    ///
    /// # Errors
    /// [`UserinfoError`].
    pub fn from_signed(
        jws: &UnverifiedJws<'_>,
        keys: &JwkSet,
        expected: &SignedExpectations<'_>,
        limit: usize,
    ) -> Result<Self, UserinfoError> {
        if !jws.has_type(&["JWT"]) {
            return Err(UserinfoError::Type);
        }
        let claims = json::read_object(jws.verify(keys)?.as_bytes(), limit)?;
        // A logout token is signed with the same keys for the same audience.
        if claims.contains_key("events") {
            return Err(UserinfoError::Type);
        }
        token_claims::issuer(&claims, expected.issuer)?;
        token_claims::audience(&claims, expected.client_id)?;
        token_claims::not_before(&claims, expected.now, expected.leeway)?;
        if claims.contains_key("exp") {
            token_claims::expiry(&claims, expected.now, expected.leeway)?;
        }
        Ok(Self(claims))
    }

    /// Whether the answer is about somebody, and that is not `subject`.
    #[must_use]
    pub fn is_about_another_than(&self, subject: &str) -> bool {
        self.0.get("sub").and_then(Value::as_str).is_some_and(|named| !named.is_empty() && named != subject)
    }

    /// The answer, if it is about the subject of the ID token.
    ///
    /// # Errors
    /// [`UserinfoError::Subject`].
    pub fn about(self, subject: &str) -> Result<Userinfo, UserinfoError> {
        match self.0.get("sub").and_then(Value::as_str) {
            Some(named) if named == subject => Ok(Userinfo(self.0)),
            _ => Err(UserinfoError::Subject),
        }
    }

    /// The answer of a plain OAuth 2.0 server, where there is nothing to compare it with.
    #[must_use]
    pub fn of_plain_oauth(self) -> Userinfo {
        Userinfo(self.0)
    }
}

impl Userinfo {
    /// Everything the answer says.
    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// The one primary and verified address in a list of `{email, primary, verified}`, if there is one.
///
/// # Errors
/// [`JsonError`] when the answer is no JSON array.
pub fn primary_verified_email(body: &[u8], limit: usize) -> Result<Option<String>, JsonError> {
    let Value::Array(entries) = json::read(body, limit)? else { return Err(JsonError::Malformed) };
    let is_true = |entry: &Value, name: &str| entry.get(name) == Some(&Value::Bool(true));
    let primary = entries.iter().find(|entry| is_true(entry, "primary") && is_true(entry, "verified"));
    Ok(primary.and_then(|entry| entry.get("email")?.as_str()).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oidc::test_keys::{public_keys, token, token_signed_by};
    use serde_json::json;

    const NOW: u64 = 1_700_000_000;

    fn signed(raw: &str) -> Result<Userinfo, UserinfoError> {
        let keys = JwkSet::parse(public_keys().to_string().as_bytes(), 256 * 1024).unwrap();
        let expected = SignedExpectations {
            issuer: "https://id.example",
            client_id: "app",
            now: Timestamp::from_seconds(NOW),
            leeway: Duration::from_secs(60),
        };
        UnverifiedUserinfo::from_signed(&UnverifiedJws::parse(raw)?, &keys, &expected, 16 * 1024)?.about("alice")
    }

    fn claims() -> Value {
        json!({"iss": "https://id.example", "aud": "app", "sub": "alice", "email": "a@example.com"})
    }

    #[test]
    fn jw_35_another_subject_is_refused() {
        for body in [r#"{"sub":"bob"}"#, "{}", r#"{"sub":null}"#, r#"{"sub":["alice"]}"#, r#"{"sub":"Alice"}"#] {
            let answer = UnverifiedUserinfo::from_json(body.as_bytes(), 1000).unwrap();
            let names_another = [r#"{"sub":"bob"}"#, r#"{"sub":"Alice"}"#].contains(&body);
            assert_eq!(answer.is_about_another_than("alice"), names_another, "{body}");
            assert_eq!(answer.about("alice").unwrap_err(), UserinfoError::Subject, "{body}");
        }
        assert!(UnverifiedUserinfo::from_json(br#"{"sub":"alice"}"#, 1000).unwrap().about("alice").is_ok());
    }

    #[test]
    fn jw_35_what_is_no_object_is_refused() {
        for body in ["[]", "<html>", "", "null", r#"{"sub":"a","sub":"b"}"#] {
            let read = UnverifiedUserinfo::from_json(body.as_bytes(), 1000);
            assert_eq!(read.unwrap_err().check(), "userinfo-not-json", "{body}");
        }
    }

    #[test]
    fn jw_35_a_signed_answer_is_verified_like_any_token() {
        assert!(signed(&token(&claims())).is_ok());
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", json!(null)),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("sub", json!("bob")),
            ("exp", json!(NOW - 61)),
            ("exp", json!("1")),
            ("nbf", json!(NOW + 61)),
            ("events", json!({})),
        ] {
            let mut claims = claims();
            claims[name] = value;
            assert!(signed(&token(&claims)).is_err(), "{claims}");
        }
        let header = r#"{"alg":"ES256","kid":"p256","typ":"at+jwt"}"#;
        let raw = token_signed_by("ES256", header, &claims().to_string());
        assert_eq!(signed(&raw).unwrap_err(), UserinfoError::Type);
        let raw = token_signed_by("RS256", r#"{"alg":"ES256","kid":"p256"}"#, &claims().to_string());
        assert_eq!(signed(&raw).unwrap_err().check(), "userinfo-signature");
    }

    #[test]
    fn only_the_primary_and_verified_address_counts() {
        let list = json!([
            {"email": "old@example.com", "primary": false, "verified": true},
            {"email": "new@example.com", "primary": true, "verified": false},
        ]);
        let read = |list: &Value| primary_verified_email(list.to_string().as_bytes(), 10_000);
        assert_eq!(read(&list), Ok(None));
        assert_eq!(read(&json!([{"email": "a@b.c", "primary": true, "verified": "true"}])), Ok(None));
        assert_eq!(read(&json!([{"email": "a@b.c", "primary": true, "verified": true}])), Ok(Some("a@b.c".into())));
        assert!(read(&json!({"email": "a@b.c"})).is_err());
    }
}
