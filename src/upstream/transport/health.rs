//! Whether a target is well, from what becomes of requests and from its answers to checks.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::upstream::settings::HealthSettings;

/// A target is left out this many times longer at the most, as failure follows failure.
const LONGEST: u32 = 32;

/// The health of one target.
///
/// It is left out for failed requests (nobody answers, or not in time) for a time, and for failed checks until these
/// succeed again. What an application answers, whatever the status, is no failure of a request.
#[derive(Debug)]
pub(super) struct Health {
    failures: u32,
    successes: u32,
    ejection: Duration,
    /// Nothing is wrong and nothing is counted: the only thing that most requests look at.
    is_spotless: AtomicBool,
    is_out: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    failed_requests: u32,
    failed_checks: u32,
    good_checks: u32,
    is_ejected: bool,
    is_failing: bool,
    /// How much longer than the first time it would be ejected for.
    factor: u32,
}

/// What has become of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing has changed.
    None,
    /// It is left out from now on.
    Out,
    /// It is back.
    Back,
}

impl Health {
    pub(super) const fn new(settings: &HealthSettings) -> Self {
        Self {
            failures: settings.failures,
            successes: settings.successes,
            ejection: settings.ejection,
            is_spotless: AtomicBool::new(true),
            is_out: AtomicBool::new(false),
            state: Mutex::new(State {
                failed_requests: 0,
                failed_checks: 0,
                good_checks: 0,
                is_ejected: false,
                is_failing: false,
                factor: 1,
            }),
        }
    }

    /// Whether it is left out as long as others are well.
    pub(super) fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Acquire)
    }

    /// A request has been answered.
    pub(super) fn answered(&self) -> Change {
        if self.is_spotless.load(Ordering::Acquire) {
            return Change::None;
        }
        self.change(|state, _| {
            state.failed_requests = 0;
            state.factor = 1;
            state.is_ejected = false;
        })
    }

    /// A request has not been answered, or not in time. With a time, that is how long it is left out for:
    /// [`Self::give_another_chance`] is to be called then.
    pub(super) fn failed(&self) -> (Change, Option<Duration>) {
        let mut ejected = None;
        let change = self.change(|state, health| {
            state.failed_requests = state.failed_requests.saturating_add(1);
            if state.failed_requests >= health.failures && !state.is_ejected {
                state.is_ejected = true;
                ejected = Some(health.ejection.saturating_mul(state.factor));
                state.factor = state.factor.saturating_mul(2).min(LONGEST);
            }
        });
        (change, ejected)
    }

    /// The time that it was left out for is over: one failure more, and it is left out again.
    pub(super) fn give_another_chance(&self) -> Change {
        self.change(|state, health| {
            if state.is_ejected {
                state.is_ejected = false;
                state.failed_requests = health.failures.saturating_sub(1);
            }
        })
    }

    /// A check has been answered well, or not.
    pub(super) fn checked(&self, is_good: bool) -> Change {
        if is_good && self.is_spotless.load(Ordering::Acquire) {
            return Change::None;
        }
        self.change(|state, health| {
            if is_good {
                state.failed_checks = 0;
                state.good_checks = state.good_checks.saturating_add(1);
                state.is_failing &= state.good_checks < health.successes;
            } else {
                state.good_checks = 0;
                state.failed_checks = state.failed_checks.saturating_add(1);
                state.is_failing |= state.failed_checks >= health.failures;
            }
        })
    }

    fn change(&self, what: impl FnOnce(&mut State, &Self)) -> Change {
        let mut state = self.state();
        let was_out = state.is_out();
        what(&mut state, self);
        let is_out = state.is_out();
        let nothing_counted = state.failed_requests == 0 && state.failed_checks == 0 && state.factor == 1;
        self.is_spotless.store(!is_out && nothing_counted, Ordering::Release);
        self.is_out.store(is_out, Ordering::Release);
        match (was_out, is_out) {
            (false, true) => Change::Out,
            (true, false) => Change::Back,
            _ => Change::None,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    const fn is_out(&self) -> bool {
        self.is_ejected || self.is_failing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const NOTHING: (Change, Option<Duration>) = (Change::None, None);

    fn health() -> Health {
        Health::new(&HealthSettings { failures: 3, successes: 2, ejection: SECOND, ..HealthSettings::default() })
    }

    #[test]
    fn failures_in_a_row_put_it_out_for_longer_each_time() {
        let health = health();
        for _ in 0..2 {
            assert_eq!(health.failed(), NOTHING);
        }
        assert_eq!(health.answered(), Change::None, "an answer ends the row");
        for _ in 0..2 {
            assert_eq!(health.failed(), NOTHING);
        }
        for seconds in [1, 2, 4, 8, 16, 32, 32] {
            assert_eq!(health.failed(), (Change::Out, Some(seconds * SECOND)));
            assert!(health.is_out());
            assert_eq!(health.failed(), NOTHING, "it is out already");
            assert_eq!(health.give_another_chance(), Change::Back);
        }
        assert_eq!(health.answered(), Change::None);
        for _ in 0..2 {
            assert_eq!(health.failed(), NOTHING);
        }
        assert_eq!(health.failed(), (Change::Out, Some(SECOND)), "an answer makes it as good as new");
    }

    #[test]
    fn an_answer_brings_it_back_at_once() {
        let health = health();
        for _ in 0..3 {
            health.failed();
        }
        assert_eq!(health.answered(), Change::Back);
        assert!(!health.is_out());
        assert_eq!(health.give_another_chance(), Change::None, "its time is over later, and nothing comes of it");
    }

    #[test]
    fn checks_put_it_out_and_bring_it_back() {
        let health = health();
        for good in [true, false, false, true, false, false] {
            assert_eq!(health.checked(good), Change::None);
        }
        assert_eq!(health.checked(false), Change::Out);
        assert_eq!(health.answered(), Change::None, "only checks bring back what checks have put out");
        for good in [true, false, true] {
            assert_eq!(health.checked(good), Change::None);
        }
        assert_eq!(health.checked(true), Change::Back);
        assert!(!health.is_out());
    }

    #[test]
    fn two_reasons_end_one_by_one() {
        let health = health();
        for _ in 0..3 {
            health.failed();
            health.checked(false);
        }
        assert_eq!(health.give_another_chance(), Change::None);
        assert!(health.is_out());
        health.checked(true);
        assert_eq!(health.checked(true), Change::Back);
    }
}
