//! How long to wait before trying again: doubling, bounded, and not everybody at the same moment.

use std::time::Duration;

use crate::entropy::{self, Entropy};

/// `first`, doubled once per failure before, at most `longest`.
pub(crate) fn exponential(first: Duration, failures_before: u32, longest: Duration) -> Duration {
    let factor = 1_u32.checked_shl(failures_before).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

/// `wait`, moved by up to a fifth in either direction. Without randomness it stays as it is: jitter protects nobody's
/// secret.
pub(crate) fn jittered(wait: Duration, entropy: &dyn Entropy) -> Duration {
    let Ok(bytes) = entropy::draw::<2>(entropy) else { return wait };
    let fraction = f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX);
    wait.mul_f64(0.8 + 0.4 * fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::NoEntropy;

    struct Fixed(Result<u8, NoEntropy>);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
            bytes.fill(self.0?);
            Ok(())
        }
    }

    #[test]
    fn waits_double_up_to_a_bound() {
        let wait = |failures| exponential(Duration::from_secs(1), failures, Duration::from_secs(30)).as_secs();
        assert_eq!([0, 1, 4, 5, 31, 32, 1000].map(wait), [1, 2, 16, 30, 30, 30, 30]);
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let wait = |source| jittered(Duration::from_secs(10), &Fixed(source)).as_millis();
        assert_eq!((wait(Ok(0)), wait(Ok(255)), wait(Err(NoEntropy))), (8000, 12_000, 10_000));
    }
}
