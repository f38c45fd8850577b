//! What the token endpoint gives out: the ID token, the access token (RFC 9068), a new refresh token.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::answer::TokenError;
use super::settings::Account;
use super::state::{Grant, IssuedAccessToken, IssuedRefreshToken};
use super::{DevelopmentProvider, SigningFailed};
use crate::clock::Timestamp;

/// How long an ID token can be presented; it is verified once, right after it came.
const ID_TOKEN_LIFETIME: Duration = Duration::from_secs(300);

/// What tokens are made for.
pub(super) struct Issue<'a> {
    pub(super) grant: &'a Grant,
    pub(super) id: u64,
    pub(super) scopes: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) nonce: Option<String>,
}

impl DevelopmentProvider {
    pub(super) fn issue(&self, issue: Issue<'_>, now: Timestamp) -> Result<Value, TokenError> {
        let account = self.account(&issue.grant.session.subject).ok_or(TokenError::InvalidGrant)?;
        let access_token = self.access_token(&issue, account, now)?;
        let refresh_token = self.random()?;
        let mut tokens = Map::new();
        if issue.scopes.iter().any(|scope| scope == "openid") {
            let id_token = self.id_token(&issue, account, &access_token, now)?;
            tokens.insert("id_token".into(), id_token.into());
        }
        let lifetime = self.settings.access_token_lifetime;
        tokens.insert("token_type".into(), "Bearer".into());
        tokens.insert("expires_in".into(), lifetime.as_secs().into());
        tokens.insert("scope".into(), issue.scopes.join(" ").into());
        tokens.insert("access_token".into(), access_token.clone().into());
        tokens.insert("refresh_token".into(), refresh_token.clone().into());

        let mut state = self.state();
        state.refresh_tokens.insert(refresh_token, IssuedRefreshToken { grant: issue.id, spent: false });
        let issued = IssuedAccessToken { grant: issue.id, scopes: issue.scopes, expires: now.plus(lifetime) };
        state.access_tokens.insert(access_token, issued);
        Ok(Value::Object(tokens))
    }

    fn access_token(&self, issue: &Issue<'_>, account: &Account, now: Timestamp) -> Result<String, TokenError> {
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.key.id() });
        let audience = match issue.resources.as_slice() {
            [] => Value::from(self.issuer()),
            [one] => Value::from(one.as_str()),
            several => Value::from(several.to_vec()),
        };
        let claims = json!({
            "iss": self.issuer(),
            "sub": account.subject,
            "aud": audience,
            "client_id": issue.grant.client_id,
            "iat": now.as_seconds(),
            "exp": now.plus(self.settings.access_token_lifetime).as_seconds(),
            "jti": self.random()?,
            "scope": issue.scopes.join(" "),
            "preferred_username": account.username,
            "groups": account.groups,
        });
        Ok(self.key.sign(&header, &claims)?)
    }

    fn id_token(
        &self,
        issue: &Issue<'_>,
        account: &Account,
        access_token: &str,
        now: Timestamp,
    ) -> Result<String, SigningFailed> {
        let session = &issue.grant.session;
        let mut claims = claims_for(account, &issue.scopes);
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", self.issuer().into());
        put("aud", issue.grant.client_id.as_str().into());
        put("iat", now.as_seconds().into());
        put("exp", now.plus(ID_TOKEN_LIFETIME).as_seconds().into());
        put("auth_time", session.auth_time.as_seconds().into());
        put("acr", session.acr.as_str().into());
        put("sid", session.sid.as_str().into());
        put("at_hash", half_hash(access_token).into());
        if let Some(nonce) = &issue.nonce {
            put("nonce", nonce.as_str().into());
        }
        self.key.sign(&json!({ "alg": "ES256", "typ": "JWT", "kid": self.key.id() }), &Value::Object(claims))
    }
}

/// What is said about a person for these scopes (OpenID Connect Core §5.4).
pub(super) fn claims_for(account: &Account, scopes: &[String]) -> Map<String, Value> {
    let asked = |name: &str| scopes.iter().any(|scope| scope == name);
    let mut claims = Map::new();
    claims.insert("sub".into(), account.subject.as_str().into());
    if asked("profile") {
        claims.insert("name".into(), account.name.as_str().into());
        claims.insert("preferred_username".into(), account.username.as_str().into());
    }
    if asked("profile") || asked("groups") {
        claims.insert("groups".into(), account.groups.clone().into());
    }
    if asked("email") {
        claims.insert("email".into(), account.email.as_str().into());
        claims.insert("email_verified".into(), account.email_verified.into());
    }
    claims
}

/// `at_hash`: the left half of the hash, in base64url (OpenID Connect Core §3.1.3.6).
fn half_hash(token: &str) -> String {
    let hash = digest(&SHA256, token.as_bytes());
    let (left, _) = hash.as_ref().split_at(hash.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_brings_its_claims_and_no_others() {
        let account = Account::examples().remove(2);
        let names = |scopes: &[&str]| {
            let scopes: Vec<_> = scopes.iter().map(|&scope| scope.to_owned()).collect();
            claims_for(&account, &scopes).keys().cloned().collect::<Vec<_>>()
        };
        assert_eq!(names(&["openid"]), ["sub"]);
        assert_eq!(names(&["email"]), ["email", "email_verified", "sub"]);
        assert_eq!(names(&["profile"]), ["groups", "name", "preferred_username", "sub"]);
    }

    #[test]
    fn the_hash_of_the_specification_s_example_comes_out() {
        // OpenID Connect Core, appendix A.3.
        assert_eq!(half_hash("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
