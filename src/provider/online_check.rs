//! `vestibule check --online`: whether the provider can be reached and used, without changing anything.

use crate::oidc::provider_metadata::ProviderMetadata;
use crate::provider::Provider;
use crate::provider::discovery::DiscoveryError;
use crate::provider::key_cache;

/// What was found at a provider.
#[derive(Clone, Debug)]
pub struct OnlineReport {
    /// The metadata, discovered or by hand.
    pub metadata: ProviderMetadata,
    /// Number of usable keys; `None` where there is no key set (plain OAuth 2.0).
    pub keys: Option<usize>,
}

/// Why a provider cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnlineError {
    /// The metadata.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// The keys.
    #[error("the key set cannot be used: {reason}")]
    Keys {
        /// Kebab-case.
        reason: &'static str,
    },
}

impl Provider {
    /// Fetches metadata and keys, past every cache.
    ///
    /// # Errors
    /// [`OnlineError`].
    pub async fn check_online(&self) -> Result<OnlineReport, OnlineError> {
        let metadata = match (&self.discovery_url, self.metadata.load_full()) {
            (None, Some(by_hand)) => ProviderMetadata::clone(&by_hand),
            (Some(url), _) => self.fetch_metadata(url).await?,
            // Without an issuer the metadata is there from the beginning.
            (None, None) => return Err(OnlineError::Keys { reason: "no-metadata" }),
        };
        let keys = match &metadata.jwks {
            Some(jwks_uri) => {
                let fetched = key_cache::fetch_keys(&self.key_source(jwks_uri)).await;
                Some(fetched.map_err(|error| OnlineError::Keys { reason: error.reason() })?.len())
            }
            None => None,
        };
        Ok(OnlineReport { metadata, keys })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::provider::test_server::{Reply, TestServer};

    #[tokio::test]
    async fn di_09_the_check_fails_and_names_the_reason() {
        let server = TestServer::openid().await;
        let provider = server.provider();
        assert_eq!(provider.check_online().await.unwrap().keys, Some(4));
        server.on("/keys", |_| Reply::json(200, r#"{"keys":[]}"#));
        assert_eq!(provider.check_online().await.unwrap_err(), OnlineError::Keys { reason: "no-usable-key" });
        server.on_discovery(|document| document["require_pushed_authorization_requests"] = true.into());
        let error = provider.check_online().await.unwrap_err();
        assert!(error.to_string().contains("require_pushed_authorization_requests"), "{error}");
        assert!(!provider.is_ready(), "a check changes nothing");
    }
}
