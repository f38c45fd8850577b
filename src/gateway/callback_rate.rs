//! How many callbacks may spend a code: each costs a marker and a call to the provider, and anybody can make one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A bucket that fills at a steady rate; after a quiet time as many may come at once as else in a second.
#[derive(Debug)]
pub(super) struct CallbackRate {
    per_second: f64,
    bucket: Mutex<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    filled: Duration,
}

impl CallbackRate {
    /// Lets so many codes be spent per second, over all browsers.
    pub(super) fn new(per_second: usize) -> Self {
        let per_second = f64::from(u32::try_from(per_second).unwrap_or(u32::MAX));
        Self { per_second, bucket: Mutex::new(Bucket { left: per_second, filled: Duration::ZERO }) }
    }

    /// Whether one more may go on now; `now` is monotonic.
    pub(super) fn admits(&self, now: Duration) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let since = now.saturating_sub(bucket.filled);
        bucket.left = (bucket.left + since.as_secs_f64() * self.per_second).min(self.per_second);
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
        let rate = CallbackRate::new(200);
        let admitted = |now| (0..1000).filter(|_| rate.admits(now)).count();
        assert_eq!(admitted(Duration::from_secs(5)), 200);
        assert_eq!(admitted(Duration::from_millis(5500)), 100);
        assert_eq!(admitted(Duration::from_secs(60)), 200);
        assert_eq!(admitted(Duration::from_secs(59)), 0, "time that goes back fills nothing");
    }
}
