//! A refresh: the refresh token is sent once; what comes back is verified as at the login.

use std::time::Duration;

use http::StatusCode;

use crate::claims::Identity;
use crate::clock::Timestamp;
use crate::oidc::id_token::{IdToken, IdTokenError, Original, UnverifiedIdToken};
use crate::oidc::provider_metadata::ProviderMetadata;
use crate::oidc::token_error::TokenErrorCode;
use crate::oidc::token_request;
use crate::oidc::token_response::{self, TokenExpectations, Tokens};
use crate::provider::Provider;
use crate::provider::exchange::token_error;
use crate::provider::observer::{CallOutcome, EndpointKind};
use crate::provider::transport::{Answer, ContentType, MAX_BODY};
use crate::provider::userinfo::{ByUserinfo, IdentityFailure};
use crate::provider::verification::VerificationError;
use crate::secret::{RawIdToken, RefreshToken};

/// How long reading the identity again may take after the tokens have come. They must be saved while the lease of the
/// refresh lasts: 15 s, of which the token call may take 10.
const IDENTITY_TIME: Duration = Duration::from_secs(4);

/// What is known of the grant that is refreshed.
#[derive(Clone, Copy, Debug)]
pub struct RefreshContext<'a> {
    /// [`Login::sub`](crate::provider::exchange::Login::sub) of the login.
    pub sub: &'a str,
    /// `auth_time` of the login.
    pub auth_time: Option<Timestamp>,
    /// The `nonce` claim of the login's ID token, where it has been kept.
    pub nonce: Option<&'a str>,
    /// The last ID token that was verified, for a provider that sends none with a refresh.
    pub id_token: Option<&'a RawIdToken>,
    /// Who it was until now, for what an ID token leaves out while userinfo is away.
    pub identity: &'a Identity,
    /// The scopes of the grant, for a provider that does not repeat them.
    pub scopes: &'a [String],
}

/// What a refresh has brought.
#[derive(Debug)]
pub struct Refreshed {
    /// The new tokens. Where `refresh_token` or `id_token` is absent, the old one stays in use.
    pub tokens: Tokens,
    /// Who it is now, if anything could be verified anew; else the claims stay what they were.
    pub identity: Option<Identity>,
}

/// Why a refresh brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum RefreshError {
    /// `invalid_grant`: the refresh token is spent, expired or revoked.
    #[error("the refresh token is refused")]
    Rejected,
    /// The new tokens are somebody else's: the session ends and these are revoked.
    #[error("the refreshed tokens belong to somebody else")]
    OtherSubject(Box<Tokens>),
    /// The request may have arrived, the answer did not: nobody knows whether the refresh token is spent.
    #[error("the outcome of the refresh is not known")]
    Uncertain,
    /// The provider is away, or its answer is of no use.
    #[error("the provider is not available: {kind}")]
    Unavailable {
        /// Kebab-case, for logs.
        kind: &'static str,
    },
    /// The provider refuses the client: for the operator to put right; the session goes on until then.
    #[error("the provider refuses this client")]
    ClientRefused,
    /// Any other 4xx: from here on as without a refresh token.
    #[error("the provider does not refresh this grant: {reason}")]
    NotSupported {
        /// Kebab-case, for logs.
        reason: &'static str,
    },
}

/// What became of the identity.
enum Reread {
    Known(Box<Identity>),
    /// The provider has nothing to read it from.
    NoSource,
    Failed(IdentityFailure),
    SomebodyElse,
}

impl Provider {
    /// Spends a refresh token.
    ///
    /// # Errors
    /// [`RefreshError`]. Only [`RefreshError::Rejected`] and [`RefreshError::OtherSubject`] end a session.
    pub async fn refresh(
        &self,
        refresh_token: &RefreshToken,
        original: &RefreshContext<'_>,
    ) -> Result<Refreshed, RefreshError> {
        let metadata = self.metadata().map_err(|_| RefreshError::Unavailable { kind: "discovery" })?;
        let mut tokens = self.spend_refresh_token(&metadata, refresh_token, original).await?;
        // The tokens are worth more than the identity: whatever happens from here on, they are handed back.
        let mut verified = None;
        let reread = self.reread(&metadata, &tokens, original, &mut verified);
        let too_slow = Reread::Failed(IdentityFailure::Unavailable(EndpointKind::Userinfo, CallOutcome::Timeout));
        let identity = match tokio::time::timeout(IDENTITY_TIME, reread).await.unwrap_or(too_slow) {
            Reread::Known(identity) => Some(*identity),
            Reread::SomebodyElse => return Err(RefreshError::OtherSubject(Box::new(tokens))),
            Reread::NoSource => None,
            Reread::Failed(failure) => self.partial_identity(verified.as_ref(), original, failure),
        };
        // One that has not been verified must not be kept.
        if verified.is_none() {
            tokens.id_token = None;
        }
        Ok(Refreshed { tokens, identity })
    }

