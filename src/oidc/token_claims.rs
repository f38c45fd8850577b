//! Registered claims (RFC 7519 §4.1) and the rules that every kind of signed token shares.
//!
//! A claim of the wrong type is refused like a wrong value; it never counts as absent.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::oidc::numeric_date;

/// Most bytes of claims.
pub const MAX_CLAIMS: usize = 16 * 1024;
/// Longest subject, in bytes (OpenID Connect Core §2).
const MAX_SUBJECT: usize = 255;

/// Which shared rule a token breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// `iss` is not the issuer.
    #[error("iss")]
    Issuer,
    /// `aud` is not us, or not us alone.
    #[error("aud")]
    Audience,
    /// `azp` is not us.
    #[error("azp")]
    AuthorizedParty,
    /// `exp` has passed, or is none.
    #[error("exp")]
    Expiry,
    /// `nbf` has not come, or is none.
    #[error("nbf")]
    NotBefore,
    /// `iat` lies in the future or far in the past, or is none.
    #[error("iat")]
    IssuedAt,
    /// `sub` is missing, empty, too long, or holds control characters.
    #[error("sub")]
    Subject,
}

impl ClaimError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Issuer => "iss",
            Self::Audience => "aud",
            Self::AuthorizedParty => "azp",
            Self::Expiry => "exp",
            Self::NotBefore => "nbf",
            Self::IssuedAt => "iat",
            Self::Subject => "sub",
        }
    }
}

/// `iss`, compared as a plain string.
///
/// # Errors
/// [`ClaimError::Issuer`].
pub fn issuer(claims: &Map<String, Value>, expected: &str) -> Result<(), ClaimError> {
    match claims.get("iss").and_then(Value::as_str) {
        Some(issuer) if issuer == expected => Ok(()),
        _ => Err(ClaimError::Issuer),
    }
}

/// `aud` holds the client and nobody else; `azp`, if there is one, is the client (OpenID Connect Core §3.1.3.7).
///
/// # Errors
/// [`ClaimError::Audience`] or [`ClaimError::AuthorizedParty`].
pub fn audience(claims: &Map<String, Value>, client_id: &str) -> Result<(), ClaimError> {
    let ours = match claims.get("aud") {
        Some(Value::String(audience)) => audience == client_id,
        Some(Value::Array(audiences)) => {
            !audiences.is_empty() && audiences.iter().all(|audience| audience == client_id)
        }
        _ => false,
    };
    if !ours {
        return Err(ClaimError::Audience);
    }
    match claims.get("azp") {
        None => Ok(()),
        Some(party) if party == client_id => Ok(()),
        Some(_) => Err(ClaimError::AuthorizedParty),
    }
}

/// A required `exp` that has not passed by more than `leeway`.
///
/// # Errors
/// [`ClaimError::Expiry`].
pub fn expiry(claims: &Map<String, Value>, now: Timestamp, leeway: Duration) -> Result<Timestamp, ClaimError> {
    let expiry = claims.get("exp").and_then(numeric_date::read).ok_or(ClaimError::Expiry)?;
    if now < expiry.plus(leeway) { Ok(expiry) } else { Err(ClaimError::Expiry) }
}

/// An optional `nbf` that is not ahead by more than `leeway`.
///
/// # Errors
/// [`ClaimError::NotBefore`].
pub fn not_before(claims: &Map<String, Value>, now: Timestamp, leeway: Duration) -> Result<(), ClaimError> {
    let Some(value) = claims.get("nbf") else { return Ok(()) };
    match numeric_date::read(value) {
        Some(start) if start <= now.plus(leeway) => Ok(()),
        _ => Err(ClaimError::NotBefore),
    }
}

/// A required `iat` that is not ahead by more than `leeway` and not older than `oldest`.
///
/// # Errors
/// [`ClaimError::IssuedAt`].
pub fn issued_at(
    claims: &Map<String, Value>,
    now: Timestamp,
    leeway: Duration,
    oldest: Duration,
) -> Result<Timestamp, ClaimError> {
    match claims.get("iat").and_then(numeric_date::read) {
        Some(issued) if issued <= now.plus(leeway) && now.since(issued) <= oldest.saturating_add(leeway) => Ok(issued),
        _ => Err(ClaimError::IssuedAt),
    }
}

/// A required `sub`: 1 to 255 bytes without control characters.
///
/// # Errors
/// [`ClaimError::Subject`].
pub fn subject(claims: &Map<String, Value>) -> Result<&str, ClaimError> {
    let subject = claims.get("sub").and_then(Value::as_str).ok_or(ClaimError::Subject)?;
    if is_subject(subject) { Ok(subject) } else { Err(ClaimError::Subject) }
}

/// Whether a text can be a subject.
#[must_use]
pub fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_SUBJECT && !text.chars().any(char::is_control)
}
