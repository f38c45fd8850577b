//! What the tests of this room share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::entropy::{Entropy, NoEntropy};

/// A clock whose two faces move apart, as they do when somebody sets the system's time.
#[derive(Debug)]
pub(super) struct TestClock {
    wall: AtomicU64,
    monotonic: AtomicU64,
}

impl TestClock {
    /// Shows `seconds` since the epoch.
    pub(super) const fn at(seconds: u64) -> Self {
        Self { wall: AtomicU64::new(seconds), monotonic: AtomicU64::new(1_000) }
    }

    /// Time passes.
    pub(super) fn pass(&self, seconds: u64) {
        self.wall.fetch_add(seconds, Ordering::SeqCst);
        self.monotonic.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Somebody sets the wall clock; no time passes.
    pub(super) fn jump(&self, seconds: i64) {
        let jumped = self.wall.load(Ordering::SeqCst).saturating_add_signed(seconds);
        self.wall.store(jumped, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.wall.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.monotonic.load(Ordering::SeqCst))
    }
}

/// Entropy that counts: no two draws are the same, and every run draws the same.
#[derive(Debug, Default)]
pub(super) struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (at, byte) in bytes.iter_mut().enumerate() {
            *byte = number[7 - at % 8].wrapping_add(u8::try_from(at / 8).unwrap());
        }
        Ok(())
    }
}

/// A source that is never there.
#[derive(Debug)]
pub(super) struct Exhausted;

impl Entropy for Exhausted {
    fn fill(&self, _: &mut [u8]) -> Result<(), NoEntropy> {
        Err(NoEntropy)
    }
}

/// Bytes from hexadecimal.
pub(super) fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap()).collect()
}

/// Hexadecimal from bytes.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
