//! What one request and its answer tell each other: that the upload moves on, that interim answers pile up.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use http::StatusCode;

use super::body_limits::BodyRefused;
use super::transport::Endpoint;

/// Interim answers (RFC 9110 §15.2) before the upstream is taken for broken.
const INTERIM_LIMIT: u32 = 16;

/// Shared by the request's body, the connection and the one who waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    moved: AtomicBool,
    uploading: AtomicBool,
    answered: AtomicBool,
    refused: OnceLock<BodyRefused>,
    interim: AtomicU32,
    waiting: AtomicWaker,
    continued: AtomicBool,
    leave: AtomicWaker,
    endpoint: Mutex<Option<Arc<Endpoint>>>,
}

impl Exchange {
    /// The request goes to this target now.
    pub(super) fn set_endpoint(&self, endpoint: &Arc<Endpoint>) {
        *self.endpoint.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(endpoint));
    }

    /// The target that the request is at, if it is at one.
    pub(super) fn endpoint(&self) -> Option<Arc<Endpoint>> {
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A part of the request's body has gone out.
    pub(super) fn body_moved(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    /// Whether there is more of the request's body to come.
    pub(super) fn set_uploading(&self, uploading: bool) {
        self.uploading.store(uploading, Ordering::Relaxed);
    }

    pub(super) fn is_uploading(&self) -> bool {
        self.uploading.load(Ordering::Relaxed)
    }

    /// Whether the body has moved since this was asked last.
    pub(super) fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::Relaxed)
    }

    /// The head of the answer has come.
    pub(super) fn set_answered(&self) {
        self.answered.store(true, Ordering::Release);
        self.leave.wake();
    }

    pub(super) fn is_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// The body has gone beyond a limit, and is cut.
    pub(super) fn refuse(&self, refused: BodyRefused) {
        let _first = self.refused.set(refused);
    }

    /// The limit that the body has gone beyond.
    pub(super) fn refused(&self) -> Option<BodyRefused> {
        self.refused.get().copied()
    }

    /// The application asks for the body (RFC 9110 §10.1.1), or there is no telling whether it does.
    pub(super) fn set_continued(&self) {
        self.continued.store(true, Ordering::Release);
        self.leave.wake();
    }

    /// Ready once the body is asked for, or the answer has come without it.
    pub(super) fn poll_continued(&self, cx: &Context<'_>) -> Poll<()> {
        self.leave.register(cx.waker());
        let may_go = self.continued.load(Ordering::Acquire) || self.answered.load(Ordering::Acquire);
        if may_go { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Whether an interim answer has come.
    pub(super) fn is_heard(&self) -> bool {
        self.interim.load(Ordering::Relaxed) > 0
    }

    /// Ready once there have been too many interim answers.
    pub(super) fn poll_flooded(&self, cx: &Context<'_>) -> Poll<()> {
        self.waiting.register(cx.waker());
        if self.interim.load(Ordering::Relaxed) > INTERIM_LIMIT { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Counts the interim answers to `request`; hyper's server cannot send them on, so they end here.
    pub(super) fn watch<B>(self: &Arc<Self>, request: &mut http::Request<B>) {
        let exchange = Arc::clone(self);
        hyper::ext::on_informational(request, move |interim| {
            if interim.status() == StatusCode::CONTINUE {
                exchange.set_continued();
            }
            if exchange.interim.fetch_add(1, Ordering::Relaxed) >= INTERIM_LIMIT {
                exchange.waiting.wake();
            }
        });
    }
}
