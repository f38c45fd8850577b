//! `vestibule check --online`: asks what the configuration names.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::{StartError, service};
use crate::clock::SystemClock;
use crate::entropy::SystemEntropy;
use crate::gateway::settings::Settings;
use crate::provider::observer::Unobserved;
use crate::provider::{Provider, ProviderParts};
use crate::session::settings::StoreSettings;
use crate::session::store::redis::RedisStore;
use crate::upstream::settings::Target;

/// What one thing answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineResult {
    /// What was asked, in the operator's words.
    pub subject: String,
    /// Nothing, or what is wrong.
    pub problem: Option<String>,
}

/// Tries discovery and keys of every provider, the session store where it is a server, and a connection to every
/// upstream.
///
/// # Errors
/// [`StartError`] when no client can be made at all.
pub fn check_online(settings: Settings) -> Result<Vec<OnlineResult>, StartError> {
    service::runtime()?.block_on(async {
        let mut results = Vec::new();
        let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
        for provider in settings.providers {
            let named = provider.issuer.as_deref().map(|issuer| format!(" ({issuer})")).unwrap_or_default();
            let subject = format!("provider {}{named}", provider.label());
            let parts = ProviderParts {
                clock: Arc::clone(&clock) as Arc<_>,
                entropy: Arc::clone(&entropy) as Arc<_>,
                observer: Arc::new(Unobserved),
            };
            let problem = match Provider::new(provider, parts)?.check_online().await {
                Ok(_) => None,
                Err(error) => Some(error.to_string()),
            };
            results.push(OnlineResult { subject, problem });
        }
        if let StoreSettings::Redis(redis) = settings.session.store {
            let subject = format!("session store at {redis}");
            let store = RedisStore::new(redis, &settings.public_url.namespace(), clock)?;
            results.push(OnlineResult {
                subject,
                problem: store.check().await.err().map(|error| error.failure.to_string()),
            });
        }
        for route in settings.routes.into_iter().filter(|route| !route.forward_auth()) {
            for target in &route.upstream.targets {
                let subject = format!("upstream {} at {target}", route.upstream.name);
                let problem = connect(target, route.upstream.timeouts.connect).await;
                results.push(OnlineResult { subject, problem });
            }
        }
        Ok(results)
    })
}

async fn connect(target: &Target, patience: Duration) -> Option<String> {
    let connected = async {
        match target {
            Target::Http { host, port } | Target::H2c { host, port } | Target::Https { host, port } => {
                TcpStream::connect((host.trim_matches(['[', ']']), *port)).await.map(drop)
            }
            Target::Elsewhere => Ok(()),
            Target::Unix(path) => UnixStream::connect(path).await.map(drop),
        }
    };
    match tokio::time::timeout(patience, connected).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("no connection within {} s", patience.as_secs())),
    }
}
