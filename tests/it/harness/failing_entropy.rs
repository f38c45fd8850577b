//! Randomness that runs out when told to.

use std::sync::atomic::{AtomicBool, Ordering};

use vestibule::entropy::{Entropy, NoEntropy, SystemEntropy};

/// The source of the program with a switch in front of it.
#[derive(Debug, Default)]
pub struct FailingEntropy(AtomicBool);

impl FailingEntropy {
    /// Whether it fails from here on.
    pub fn fail(&self, fails: bool) {
        self.0.store(fails, Ordering::SeqCst);
    }
}

impl Entropy for FailingEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        if self.0.load(Ordering::SeqCst) { Err(NoEntropy) } else { SystemEntropy.fill(bytes) }
    }
}
