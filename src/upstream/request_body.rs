//! The body on its way to the application.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::header::{EXPECT, HeaderMap};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Sleep;

use super::body_limits::{Allowance, BodyRefused};
use super::exchange::Exchange;
use super::hop_by_hop;
use super::managed::ManagedSet;
use super::principal::SharedGuard;

/// Passes data on as it comes, within the limits, and takes managed names out of the trailers.
pub(super) struct RequestBody(Option<Box<Upload>>);

struct Upload {
    inner: Incoming,
    managed: Arc<ManagedSet>,
    exchange: Arc<Exchange>,
    guard: Option<SharedGuard>,
    allowance: Allowance,
    /// The sender waits for leave to send, and this long at most we wait for the application to give it.
    held: Option<Pin<Box<Sleep>>>,
}

/// An application that says nothing to `Expect` may be one that never does (RFC 9110 §10.1.1).
const LEAVE: Duration = Duration::from_secs(1);

/// Why a body does not reach its end; the application sees a broken connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestBodyError {
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
    #[error(transparent)]
    Refused(BodyRefused),
}

impl RequestBody {
    /// No body at all.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// With `is_awaited` the sender hears nothing before the application wants the body: what makes hyper ask the sender
    /// for it is that it is asked for here.
    pub(super) fn new(
        inner: Incoming,
        managed: Arc<ManagedSet>,
        exchange: Arc<Exchange>,
        guard: Option<SharedGuard>,
        allowance: Allowance,
        is_awaited: bool,
    ) -> Self {
        exchange.set_uploading(true);
        let held = is_awaited.then(|| Box::pin(tokio::time::sleep(LEAVE)));
        Self(Some(Box::new(Upload { inner, managed, exchange, guard, allowance, held })))
    }

    /// Whether there is none.
    pub(super) const fn is_none(&self) -> bool {
        self.0.is_none()
    }
}

/// Whether the sender of a body waits for leave (RFC 9110 §10.1.1).
pub(super) fn awaits_leave(headers: &HeaderMap) -> bool {
    headers
        .get_all(EXPECT)
        .iter()
        .any(|expected| expected.as_bytes().trim_ascii().eq_ignore_ascii_case(b"100-continue"))
}

impl Upload {
    fn refuse(&self, refused: BodyRefused) -> RequestBodyError {
        self.exchange.refuse(refused);
        RequestBodyError::Refused(refused)
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, RequestBodyError>>> {
        if let Some(held) = &mut self.held {
            if self.exchange.poll_continued(cx).is_pending() {
                ready!(held.as_mut().poll(cx));
            }
            self.held = None;
        }
        let mut frame = match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(RequestBodyError::Broken)),
            Poll::Pending => match self.allowance.poll_patience(cx, self.exchange.is_answered()) {
                Poll::Ready(refused) => Some(Err(self.refuse(refused))),
                Poll::Pending => return Poll::Pending,
            },
        };
        if let Some(Ok(part)) = &mut frame {
            self.exchange.body_moved();
            if let Some(guard) = &self.guard {
                guard.used();
            }
            if let Some(trailers) = part.trailers_mut() {
                hop_by_hop::strip_trailers(trailers);
                self.managed.strip(trailers);
            }
            let length = part.data_ref().map_or(0, |data| data.len() as u64);
            if let Err(refused) = self.allowance.received(length) {
                frame = Some(Err(self.refuse(refused)));
            }
        }
        if !matches!(frame, Some(Ok(_))) || self.inner.is_end_stream() {
            self.exchange.set_uploading(false);
        }
        Poll::Ready(frame)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut self.0 {
            Some(upload) => upload.poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|upload| upload.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |upload| upload.inner.size_hint())
    }
}
