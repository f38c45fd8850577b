//! Time as a value that is handed in: the one place that reads the system's clocks.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in time in whole seconds since the Unix epoch.
///
/// Arithmetic saturates at both ends: a hostile `exp` of 2^63 is far away, never a small number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const EPOCH: Self = Self(0);
    /// Later than everything.
    pub const MAX: Self = Self(u64::MAX);

    /// The time `seconds` after the epoch.
    #[must_use]
    pub const fn from_seconds(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn as_seconds(self) -> u64 {
        self.0
    }

    /// This time plus `duration`, in whole seconds; saturates.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// This time less `duration`, in whole seconds; saturates at the epoch.
    #[must_use]
    pub const fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl Timestamp {
    /// As in RFC 3339, in UTC; what lies beyond the year 9999 is its end.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.civil().to_string()
    }

    /// For people, in UTC.
    #[must_use]
    pub fn in_words(self) -> String {
        self.civil().strftime("%-d %b %Y, %H:%M UTC").to_string()
    }

    fn civil(self) -> jiff::Timestamp {
        let seconds = i64::try_from(self.0).ok();
        seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok()).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// Where the time comes from.
///
/// `now` is wall-clock time and may jump; `monotonic` only measures how long something took.
pub trait Clock: Send + Sync + 'static {
    /// Wall-clock time.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;
    /// Wall-clock time in milliseconds since the epoch, for log lines.
    fn now_millis(&self) -> u64 {
        self.now().as_seconds().saturating_mul(1000)
    }
}

/// The system's clocks.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    fn since_epoch() -> Duration {
        // A clock before 1970 reads as the epoch: everything has expired then, which fails closed.
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(Self::since_epoch().as_secs())
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn now_millis(&self) -> u64 {
        u64::try_from(Self::since_epoch().as_millis()).unwrap_or(u64::MAX)
    }
}

/// A clock that stands still until it is moved: for tests and simulations.
#[derive(Debug, Default)]
pub struct ManualClock {
    seconds: AtomicU64,
}

impl ManualClock {
    /// A clock that shows `now`.
    #[must_use]
    pub const fn at(now: Timestamp) -> Self {
        Self { seconds: AtomicU64::new(now.0) }
    }

    /// Shows `now` from here on; it may lie in the past.
    pub fn set(&self, now: Timestamp) {
        self.seconds.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.set(self.now().plus(duration));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.seconds.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(self.seconds.load(Ordering::SeqCst))
    }
}

/// The system's clock, moved by an offset that tests set: timers of the runtime stay real while the program believes
/// that hours have passed.
#[derive(Debug, Default)]
pub struct OffsetClock {
    system: SystemClock,
    ahead: AtomicU64,
    behind: AtomicU64,
}

impl OffsetClock {
    /// Moves the clock forward.
    pub fn advance(&self, duration: Duration) {
        self.ahead.fetch_add(duration.as_secs(), Ordering::SeqCst);
    }

    /// Moves the clock back.
    pub fn rewind(&self, duration: Duration) {
        self.behind.fetch_add(duration.as_secs(), Ordering::SeqCst);
    }
}

impl Clock for OffsetClock {
    fn now(&self) -> Timestamp {
        let ahead = self.ahead.load(Ordering::SeqCst);
        let behind = self.behind.load(Ordering::SeqCst);
        Timestamp(self.system.now().0.saturating_add(ahead).saturating_sub(behind))
    }

    fn monotonic(&self) -> Duration {
        self.system.monotonic()
    }
}
