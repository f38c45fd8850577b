//! The development identity provider and the sample upstream of `vestibule demo`.
//!
//! Both listen on loopback only. Nothing here can be reached from `serve`: the accounts have passwords that are
//! printed, and there is no consent. Tests wrap the provider to make it misbehave; it has no knob for that itself.

pub mod banner;
mod listening;
pub mod page;
pub mod provider;
pub mod sample_upstream;

use std::sync::Arc;

use tokio::net::TcpListener;

use crate::clock::Clock;
use crate::entropy::Entropy;

pub use listening::Running;
use provider::{DevelopmentProvider, DevelopmentProviderSettings, SigningFailed, SigningKey};

/// Why a part of the demonstration did not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the listener could not be read.
    #[error("the listener has no address")]
    Listener(#[from] std::io::Error),
    /// The listener can be reached from other machines.
    #[error("the demonstration listens on loopback addresses only")]
    NotLoopback,
    /// The provider has no key to sign with.
    #[error("the development provider has no signing key")]
    SigningKey(#[from] SigningFailed),
}

/// Serves the development provider on `listener`, which must be bound to a loopback address.
///
/// The provider is returned too, so that clients can be registered once their redirect URIs are known.
///
/// # Errors
/// [`Error`] when the listener is not on loopback or no signing key can be made.
pub async fn start_provider(
    listener: TcpListener,
    settings: DevelopmentProviderSettings,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
) -> Result<(Running, Arc<DevelopmentProvider>), Error> {
    let provider = Arc::new(DevelopmentProvider::new(settings, Arc::new(SigningKey::generate()?), entropy));
    let served = Arc::clone(&provider);
    let running = listening::start(listener, move |request| {
        let (provider, clock) = (Arc::clone(&served), Arc::clone(&clock));
        async move { provider::serve(&provider, request, clock.as_ref()).await }
    })?;
    Ok((running, provider))
}

/// Serves the sample upstream on `listener`, which must be bound to a loopback address.
///
/// # Errors
/// [`Error`] when the listener is not on loopback.
pub async fn start_sample_upstream(listener: TcpListener, clock: Arc<dyn Clock>) -> Result<Running, Error> {
    listening::start(listener, move |request| {
        let clock = Arc::clone(&clock);
        async move { sample_upstream::respond(request, &clock) }
    })
}
