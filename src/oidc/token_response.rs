//! Successful answers of the token endpoint (RFC 6749 §5.1, OpenID Connect Core §3.1.3.3).

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::oidc::json::{self, JsonError};
use crate::oidc::{jws, numeric_date};
use crate::secret::{AccessToken, RawIdToken, RefreshToken};

/// Longest access, refresh or ID token, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Nobody's access token lives longer; larger numbers are cut to this.
const MAX_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);

/// The tokens of one grant.
#[derive(Debug, PartialEq, Eq)]
pub struct Tokens {
    /// What upstreams are called with.
    pub access_token: AccessToken,
    /// When the access token runs out; `None` when the provider does not say, neither by `expires_in` nor by the `exp`
    /// of a JWT.
    pub access_expires: Option<Timestamp>,
    /// What new tokens are got with.
    pub refresh_token: Option<RefreshToken>,
    /// The ID token as it came. Not verified by being here.
    pub id_token: Option<RawIdToken>,
    /// The scopes granted; those asked for when the provider does not say (RFC 6749 §5.1).
    pub scopes: Vec<String>,
}

/// What a token answer is measured by.
#[derive(Clone, Copy, Debug)]
pub struct TokenExpectations<'a> {
    /// Whether an ID token must come: a login with `openid`.
    pub id_token_required: bool,
    /// The scopes that were asked for, or that the grant had.
    pub scopes: &'a [String],
    /// When the call began; lifetimes count from here, which errs towards early.
    pub now: Timestamp,
}

/// Why an answer is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenResponseError {
    /// Not the JSON object of a token answer.
    #[error("not-json")]
    Json(#[from] JsonError),
    /// An `error` member under a status of 200.
    #[error("error-member")]
    ErrorMember,
    /// No access token, or one that is no header value.
    #[error("access-token")]
    AccessToken,
    /// A token over 16 KiB.
    #[error("token-size")]
    TokenSize,
    /// Not `Bearer`: a token of a type we do not understand must not be used (RFC 6749 §7.1).
    #[error("token-type")]
    TokenType,
    /// Not a positive number of seconds.
    #[error("expires-in")]
    ExpiresIn,
    /// A refresh token that is no string.
    #[error("refresh-token")]
    RefreshToken,
    /// A scope that is no string.
    #[error("scope")]
    Scope,
    /// No ID token although `openid` was asked for, or one that is no string.
    #[error("id-token-missing")]
    IdTokenMissing,
}

impl TokenResponseError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Json(_) => "not-json",
            Self::ErrorMember => "error-member",
            Self::AccessToken => "access-token",
            Self::TokenSize => "token-size",
            Self::TokenType => "token-type",
            Self::ExpiresIn => "expires-in",
            Self::RefreshToken => "refresh-token",
            Self::Scope => "scope",
            Self::IdTokenMissing => "id-token-missing",
        }
    }

    /// Whether this was no token answer at all, as opposed to one with a token that is refused.
    #[must_use]
    pub const fn is_no_token_answer(self) -> bool {
        matches!(self, Self::Json(_) | Self::ErrorMember | Self::AccessToken)
    }
}

/// Reads the body of an answer with status 200 and a JSON content type.
///
/// # Errors
/// [`TokenResponseError`], which names the rule; nothing of the answer may be used then.
pub fn parse(body: &[u8], limit: usize, expectations: &TokenExpectations<'_>) -> Result<Tokens, TokenResponseError> {
    let mut members = json::read_object(body, limit)?;
    if members.contains_key("error") {
        return Err(TokenResponseError::ErrorMember);
    }
    let access_token = token(&mut members, "access_token", TokenResponseError::AccessToken)?
        .ok_or(TokenResponseError::AccessToken)
        .map(AccessToken::new)?;
    let visible = access_token.expose().bytes().all(|byte| (0x21..=0x7e).contains(&byte));
    if !visible {
        return Err(TokenResponseError::AccessToken);
    }
    let bearer = |value: &Value| value.as_str().is_some_and(|kind| kind.eq_ignore_ascii_case("Bearer"));
    if !members.get("token_type").is_some_and(bearer) {
        return Err(TokenResponseError::TokenType);
    }
    let refresh_token = token(&mut members, "refresh_token", TokenResponseError::RefreshToken)?.map(RefreshToken::new);
    let id_token = token(&mut members, "id_token", TokenResponseError::IdTokenMissing)?.map(RawIdToken::new);
    if expectations.id_token_required && id_token.is_none() {
        return Err(TokenResponseError::IdTokenMissing);
    }
    let access_expires = match lifetime(&members)? {
        Some(lifetime) => Some(expectations.now.plus(lifetime)),
        None => expiry_hint(&access_token),
    };
    let scopes = match members.get("scope") {
        None | Some(Value::Null) => expectations.scopes.to_vec(),
        Some(Value::String(scope)) => split_scope(scope),
        Some(_) => return Err(TokenResponseError::Scope),
    };
    Ok(Tokens { access_token, access_expires, refresh_token, id_token, scopes })
}

/// A token by its member's name, moved out so that no copy of it stays behind: absent, `null` and empty are the same; anything but a string is refused.
fn token(
    members: &mut Map<String, Value>,
    name: &str,
    wrong: TokenResponseError,
) -> Result<Option<String>, TokenResponseError> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) if token.len() > MAX_TOKEN => Err(TokenResponseError::TokenSize),
        Some(Value::String(token)) => Ok((!token.is_empty()).then_some(token)),
        Some(_) => Err(wrong),
    }
}

fn lifetime(members: &Map<String, Value>) -> Result<Option<Duration>, TokenResponseError> {
    let number = match members.get("expires_in") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(TokenResponseError::ExpiresIn),
    };
    let beyond = number.as_f64().is_some_and(|seconds| seconds >= MAX_LIFETIME.as_secs_f64());
    let seconds = match number.as_u64() {
        _ if beyond => Some(MAX_LIFETIME.as_secs()),
        Some(seconds) => Some(seconds),
        None => number.as_f64().and_then(numeric_date::whole),
    };
    match seconds {
        Some(seconds) if seconds > 0 => Ok(Some(Duration::from_secs(seconds))),
        _ => Err(TokenResponseError::ExpiresIn),
    }
}

/// The `exp` of an access token that happens to be a JWT, unverified: it only decides when to refresh, never whether
/// anybody may in.
fn expiry_hint(access_token: &AccessToken) -> Option<Timestamp> {
    let mut segments = access_token.expose().split('.');
    let (_, payload, _) = (segments.next()?, segments.next()?, segments.next()?);
    let claims = json::read_object(&jws::decode(payload)?, MAX_TOKEN).ok()?;
    numeric_date::read(claims.get("exp")?)
}

/// RFC 6749 §3.3 separates by spaces; GitHub sends commas, which no scope of anybody's contains.
fn split_scope(scope: &str) -> Vec<String> {
    scope.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
