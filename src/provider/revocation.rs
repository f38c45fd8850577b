//! Revocation of tokens at the provider (RFC 7009): best effort, the end of our session never waits for it.

use crate::oidc::revocation;
use crate::oidc::token_response::Tokens;
use crate::provider::Provider;
use crate::provider::observer::{CallOutcome, EndpointKind};

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revocation {
    /// The provider has confirmed it; also for a token that it does not know (RFC 7009 §2.2).
    Revoked,
    /// The provider has no endpoint for it.
    NotSupported,
    /// The token may still be alive.
    Failed,
}

impl Provider {
    /// Revokes the refresh token, which ends its access tokens too, or else the access token.
    pub async fn revoke(&self, tokens: &Tokens) -> Revocation {
        let Ok(metadata) = self.metadata() else { return Revocation::Failed };
        let Some(url) = &metadata.revocation else { return Revocation::NotSupported };
        let form = revocation::request(&self.settings.client_authentication, &self.settings.client_id, tokens);
        match self.transport.post(EndpointKind::Revocation, url, form).await {
            Ok(answer) if answer.outcome() == CallOutcome::Ok => Revocation::Revoked,
            _ => Revocation::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::test_server::{Reply, TestServer};
    use crate::secret::{AccessToken, RefreshToken};

    fn tokens() -> Tokens {
        Tokens {
            access_token: AccessToken::new("at".into()),
            access_expires: None,
            refresh_token: Some(RefreshToken::new("rt".into())),
            id_token: None,
            scopes: Vec::new(),
        }
    }

    #[tokio::test]
    async fn the_refresh_token_is_revoked_with_client_authentication() {
        let server = TestServer::openid().await;
        server.on("/revoke", |_| Reply::status(200, ""));
        let provider = server.ready_provider().await;
        assert_eq!(provider.revoke(&tokens()).await, Revocation::Revoked);
        let request = server.requests("/revoke").remove(0);
        assert!(request.ends_with("token=rt&token_type_hint=refresh_token"), "{request}");
        assert!(request.contains("authorization: Basic "));
    }

    #[tokio::test]
    async fn a_refused_revocation_says_so() {
        let server = TestServer::openid().await;
        server.on("/revoke", |_| Reply::json(503, "{}"));
        let provider = server.ready_provider().await;
        assert_eq!(provider.revoke(&tokens()).await, Revocation::Failed);
    }
}
