//! Verifying with the provider's keys, and with newer ones if a token names a key that has come since.

use crate::oidc::id_token::{IdToken, IdTokenError, UnverifiedIdToken};
use crate::oidc::jwk_set::JwkSet;
use crate::provider::Provider;
use crate::provider::key_cache::{KeySource, KeysError};

/// Why something signed could not be verified.
#[derive(Debug)]
pub(crate) enum VerificationError<E> {
    /// The keys are not to be had.
    KeysUnavailable,
    /// It breaks a rule.
    Invalid(E),
}

impl Provider {
    /// Runs `verify` with the current keys, and once more with newer ones if `may_need_newer_keys` says so of the error
    /// and the throttle allows it.
    pub(crate) async fn with_keys<T, E: Copy>(
        &self,
        verify: impl Fn(&JwkSet) -> Result<T, E>,
        may_need_newer_keys: impl Fn(E) -> bool,
    ) -> Result<T, VerificationError<E>> {
        let metadata = self.metadata.load_full();
        let jwks_uri = metadata.as_ref().and_then(|metadata| metadata.jwks.as_ref());
        let jwks_uri = jwks_uri.ok_or(VerificationError::KeysUnavailable)?;
        let source = self.key_source(jwks_uri);
        let keys = self.keys.keys(&source).await.map_err(|_| VerificationError::KeysUnavailable)?;
        let error = match verify(&keys.keys) {
            Ok(verified) => return Ok(verified),
            Err(error) => error,
        };
        if !may_need_newer_keys(error) {
            return Err(VerificationError::Invalid(error));
        }
        match self.keys.newer_than(&keys, &source).await {
            Ok(newer) => verify(&newer.keys).map_err(VerificationError::Invalid),
            Err(KeysError::Throttled) => Err(VerificationError::Invalid(error)),
            Err(_) => Err(VerificationError::KeysUnavailable),
        }
    }

    /// Verifies an ID token by one of its two sets of rules.
    pub(crate) async fn verify_id_token(
        &self,
        token: &UnverifiedIdToken<'_>,
        rules: impl Fn(&JwkSet) -> Result<IdToken, IdTokenError>,
    ) -> Result<IdToken, VerificationError<IdTokenError>> {
        let verified = self.with_keys(rules, |error| token.may_need_newer_keys(error)).await;
        if let Err(VerificationError::Invalid(error)) = &verified {
            let (provider, check) = (self.settings.label(), error.check());
            let (issuer_host, key_hash) = token.claimed_origin();
            tracing::info!(event = "provider.token-refused", provider, check, issuer_host, key_hash);
        }
        verified
    }

    pub(crate) fn key_source<'a>(&'a self, jwks_uri: &'a url::Url) -> KeySource<'a> {
        KeySource { transport: &self.transport, jwks_uri, clock: &*self.parts.clock, provider: self.settings.label() }
    }
}
