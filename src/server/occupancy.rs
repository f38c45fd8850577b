//! Whether a connection is at work: socket and service tell, the deadlines ask.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use super::untaken::{Taking, Untaken};

/// The state of one connection. With HTTP/1 all who share it run in one task, with HTTP/2 each request has its own. The
/// flags are hints to deadlines and to the room, and nobody reads anything else by their order.
#[derive(Debug)]
pub(super) struct Occupancy {
    /// Requests that are being answered.
    serving: AtomicU32,
    /// HTTP/2: requests share the connection, and bytes between them need not begin one.
    multiplexed: AtomicBool,
    /// Answers that the peer of an HTTP/2 connection has yet to take more of.
    untaken: Untaken,
    header_begun: AtomicBool,
    has_body: AtomicBool,
    tunnel: AtomicBool,
    stalled: AtomicBool,
    blocked: AtomicBool,
    leaving: AtomicBool,
    answered: AtomicU32,
    told: AtomicWaker,
}

impl Default for Occupancy {
    fn default() -> Self {
        Self {
            serving: AtomicU32::new(0),
            multiplexed: AtomicBool::new(false),
            untaken: Untaken::default(),
            // At the start silence is as bad as slowness.
            header_begun: AtomicBool::new(true),
            has_body: AtomicBool::new(false),
            tunnel: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            blocked: AtomicBool::new(false),
            leaving: AtomicBool::new(false),
            answered: AtomicU32::new(0),
            told: AtomicWaker::new(),
        }
    }
}

impl Occupancy {
    /// Bytes have come; between two requests they begin a header.
    pub(super) fn received(&self) {
        if !self.is_serving() && !self.is_multiplexed() {
            self.header_begun.store(true, Ordering::Relaxed);
        }
    }

    /// The connection speaks HTTP/2. Until its first request is complete a header is waited for, as with HTTP/1; after
    /// that it is idle between requests, whatever frames come.
    pub(super) fn set_multiplexed(&self) {
        self.multiplexed.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// The answers that the peer has yet to take more of.
    pub(super) const fn untaken(&self) -> &Untaken {
        &self.untaken
    }

    /// A request's header is complete; a body may follow.
    pub(super) fn begin(self: Arc<Self>, has_body: bool) -> Serving {
        self.has_body.store(has_body, Ordering::Relaxed);
        self.serving.fetch_add(1, Ordering::Relaxed);
        Serving(self)
    }

    /// The connection is HTTP no more.
    pub(super) fn become_tunnel(&self) {
        self.tunnel.store(true, Ordering::Relaxed);
    }

    /// The peer has not taken its answer in time.
    pub(super) fn stall(&self) {
        self.stalled.store(true, Ordering::Relaxed);
    }

    /// Whether the peer has yet to take a part of its answer.
    pub(super) fn set_blocked(&self, blocked: bool) {
        self.blocked.store(blocked, Ordering::Relaxed);
    }

    /// Asks the connection to make room for another.
    pub(super) fn tell_to_leave(&self) {
        self.leaving.store(true, Ordering::Release);
        self.told.wake();
    }

    /// Whether the connection has been asked to make room.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Ready once the connection has been asked to make room.
    pub(super) fn poll_leaving(&self, cx: &Context<'_>) -> Poll<()> {
        self.told.register(cx.waker());
        if self.is_leaving() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether nothing would be lost if it were closed now: a request has been answered, and no other has begun.
    pub(super) fn is_idle(&self) -> bool {
        !(self.is_serving() || self.has_begun_header() || self.is_tunnel() || self.blocked.load(Ordering::Relaxed))
    }

    /// Whether a request is being answered.
    pub(super) fn is_serving(&self) -> bool {
        self.serving.load(Ordering::Relaxed) > 0
    }

    /// Whether a header is waited for, not just any next request.
    pub(super) fn has_begun_header(&self) -> bool {
        self.header_begun.load(Ordering::Relaxed)
    }

    /// Whether the last request came with a body, of which some may still be on its way.
    pub(super) fn has_body(&self) -> bool {
        self.has_body.load(Ordering::Relaxed)
    }

    /// Whether the connection is HTTP no more.
    pub(super) fn is_tunnel(&self) -> bool {
        self.tunnel.load(Ordering::Relaxed)
    }

    /// Whether the peer has not taken its answer in time.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.load(Ordering::Relaxed)
    }

    /// How many requests have been answered.
    pub(super) fn answered(&self) -> u32 {
        self.answered.load(Ordering::Relaxed)
    }
}

/// Held while a request is being answered.
#[derive(Debug)]
pub(super) struct Serving(Arc<Occupancy>);

impl Serving {
    pub(super) const fn occupancy(&self) -> &Arc<Occupancy> {
        &self.0
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.answered.fetch_add(1, Ordering::Relaxed);
        self.0.header_begun.store(false, Ordering::Relaxed);
        self.0.serving.fetch_sub(1, Ordering::Relaxed);
    }
}

pin_project! {
    /// The body of an answer; the request counts as being answered until it is gone.
    pub(super) struct ServedBody<B> {
        #[pin]
        inner: B,
        serving: Serving,
        taking: Option<Taking>,
    }
}

impl<B> ServedBody<B> {
    /// `taking` is for an answer that shares its connection with others.
    pub(super) const fn new(inner: B, serving: Serving, taking: Option<Taking>) -> Self {
        Self { inner, serving, taking }
    }
}

impl<B: Body> Body for ServedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.project();
        let polled = this.inner.poll_frame(cx);
        if let Some(taking) = this.taking {
            // It is asked for more only when there is room for it at the peer.
            if matches!(polled, Poll::Ready(Some(Ok(_)))) { taking.handed_over() } else { taking.asked_for() }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
