//! The body of an answer together with the connection that brings it.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use super::endpoint::Turn;
use super::http1::Http1;
use super::http2::Stream;

/// A body that comes over a connection, which it gives back when it is complete. Dropped before, it ends the connection,
/// or its own stream of it.
pub(in crate::upstream) struct Carried {
    inner: Incoming,
    carrier: Carrier,
}

enum Carrier {
    /// A connection of its own, which moves on as the body is asked for.
    Own { connection: Http1, turn: Turn },
    /// A connection that a task moves on.
    Spawned,
    /// A stream of a connection that others use, too.
    Shared { _stream: Stream, _turn: Turn },
}

impl Carried {
    /// A body that `connection` brings, all of whose request has been sent.
    pub(super) fn over(inner: Incoming, connection: Http1, turn: Turn) -> Self {
        let mut carried = Self { inner, carrier: Carrier::Own { connection, turn } };
        carried.give_back_at_end();
        carried
    }

    /// A body that `connection` brings while the request's own is still going out: both move on by themselves.
    pub(super) fn while_sending(inner: Incoming, connection: Http1, turn: Turn) -> Self {
        tokio::spawn(async move {
            if let Some(free) = connection.run().await {
                turn.endpoint().pool().put(free);
            }
        });
        Self { inner, carrier: Carrier::Spawned }
    }

    /// A body of a stream.
    pub(super) const fn of(inner: Incoming, stream: Stream, turn: Turn) -> Self {
        Self { inner, carrier: Carrier::Shared { _stream: stream, _turn: turn } }
    }

    /// Once nothing more will come; the last part may be on its way to the browser still.
    fn give_back_at_end(&mut self) {
        if self.inner.is_end_stream() {
            self.give_back();
        }
    }

    fn give_back(&mut self) {
        if let Carrier::Own { mut connection, turn } = std::mem::replace(&mut self.carrier, Carrier::Spawned)
            && connection.is_free()
        {
            turn.endpoint().pool().put(connection);
        }
    }
}

impl Body for Carried {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Carrier::Own { connection, .. } = &mut this.carrier else {
            return Pin::new(&mut this.inner).poll_frame(cx);
        };
        // Only the connection moves the body on, so that nobody else need be woken for it.
        let unwoken = &mut Context::from_waker(Waker::noop());
        let mut polled = Pin::new(&mut this.inner).poll_frame(unwoken);
        if polled.is_pending() {
            connection.poll(cx);
            polled = Pin::new(&mut this.inner).poll_frame(unwoken);
        }
        match polled {
            Poll::Ready(Some(Ok(_))) => this.give_back_at_end(),
            Poll::Ready(None) => this.give_back(),
            Poll::Ready(Some(Err(_))) | Poll::Pending => {}
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
