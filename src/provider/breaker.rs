//! A circuit breaker: after repeated failures an endpoint is left alone for a moment, then asked by one call first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::provider::backoff;

/// Consecutive failures that open the circuit.
const THRESHOLD: u32 = 5;
/// The first pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The breaker of one endpoint. Times are monotonic.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// How often it has opened since the last success.
    openings: u32,
    open_until: Option<Duration>,
    probing: bool,
}

/// Leave to make one call. Dropped without a verdict (the caller has gone), it counts as nothing.
#[derive(Debug)]
pub(crate) struct Admission<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Breaker {
    /// Leave to call now, unless the circuit is open. After the pause one call is admitted; the others follow once it
    /// has succeeded.
    pub(crate) fn admit(&self, now: Duration) -> Option<Admission<'_>> {
        let mut state = self.state();
        let probe = match state.open_until {
            None => false,
            Some(until) if now < until || state.probing => return None,
            Some(_) => true,
        };
        state.probing = probe;
        Some(Admission { breaker: self, probe })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is plain numbers; a panic elsewhere leaves none of them half written.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Admission<'_> {
    /// The endpoint has answered.
    pub(crate) fn succeeded(self) {
        *self.breaker.state() = State::default();
    }

    /// The endpoint has failed. `jitter` spreads the pause; `retry_after` is what the endpoint asked for.
    pub(crate) fn failed(self, now: Duration, jitter: impl Fn(Duration) -> Duration, retry_after: Option<Duration>) {
        let mut state = self.breaker.state();
        state.failures = state.failures.saturating_add(1);
        // Calls that were under way when it opened do not open it again; the probe does.
        if (state.open_until.is_none() && state.failures >= THRESHOLD) || self.probe {
            let pause = jitter(backoff::exponential(FIRST_PAUSE, state.openings, LONGEST_PAUSE));
            let pause = pause.max(retry_after.unwrap_or_default()).min(LONGEST_PAUSE);
            state.openings = state.openings.saturating_add(1);
            state.open_until = Some(now.saturating_add(pause));
        }
    }
}

impl Drop for Admission<'_> {
    fn drop(&mut self) {
        if self.probe {
            self.breaker.state().probing = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn fail(breaker: &Breaker, now: u64) {
        breaker.admit(at(now)).unwrap().failed(at(now), |wait| wait, None);
    }

    #[test]
    fn if_03_repeated_failures_open_it_and_one_probe_decides() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| fail(&breaker, 0));
        assert!(breaker.admit(Duration::from_millis(999)).is_none());
        let probe = breaker.admit(at(1)).unwrap();
        assert!(breaker.admit(at(1)).is_none(), "one probe at a time");
        probe.failed(at(1), |wait| wait, None);
        assert!(breaker.admit(at(2)).is_none(), "the second pause is twice as long");
        breaker.admit(at(3)).unwrap().succeeded();
        assert!(breaker.admit(at(3)).is_some() && breaker.admit(at(3)).is_some());
    }

    #[test]
    fn a_success_between_failures_keeps_it_closed() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            (0..4).for_each(|_| fail(&breaker, 0));
            breaker.admit(at(0)).unwrap().succeeded();
        }
        assert!(breaker.admit(at(0)).is_some());
    }

    #[test]
    fn if_03_retry_after_lengthens_the_pause_up_to_the_bound() {
        for (asked, pause) in [(7, 7), (3600, 30)] {
            let breaker = Breaker::default();
            (0..4).for_each(|_| fail(&breaker, 0));
            breaker.admit(at(0)).unwrap().failed(at(0), |wait| wait, Some(at(asked)));
            assert!(breaker.admit(at(pause - 1)).is_none());
            assert!(breaker.admit(at(pause)).is_some());
        }
    }

    #[test]
    fn a_probe_whose_caller_has_gone_leaves_room_for_the_next() {
        let breaker = Breaker::default();
        (0..5).for_each(|_| fail(&breaker, 0));
        drop(breaker.admit(at(1)).unwrap());
        assert!(breaker.admit(at(1)).is_some());
    }
}
