//! How many callbacks may spend a code, and how many logouts of providers are looked at: each costs work, and anybody can
//! ask for it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A bucket that fills at a steady rate; after a quiet time as many may come at once as else in a second.
#[derive(Debug, Default)]
pub(super) struct Rate(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Duration,
}

impl Default for Bucket {
    fn default() -> Self {
        // As full as the rate allows.
        Self { left: f64::INFINITY, filled: Duration::ZERO }
    }
}

impl Rate {
    /// Whether one more may go on now, at so many a second whoever asks; `now` is monotonic.
    pub(super) fn admits(&self, per_second: usize, now: Duration) -> bool {
        let per_second = f64::from(u32::try_from(per_second).unwrap_or(u32::MAX));
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_sub(bucket.filled);
        bucket.left = (bucket.left + since.as_secs_f64() * per_second).min(per_second);
        bucket.filled = bucket.filled.max(now);
        let admitted = bucket.left >= 1.0;
        if admitted {
            bucket.left -= 1.0;
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_in_and_then_two_hundred_a_second() {
        let rate = Rate::default();
        let admitted = |now| (0..1000).filter(|_| rate.admits(200, now)).count();
        assert_eq!(admitted(Duration::from_secs(5)), 200);
        assert_eq!(admitted(Duration::from_millis(5500)), 100);
        assert_eq!(admitted(Duration::from_secs(60)), 200);
        assert_eq!(admitted(Duration::from_secs(59)), 0, "time that goes back fills nothing");
    }
}
