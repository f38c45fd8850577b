//! The logout token: the provider says, server to server, that a session of its own has ended (OpenID Connect
//! Back-Channel Logout §2.4, §2.6).
//!
//! It has types and rules of its own, so that neither an ID token nor an access token passes for one.

use std::fmt;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::oidc::json::{self, JsonError};
use crate::oidc::jwk_set::JwkSet;
use crate::oidc::jws::{JwsError, UnverifiedJws};
use crate::oidc::token_claims::{self, ClaimError, MAX_CLAIMS};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// A logout token is sent when it is made; an older one has been kept by somebody.
const OLDEST: Duration = Duration::from_secs(5 * 60);
/// The standard recommends two minutes (§4), and providers choose up to a quarter of an hour. What lives much longer was
/// not made for one request.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// Longest `jti`, in bytes.
const MAX_JTI: usize = 255;

/// Which rule a logout token breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenError {
    /// Not signed by the provider.
    #[error(transparent)]
    Jws(#[from] JwsError),
    /// `typ` says that it is another kind of token.
    #[error("typ")]
    Type,
    /// The payload is no JSON object of at most 16 KiB.
    #[error("payload")]
    Payload(#[from] JsonError),
    /// A rule that all kinds of tokens share.
    #[error(transparent)]
    Claim(#[from] ClaimError),
    /// `events` does not say that this is a logout.
    #[error("events")]
    Events,
    /// There is a `nonce`: it was made as an ID token.
    #[error("nonce")]
    Nonce,
    /// `jti` is missing, empty, too long, or no string.
    #[error("jti")]
    Identifier,
    /// `sid` is empty or no string.
    #[error("sid")]
    Sid,
    /// Neither `sub` nor `sid`.
    #[error("sub-or-sid")]
    NobodyNamed,
}

impl LogoutTokenError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Jws(error) => error.check(),
            Self::Type => "typ",
            Self::Payload(_) => "payload",
            Self::Claim(error) => error.check(),
            Self::Events => "events",
            Self::Nonce => "nonce",
            Self::Identifier => "jti",
            Self::Sid => "sid",
            Self::NobodyNamed => "sub-or-sid",
        }
    }
}

/// What a logout token is measured by.
#[derive(Clone, Copy, Debug)]
pub struct LogoutExpectations<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// The client identifier.
    pub client_id: &'a str,
    /// The time.
    pub now: Timestamp,
    /// How far the provider's clock may be off.
    pub leeway: Duration,
}

/// Whose sessions have ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggedOut {
    /// Those of one session at the provider (`sid`).
    Session(String),
    /// All of one person (`sub`), because the token names no session.
    Subject(String),
}

/// A logout token as it came.
pub struct UnverifiedLogoutToken<'a>(UnverifiedJws<'a>);

impl fmt::Debug for UnverifiedLogoutToken<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UnverifiedLogoutToken").finish_non_exhaustive()
    }
}

/// A logout token that has passed every rule. Whether it has been used is not known to it: see its [`jti`](Self::jti).
#[derive(Debug)]
pub struct LogoutToken {
    logged_out: LoggedOut,
    jti: String,
    issued_at: Timestamp,
    good_until: Timestamp,
}

impl<'a> UnverifiedLogoutToken<'a> {
    /// Takes the token apart; a token of another type is refused before its signature is looked at (RFC 8725 §3.11).
    /// Many providers write `JWT`, or nothing: then `events` and the missing `nonce` tell.
    ///
    /// # Errors
    /// [`LogoutTokenError`].
    pub fn parse(token: &'a str) -> Result<Self, LogoutTokenError> {
        let jws = UnverifiedJws::parse(token)?;
        if jws.has_type(&["logout+jwt", "JWT"]) { Ok(Self(jws)) } else { Err(LogoutTokenError::Type) }
    }

    /// Whether a failure may come from keys that have been rotated since.
    #[must_use]
    pub fn may_need_newer_keys(&self, error: LogoutTokenError) -> bool {
        matches!(error, LogoutTokenError::Jws(error) if self.0.may_need_newer_keys(error))
    }

    /// Where the token says that it comes from, for logs about one that is refused.
    #[must_use]
    pub fn claimed_origin(&self) -> (Option<String>, Option<String>) {
        self.0.claimed_origin()
    }

    /// Verifies the token.
    ///
    /// # Errors
    /// [`LogoutTokenError`].
    pub fn verify(&self, keys: &JwkSet, expected: &LogoutExpectations<'_>) -> Result<LogoutToken, LogoutTokenError> {
        let LogoutExpectations { issuer, client_id, now, leeway } = *expected;
        let payload = self.0.verify(keys)?;
        let claims = json::read_object(payload.as_bytes(), MAX_CLAIMS)?;
        token_claims::issuer(&claims, issuer)?;
        token_claims::audience(&claims, client_id)?;
        if !claims.get("events").and_then(|events| events.get(EVENT)).is_some_and(Value::is_object) {
            return Err(LogoutTokenError::Events);
        }
        if claims.contains_key("nonce") {
            return Err(LogoutTokenError::Nonce);
        }
        let expiry = token_claims::expiry(&claims, now, leeway)?;
        if expiry > now.plus(LONGEST).plus(leeway) {
            return Err(ClaimError::Expiry.into());
        }
        token_claims::not_before(&claims, now, leeway)?;
        let issued_at = token_claims::issued_at(&claims, now, leeway, OLDEST)?;
        let jti = claims.get("jti").and_then(Value::as_str).filter(|jti| !jti.is_empty() && jti.len() <= MAX_JTI);
        let jti = jti.ok_or(LogoutTokenError::Identifier)?.to_owned();
        let logged_out = logged_out(&claims)?;
        Ok(LogoutToken { logged_out, jti, issued_at, good_until: expiry.min(issued_at.plus(OLDEST)) })
    }
}

/// Whom the token names. A claim that is there is judged even if the other one decides.
fn logged_out(claims: &Map<String, Value>) -> Result<LoggedOut, LogoutTokenError> {
    let subject = match claims.get("sub") {
        None => None,
        Some(_) => Some(token_claims::subject(claims)?),
    };
    let sid = match claims.get("sid") {
        None => None,
        // As free as in an ID token: what a login could begin with, a logout can end.
        Some(sid) => Some(sid.as_str().filter(|sid| !sid.is_empty()).ok_or(LogoutTokenError::Sid)?),
    };
    match (sid, subject) {
        // With both, it is the one session of that person (§2.4).
        (Some(sid), _) => Ok(LoggedOut::Session(sid.to_owned())),
        (None, Some(subject)) => Ok(LoggedOut::Subject(subject.to_owned())),
        (None, None) => Err(LogoutTokenError::NobodyNamed),
    }
}

impl LogoutToken {
    /// Whose sessions have ended.
    #[must_use]
    pub const fn logged_out(&self) -> &LoggedOut {
        &self.logged_out
    }

    /// `jti`, by which a second use is known.
    #[must_use]
    pub fn jti(&self) -> &str {
        &self.jti
    }

    /// `iat`
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// By the provider's clock it is refused from here on, because it has expired or is too old; by ours a leeway
    /// later.
    #[must_use]
    pub const fn good_until(&self) -> Timestamp {
        self.good_until
    }
}

#[cfg(test)]
mod tests;
