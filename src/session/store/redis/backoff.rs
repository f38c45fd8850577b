//! How long to wait before the next attempt.

use std::time::Duration;

use crate::entropy::{Entropy, SystemEntropy, draw};

const FIRST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(2);

/// Pauses that double, and are spread so that replicas do not come all at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It has worked.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after another failure: half of the pause for certain, the other half by chance.
    pub(super) fn next(&mut self) -> Duration {
        let pause = FIRST.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        spread(pause, &SystemEntropy)
    }
}

/// Without randomness everybody waits the whole pause: jitter protects the server, not a secret.
fn spread(pause: Duration, entropy: &dyn Entropy) -> Duration {
    let [chance] = draw::<1>(entropy).unwrap_or([255]);
    pause / 2 + pause / 2 * u32::from(chance) / 255
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_two_seconds_and_begin_again() {
        let mut backoff = Backoff::default();
        let within = |pause: Duration, whole: u64| {
            let whole = Duration::from_millis(whole);
            assert!(pause >= whole / 2 && pause <= whole, "{pause:?}");
        };
        for whole in [50, 100, 200, 400, 800, 1_600, 2_000, 2_000] {
            within(backoff.next(), whole);
        }
        backoff.reset();
        within(backoff.next(), 50);
    }

    #[test]
    fn without_randomness_the_pause_is_whole() {
        assert_eq!(spread(LONGEST, &crate::session::testing::Exhausted), LONGEST);
    }
}
