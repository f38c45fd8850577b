//! The ID token: who has logged in (OpenID Connect Core §2, §3.1.3.7), and what it must still say after a refresh
//! (§12.2).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

use crate::clock::Timestamp;
use crate::oidc::json::{self, JsonError};
use crate::oidc::jwk_set::JwkSet;
use crate::oidc::jws::{Algorithm, JwsError, UnverifiedJws};
use crate::oidc::numeric_date;
use crate::oidc::token_claims::{self, ClaimError, MAX_CLAIMS};
use crate::secret::{AccessToken, AuthorizationCode, Nonce, RawIdToken};

/// A token is checked seconds after it was made; one of yesterday was made for something else.
const OLDEST: Duration = Duration::from_secs(24 * 3600);

/// Which rule an ID token breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
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
    /// After a refresh: a token of another issuer or subject, rightly signed.
    #[error("other-identity")]
    OtherIdentity,
    /// `nonce` is missing or another attempt's.
    #[error("nonce")]
    Nonce,
    /// `at_hash` is not that of the access token.
    #[error("at-hash")]
    AccessTokenHash,
    /// `c_hash` is not that of the code.
    #[error("c-hash")]
    CodeHash,
    /// `s_hash` is not that of the state.
    #[error("s-hash")]
    StateHash,
    /// `auth_time` is missing although asked for, too old, in the future, no number, or not the original's.
    #[error("auth-time")]
    AuthTime,
    /// `acr` is no string.
    #[error("acr")]
    Acr,
    /// `sid` is no string.
    #[error("sid")]
    Sid,
}

impl IdTokenError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Jws(error) => error.check(),
            Self::Type => "typ",
            Self::Payload(_) => "payload",
            Self::Claim(error) => error.check(),
            Self::OtherIdentity => "other-identity",
            Self::Nonce => "nonce",
            Self::AccessTokenHash => "at-hash",
            Self::CodeHash => "c-hash",
            Self::StateHash => "s-hash",
            Self::AuthTime => "auth-time",
            Self::Acr => "acr",
            Self::Sid => "sid",
        }
    }
}

/// What every ID token is measured by.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The configured issuer.
    pub issuer: &'a str,
    /// The client identifier.
    pub client_id: &'a str,
    /// The access token that came with it.
    pub access_token: &'a AccessToken,
    /// The time.
    pub now: Timestamp,
    /// How far the provider's clock may be off.
    pub leeway: Duration,
}

/// What is known about the attempt that an ID token answers.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The nonce that was sent.
    pub nonce: &'a Nonce,
    /// The code that was exchanged.
    pub code: &'a AuthorizationCode,
    /// The `state` that was sent.
    pub state: &'a str,
    /// The `max_age` that was sent.
    pub max_age: Option<Duration>,
}

/// What is known about the login that a refreshed ID token goes on from.
#[derive(Clone, Copy, Debug)]
pub struct Original<'a> {
    /// The `sub` of the original ID token.
    pub subject: &'a str,
    /// Its `auth_time`.
    pub auth_time: Option<Timestamp>,
    /// Its `nonce`, where it has been kept; without it a refreshed token must have none.
    pub nonce: Option<&'a str>,
}

/// An ID token as it came.
#[derive(Debug)]
pub struct UnverifiedIdToken<'a>(UnverifiedJws<'a>);

/// An ID token that has passed every rule.
#[derive(Debug)]
pub struct IdToken {
    subject: String,
    issued_at: Timestamp,
    auth_time: Option<Timestamp>,
    acr: Option<String>,
    sid: Option<String>,
    claims: Map<String, Value>,
}

/// The claims of an ID token that had passed every rule before it was sealed into a session. Its time may have passed
/// since and its key may be gone, so it is not judged again; a token from anywhere else must not be read this way.
#[must_use]
pub fn claims_of_kept(token: &RawIdToken) -> Option<Map<String, Value>> {
    json::read_object(UnverifiedJws::parse(token.expose()).ok()?.unverified_payload(), MAX_CLAIMS).ok()
}

impl<'a> UnverifiedIdToken<'a> {
    /// Takes the token apart; a token of another type is refused before its signature is looked at (RFC 8725 §3.11).
    ///
    /// # Errors
    /// [`IdTokenError`].
    pub fn parse(token: &'a RawIdToken) -> Result<Self, IdTokenError> {
        let jws = UnverifiedJws::parse(token.expose())?;
        if jws.has_type(&["JWT"]) { Ok(Self(jws)) } else { Err(IdTokenError::Type) }
    }

    /// Whether a failure may come from keys that have been rotated since.
    #[must_use]
    pub fn may_need_newer_keys(&self, error: IdTokenError) -> bool {
        matches!(error, IdTokenError::Jws(error) if self.0.may_need_newer_keys(error))
    }

    /// Where the token says that it comes from, for logs about one that is refused.
    #[must_use]
    pub fn claimed_origin(&self) -> (Option<String>, Option<String>) {
        self.0.claimed_origin()
    }

