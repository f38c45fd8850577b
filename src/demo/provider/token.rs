//! The token endpoint: a code or a refresh token becomes tokens (RFC 6749 §4.1.3 and §6, RFC 7636 §4.6).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::request::Parts;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::answer::{self, Answer, TokenError};
use super::client_authentication::authenticate;
use super::parameters::Parameters;
use super::state::{CODE_LIFETIME, CodeUse};
use super::token_response::Issue;
use super::{DevelopmentProvider, form};
use crate::clock::Timestamp;

impl DevelopmentProvider {
    pub(super) fn token(&self, head: &Parts, body: &[u8], now: Timestamp) -> Answer {
        match self.tokens_for(head, body, now) {
            Ok(tokens) => answer::json(StatusCode::OK, &tokens),
            Err(error) => error.answer(),
        }
    }

    fn tokens_for(&self, head: &Parts, body: &[u8], now: Timestamp) -> Result<Value, TokenError> {
        let parameters = form(head, body).ok_or(TokenError::InvalidRequest)?;
        let client_id = authenticate(&head.headers, &parameters, &self.state())?;
        match parameters.value("grant_type") {
            Some("authorization_code") => self.exchange_code(&client_id, &parameters, now),
            Some("refresh_token") => self.refresh(&client_id, &parameters, now),
            Some(_) => Err(TokenError::UnsupportedGrantType),
            None => Err(TokenError::InvalidRequest),
        }
    }

    fn exchange_code(&self, client_id: &str, parameters: &Parameters, now: Timestamp) -> Result<Value, TokenError> {
        let presented = parameters.value("code").ok_or(TokenError::InvalidRequest)?;
        let verifier = parameters.value("code_verifier").ok_or(TokenError::InvalidRequest)?;
        let mut state = self.state();
        let code = state.codes.get_mut(presented).ok_or(TokenError::InvalidGrant)?;
        if code.grant.client_id != client_id {
            return Err(TokenError::InvalidGrant);
        }
        match code.use_so_far {
            CodeUse::Unused => {}
            CodeUse::Refused => return Err(TokenError::InvalidGrant),
            // Somebody else may have got hold of it: what came of it ends (RFC 6749 §4.1.2).
            CodeUse::Began(grant) => {
                state.revoke(grant);
                return Err(TokenError::InvalidGrant);
            }
        }
        code.use_so_far = CodeUse::Refused;
        let fits = code.issued.plus(CODE_LIFETIME) > now
            && parameters.value("redirect_uri") == Some(code.redirect_uri.as_str())
            && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == code.code_challenge;
        if !fits {
            return Err(TokenError::InvalidGrant);
        }
        let (grant, nonce) = (code.grant.clone(), code.nonce.clone());
        let resources = narrowed(&grant.resources, parameters.all("resource"), TokenError::InvalidTarget)?;
        let id = state.begin_grant(grant.clone());
        if let Some(code) = state.codes.get_mut(presented) {
            code.use_so_far = CodeUse::Began(id);
        }
        drop(state);
        self.issue(Issue { scopes: grant.scopes.clone(), grant: &grant, id, nonce, resources }, now)
    }

    fn refresh(&self, client_id: &str, parameters: &Parameters, now: Timestamp) -> Result<Value, TokenError> {
        let presented = parameters.value("refresh_token").ok_or(TokenError::InvalidRequest)?;
        let mut state = self.state();
        let (id, spent) = match state.refresh_tokens.get(presented) {
            Some(token) => (token.grant, token.spent),
            None => return Err(TokenError::InvalidGrant),
        };
        let grant = state.grant(id).filter(|grant| grant.client_id == client_id).ok_or(TokenError::InvalidGrant)?;
        // Two hold the same token, and there is no telling which is the thief: both lose (RFC 9700 §4.14.2).
        if spent {
            state.revoke(id);
            return Err(TokenError::InvalidGrant);
        }
        let scopes = narrowed(&grant.scopes, parameters.words("scope"), TokenError::InvalidScope)?;
        let resources = narrowed(&grant.resources, parameters.all("resource"), TokenError::InvalidTarget)?;
        let grant = state.use_grant(id, now).ok_or(TokenError::InvalidGrant)?.clone();
        if let Some(token) = state.refresh_tokens.get_mut(presented) {
            token.spent = true;
        }
        drop(state);
        // No nonce: there is no authentication request that this ID token answers (OpenID Connect Core §12.2).
        self.issue(Issue { scopes, grant: &grant, id, nonce: None, resources }, now)
    }
}

/// What is asked for, if all of it was granted; everything granted when nothing is asked for.
fn narrowed(granted: &[String], asked: Vec<String>, error: TokenError) -> Result<Vec<String>, TokenError> {
    if asked.is_empty() {
        return Ok(granted.to_vec());
    }
    if asked.iter().all(|one| granted.contains(one)) { Ok(asked) } else { Err(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_may_ask_for_less_and_never_for_more() {
        let granted = ["openid".to_owned(), "email".to_owned()];
        let asked = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>();
        let narrow = |words: &[&str]| narrowed(&granted, asked(words), TokenError::InvalidScope);
        assert_eq!(narrow(&[]), Ok(granted.to_vec()));
        assert_eq!(narrow(&["email"]), Ok(asked(&["email"])));
        assert_eq!(narrow(&["email", "admin"]), Err(TokenError::InvalidScope));
    }
}
