//! Whether requests may come, and what is away.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::clock::Timestamp;

/// The life of the process, in the only direction it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Listeners are being bound and the provider's metadata is being fetched.
    Starting = 0,
    /// Requests may come.
    Ready = 1,
    /// The process ends; no new requests, please.
    Draining = 2,
}

/// The state behind `/readyz`.
///
/// Once ready it stays so until the process drains: what is shared by all replicas (provider, store) may be away,
/// and taking every replica out of service would make that worse. `?verbose` says what is away.
#[derive(Debug, Default)]
pub struct Readiness {
    phase: AtomicU8,
    started: watch::Sender<bool>,
    conditions: Mutex<Vec<(String, Condition)>>,
    in_force: Mutex<Option<InForce>>,
}

/// Which configuration is in force: enough to compare replicas by, and nothing of what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InForce {
    /// The beginning of the file's SHA-256.
    pub digest: String,
    /// Counts the configurations of this process; it moves with the files that the configuration names, too.
    pub generation: u64,
    /// When it came into force.
    pub since: Timestamp,
    /// Whether a newer one has been refused since.
    pub refused: bool,
}

/// Whether one thing the gateway leans on is there; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Condition(Arc<AtomicBool>);

impl Condition {
    /// Says whether it is there.
    pub fn set(&self, there: bool) {
        self.0.store(there, Ordering::Relaxed);
    }

    /// Whether it is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Readiness {
    /// Starting, with no conditions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The start is over; without effect once draining.
    pub fn set_ready(&self) {
        self.phase.fetch_max(Phase::Ready as u8, Ordering::AcqRel);
        self.started.send_replace(true);
    }

    /// Returns when the start is over.
    pub async fn started(&self) {
        // The sender lives as long as `self`, so this ends with the start and not with an error.
        let _ = self.started.subscribe().wait_for(|started| *started).await;
    }

    /// The process is about to end.
    pub fn set_draining(&self) {
        self.phase.fetch_max(Phase::Draining as u8, Ordering::AcqRel);
    }

    /// Where in its life the process is.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Ready,
            _ => Phase::Draining,
        }
    }

    /// A condition to show under `name`, away until it is set; the same name is the same condition.
    ///
    /// Names are shown to whoever reaches the listener: labels of the operator, never hosts or URLs.
    pub fn condition(&self, name: &str) -> Condition {
        let mut conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, condition)) = conditions.iter().find(|(known, _)| known == name) {
            return condition.clone();
        }
        let condition = Condition::default();
        conditions.push((name.to_owned(), condition.clone()));
        condition
    }

    /// Shows only those conditions whose names `keep` wants; clones of the others go on without being seen.
    pub fn keep_conditions(&self, keep: impl Fn(&str) -> bool) {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner).retain(|(name, _)| keep(name));
    }

    /// A configuration has come into force.
    pub fn set_in_force(&self, digest: String, since: Timestamp) {
        let mut in_force = self.in_force.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = in_force.as_ref().map_or(0, |before| before.generation) + 1;
        *in_force = Some(InForce { digest, generation, since, refused: false });
    }

    /// Whether the last attempt to bring another one into force was refused.
    pub fn set_refused(&self, refused: bool) {
        if let Some(in_force) = &mut *self.in_force.lock().unwrap_or_else(PoisonError::into_inner) {
            in_force.refused = refused;
        }
    }

    /// The configuration in force, if it comes from a file.
    #[must_use]
    pub fn in_force(&self) -> Option<InForce> {
        self.in_force.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every condition by its name, in the order they were made.
    #[must_use]
    pub fn conditions(&self) -> Vec<(String, bool)> {
        let conditions = self.conditions.lock().unwrap_or_else(PoisonError::into_inner);
        conditions.iter().map(|(name, condition)| (name.clone(), condition.is_there())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn the_phase_never_goes_back() {
        let readiness = Readiness::new();
        assert_eq!(readiness.phase(), Phase::Starting);
        readiness.set_ready();
        assert_eq!(readiness.phase(), Phase::Ready);
        readiness.set_draining();
        readiness.set_ready();
        assert_eq!(readiness.phase(), Phase::Draining);
    }

    #[test]
    fn the_end_of_the_start_can_be_waited_for() {
        let readiness = Readiness::new();
        let mut waiting = Box::pin(readiness.started());
        assert!((&mut waiting).now_or_never().is_none());
        readiness.set_ready();
        assert!(waiting.now_or_never().is_some());
        assert!(readiness.started().now_or_never().is_some(), "and whoever comes late does not wait");
    }

    #[test]
    fn one_name_is_one_condition() {
        let readiness = Readiness::new();
        readiness.condition("store").set(true);
        assert!(readiness.condition("store").is_there());
        readiness.condition("provider corp");
        assert_eq!(readiness.conditions(), [("store".to_owned(), true), ("provider corp".to_owned(), false)]);
    }
}
