//! The exchange of an authorization code: code, tokens, verified ID token, identity. The code is sent once.

use std::time::Duration;

use crate::claims::Identity;
use crate::clock::Timestamp;
use crate::oidc::id_token::{Attempt, Expectations, IdToken, UnverifiedIdToken};
use crate::oidc::provider_metadata::ProviderMetadata;
use crate::oidc::token_error::TokenErrorCode;
use crate::oidc::token_request;
use crate::oidc::token_response::{self, TokenExpectations, Tokens};
use crate::provider::Provider;
use crate::provider::observer::{CallOutcome, EndpointKind};
use crate::provider::transport::{Answer, ContentType, MAX_BODY};
use crate::provider::userinfo::IdentityFailure;
use crate::provider::verification::VerificationError;
use crate::secret::{AuthorizationCode, CodeVerifier, Nonce};

/// What the callback knows. Code and verifier are moved in: they are spent here.
#[derive(Debug)]
pub struct ExchangeRequest<'a> {
    /// The code from the response.
    pub code: AuthorizationCode,
    /// The verifier of the attempt.
    pub verifier: CodeVerifier,
    /// The nonce of the attempt.
    pub nonce: Nonce,
    /// The `state` of the attempt, as it was sent.
    pub state: &'a str,
    /// The redirect URI of the authorization request, byte for byte.
    pub redirect_uri: &'a str,
    /// Scopes that were asked for on top of the provider's own.
    pub additional_scopes: &'a [String],
    /// The `max_age` that was sent.
    pub max_age: Option<Duration>,
}

/// Somebody who has logged in.
#[derive(Debug)]
pub struct Login {
    /// Who it is.
    pub identity: Identity,
    /// Their tokens.
    pub tokens: Tokens,
    /// The `sub` of the ID token, which logout tokens and refreshed ID tokens name, whatever the mapping makes the
    /// subject; for plain OAuth 2.0 the mapped subject.
    pub sub: String,
    /// The provider's name for its own session.
    pub sid: Option<String>,
    /// When the person last authenticated at the provider.
    pub auth_time: Option<Timestamp>,
    /// How they authenticated.
    pub acr: Option<String>,
    /// When it was made at the latest: the earlier one of `iat` of the ID token and the start of the token call, so that
    /// a provider whose clock is ahead does not make it newer than a logout that came after it.
    pub issued_at: Timestamp,
}

/// Why a code brought no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// The code was refused, or a 200 was no token answer: the person starts again.
    #[error("the provider gave no tokens for the code: {reason}")]
    CodeRejected {
        /// Kebab-case, for logs.
        reason: &'static str,
    },
    /// A token or the userinfo answer breaks a rule: the person starts again.
    #[error("what the provider sent is refused: {check}")]
    TokenInvalid {
        /// The name of the check.
        check: &'static str,
    },
    /// The provider refuses this client or its requests: nothing the person can change.
    #[error("the provider refuses this client: {reason}")]
    OperatorError {
        /// Kebab-case, for logs.
        reason: &'static str,
    },
    /// An endpoint is away or too slow.
    #[error("the {} endpoint is not available: {kind}", .endpoint.as_str())]
    ProviderUnavailable {
        /// Which one.
        endpoint: EndpointKind,
        /// Kebab-case, for logs.
        kind: &'static str,
    },
}

impl LoginError {
    const fn unavailable(endpoint: EndpointKind, outcome: CallOutcome) -> Self {
        Self::ProviderUnavailable { endpoint, kind: outcome.as_str() }
    }
}

impl From<IdentityFailure> for LoginError {
    fn from(failure: IdentityFailure) -> Self {
        match failure {
            IdentityFailure::Unavailable(endpoint, outcome) => Self::unavailable(endpoint, outcome),
            IdentityFailure::Refused(EndpointKind::Email) => Self::OperatorError { reason: "email-refused" },
            IdentityFailure::Refused(_) => Self::OperatorError { reason: "userinfo-refused" },
            IdentityFailure::Invalid(check) => Self::TokenInvalid { check },
        }
    }
}

impl Provider {
    /// Exchanges a code for a login.
    ///
    /// # Errors
    /// [`LoginError`]; whatever tokens had come are dropped and zeroized. The code is spent or lost in any case.
    pub async fn exchange(&self, request: ExchangeRequest<'_>) -> Result<Login, LoginError> {
        let metadata =
            self.metadata().map_err(|_| LoginError::unavailable(EndpointKind::Discovery, CallOutcome::Unavailable))?;
        let started = self.parts.clock.now();
        let tokens = self.spend_code(&metadata, &request, started).await?;
        match &self.settings.issuer {
            Some(issuer) => {
                let id_token = self.verify_login(issuer, &request, &tokens).await?;
                self.note_skew(id_token.issued_at());
                let identity = self.openid_identity(&metadata, &tokens.access_token, &id_token).await;
                let identity = identity.map_err(|failure| self.no_identity(failure))?;
                Ok(Login {
                    identity,
                    sub: id_token.subject().to_owned(),
                    sid: id_token.sid().map(str::to_owned),
                    auth_time: id_token.auth_time(),
                    acr: id_token.acr().map(str::to_owned),
                    issued_at: id_token.issued_at().min(started),
                    tokens,
                })
            }
            None => {
                let identity = self.plain_identity(&metadata, &tokens.access_token).await;
                let identity = identity.map_err(|failure| self.no_identity(failure))?;
                let sub = identity.subject.clone();
                // Nothing has verified an ID token that a plain OAuth 2.0 server may have sent along.
                let tokens = Tokens { id_token: None, ..tokens };
                Ok(Login { identity, tokens, sub, sid: None, auth_time: None, acr: None, issued_at: started })
            }
        }
    }

