//! Error answers of the token endpoint (RFC 6749 §5.2).

use serde_json::Value;

use crate::oidc::json;

/// The error codes that something depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenErrorCode {
    /// `invalid_grant`: the code or refresh token is spent, expired or of somebody else.
    InvalidGrant,
    /// `invalid_client`: the client is unknown or its authentication failed.
    InvalidClient,
    /// `invalid_request`
    InvalidRequest,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `unsupported_grant_type`
    UnsupportedGrantType,
    /// `invalid_scope`
    InvalidScope,
    /// `temporarily_unavailable`, `server_error` or `slow_down`, which some servers send with a status of 400.
    Unavailable,
    /// Any other, or none that could be read.
    Other,
}

impl TokenErrorCode {
    /// Reads the `error` member of an error answer; what cannot be read is [`Self::Other`].
    #[must_use]
    pub fn parse(body: &[u8], limit: usize) -> Self {
        let Ok(members) = json::read_object(body, limit) else { return Self::Other };
        match members.get("error").and_then(Value::as_str) {
            Some("invalid_grant") => Self::InvalidGrant,
            Some("invalid_client") => Self::InvalidClient,
            Some("invalid_request") => Self::InvalidRequest,
            Some("unauthorized_client") => Self::UnauthorizedClient,
            Some("unsupported_grant_type") => Self::UnsupportedGrantType,
            Some("invalid_scope") => Self::InvalidScope,
            Some("temporarily_unavailable" | "server_error" | "slow_down") => Self::Unavailable,
            _ => Self::Other,
        }
    }

    /// The code for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidGrant => "invalid-grant",
            Self::InvalidClient => "invalid-client",
            Self::InvalidRequest => "invalid-request",
            Self::UnauthorizedClient => "unauthorized-client",
            Self::UnsupportedGrantType => "unsupported-grant-type",
            Self::InvalidScope => "invalid-scope",
            Self::Unavailable => "unavailable",
            Self::Other => "other",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_from_a_closed_list() {
        for (body, code) in [
            (r#"{"error":"invalid_grant"}"#, TokenErrorCode::InvalidGrant),
            (r#"{"error":"invalid_client","error_description":"x"}"#, TokenErrorCode::InvalidClient),
            (r#"{"error":"server_error"}"#, TokenErrorCode::Unavailable),
            (r#"{"error":"INVALID_GRANT"}"#, TokenErrorCode::Other),
            (r#"{"error":"invalid_grant","error":"x"}"#, TokenErrorCode::Other),
            (r#"{"error":["invalid_grant"]}"#, TokenErrorCode::Other),
            ("<html>", TokenErrorCode::Other),
            ("", TokenErrorCode::Other),
        ] {
            assert_eq!(TokenErrorCode::parse(body.as_bytes(), 1000), code, "{body}");
        }
    }
}
