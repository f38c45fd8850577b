//! What is put up with from the one who sends a body: how much, and how slowly.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use prometheus::IntCounter;
use tokio::time::Sleep;

use crate::clock::Clock;

/// The most silence that may be saved up by sending fast: whoever has sent a lot may not be silent for hours.
const MOST_CREDIT: Duration = Duration::from_secs(30);

/// Limits on bodies of requests, with the counters of what they have cut.
#[derive(Clone, Debug)]
pub struct BodyLimits {
    /// The most bytes; `None`: any number.
    pub bytes: Option<u64>,
    /// The fewest bytes a second while they are waited for; `None`: any pace.
    pub rate: Option<u64>,
    /// How long a body may be silent before its pace counts.
    pub grace: Duration,
    /// Bodies that were too large.
    pub too_large: IntCounter,
    /// Bodies that were too slow.
    pub too_slow: IntCounter,
}

/// A body that has gone beyond a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyRefused {
    /// Too many bytes (413).
    #[error("the body of the request is larger than is let through")]
    TooLarge,
    /// Too few bytes a second (408).
    #[error("the body of the request comes too slowly")]
    TooSlow,
}

/// How much of the limits one body has used up.
pub(super) struct Allowance {
    left: Option<u64>,
    pace: Option<Pace>,
    limits: Arc<BodyLimits>,
}

/// Only time that is spent waiting for the sender counts: a sender that we hold back, because the application does not
/// read, is not waited for.
struct Pace {
    rate: u64,
    clock: Arc<dyn Clock>,
    /// How much longer it may be waited for. Bytes add to it.
    credit: Duration,
    /// Since when it is waited for now, and until when.
    waiting: Option<(Duration, Pin<Box<Sleep>>)>,
}

impl Allowance {
    /// For a body that may be limited; `headers` are those of its request.
    pub(super) fn new(limits: &Arc<BodyLimits>, clock: &Arc<dyn Clock>, headers: &HeaderMap) -> Self {
        // gRPC streams are silent for hours, and their answer begins when it likes.
        let rate = limits.rate.filter(|_| !is_grpc(headers));
        let pace = rate.map(|rate| Pace { rate, clock: Arc::clone(clock), credit: limits.grace, waiting: None });
        Self { left: limits.bytes, pace, limits: Arc::clone(limits) }
    }

    /// Notes that bytes have come.
    pub(super) fn received(&mut self, bytes: u64) -> Result<(), BodyRefused> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(bytes).ok_or_else(|| self.limits.refused(BodyRefused::TooLarge))?;
        }
        if let Some(pace) = &mut self.pace {
            pace.received(bytes);
        }
        Ok(())
    }

    /// Waits for bytes: ready when that takes too long. Once the answer has begun (`answered`) the pace is the
    /// application's matter.
    pub(super) fn poll_patience(&mut self, cx: &mut Context<'_>, answered: bool) -> Poll<BodyRefused> {
        match &mut self.pace {
            Some(_) if answered => self.pace = None,
            Some(pace) => return pace.poll(cx).map(|()| self.limits.refused(BodyRefused::TooSlow)),
            None => {}
        }
        Poll::Pending
    }
}

impl Pace {
    fn received(&mut self, bytes: u64) {
        if let Some((since, _)) = self.waiting.take() {
            self.credit = self.credit.saturating_sub(self.clock.monotonic().saturating_sub(since));
        }
        let earned = Duration::from_millis(bytes.saturating_mul(1000) / self.rate.max(1));
        self.credit = self.credit.saturating_add(earned).min(MOST_CREDIT.max(self.credit));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (clock, credit) = (&self.clock, self.credit);
        let (_, until) = self.waiting.get_or_insert_with(|| (clock.monotonic(), Box::pin(tokio::time::sleep(credit))));
        until.as_mut().poll(cx)
    }
}

impl BodyLimits {
    /// Whether a body announces more than is let through.
    pub(super) fn refuses(&self, announced: u64) -> bool {
        let refuses = self.bytes.is_some_and(|most| announced > most);
        if refuses {
            self.too_large.inc();
        }
        refuses
    }

