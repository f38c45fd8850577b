//! What the flights of refreshes and the revocations need of a provider, so that they run the same way with one that is
//! simulated.

use std::future::Future;

use super::route::KnownProvider;
use crate::oidc::token_response::Tokens;
use crate::provider::refresh::{RefreshContext, RefreshError, Refreshed};
use crate::provider::revocation::Revocation;
use crate::secret::RefreshToken;
use crate::telemetry::labels::RefreshOutcome;

/// The endpoints of a provider that spend and revoke tokens.
pub(super) trait TokenEndpoint: Send + Sync + 'static {
    /// The operator's name for the provider.
    fn label(&self) -> &str;

    /// Whether it speaks OpenID Connect, and so repeats its own `sub`.
    fn is_openid(&self) -> bool;

    /// Counts what came of a refresh.
    fn count_refresh(&self, outcome: RefreshOutcome);

    /// As of [`Provider::refresh`](crate::provider::Provider::refresh).
    fn refresh(
        &self,
        refresh_token: &RefreshToken,
        original: &RefreshContext<'_>,
    ) -> impl Future<Output = Result<Refreshed, RefreshError>> + Send;

    /// As of [`Provider::revoke`](crate::provider::Provider::revoke).
    fn revoke(&self, tokens: &Tokens) -> impl Future<Output = Revocation> + Send;
}

impl TokenEndpoint for KnownProvider {
    fn label(&self) -> &str {
        self.provider.settings().label()
    }

    fn is_openid(&self) -> bool {
        self.provider.settings().issuer.is_some()
    }

    fn count_refresh(&self, outcome: RefreshOutcome) {
        self.metrics.refreshed(outcome);
    }

    fn refresh(
        &self,
        refresh_token: &RefreshToken,
        original: &RefreshContext<'_>,
    ) -> impl Future<Output = Result<Refreshed, RefreshError>> + Send {
        self.provider.refresh(refresh_token, original)
    }

    fn revoke(&self, tokens: &Tokens) -> impl Future<Output = Revocation> + Send {
        self.provider.revoke(tokens)
    }
}
