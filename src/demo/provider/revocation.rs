//! The revocation endpoint (RFC 7009).

use http::StatusCode;
use http::request::Parts;

use super::answer::{self, Answer, TokenError};
use super::client_authentication::authenticate;
use super::{DevelopmentProvider, form};

impl DevelopmentProvider {
    pub(super) fn revoke(&self, head: &Parts, body: &[u8]) -> Answer {
        match self.revoke_token(head, body) {
            // An unknown token is as good as a revoked one (§2.2).
            Ok(()) => answer::empty(StatusCode::OK),
            Err(error) => error.answer(),
        }
    }

    /// A refresh token takes its whole grant along; an access token goes alone (§2.1 allows either).
    fn revoke_token(&self, head: &Parts, body: &[u8]) -> Result<(), TokenError> {
        let parameters = form(head, body).ok_or(TokenError::InvalidRequest)?;
        let mut state = self.state();
        let client_id = authenticate(&head.headers, &parameters, &state)?;
        let token = parameters.value("token").ok_or(TokenError::InvalidRequest)?;
        let refresh = state.refresh_tokens.get(token).map(|issued| issued.grant);
        let access = state.access_tokens.get(token).map(|issued| issued.grant);
        let Some(id) = refresh.or(access) else { return Ok(()) };
        if state.grant(id).is_some_and(|grant| grant.client_id != client_id) {
            return Err(TokenError::InvalidGrant);
        }
        if refresh.is_some() {
            state.revoke(id);
        } else {
            state.access_tokens.remove(token);
        }
        Ok(())
    }
}
