//! The time by which the file's deadlines are kept: it never goes back, over a restart either.
//!
//! A deadline is written down as this time plus what was left by the wall clock. So when the wall clock is set back
//! nothing lives longer, and when it is set forward what has passed by it has passed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// See the module. In step with the wall clock until that is set back, ahead of it from then on.
pub(super) struct SteadyClock {
    clock: Arc<dyn Clock>,
    /// What is added to the monotonic clock. Only grows.
    offset: AtomicU64,
}

/// One look at the clocks, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    steady: u64,
    wall: Timestamp,
}

impl SteadyClock {
    /// Goes on from where a process before this one was: at the later of the time it noted last, and of the wall
    /// clock's with the lead over it that there was then.
    pub(super) fn resume(clock: Arc<dyn Clock>, noted: u64, lead: u64) -> Self {
        let steady = noted.max(clock.now().as_seconds().saturating_add(lead));
        let offset = steady.saturating_sub(clock.monotonic().as_secs());
        Self { clock, offset: AtomicU64::new(offset) }
    }

    pub(super) fn now(&self) -> Now {
        let (wall, monotonic) = (self.clock.now(), self.clock.monotonic().as_secs());
        let least = wall.as_seconds().saturating_sub(monotonic);
        let offset = self.offset.fetch_max(least, Ordering::SeqCst).max(least);
        Now { steady: monotonic.saturating_add(offset), wall }
    }

    /// Time since some start, to measure how long something took.
    pub(super) fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
}

impl Now {
    /// What to note for the process after this one.
    pub(super) const fn steady(self) -> u64 {
        self.steady
    }

    /// How far this time is ahead of the wall clock. One second is none: the two begin their seconds at different times.
    pub(super) const fn lead(self) -> u64 {
        match self.steady.saturating_sub(self.wall.as_seconds()) {
            1 => 0,
            lead => lead,
        }
    }

    /// The deadline that is as far away as `wall` is by the wall clock.
    pub(super) const fn until(self, wall: Timestamp) -> u64 {
        self.after(wall.since(self.wall))
    }

    /// The deadline after `duration`.
    pub(super) const fn after(self, duration: Duration) -> u64 {
        self.steady.saturating_add(duration.as_secs())
    }

    /// Whether a deadline has been reached.
    pub(super) const fn is_past(self, deadline: u64) -> bool {
        self.steady >= deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::TestClock;

    const START: u64 = 1_800_000_000;

    fn resumed(seconds: u64, noted: u64, lead: u64) -> (Arc<TestClock>, SteadyClock) {
        let clock = Arc::new(TestClock::at(seconds));
        (Arc::clone(&clock), SteadyClock::resume(clock, noted, lead))
    }

    #[test]
    fn it_is_the_wall_clock_while_nobody_sets_it() {
        let (clock, steady) = resumed(START, 0, 0);
        assert_eq!(steady.now(), Now { steady: START, wall: Timestamp::from_seconds(START) });
        clock.pass(10);
        assert_eq!((steady.now().steady(), steady.now().lead()), (START + 10, 0));
    }

    #[test]
    fn ss_08_set_back_it_goes_on_and_set_forward_it_follows() {
        let (clock, steady) = resumed(START, 0, 0);
        let deadline = steady.now().until(Timestamp::from_seconds(START + 100));
        clock.jump(-50 * 365 * 86_400);
        clock.pass(99);
        assert!(!steady.now().is_past(deadline));
        clock.pass(1);
        assert!(steady.now().is_past(deadline), "a hundred seconds have really passed");
        clock.jump(100 * 365 * 86_400);
        assert_eq!(steady.now().lead(), 0);
        let later = steady.now().after(Duration::from_secs(10));
        clock.jump(-50 * 365 * 86_400);
        assert!(!steady.now().is_past(later), "what is new lives as long as it should under any clock");
        clock.pass(10);
        assert!(steady.now().is_past(later));
    }

    #[test]
    fn ss_08_a_restart_goes_on_where_the_process_before_was() {
        let (_, earlier) = resumed(START, START + 500, 0);
        assert_eq!(earlier.now().steady(), START + 500, "the clock was set back while nothing ran");
        let (_, down) = resumed(START + 1_000, START + 100, 100);
        assert_eq!(down.now().steady(), START + 1_100, "the time in between counts");
        let (_, far) = resumed(START, u64::MAX, u64::MAX);
        assert!(far.now().is_past(u64::MAX - 1));
    }
}
