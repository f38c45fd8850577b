//! The identity assertion: a short-lived signed token by which an upstream can tell that a request came through this
//! gateway, and for whom.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::settings::{AssertionSettings, REGISTERED_CLAIMS};
use crate::claims::Identity;
use crate::clock::Clock;
use crate::entropy::{Entropy, NoEntropy, draw};
use crate::signing_key::{SigningFailed, SigningKey};

/// The explicit type, so that no other token of anybody can pass for one (RFC 8725 §3.11).
pub const TYPE: &str = "vestibule-identity+jwt";

/// How long an assertion is good for.
pub const LIFETIME: Duration = Duration::from_secs(60);

/// Why there is no assertion; then the request is not forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// No randomness for `jti`.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// No signature.
    #[error(transparent)]
    Signing(#[from] SigningFailed),
}

/// Makes the assertions of one upstream.
pub struct IdentityAssertion {
    key: SigningKey,
    header: String,
    issuer: String,
    audience: String,
    claims: Vec<String>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl fmt::Debug for IdentityAssertion {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("IdentityAssertion").field("key", &self.key).finish_non_exhaustive()
    }
}

impl IdentityAssertion {
    /// Assertions as the settings say, signed with `key` in the name of `issuer`: origin and path of `public_url`.
    #[must_use]
    pub fn new(
        settings: &AssertionSettings,
        issuer: String,
        key: SigningKey,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (audience, claims) = (settings.audience.clone(), settings.claims.clone());
        Self { header: key.header(TYPE), key, issuer, audience, claims, clock, entropy }
    }

    /// Signs an assertion for one request. Each has a `jti` of its own, so that an upstream can refuse a second use.
    ///
    /// # Errors
    /// [`AssertionError`].
    pub(super) fn sign(&self, identity: &Identity) -> Result<String, AssertionError> {
        let now = self.clock.now();
        let mut claims = Map::new();
        for name in self.claims.iter().filter(|name| !REGISTERED_CLAIMS.contains(&name.as_str())) {
            if let Some(value) = identity.value(name) {
                claims.insert(name.clone(), value);
            }
        }
        let id = URL_SAFE_NO_PAD.encode(draw::<16>(self.entropy.as_ref())?);
        let registered: [(&str, Value); 6] = [
            ("iss", self.issuer.as_str().into()),
            ("aud", self.audience.as_str().into()),
            ("sub", identity.subject.as_str().into()),
            ("iat", now.as_seconds().into()),
            ("exp", now.plus(LIFETIME).as_seconds().into()),
            ("jti", id.into()),
        ];
        claims.extend(registered.map(|(name, value)| (name.to_owned(), value)));
        Ok(self.key.sign(&self.header, &claims)?)
    }
}

#[cfg(test)]
mod tests;
