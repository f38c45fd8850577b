//! How many callbacks may spend a code: each costs a marker and a call to the provider, and anybody can make one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Codes that are spent per second, over all browsers, and how many may come at once after a quiet time.
const PER_SECOND: f64 = 200.0;

/// A bucket that fills at a steady rate.
#[derive(Debug)]
pub(super) struct CallbackRate(Mutex<Bucket>);

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Duration,
}

impl Default for CallbackRate {
    fn default() -> Self {
        Self(Mutex::new(Bucket { left: PER_SECOND, filled: Duration::ZERO }))
    }
}

impl CallbackRate {
    /// Whether one more may go on now; `now` is monotonic.
    pub(super) fn admits(&self, now: Duration) -> bool {
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_sub(bucket.filled);
        bucket.left = (bucket.left + since.as_secs_f64() * PER_SECOND).min(PER_SECOND);
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
        let rate = CallbackRate::default();
        let admitted = |now| (0..1000).filter(|_| rate.admits(now)).count();
        assert_eq!(admitted(Duration::from_secs(5)), 200);
        assert_eq!(admitted(Duration::from_millis(5500)), 100);
        assert_eq!(admitted(Duration::from_secs(60)), 200);
        assert_eq!(admitted(Duration::from_secs(59)), 0, "time that goes back fills nothing");
    }
}
