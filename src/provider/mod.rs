//! The only code that talks to the authorization server.
//!
//! [`Provider`] is the one door: the gateway hands in values of `oidc` and gets values or closed errors back. Nothing
//! here decides who may go where, and no answer of a provider leaves this room unverified.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};
use url::Url;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::oidc::authorization_request::{AuthorizationRequest, ClientRegistration, authorization_url};
use crate::oidc::authorization_response::{self, IssuerMismatch};
use crate::oidc::logout;
use crate::oidc::provider_metadata::{self, MetadataError, ProviderMetadata};
use crate::secret::RawIdToken;

mod backoff;
mod breaker;
pub mod discovery;
pub mod exchange;
mod key_cache;
pub mod logout_token;
pub mod observer;
pub mod online_check;
pub mod refresh;
pub mod revocation;
pub mod settings;
#[cfg(test)]
mod test_server;
mod transport;
mod userinfo;
mod verification;

use self::key_cache::KeyCache;
use self::observer::ProviderObserver;
use self::settings::ProviderSettings;
use self::transport::Transport;

/// What a provider needs from the program.
#[derive(Clone)]
pub struct ProviderParts {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Metrics.
    pub observer: Arc<dyn ProviderObserver>,
}

/// Why a provider cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// A certificate of `ca_file` is none.
    #[error("the certificates for the provider cannot be used")]
    Tls(#[from] rustls::Error),
    /// The client cannot be built.
    #[error("the client for the provider cannot be built")]
    Client(#[from] reqwest::Error),
    /// The issuer, or an endpoint given by hand, cannot be used.
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// The metadata is not known yet: logins get 503.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider's metadata is not known yet")]
pub struct Unavailable;

/// Why an authorization response is not taken as this provider's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseIssuerError {
    /// It names no issuer although it should, or another one.
    #[error(transparent)]
    Mismatch(#[from] IssuerMismatch),
    /// Whether it should name one is not known yet.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// One authorization server.
pub struct Provider {
    settings: ProviderSettings,
    parts: ProviderParts,
    transport: Transport,
    /// `None` for plain OAuth 2.0.
    discovery_url: Option<Url>,
    metadata: ArcSwapOption<ProviderMetadata>,
    keys: KeyCache,
    ready: watch::Sender<bool>,
    /// The next document names the hosts anew: somebody has reloaded the configuration.
    unpinned: AtomicBool,
    look_again: Notify,
}

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Provider").field("label", &self.settings.label()).finish_non_exhaustive()
    }
}

impl Provider {
    /// Sets a provider up; nothing is called yet. Without an issuer it is ready at once.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn new(settings: ProviderSettings, parts: ProviderParts) -> Result<Arc<Self>, ProviderError> {
        Self::compose(settings, parts, None)
    }

    /// Sets up what takes the place of `before`. Where both mean the same server, metadata and keys are taken over, so
    /// that no login has to wait; the next document names the hosts anew.
    ///
    /// # Errors
    /// [`ProviderError`].
    pub fn succeeding(
        before: &Self,
        settings: ProviderSettings,
        parts: ProviderParts,
    ) -> Result<Arc<Self>, ProviderError> {
        let (old, new) = (&before.settings, &settings);
        let same_server =
            old.issuer == new.issuer && old.endpoints == new.endpoints && old.plain_http == new.plain_http;
        Self::compose(settings, parts, Some(before).filter(|_| same_server))
    }

    fn compose(
        settings: ProviderSettings,
        parts: ProviderParts,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, ProviderError> {
        let transport = Transport::new(&settings, &parts)?;
        let (discovery_url, metadata) = match &settings.issuer {
            Some(issuer) => {
                let url = provider_metadata::discovery_url(issuer, settings.plain_http)?;
                (Some(url), before.and_then(|before| before.metadata.load_full()))
            }
            None => {
                let metadata = ProviderMetadata::by_hand(&settings.endpoints, settings.plain_http)?;
                (None, Some(Arc::new(metadata)))
            }
        };
        Ok(Arc::new(Self {
            transport,
            discovery_url,
            ready: watch::Sender::new(metadata.is_some()),
            metadata: ArcSwapOption::new(metadata),
            keys: before.map(|before| KeyCache::inheriting(&before.keys)).unwrap_or_default(),
            unpinned: AtomicBool::new(before.is_some()),
            look_again: Notify::new(),
            settings,
            parts,
        }))
    }

    /// Has the metadata fetched now, and takes the hosts it names as those of a first document.
    pub fn rediscover(&self) {
        self.unpinned.store(true, Ordering::Release);
        self.look_again.notify_one();
    }

    /// What it was set up with.
    #[must_use]
    pub const fn settings(&self) -> &ProviderSettings {
        &self.settings
    }

    /// Whether the metadata is known. Once true, it stays so.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until the metadata is known.
    pub async fn ready(&self) {
        // It cannot fail: the sender lives in `self`.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Where to send a browser that is to log in.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn authorization_redirect(&self, request: &AuthorizationRequest<'_>) -> Result<String, Unavailable> {
        let registration = ClientRegistration {
            client_id: &self.settings.client_id,
            scopes: &self.settings.scopes,
            fixed: &self.settings.authorization_parameters,
            openid: self.settings.issuer.is_some(),
        };
        Ok(authorization_url(&self.metadata()?.authorization, &registration, request))
    }

    /// Compares the `iss` of an authorization response, success or error, with the configured issuer. A plain OAuth 2.0
    /// server has no issuer to compare with; its own redirect URI tells its answers apart.
    ///
    /// # Errors
    /// [`ResponseIssuerError`].
    pub fn check_response_issuer(&self, issuer: Option<&str>) -> Result<(), ResponseIssuerError> {
        let Some(configured) = &self.settings.issuer else { return Ok(()) };
        let advertised = match issuer {
            Some(_) => true,
            None => self.metadata()?.sends_iss,
        };
        Ok(authorization_response::check_issuer(issuer, configured, advertised)?)
    }

    /// Where to send a browser to end the provider's own session; `None` where the provider has no such place.
    #[must_use]
    pub fn end_session_redirect(
        &self,
        id_token_hint: Option<&RawIdToken>,
        post_logout_redirect_uri: &str,
        state: Option<&str>,
    ) -> Option<String> {
        let metadata = self.metadata().ok()?;
        let endpoint = metadata.end_session.as_ref()?;
        let client_id = &self.settings.client_id;
        Some(logout::end_session_url(endpoint, client_id, id_token_hint, post_logout_redirect_uri, state))
    }

    /// Whether the provider has a place that ends its own session.
    #[must_use]
    pub fn ends_sessions(&self) -> bool {
        self.metadata().is_ok_and(|metadata| metadata.end_session.is_some())
    }

    fn metadata(&self) -> Result<Arc<ProviderMetadata>, Unavailable> {
        self.metadata.load_full().ok_or(Unavailable)
    }
}
