//! The body on its way to the application.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::exchange::Exchange;
use super::hop_by_hop;
use super::managed::ManagedSet;
use super::principal::SharedGuard;

/// Passes data on as it comes and takes managed names out of the trailers.
pub(super) struct RequestBody {
    inner: Incoming,
    managed: Arc<ManagedSet>,
    exchange: Arc<Exchange>,
    guard: Option<SharedGuard>,
}

impl RequestBody {
    pub(super) fn new(
        inner: Incoming,
        managed: Arc<ManagedSet>,
        exchange: Arc<Exchange>,
        guard: Option<SharedGuard>,
    ) -> Self {
        exchange.set_uploading(!inner.is_end_stream());
        Self { inner, managed, exchange, guard }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &mut frame {
            self.exchange.body_moved();
            if let Some(guard) = &self.guard {
                guard.used();
            }
            if let Some(trailers) = frame.trailers_mut() {
                hop_by_hop::strip_trailers(trailers);
                self.managed.strip(trailers);
            }
        }
        if !matches!(frame, Some(Ok(_))) || self.inner.is_end_stream() {
            self.exchange.set_uploading(false);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
