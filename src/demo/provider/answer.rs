//! The forms an answer of the provider takes.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION, PRAGMA, REFERRER_POLICY, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use url::Url;

/// An answer of the provider; its body is always complete.
pub type Answer = Response<Full<Bytes>>;

pub(super) fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// JSON that nobody may keep (RFC 6749 §5.1).
pub(super) fn json(status: StatusCode, value: &Value) -> Answer {
    let mut response = empty(status);
    *response.body_mut() = Full::new(Bytes::from(value.to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// A `303 See Other`: whatever the method was, the browser goes on with GET.
pub(super) fn see_other(location: &str) -> Answer {
    let mut response = empty(StatusCode::SEE_OTHER);
    set(&mut response, LOCATION, location);
    response.headers_mut().insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A `303` to `target` with `parameters` added to its query; those without a value are left out.
pub(super) fn see_other_with(target: &str, parameters: &[(&str, Option<&str>)]) -> Answer {
    let Ok(mut url) = Url::parse(target) else {
        // Only registered URIs come here: the registration is wrong, not the request.
        return empty(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let given: Vec<_> = parameters.iter().filter_map(|(name, value)| value.map(|value| (*name, value))).collect();
    if !given.is_empty() {
        url.query_pairs_mut().extend_pairs(given);
    }
    see_other(url.as_str())
}

pub(super) fn method_not_allowed(allowed: &'static str) -> Answer {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Sets a header whose value is made from what came in; one that cannot be a header is left out.
pub(super) fn set(response: &mut Answer, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// An error of the token and the revocation endpoint (RFC 6749 §5.2, RFC 7009 §2.2.1, RFC 8707 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    #[error("invalid_request")]
    InvalidRequest,
    #[error("invalid_client")]
    InvalidClient,
    #[error("invalid_grant")]
    InvalidGrant,
    #[error("unsupported_grant_type")]
    UnsupportedGrantType,
    #[error("invalid_scope")]
    InvalidScope,
    #[error("invalid_target")]
    InvalidTarget,
    /// No randomness or no signature: our fault, not the client's.
    #[error("temporarily_unavailable")]
    Unavailable,
}

impl From<crate::entropy::NoEntropy> for TokenError {
    fn from(_: crate::entropy::NoEntropy) -> Self {
        Self::Unavailable
    }
}

impl From<super::SigningFailed> for TokenError {
    fn from(_: super::SigningFailed) -> Self {
        Self::Unavailable
    }
}

impl TokenError {
    pub(super) fn answer(self) -> Answer {
        let status = match self {
            Self::InvalidClient => StatusCode::UNAUTHORIZED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let mut response = json(status, &json!({ "error": self.to_string() }));
        if self == Self::InvalidClient {
            set(&mut response, WWW_AUTHENTICATE, "Basic realm=\"development provider\"");
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_added_to_the_query_that_is_there() {
        let response = see_other_with("http://localhost/cb?a=1", &[("code", Some("x y&z")), ("state", None)]);
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        assert_eq!(response.headers()[LOCATION], "http://localhost/cb?a=1&code=x+y%26z");
        assert_eq!(see_other_with("http://localhost/", &[]).headers()[LOCATION], "http://localhost/");
    }
}
