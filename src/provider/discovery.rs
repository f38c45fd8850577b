//! Discovery in the background: until it succeeds, then once an hour under the pins of the first document
//! since the start or the last reload.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use url::Url;

use crate::oidc::provider_metadata::{MetadataError, Pinned, ProviderMetadata};
use crate::provider::observer::{CallOutcome, EndpointKind};
use crate::provider::transport::{ContentType, MAX_BODY};
use crate::provider::{Provider, backoff};

const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
const REFETCH: Duration = Duration::from_secs(3600);

/// Why there is no metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The call brought no usable answer.
    #[error("the metadata could not be fetched: {}", .0.as_str())]
    Call(CallOutcome),
    /// Not `application/json`.
    #[error("the metadata is not of the type application/json")]
    ContentType,
    /// The document must not be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl DiscoveryError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Call(outcome) => outcome.as_str(),
            Self::ContentType => "content-type",
            Self::Metadata(error) => error.reason(),
        }
    }
}

impl Provider {
    /// Keeps the metadata up to date; spawned once by the program. Returns at once when all endpoints are given by
    /// hand, otherwise never.
    pub async fn run(self: Arc<Self>) {
        let Some(url) = &self.discovery_url else {
            self.parts.observer.up(self.settings.label(), true);
            return;
        };
        let mut failures = 0;
        loop {
            let wait = match self.discover(url).await {
                Ok(()) => {
                    failures = 0;
                    REFETCH
                }
                Err(_) => {
                    failures += 1;
                    backoff::exponential(FIRST_WAIT, failures - 1, LONGEST_WAIT)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(backoff::jittered(wait, &*self.parts.entropy)) => {}
                () = self.look_again.notified() => {}
            }
        }
    }

    /// One round: fetch, check, install.
    pub(crate) async fn discover(&self, url: &Url) -> Result<(), DiscoveryError> {
        let label = self.settings.label();
        match self.fetch_metadata(url).await {
            Ok(metadata) => {
                self.install(metadata);
                self.parts.observer.up(label, true);
                Ok(())
            }
            Err(error) => {
                self.parts.observer.up(label, false);
                match error {
                    // These do not go away by waiting: somebody has to change something.
                    DiscoveryError::Metadata(cause) => {
                        self.parts.observer.metadata_rejected(label, error.reason());
                        tracing::error!(event = "provider.metadata", provider = label, reason = error.reason(), %cause);
                    }
                    _ => tracing::warn!(event = "provider.metadata", provider = label, reason = error.reason()),
                }
                Err(error)
            }
        }
    }

    pub(crate) async fn fetch_metadata(&self, url: &Url) -> Result<ProviderMetadata, DiscoveryError> {
        let answer = self.transport.get(EndpointKind::Discovery, url, None).await.map_err(DiscoveryError::Call)?;
        match answer.outcome() {
            CallOutcome::Ok => {}
            outcome => return Err(DiscoveryError::Call(outcome)),
        }
        if answer.content_type != ContentType::Json {
            return Err(DiscoveryError::ContentType);
        }
        let settings = &self.settings;
        let issuer = settings.issuer.as_deref().ok_or(MetadataError::IssuerUrl)?;
        let metadata =
            ProviderMetadata::from_discovery(&answer.body, MAX_BODY, issuer, &settings.endpoints, settings.plain_http)?;
        Ok(metadata)
    }

    fn install(&self, metadata: ProviderMetadata) {
        let label = self.settings.label();
        let metadata = match self.metadata.load_full() {
            None => {
                tracing::info!(event = "provider.ready", provider = label);
                metadata
            }
            Some(_) if self.unpinned.load(Ordering::Acquire) => metadata,
            Some(current) => {
                let (metadata, kept) = metadata.pinned_to(&current);
                for pinned in kept {
                    match pinned {
                        Pinned::Endpoint(endpoint) => {
                            tracing::error!(
                                event = "provider.metadata",
                                provider = label,
                                reason = "endpoint-moved",
                                endpoint
                            );
                            self.parts.observer.metadata_rejected(label, "endpoint-moved");
                        }
                        Pinned::Capability(capability) => {
                            tracing::warn!(
                                event = "provider.metadata",
                                provider = label,
                                reason = "capability-dropped",
                                capability
                            );
                            self.parts.observer.metadata_rejected(label, "capability-dropped");
                        }
                    }
                }
                metadata
            }
        };
        self.unpinned.store(false, Ordering::Release);
        self.metadata.store(Some(Arc::new(metadata)));
        self.ready.send_replace(true);
    }
}

#[cfg(test)]
mod tests;
