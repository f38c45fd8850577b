//! The body on its way to the application.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;

use super::body_limits::{Allowance, BodyRefused};
use super::exchange::Exchange;
use super::hop_by_hop;
use super::managed::ManagedSet;
use super::principal::SharedGuard;

/// Passes data on as it comes, within the limits, and takes managed names out of the trailers.
pub(super) struct RequestBody {
    inner: Incoming,
    managed: Arc<ManagedSet>,
    exchange: Arc<Exchange>,
    guard: Option<SharedGuard>,
    /// None when there is no body.
    allowance: Option<Box<Allowance>>,
}

/// Why a body does not reach its end; the application sees a broken connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestBodyError {
    #[error("the body broke off")]
    Broken(#[source] hyper::Error),
    #[error(transparent)]
    Refused(BodyRefused),
}

impl RequestBody {
    pub(super) fn new(
        inner: Incoming,
        managed: Arc<ManagedSet>,
        exchange: Arc<Exchange>,
        guard: Option<SharedGuard>,
        allowance: Option<Box<Allowance>>,
    ) -> Self {
        exchange.set_uploading(!inner.is_end_stream());
        Self { inner, managed, exchange, guard, allowance }
    }

    fn refuse(&self, refused: BodyRefused) -> RequestBodyError {
        self.exchange.refuse(refused);
        RequestBodyError::Refused(refused)
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = RequestBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let mut frame = match (Pin::new(&mut this.inner).poll_frame(cx), &mut this.allowance) {
            (Poll::Ready(frame), _) => frame.map(|frame| frame.map_err(RequestBodyError::Broken)),
            (Poll::Pending, Some(allowance)) => match allowance.poll_patience(cx, this.exchange.is_answered()) {
                Poll::Ready(refused) => Some(Err(this.refuse(refused))),
                Poll::Pending => return Poll::Pending,
            },
            (Poll::Pending, None) => return Poll::Pending,
        };
        if let Some(Ok(part)) = &mut frame {
            this.exchange.body_moved();
            if let Some(guard) = &this.guard {
                guard.used();
            }
            if let Some(trailers) = part.trailers_mut() {
                hop_by_hop::strip_trailers(trailers);
                this.managed.strip(trailers);
            }
            let length = part.data_ref().map_or(0, |data| data.len() as u64);
            if let Some(allowance) = &mut this.allowance
                && let Err(refused) = allowance.received(length)
            {
                frame = Some(Err(this.refuse(refused)));
            }
        }
        if !matches!(frame, Some(Ok(_))) || this.inner.is_end_stream() {
            this.exchange.set_uploading(false);
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