    /// Verifies the token of a login.
    ///
    /// # Errors
    /// [`IdTokenError`]; all tokens of the answer must be disregarded then (RFC 9700 §2.1.1).
    pub fn verify_login(
        &self,
        keys: &JwkSet,
        expected: &Expectations<'_>,
        attempt: &Attempt<'_>,
    ) -> Result<IdToken, IdTokenError> {
        let claims = self.signed_claims(keys)?;
        token_claims::issuer(&claims, expected.issuer)?;
        let token = self.verify(claims, expected)?;
        let nonce = token.text("nonce").ok_or(IdTokenError::Nonce)?;
        if !bool::from(nonce.as_bytes().ct_eq(attempt.nonce.expose().as_bytes())) {
            return Err(IdTokenError::Nonce);
        }
        self.check_hash(&token.claims, "c_hash", attempt.code.expose(), IdTokenError::CodeHash)?;
        self.check_hash(&token.claims, "s_hash", attempt.state, IdTokenError::StateHash)?;
        if let Some(max_age) = attempt.max_age {
            let authenticated = token.auth_time.ok_or(IdTokenError::AuthTime)?;
            if expected.now.since(authenticated) > max_age.saturating_add(expected.leeway) {
                return Err(IdTokenError::AuthTime);
            }
        }
        Ok(token)
    }

    /// Verifies a token that came with a refresh.
    ///
    /// # Errors
    /// [`IdTokenError::OtherIdentity`] when a rightly signed token names another issuer or subject: the session has
    /// become somebody else's. Any other error: the token is dropped.
    pub fn verify_refresh(
        &self,
        keys: &JwkSet,
        expected: &Expectations<'_>,
        original: &Original<'_>,
    ) -> Result<IdToken, IdTokenError> {
        let claims = self.signed_claims(keys)?;
        let other = |name: &str, expected: &str| {
            claims.get(name).and_then(Value::as_str).is_some_and(|named| !named.is_empty() && named != expected)
        };
        if other("iss", expected.issuer) || other("sub", original.subject) {
            return Err(IdTokenError::OtherIdentity);
        }
        token_claims::issuer(&claims, expected.issuer)?;
        let token = self.verify(claims, expected)?;
        if token.claims.contains_key("nonce") && (original.nonce.is_none() || token.text("nonce") != original.nonce) {
            return Err(IdTokenError::Nonce);
        }
        match (token.auth_time, original.auth_time) {
            (Some(now), Some(then)) if now != then => Err(IdTokenError::AuthTime),
            _ => Ok(token),
        }
    }

    fn signed_claims(&self, keys: &JwkSet) -> Result<Map<String, Value>, IdTokenError> {
        let payload = self.0.verify(keys)?;
        Ok(json::read_object(payload.as_bytes(), MAX_CLAIMS)?)
    }

    fn verify(&self, claims: Map<String, Value>, expected: &Expectations<'_>) -> Result<IdToken, IdTokenError> {
        token_claims::audience(&claims, expected.client_id)?;
        token_claims::expiry(&claims, expected.now, expected.leeway)?;
        token_claims::not_before(&claims, expected.now, expected.leeway)?;
        let issued_at = token_claims::issued_at(&claims, expected.now, expected.leeway, OLDEST)?;
        let subject = token_claims::subject(&claims)?.to_owned();
        // A logout token must never pass for an ID token, whatever its `typ` says (Back-Channel Logout §2.4).
        if claims.contains_key("events") {
            return Err(IdTokenError::Type);
        }
        let access_token = expected.access_token.expose();
        self.check_hash(&claims, "at_hash", access_token, IdTokenError::AccessTokenHash)?;
        let auth_time = match claims.get("auth_time") {
            None => None,
            Some(value) => {
                let time = numeric_date::read(value).filter(|time| *time <= expected.now.plus(expected.leeway));
                Some(time.ok_or(IdTokenError::AuthTime)?)
            }
        };
        let acr = optional_text(&claims, "acr").ok_or(IdTokenError::Acr)?;
        let sid = optional_text(&claims, "sid").ok_or(IdTokenError::Sid)?;
        Ok(IdToken { subject, issued_at, auth_time, acr, sid, claims })
    }

    /// A hash claim (OpenID Connect Core §3.1.3.6): the left half of the hash that goes with the signature's algorithm.
    fn check_hash(
        &self,
        claims: &Map<String, Value>,
        name: &str,
        of: &str,
        error: IdTokenError,
    ) -> Result<(), IdTokenError> {
        let Some(claimed) = claims.get(name) else { return Ok(()) };
        let hash = match self.0.algorithm() {
            Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => Sha256::digest(of.as_bytes()).to_vec(),
            Algorithm::Es384 => Sha384::digest(of.as_bytes()).to_vec(),
            Algorithm::EdDsa => Sha512::digest(of.as_bytes()).to_vec(),
        };
        let half = URL_SAFE_NO_PAD.encode(hash.get(..hash.len() / 2).unwrap_or_default());
        if claimed.as_str() == Some(half.as_str()) { Ok(()) } else { Err(error) }
    }
}

/// `Some(None)` when absent, `None` when it is no text.
fn optional_text(claims: &Map<String, Value>, name: &str) -> Option<Option<String>> {
    match claims.get(name) {
        None => Some(None),
        Some(value) => value.as_str().map(|text| Some(text.to_owned())),
    }
}

impl IdToken {
    /// `sub`
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// `iat`
    #[must_use]
    pub const fn issued_at(&self) -> Timestamp {
        self.issued_at
    }

    /// `auth_time`
    #[must_use]
    pub const fn auth_time(&self) -> Option<Timestamp> {
        self.auth_time
    }

    /// `acr`
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// `sid`: the provider's name for its own session.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.sid.as_deref()
    }

    /// Everything the token says.
    #[must_use]
    pub const fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name).and_then(Value::as_str)
    }
}

#[cfg(test)]
mod tests;
