//! What everybody in a schedule shares: one time, one chance, what has happened, and a trace of it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::chance::Chance;
use super::ledger::Ledger;
use crate::clock::{Clock, Timestamp};

/// What the wall clock shows at the beginning of every schedule.
const BEGINNING: u64 = 1_800_000_000;

pub(super) struct World {
    start: Instant,
    pub(super) chance: Arc<Chance>,
    pub(super) ledger: Mutex<Ledger>,
    /// Kept only by a run that is to be read: writing it costs more than the schedule.
    trace: Option<Mutex<Vec<String>>>,
}

impl World {
    #[expect(clippy::disallowed_methods, reason = "the paused clock of the runtime is the time of the world")]
    pub(super) fn new(seed: u64, traced: bool) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            chance: Arc::new(Chance::new(seed)),
            ledger: Mutex::default(),
            trace: traced.then(Mutex::default),
        })
    }

    /// Milliseconds since the beginning.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap()
    }

    /// The wall clock that is right.
    pub(super) fn wall(&self) -> Timestamp {
        Timestamp::from_seconds(BEGINNING + self.now() / 1000)
    }

    pub(super) fn say(&self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.lock().unwrap().push(format!("{:>9} ms  {}", self.now(), line()));
        }
    }

    pub(super) fn trace(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| trace.lock().unwrap().clone()).unwrap_or_default()
    }

    /// An invariant does not hold.
    pub(super) fn violated(&self, what: String) {
        self.say(|| format!("VIOLATED {what}"));
        self.ledger.lock().unwrap().violations.push(what);
    }
}

/// The clock of one replica: the time of the world, and how far it has been set wrong.
pub(super) struct SkewedClock {
    world: Arc<World>,
    ahead: AtomicI64,
    /// Where its monotonic clock began.
    booted: Duration,
}

impl SkewedClock {
    pub(super) fn new(world: &Arc<World>, ahead: i64, booted: Duration) -> Arc<Self> {
        Arc::new(Self { world: Arc::clone(world), ahead: AtomicI64::new(ahead), booted })
    }

    /// Somebody sets it.
    pub(super) fn set_ahead(&self, seconds: i64) {
        self.ahead.store(seconds, Ordering::SeqCst);
    }

    pub(super) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::SeqCst)
    }
}

impl Clock for SkewedClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.world.wall().as_seconds().saturating_add_signed(self.ahead()))
    }

    fn monotonic(&self) -> Duration {
        self.booted + self.world.start.elapsed()
    }
}
