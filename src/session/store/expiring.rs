//! Maps of things that are forgotten by themselves.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// Now, on both faces of the clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    wall: Timestamp,
    monotonic: u64,
}

impl Moment {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), monotonic: clock.monotonic().as_secs() }
    }

    /// The deadline that is reached when the wall clock shows `wall`, and no later than the time until then has really
    /// passed: setting the clock back makes nothing live longer.
    pub(super) fn until(self, wall: Timestamp) -> Deadline {
        let left = wall.since(self.wall).as_secs();
        Deadline { wall, monotonic: self.monotonic.saturating_add(left) }
    }

    /// The deadline after `duration`, whatever the wall clock is set to.
    pub(super) const fn after(self, duration: Duration) -> Deadline {
        Deadline { wall: Timestamp::MAX, monotonic: self.monotonic.saturating_add(duration.as_secs()) }
    }
}

/// When something is forgotten.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    wall: Timestamp,
    monotonic: u64,
}

impl Deadline {
    /// The one of the two that is reached first, on either face of the clock.
    pub(super) fn sooner(self, other: Self) -> Self {
        Self { wall: self.wall.min(other.wall), monotonic: self.monotonic.min(other.monotonic) }
    }

    pub(super) fn has_passed(self, now: Moment) -> bool {
        now.wall >= self.wall || now.monotonic >= self.monotonic
    }
}

/// A map whose entries pass away.
#[derive(Debug)]
pub(super) struct Expiring<K, V> {
    entries: HashMap<K, (V, Deadline)>,
}

impl<K, V> Default for Expiring<K, V> {
    fn default() -> Self {
        Self { entries: HashMap::new() }
    }
}

impl<K: Eq + Hash, V> Expiring<K, V> {
    pub(super) fn find(&self, key: &K, now: Moment) -> Option<&V> {
        self.entries.get(key).filter(|(_, deadline)| !deadline.has_passed(now)).map(|(value, _)| value)
    }

    pub(super) fn put(&mut self, key: K, value: V, deadline: Deadline) {
        self.entries.insert(key, (value, deadline));
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Forgets what has passed, and gives memory back once most of it is free.
    pub(super) fn sweep(&mut self, now: Moment) {
        self.entries.retain(|_, (_, deadline)| !deadline.has_passed(now));
        if self.entries.capacity() > 64 && self.entries.len() < self.entries.capacity() / 4 {
            self.entries.shrink_to_fit();
        }
    }

    /// How many entries take up room, passed ones included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::TestClock;

    #[test]
    fn entries_pass_away_on_either_face_of_the_clock() {
        let clock = TestClock::at(1_000);
        let mut map = Expiring::default();
        let now = || Moment::of(&clock);
        map.put("a", 1, now().until(Timestamp::from_seconds(1_010)));
        clock.pass(9);
        assert_eq!(map.find(&"a", now()), Some(&1));
        clock.jump(-1_000);
        assert_eq!(map.find(&"a", now()), Some(&1));
        clock.pass(1);
        assert_eq!(map.find(&"a", now()), None, "ten seconds have really passed");
        assert_eq!(map.len(), 1);
        map.sweep(now());
        assert_eq!(map.len(), 0);
    }

    #[test]
    fn what_lasts_for_a_while_does_not_care_about_the_wall_clock() {
        let clock = TestClock::at(1_000);
        let deadline = Moment::of(&clock).after(Duration::from_secs(15));
        clock.jump(1_000_000);
        assert!(!deadline.has_passed(Moment::of(&clock)));
        clock.pass(15);
        assert!(deadline.has_passed(Moment::of(&clock)));
    }
}
