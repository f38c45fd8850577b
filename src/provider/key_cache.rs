//! The provider's keys: fetched once for everybody, again when they are old or a token names one that is not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::Mutex;
use url::Url;

use crate::clock::{Clock, Timestamp};
use crate::oidc::jwk_set::{JwkSet, JwkSetError};
use crate::provider::observer::{CallOutcome, EndpointKind};
use crate::provider::transport::{ContentType, MAX_BODY, Transport};

/// Keys are used this long without asking again.
const FRESH: Duration = Duration::from_secs(3600);
/// While the provider does not answer, keys are used up to this age.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// Unknown key identifiers, which anyone can make up, lead to one fetch in this time.
const THROTTLE: Duration = Duration::from_secs(30);

/// Keys and when they came.
#[derive(Debug)]
pub(crate) struct CachedKeys {
    pub(crate) keys: JwkSet,
    fetched: Timestamp,
}

impl CachedKeys {
    fn age(&self, now: Timestamp) -> Duration {
        // After a clock has been set back the age is unknown: old enough to ask, young enough to go on with.
        if now < self.fetched { FRESH } else { now.since(self.fetched) }
    }
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("the key set could not be fetched")]
    Call(CallOutcome),
    #[error("the key set is not of a JSON content type")]
    ContentType,
    #[error(transparent)]
    Document(#[from] JwkSetError),
    /// Fetched too short a time ago to be fetched again.
    #[error("the key set has been fetched a moment ago")]
    Throttled,
}

impl KeysError {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Call(outcome) => outcome.as_str(),
            Self::ContentType => "content-type",
            Self::Document(error) => error.reason(),
            Self::Throttled => "throttled",
        }
    }
}

/// The keys of one provider.
#[derive(Debug, Default)]
pub(crate) struct KeyCache {
    current: ArcSwapOption<CachedKeys>,
    /// Counts fetches that failed, so that whoever waited for one does not begin another.
    failures: AtomicU64,
    flight: Mutex<Flight>,
}

#[derive(Debug, Default)]
struct Flight {
    last_failure: Option<(Duration, KeysError)>,
    last_forced: Option<Duration>,
}

/// What it takes to fetch keys.
#[derive(Clone, Copy)]
pub(crate) struct KeySource<'a> {
    pub(crate) transport: &'a Transport,
    pub(crate) jwks_uri: &'a Url,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) provider: &'a str,
}

impl KeyCache {
    /// Begins with the keys that another cache of the same provider has.
    pub(crate) fn inheriting(before: &Self) -> Self {
        Self { current: ArcSwapOption::new(before.current.load_full()), ..Self::default() }
    }

    /// The keys to verify with.
    ///
    /// # Errors
    /// [`KeysError`] when there are none that are less than a day old and the provider does not give any.
    pub(crate) async fn keys(&self, source: &KeySource<'_>) -> Result<Arc<CachedKeys>, KeysError> {
        let young = |keys: &Arc<CachedKeys>, limit| keys.age(source.clock.now()) < limit;
        if let Some(keys) = self.at_hand(source.clock.now()) {
            return Ok(keys);
        }
        let failures = self.failures.load(Ordering::Acquire);
        let mut flight = self.flight.lock().await;
        let present = self.current.load_full();
        if let Some(keys) = present.as_ref().filter(|keys| young(keys, FRESH)) {
            return Ok(Arc::clone(keys));
        }
        let usable = present.filter(|keys| young(keys, STALE));
        let recent = flight.last_failure.filter(|(at, _)| source.clock.monotonic().saturating_sub(*at) < THROTTLE);
        let failed = match recent {
            Some((_, error)) if usable.is_some() || self.failures.load(Ordering::Acquire) != failures => error,
            _ => match self.fetch(source, &mut flight).await {
                Ok(keys) => return Ok(keys),
                Err(error) => {
                    if usable.is_some() {
                        tracing::warn!(
                            event = "provider.keys-stale",
                            provider = source.provider,
                            reason = error.reason()
                        );
                    }
                    error
                }
            },
        };
        usable.ok_or(failed)
    }

    /// The keys to verify with, if nothing has to be fetched for it.
    pub(crate) fn at_hand(&self, now: Timestamp) -> Option<Arc<CachedKeys>> {
        self.current.load_full().filter(|keys| keys.age(now) < FRESH)
    }

    /// Keys that are newer than those with which a token could not be verified.
    ///
    /// # Errors
    /// [`KeysError::Throttled`] when that has been tried a moment ago: the token stays refused.
    pub(crate) async fn newer_than(
        &self,
        seen: &Arc<CachedKeys>,
        source: &KeySource<'_>,
    ) -> Result<Arc<CachedKeys>, KeysError> {
        let mut flight = self.flight.lock().await;
        if let Some(keys) = self.current.load_full().filter(|keys| !Arc::ptr_eq(keys, seen)) {
            return Ok(keys);
        }
        let now = source.clock.monotonic();
        if flight.last_forced.is_some_and(|last| now.saturating_sub(last) < THROTTLE) {
            return Err(KeysError::Throttled);
        }
        // Noted before the fetch: one that is given up half-way counts, too.
        flight.last_forced = Some(now);
        self.fetch(source, &mut flight).await
    }

    async fn fetch(&self, source: &KeySource<'_>, flight: &mut Flight) -> Result<Arc<CachedKeys>, KeysError> {
        match fetch_keys(source).await {
            Ok(keys) => {
                let keys = Arc::new(CachedKeys { keys, fetched: source.clock.now() });
                self.current.store(Some(Arc::clone(&keys)));
                flight.last_failure = None;
                Ok(keys)
            }
            Err(error) => {
                flight.last_failure = Some((source.clock.monotonic(), error));
                self.failures.fetch_add(1, Ordering::AcqRel);
                tracing::warn!(event = "provider.keys", provider = source.provider, reason = error.reason());
                Err(error)
            }
        }
    }
}

/// Fetches a key set, without any cache.
pub(crate) async fn fetch_keys(source: &KeySource<'_>) -> Result<JwkSet, KeysError> {
    let answer = source.transport.get(EndpointKind::Keys, source.jwks_uri, None).await.map_err(KeysError::Call)?;
    match answer.outcome() {
        CallOutcome::Ok => {}
        outcome => return Err(KeysError::Call(outcome)),
    }
    if !matches!(answer.content_type, ContentType::Json | ContentType::JwkSet) {
        return Err(KeysError::ContentType);
    }
    Ok(JwkSet::parse(&answer.body, MAX_BODY)?)
}

#[cfg(test)]
mod tests;
