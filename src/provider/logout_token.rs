//! The provider's word that sessions have ended: logout tokens are verified with its keys, and what it calls itself in a
//! browser's frame.

use super::Provider;
use super::verification::VerificationError;
use crate::oidc::logout_token::{LogoutExpectations, LogoutToken, UnverifiedLogoutToken};

/// Why a logout token is not acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogoutTokenRefused {
    /// It breaks a rule.
    #[error("the logout token fails the check {check}")]
    Invalid {
        /// The stable name of the check.
        check: &'static str,
    },
    /// The provider's keys are not to be had.
    #[error("the provider's keys are not known")]
    KeysUnavailable,
}

impl Provider {
    /// Verifies a logout token, with newer keys if it names one that has come since (OpenID Connect Back-Channel Logout
    /// §2.6). Whether it has been used before is the caller's question.
    ///
    /// # Errors
    /// [`LogoutTokenRefused`].
    pub async fn verify_logout_token(
        &self,
        token: &UnverifiedLogoutToken<'_>,
    ) -> Result<LogoutToken, LogoutTokenRefused> {
        let expected = self.logout_expectations().ok_or(LogoutTokenRefused::Invalid { check: "iss" })?;
        let verified = self.with_keys(|keys| token.verify(keys, &expected), |error| token.may_need_newer_keys(error));
        verified.await.map_err(|error| match error {
            VerificationError::KeysUnavailable => LogoutTokenRefused::KeysUnavailable,
            VerificationError::Invalid(error) => {
                let (provider, check) = (self.settings.label(), error.check());
                let (issuer_host, key_hash) = token.claimed_origin();
                tracing::info!(event = "provider.token-refused", provider, check, issuer_host, key_hash);
                LogoutTokenRefused::Invalid { check }
            }
        })
    }

    /// Verifies a logout token with the keys at hand, which costs nobody but us anything. `None` says nothing about it: ask
    /// [`Self::verify_logout_token`].
    #[must_use]
    pub fn knows_logout_token(&self, token: &UnverifiedLogoutToken<'_>) -> Option<LogoutToken> {
        let keys = self.keys.at_hand(self.parts.clock.now())?;
        token.verify(&keys.keys, &self.logout_expectations()?).ok()
    }

    /// `None` for a plain OAuth 2.0 server, which has no issuer that could be compared.
    fn logout_expectations(&self) -> Option<LogoutExpectations<'_>> {
        Some(LogoutExpectations {
            issuer: self.settings.issuer.as_deref()?,
            client_id: &self.settings.client_id,
            now: self.parts.clock.now(),
            leeway: self.settings.clock_leeway,
        })
    }

    /// The origins of the pages in whose frames a front-channel logout is shown: that of the issuer, and of the place
    /// where it ends its own session.
    #[must_use]
    pub fn logout_frame_origins(&self) -> Vec<String> {
        let issuer = self.settings.issuer.as_deref().and_then(|issuer| url::Url::parse(issuer).ok());
        let metadata = self.metadata().ok();
        let end_session = metadata.as_ref().and_then(|metadata| metadata.end_session.as_ref());
        let mut origins: Vec<String> =
            issuer.iter().chain(end_session).map(|url| url.origin().ascii_serialization()).collect();
        origins.dedup();
        origins
    }
}
