//! The one place where a running configuration is swapped for another.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::StartError;
use super::assembly::{Assembly, Lasting, clients};
use super::observers::provider_condition;
use super::restart::Fixed;
use super::service::tell_of_addresses;
use crate::gateway::Gateway;
use crate::gateway::settings::Settings;

/// How long a provider that was not there before may take to show its metadata before logins are sent to it.
const INTRODUCTION: Duration = Duration::from_secs(5);

/// Why a configuration does not come into force. The one before stays.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It changes what a running process cannot.
    #[error("a change of {} needs a restart", .0.join(", "))]
    NeedsRestart(Vec<&'static str>),
    /// One of its parts cannot be made.
    #[error(transparent)]
    Part(#[from] StartError),
}

/// What a reload has changed that others tell of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reloaded {
    /// Sessions are sealed under another key from now on.
    pub key_rotated: bool,
}

/// Holds the configuration in force.
pub(super) struct Reloader {
    lasting: Lasting,
    /// What requests take one of at their beginning, and keep.
    current: Arc<ArcSwap<Gateway>>,
    /// Locked for as long as a reload takes: one at a time.
    assembly: Mutex<Assembly>,
}

impl Reloader {
    pub(super) fn new(lasting: Lasting, assembly: Assembly) -> Self {
        let current = Arc::new(ArcSwap::new(Arc::clone(&assembly.gateway)));
        Self { lasting, current, assembly: Mutex::new(assembly) }
    }

    /// The gateway in force, now and later.
    pub(super) fn current(&self) -> Arc<ArcSwap<Gateway>> {
        Arc::clone(&self.current)
    }

    pub(super) fn lasting(&self) -> &Lasting {
        &self.lasting
    }

    /// Puts `settings` in the place of what is in force: everything is built first, so that a failure changes nothing,
    /// and then swapped. What is in flight ends on what it began with.
    pub(super) async fn reload(&self, settings: Settings) -> Result<Reloaded, ReloadError> {
        let mut assembly = self.assembly.lock().await;
        let changed = assembly.fixed.changed_in(&Fixed::of(&settings));
        if !changed.is_empty() {
            return Err(ReloadError::NeedsRestart(changed));
        }
        let store = settings.session.store.clone();
        let built = self.build(settings, &assembly).await.and_then(|next| {
            self.lasting.store.renew(&store)?;
            Ok(next)
        });
        let next = match built {
            Ok(next) => next,
            Err(error) => {
                self.lasting.forget_providers_but(&assembly.labels());
                return Err(error.into());
            }
        };
        let key_rotated = assembly.rules.key_ring().kids().next() != next.rules.key_ring().kids().next();
        // The rules first: a request of the new gateway never meets a session that they do not admit.
        self.lasting.sessions.adopt(Arc::clone(&next.rules));
        self.current.store(Arc::clone(&next.gateway));
        next.gateway.take_over();
        self.lasting.limits.replace(next.limits);
        self.lasting.entrance.replace(next.entrance.clone());
        self.lasting.admin_token.store(next.admin_token.clone());
        next.gateway.tell_of_passed();
        self.lasting.forget_providers_but(&next.labels());
        if assembly.knows_addresses != next.knows_addresses {
            tell_of_addresses(next.knows_addresses);
        }
        *assembly = next;
        rediscover(&assembly);
        Ok(Reloaded { key_rotated })
    }

    /// Has the metadata of all providers fetched, and the hosts they name pinned anew.
    pub(super) async fn rediscover(&self) {
        rediscover(&*self.assembly.lock().await);
    }

    async fn build(&self, mut settings: Settings, before: &Assembly) -> Result<Assembly, StartError> {
        let sessions = &self.lasting.sessions;
        let clients = clients(&settings);
        let rules = sessions.prepare(&mut settings.session, settings.session_keys_configured, clients)?;
        let next = Assembly::build(&self.lasting, settings, rules, Some(before))?;
        let introduced = async {
            for running in &next.providers {
                running.known.provider.ready().await;
            }
        };
        // One that is away keeps nothing else from coming into force: as at start, its logins get 503.
        let _ = tokio::time::timeout(INTRODUCTION, introduced).await;
        Ok(next)
    }
}

fn rediscover(assembly: &Assembly) {
    for running in &assembly.providers {
        running.known.provider.rediscover();
    }
}

impl Lasting {
    /// A provider that is in no configuration any more is neither up nor down.
    fn forget_providers_but(&self, labels: &[String]) {
        let conditions: Vec<_> = labels.iter().map(|label| provider_condition(label)).collect();
        let is_provider = |name: &str| name.starts_with(&provider_condition(""));
        self.world.readiness.keep_conditions(|name| !is_provider(name) || conditions.iter().any(|kept| kept == name));
        self.world.metrics.keep_providers(labels);
    }
}
