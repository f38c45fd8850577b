//! One accepted connection: notices when bytes come, when the browser has gone, and when it does not take its answer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::neighbourhood::Neighbour;
use super::occupancy::Occupancy;
use super::room::Place;
use super::stream::Stream;

/// How long an answer may still take once the browser has ended its side.
///
/// Nearly always it is gone altogether, and what runs for it must end; a few programs close only their sending side
/// and read on.
const HALF_CLOSE_GRACE: Duration = Duration::from_millis(500);

/// How long what a peer still sends is taken in after the last answer.
///
/// Closing with unread bytes makes the system send a reset, and a peer in the middle of an upload would lose the answer
/// that refuses it.
const LINGER: Duration = Duration::from_secs(2);

/// A connection; it holds its place among the connections until it is closed, as a tunnel too.
pub(super) struct Socket {
    stream: Stream,
    occupancy: Arc<Occupancy>,
    half_closed: Option<Pin<Box<Sleep>>>,
    /// For a peer that takes nothing of its answer.
    write_deadline: Duration,
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Our side has been closed; runs until the other one is given up.
    lingering: Option<Pin<Box<Sleep>>>,
    _place: Place,
    _neighbour: Option<Neighbour>,
}

impl Socket {
    pub(super) const fn new(
        stream: Stream,
        occupancy: Arc<Occupancy>,
        write_deadline: Duration,
        place: Place,
        neighbour: Option<Neighbour>,
    ) -> Self {
        Self {
            stream,
            occupancy,
            half_closed: None,
            write_deadline,
            write_timer: None,
            lingering: None,
            _place: place,
            _neighbour: neighbour,
        }
    }

    fn watch_write<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            if self.write_timer.take().is_some() {
                self.occupancy.set_blocked(false);
            }
            return written;
        }
        if self.occupancy.is_tunnel() {
            return Poll::Pending;
        }
        let deadline = self.write_deadline;
        if self.write_timer.is_none() {
            self.occupancy.set_blocked(true);
        }
        let timer = self.write_timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(deadline)));
        ready!(timer.as_mut().poll(cx));
        self.occupancy.stall();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            this.occupancy.received();
        } else if this.occupancy.is_serving() && !this.occupancy.is_tunnel() {
            let grace = this.half_closed.get_or_insert_with(|| Box::pin(tokio::time::sleep(HALF_CLOSE_GRACE)));
            ready!(grace.as_mut().poll(cx));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch_write(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.watch_write(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // With TLS it is here that a peer which takes nothing shows.
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.watch_write(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            // A tunnel reads on by itself.
            if this.occupancy.is_tunnel() || !this.occupancy.has_body() {
                return Poll::Ready(Ok(()));
            }
        }
        let timer = this.lingering.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        // First, because a peer that always has more must not outrun it.
        if timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut unwanted = [0; 4096];
        loop {
            let mut buffer = ReadBuf::new(&mut unwanted);
            let read = ready!(Pin::new(&mut this.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
