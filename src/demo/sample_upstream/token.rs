//! The access token that came along, decoded to be looked at. A real application verifies it before it believes it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde_json::Value;

use crate::clock::Timestamp;

/// Header and claims of a JSON web token whose signature nobody has checked.
pub(super) struct UnverifiedToken {
    pub(super) header: String,
    pub(super) claims: String,
    pub(super) expires: Option<Timestamp>,
}

impl UnverifiedToken {
    /// The bearer token of these headers; `None` when there is none or it is opaque.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return None;
        }
        let mut parts = token.split('.');
        let (header, claims) = (decode(parts.next()?)?, decode(parts.next()?)?);
        let expires = claims.get("exp").and_then(Value::as_u64).map(Timestamp::from_seconds);
        Some(Self { header: format!("{header:#}"), claims: format!("{claims:#}"), expires })
    }
}

fn decode(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn token(value: &str) -> Option<UnverifiedToken> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        UnverifiedToken::of(&headers)
    }

    #[test]
    fn a_token_is_decoded_and_an_opaque_one_is_not() {
        let decoded = token("Bearer eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE4MDAwMDAwMDB9.c2ln").unwrap();
        assert_eq!(decoded.header, "{\n  \"alg\": \"ES256\"\n}");
        assert_eq!(decoded.expires, Some(Timestamp::from_seconds(1_800_000_000)));
        for opaque in ["Bearer abc", "Basic eyJhbGciOiJFUzI1NiJ9.e30.x", "Bearer e30.W10.x", "Bearer"] {
            assert!(token(opaque).is_none(), "{opaque}");
        }
    }
}