    fn refused(&self, refused: BodyRefused) -> BodyRefused {
        match refused {
            BodyRefused::TooLarge => self.too_large.inc(),
            BodyRefused::TooSlow => self.too_slow.inc(),
        }
        refused
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let essence = only.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    // `application/grpc`, `application/grpc+proto`, and the like of browsers.
    essence.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ManualClock, Timestamp};

    fn stopped() -> Arc<ManualClock> {
        Arc::new(ManualClock::at(Timestamp::from_seconds(1_000)))
    }

    fn limits(bytes: Option<u64>, rate: u64, grace: Duration) -> Arc<BodyLimits> {
        let counter = || IntCounter::new("n", "n").unwrap();
        Arc::new(BodyLimits { bytes, rate: Some(rate), grace, too_large: counter(), too_slow: counter() })
    }

    fn allowance(limits: &Arc<BodyLimits>, clock: &Arc<ManualClock>, content_type: &'static str) -> Allowance {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(content_type));
        Allowance::new(limits, &(Arc::clone(clock) as Arc<dyn Clock>), &headers)
    }

    fn wait(allowance: &mut Allowance, answered: bool) -> Poll<BodyRefused> {
        allowance.poll_patience(&mut Context::from_waker(std::task::Waker::noop()), answered)
    }

    #[tokio::test(start_paused = true)]
    async fn only_waiting_costs_and_bytes_pay() {
        let (second, clock) = (Duration::from_secs(1), stopped());
        let limits = limits(None, 1024, 4 * second);
        let mut allowance = allowance(&limits, &clock, "text/plain");
        let pass = |time: Duration| {
            clock.advance(time);
            tokio::time::advance(time)
        };
        assert!(wait(&mut allowance, false).is_pending());
        pass(second).await;
        assert!(wait(&mut allowance, false).is_pending());
        allowance.received(1024).unwrap();
        // The application does not read for an hour, so nobody polls.
        pass(3600 * second).await;
        assert!(wait(&mut allowance, false).is_pending());
        pass(second).await;
        assert!(wait(&mut allowance, false).is_pending(), "one was spent and one earned before the hour");
        // Single bytes earn next to nothing, however steadily they come.
        let mut bytes = 0;
        while wait(&mut allowance, false).is_pending() {
            pass(second).await;
            if wait(&mut allowance, false).is_ready() {
                break;
            }
            allowance.received(1).unwrap();
            bytes += 1;
        }
        assert!((2..=4).contains(&bytes), "{bytes}");
        assert_eq!(limits.too_slow.get(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn credit_has_a_bound_and_the_answer_ends_the_watch() {
        let clock = stopped();
        let limits = limits(None, 1024, Duration::from_secs(10));
        let mut large = allowance(&limits, &clock, "text/plain");
        large.received(1 << 40).unwrap();
        assert!(wait(&mut large, false).is_pending());
        tokio::time::advance(MOST_CREDIT).await;
        assert_eq!(wait(&mut large, false), Poll::Ready(BodyRefused::TooSlow));
        for (content_type, is_answered) in [("Application/gRPC+proto", false), ("text/plain", true)] {
            let mut unwatched = allowance(&limits, &clock, content_type);
            assert!(wait(&mut unwatched, is_answered).is_pending());
            tokio::time::advance(Duration::from_secs(3600)).await;
            assert!(wait(&mut unwatched, false).is_pending());
        }
    }

    #[test]
    fn a_body_is_counted_to_its_last_byte() {
        let clock = stopped();
        let limits = limits(Some(10), 1, Duration::ZERO);
        assert!(!limits.refuses(10) && limits.refuses(11));
        let mut allowance = allowance(&limits, &clock, "text/plain");
        assert_eq!(allowance.received(10), Ok(()));
        assert_eq!(allowance.received(0), Ok(()));
        assert_eq!(allowance.received(1), Err(BodyRefused::TooLarge));
        assert_eq!(limits.too_large.get(), 2);
    }
}
