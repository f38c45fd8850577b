//! The deadlines between two answers: for a header, and for an idle connection.
//!
//! hyper's own header timeout runs while a connection is idle, too, so it cannot tell the two apart. These are looked at
//! after hyper has done what it could; a busy connection never winds up a timer.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use super::occupancy::Occupancy;

/// Which deadline has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expired {
    /// A header was not complete in time, or the connection began with silence.
    Header,
    /// No further request came.
    Idle,
    /// An answer of an HTTP/2 connection was not taken.
    Untaken,
}

/// The two deadlines of one connection.
#[derive(Debug)]
pub(super) struct Deadline {
    occupancy: Arc<Occupancy>,
    header: Duration,
    idle: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    armed: Armed,
}

/// What the timer runs for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Armed {
    Nothing,
    /// The header after so many answers.
    Header(u32),
    /// Idle since so many answers; with HTTP/2 also for a look at the answers that wait.
    Idle(u32),
}

/// What is left for the goodbye of an idle HTTP/2 connection.
const GOODBYE: Duration = Duration::from_secs(1);

impl Deadline {
    pub(super) const fn new(occupancy: Arc<Occupancy>, header: Duration, idle: Duration) -> Self {
        Self { occupancy, header, idle, timer: None, armed: Armed::Nothing }
    }

    pub(super) const fn occupancy(&self) -> &Arc<Occupancy> {
        &self.occupancy
    }

    /// The connection is about to end: when it is idle, there is no reason to wait for long.
    pub(super) fn hurry(&mut self) {
        (self.idle, self.armed) = (self.idle.min(GOODBYE), Armed::Nothing);
    }

    /// Ready when one has passed. An idle connection may live up to twice as long as it should: the timer is not wound up
    /// for every request, but looked at when it fires.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Expired> {
        let is_shared = self.occupancy.is_multiplexed();
        let is_serving = self.occupancy.is_serving();
        if (is_serving && !is_shared) || self.occupancy.is_tunnel() {
            return Poll::Pending;
        }
        let answered = self.occupancy.answered();
        if self.occupancy.has_begun_header() && !is_serving {
            if self.armed != Armed::Header(answered) {
                self.arm(Armed::Header(answered), self.header);
            }
            ready!(self.poll_timer(cx));
            return Poll::Ready(Expired::Header);
        }
        loop {
            if !matches!(self.armed, Armed::Idle(_)) {
                self.arm(Armed::Idle(answered), self.idle);
            }
            ready!(self.poll_timer(cx));
            if is_shared && self.occupancy.untaken().look() {
                return Poll::Ready(Expired::Untaken);
            }
            if self.armed == Armed::Idle(answered) && !is_serving {
                return Poll::Ready(Expired::Idle);
            }
            self.armed = Armed::Nothing;
        }
    }

    fn arm(&mut self, armed: Armed, after: Duration) {
        self.armed = armed;
        let sleep = tokio::time::sleep(after);
        match &mut self.timer {
            Some(timer) => timer.set(sleep),
            None => self.timer = Some(Box::pin(sleep)),
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.timer {
            Some(timer) => timer.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }
}