    /// What the ID token says, if it could be verified before something else went wrong.
    fn partial_identity(
        &self,
        verified: Option<&IdToken>,
        original: &RefreshContext<'_>,
        failure: IdentityFailure,
    ) -> Option<Identity> {
        let (provider, reason) = (self.settings.label(), failure.reason());
        let partial = verified.map(|id_token| self.identity_without_userinfo(id_token, original.identity, failure));
        match partial {
            Some(Ok(identity)) => {
                tracing::warn!(event = "refresh.identity-partial", provider, reason);
                Some(identity)
            }
            _ => {
                tracing::warn!(event = "refresh.identity-unchanged", provider, reason);
                None
            }
        }
    }

    async fn spend_refresh_token(
        &self,
        metadata: &ProviderMetadata,
        refresh_token: &RefreshToken,
        original: &RefreshContext<'_>,
    ) -> Result<Tokens, RefreshError> {
        let form =
            token_request::refresh_token(&self.settings.client_authentication, &self.settings.client_id, refresh_token);
        let started = self.parts.clock.now();
        let called = self.transport.post(EndpointKind::Refresh, &metadata.token, form).await;
        let outcome = called.as_ref().map_or_else(|outcome| *outcome, Answer::outcome);
        let answer = match (outcome, called) {
            (CallOutcome::Ok, Ok(answer)) if answer.content_type == ContentType::Json => answer,
            (CallOutcome::Ok, _) => return Err(RefreshError::Unavailable { kind: "content-type" }),
            (CallOutcome::Refused, Ok(answer)) => return Err(self.refused_refresh(&answer)),
            (CallOutcome::Timeout | CallOutcome::Interrupted, _) => return Err(RefreshError::Uncertain),
            (outcome, _) => return Err(RefreshError::Unavailable { kind: outcome.as_str() }),
        };
        let expectations = TokenExpectations { id_token_required: false, scopes: original.scopes, now: started };
        token_response::parse(&answer.body, MAX_BODY, &expectations)
            .map_err(|error| RefreshError::Unavailable { kind: error.check() })
    }

    fn refused_refresh(&self, answer: &Answer) -> RefreshError {
        let code = token_error(answer);
        let (provider, kind) = (self.settings.label(), code.as_str());
        match code {
            TokenErrorCode::InvalidGrant => return RefreshError::Rejected,
            TokenErrorCode::Unavailable => return RefreshError::Unavailable { kind },
            _ => {}
        }
        tracing::error!(event = "provider.error", provider, endpoint = "token", kind);
        // 401 is about the client (RFC 6749 §5.2), also where the body does not say so.
        if code == TokenErrorCode::InvalidClient || answer.status == StatusCode::UNAUTHORIZED {
            RefreshError::ClientRefused
        } else {
            RefreshError::NotSupported { reason: kind }
        }
    }

    /// Who it is now. An ID token that has passed every rule is left in `verified`, whatever happens after that.
    async fn reread(
        &self,
        metadata: &ProviderMetadata,
        tokens: &Tokens,
        original: &RefreshContext<'_>,
        verified: &mut Option<IdToken>,
    ) -> Reread {
        let invalid = |check| Reread::Failed(IdentityFailure::Invalid(check));
        let Some(issuer) = &self.settings.issuer else {
            return match self.plain_identity(metadata, &tokens.access_token).await {
                Ok(identity) if identity.subject != original.sub => Reread::SomebodyElse,
                Ok(identity) => Reread::Known(Box::new(identity)),
                Err(failure) => Reread::Failed(failure),
            };
        };
        let Some(raw) = &tokens.id_token else { return self.reread_userinfo(metadata, tokens, original).await };
        let token = match UnverifiedIdToken::parse(raw) {
            Ok(token) => token,
            Err(error) => return invalid(error.check()),
        };
        let expected = self.expectations(issuer, tokens);
        let original = Original { subject: original.sub, auth_time: original.auth_time, nonce: original.nonce };
        let judged = self.verify_id_token(&token, |keys| token.verify_refresh(keys, &expected, &original)).await;
        let id_token = match judged {
            Ok(id_token) => &*verified.insert(id_token),
            Err(VerificationError::Invalid(IdTokenError::OtherIdentity)) => return Reread::SomebodyElse,
            Err(VerificationError::Invalid(error)) => return invalid(error.check()),
            Err(VerificationError::KeysUnavailable) => return invalid("keys-unavailable"),
        };
        match self.openid_identity(metadata, &tokens.access_token, id_token).await {
            Ok(identity) => Reread::Known(Box::new(identity)),
            Err(failure) => Reread::Failed(failure),
        }
    }

    /// Providers need not send an ID token with a refresh (OpenID Connect Core §12.2); a group that was taken away must
    /// be noticed all the same.
    async fn reread_userinfo(
        &self,
        metadata: &ProviderMetadata,
        tokens: &Tokens,
        original: &RefreshContext<'_>,
    ) -> Reread {
        let (Some(url), Some(kept)) = (&metadata.userinfo, original.id_token) else {
            return Reread::NoSource;
        };
        match self.identity_by_userinfo(url, &tokens.access_token, kept, original.sub).await {
            Ok(identity) => Reread::Known(Box::new(identity)),
            Err(ByUserinfo::SomebodyElse) => Reread::SomebodyElse,
            Err(ByUserinfo::Unknown(failure)) => Reread::Failed(failure),
        }
    }
}

#[cfg(test)]
mod tests;
