//! The store that `[session].store` names, opened, and what it says about itself passed on.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntGauge;

use super::{StartError, World};
use crate::admin::readiness::Condition;
use crate::session::settings::StoreSettings;
use crate::session::store::SessionStore;
use crate::session::store::file::FileStore;
use crate::session::store::memory::MemoryStore;
use crate::session::store::redis::RedisStore;

/// Servers that are away at the start are asked again after this.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// An open store.
pub(super) struct OpenStore {
    pub(super) store: Arc<dyn SessionStore>,
    /// The same, where its credentials may change.
    redis: Option<Arc<RedisStore>>,
}

impl From<Arc<dyn SessionStore>> for OpenStore {
    fn from(store: Arc<dyn SessionStore>) -> Self {
        Self { store, redis: None }
    }
}

impl OpenStore {
    /// Opens what the settings name. Redis is not waited for: that it is away at the start is as if it went away later.
    pub(super) fn open(settings: &StoreSettings, namespace: &str, world: &World) -> Result<Self, StartError> {
        let clock = Arc::clone(&world.clock);
        Ok(match settings {
            StoreSettings::Memory { max_sessions } => {
                Self::from(Arc::new(MemoryStore::new(*max_sessions, clock)) as Arc<_>)
            }
            StoreSettings::File { directory } => Self::from(Arc::new(FileStore::open(directory, clock)?) as Arc<_>),
            StoreSettings::Redis(settings) => {
                let redis = RedisStore::new(settings.clone(), namespace, clock)?;
                Self { store: Arc::clone(&redis) as Arc<_>, redis: Some(redis) }
            }
        })
    }

    /// Has the log say once what is worth knowing about the servers, as soon as they are there to be asked.
    pub(super) async fn look_over(redis: Arc<RedisStore>) {
        while let Err(denied) = redis.check().await {
            if denied.failure.is_an_answer() {
                tracing::error!(event = "store.not-permitted", failure = %denied);
                return;
            }
            // One that is away says so by itself.
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// The store, where it is one of servers.
    pub(super) fn redis(&self) -> Option<Arc<RedisStore>> {
        self.redis.clone()
    }

    /// Takes up credentials and certificates that may have changed.
    ///
    /// # Errors
    /// [`StartError::RedisStore`] when they cannot be used; those in force stay.
    pub(super) fn renew(&self, settings: &StoreSettings) -> Result<(), StartError> {
        if let (Some(redis), StoreSettings::Redis(settings)) = (&self.redis, settings) {
            redis.renew(settings.access.clone())?;
        }
        Ok(())
    }
}

/// Shows how the store is for as long as it says so.
pub(super) async fn follow(store: Arc<dyn SessionStore>, condition: Condition, up: IntGauge, deaf: IntGauge) {
    let mut state = store.state();
    loop {
        let now = *state.borrow_and_update();
        condition.set(now.available);
        up.set(i64::from(now.available));
        deaf.set(i64::from(now.deaf_since.is_some()));
        if state.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}