    async fn spend_code(
        &self,
        metadata: &ProviderMetadata,
        request: &ExchangeRequest<'_>,
        started: Timestamp,
    ) -> Result<Tokens, LoginError> {
        let form = token_request::authorization_code(
            &self.settings.client_authentication,
            &self.settings.client_id,
            &request.code,
            &request.verifier,
            request.redirect_uri,
        );
        let called = self.transport.post(EndpointKind::Code, &metadata.token, form).await;
        let outcome = called.as_ref().map_or_else(|outcome| *outcome, Answer::outcome);
        let answer = match (outcome, called) {
            (CallOutcome::Ok, Ok(answer)) if answer.content_type == ContentType::Json => answer,
            (CallOutcome::Ok, _) => return Err(LoginError::CodeRejected { reason: "content-type" }),
            (CallOutcome::UnusableBody, _) => return Err(LoginError::CodeRejected { reason: "unusable-body" }),
            (CallOutcome::UnexpectedStatus, _) => return Err(LoginError::CodeRejected { reason: "unexpected-status" }),
            (CallOutcome::Refused, Ok(answer)) => return Err(self.refused_code(&answer)),
            (outcome, _) => return Err(LoginError::unavailable(EndpointKind::Code, outcome)),
        };
        let scopes: Vec<String> = self.settings.scopes.iter().chain(request.additional_scopes).cloned().collect();
        let expectations =
            TokenExpectations { id_token_required: self.settings.issuer.is_some(), scopes: &scopes, now: started };
        token_response::parse(&answer.body, MAX_BODY, &expectations).map_err(|error| {
            if error.is_no_token_answer() {
                LoginError::CodeRejected { reason: error.check() }
            } else {
                LoginError::TokenInvalid { check: error.check() }
            }
        })
    }

    fn refused_code(&self, answer: &Answer) -> LoginError {
        match token_error(answer) {
            TokenErrorCode::InvalidGrant => LoginError::CodeRejected { reason: "code-rejected" },
            TokenErrorCode::Unavailable => LoginError::unavailable(EndpointKind::Code, CallOutcome::Unavailable),
            code => {
                let (provider, reason) = (self.settings.label(), code.as_str());
                tracing::error!(event = "provider.error", provider, endpoint = "token", kind = reason);
                LoginError::OperatorError { reason }
            }
        }
    }

    fn no_identity(&self, failure: IdentityFailure) -> LoginError {
        // A token that has just been issued is refused: scopes or the endpoint are not set up, and that is for the
        // operator to see.
        if let IdentityFailure::Refused(endpoint) = failure {
            let (provider, endpoint) = (self.settings.label(), endpoint.as_str());
            tracing::error!(event = "provider.error", provider, endpoint, kind = "refused");
        }
        failure.into()
    }

    async fn verify_login(
        &self,
        issuer: &str,
        request: &ExchangeRequest<'_>,
        tokens: &Tokens,
    ) -> Result<IdToken, LoginError> {
        let raw = tokens.id_token.as_ref().ok_or(LoginError::TokenInvalid { check: "id-token-missing" })?;
        let token = UnverifiedIdToken::parse(raw).map_err(|error| LoginError::TokenInvalid { check: error.check() })?;
        let expected = self.expectations(issuer, tokens);
        let attempt =
            Attempt { nonce: &request.nonce, code: &request.code, state: request.state, max_age: request.max_age };
        let verified = self.verify_id_token(&token, |keys| token.verify_login(keys, &expected, &attempt)).await;
        verified.map_err(|error| match error {
            VerificationError::KeysUnavailable => LoginError::unavailable(EndpointKind::Keys, CallOutcome::Unavailable),
            VerificationError::Invalid(error) => LoginError::TokenInvalid { check: error.check() },
        })
    }

    pub(crate) fn expectations<'a>(&'a self, issuer: &'a str, tokens: &'a Tokens) -> Expectations<'a> {
        Expectations {
            issuer,
            client_id: &self.settings.client_id,
            access_token: &tokens.access_token,
            now: self.parts.clock.now(),
            leeway: self.settings.clock_leeway,
        }
    }

    fn note_skew(&self, issued_at: Timestamp) {
        let signed = |time: Timestamp| i64::try_from(time.as_seconds()).unwrap_or(i64::MAX);
        let ahead = signed(issued_at).saturating_sub(signed(self.parts.clock.now()));
        self.parts.observer.skew(self.settings.label(), ahead);
    }
}

/// The error code of an answer with a status of 4xx; an answer of another content type has none.
pub(crate) fn token_error(answer: &Answer) -> TokenErrorCode {
    match answer.content_type {
        ContentType::Json => TokenErrorCode::parse(&answer.body, MAX_BODY),
        _ => TokenErrorCode::Other,
    }
}

#[cfg(test)]
mod tests;
