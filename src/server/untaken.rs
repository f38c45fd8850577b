//! The answers of one HTTP/2 connection that wait for their peer: whoever opens no window for them is found by it.
//!
//! With HTTP/1 the socket itself does not take the bytes then. Here it takes those of other answers, so each one is
//! watched for itself. What is counted are looks, not times: the connection's timer makes one each time that it fires.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::occupancy::Occupancy;

/// After so many looks an answer counts as one that is not taken.
const PATIENCE: u64 = 2;

/// The answers that wait.
#[derive(Debug, Default)]
pub(super) struct Untaken {
    waiting: Mutex<HashMap<u64, u64>>,
    looks: AtomicU64,
    numbers: AtomicU64,
}

/// One answer's part in it.
#[derive(Debug)]
pub(super) struct Taking {
    occupancy: Arc<Occupancy>,
    number: u64,
}

impl Untaken {
    /// Looks at all who wait; true when one of them has waited for the whole time between two looks.
    pub(super) fn look(&self) -> bool {
        let now = self.looks.fetch_add(1, Ordering::Relaxed) + 1;
        self.waiting().values().any(|since| now - since >= PATIENCE)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, u64>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taking {
    /// An answer whose head is on its way: it waits until its body is asked for.
    pub(super) fn new(occupancy: Arc<Occupancy>) -> Self {
        let number = occupancy.untaken().numbers.fetch_add(1, Ordering::Relaxed);
        let taking = Self { occupancy, number };
        taking.handed_over();
        taking
    }

    /// A part has been handed over: from now on it is the peer's turn.
    pub(super) fn handed_over(&self) {
        let untaken = self.occupancy.untaken();
        let now = untaken.looks.load(Ordering::Relaxed);
        untaken.waiting().insert(self.number, now);
    }

    /// The peer has room for more.
    pub(super) fn asked_for(&self) {
        self.occupancy.untaken().waiting().remove(&self.number);
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.asked_for();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h2_07_only_an_answer_that_is_not_taken_between_two_looks_is_found() {
        let occupancy = Arc::new(Occupancy::default());
        let look = || occupancy.untaken().look();
        let silent = Taking::new(Arc::clone(&occupancy));
        silent.asked_for();
        assert!(!look() && !look() && !look(), "it is the application that is silent");
        let moving = Taking::new(Arc::clone(&occupancy));
        for _ in 0..4 {
            moving.handed_over();
            assert!(!look());
            moving.asked_for();
        }
        let stuck = Taking::new(Arc::clone(&occupancy));
        assert!(!look());
        assert!(look());
        drop(stuck);
        assert!(!look() && occupancy.untaken().waiting().is_empty());
    }
}
