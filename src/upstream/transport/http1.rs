//! One HTTP/1 connection to an application, driven by the request that is on it.
//!
//! No task of its own stands behind it: who waits for the answer, or for more of its body, moves the connection on. That
//! saves the hand-over between two tasks that a request and its answer would cost otherwise. Between two requests
//! nobody does; whether the application has closed it meanwhile shows when it is taken up again.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;

use super::stream::Stream;
use crate::upstream::request_body::RequestBody;

/// A connection that is ready for a request, or at work on one.
pub(super) struct Http1 {
    sender: SendRequest<RequestBody>,
    connection: Box<Connection<TokioIo<Stream>, RequestBody>>,
    ended: bool,
    made: u64,
}

/// Why there is no answer.
pub(in crate::upstream) enum Failed {
    /// The connection was found closed before anything of the request was written; here it is again.
    NotBegun(Box<Request<RequestBody>>, hyper::Error),
    /// It ended without a byte of the answer.
    Unheard(hyper::Error),
    /// It ended within the answer, or what came is not one; or the request's own body failed.
    Broken(hyper::Error),
    /// The request cannot be spelled so.
    Unsendable(http::Error),
}

impl Failed {
    /// Whether the application has nothing to do with it.
    pub(super) fn is_ours(&self) -> bool {
        match self {
            Self::Unsendable(_) => true,
            Self::NotBegun(_, error) | Self::Unheard(error) | Self::Broken(error) => error.is_user(),
        }
    }
}

impl fmt::Debug for Http1 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Http1").field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Http1 {
    /// Begins HTTP on a connection; `made` is when, in the counting of whoever keeps it.
    pub(super) async fn new(stream: Stream, made: u64) -> hyper::Result<Self> {
        let (sender, connection) =
            Builder::new().preserve_header_case(true).handshake::<_, RequestBody>(TokioIo::new(stream)).await?;
        let mut made = Self { sender, connection: Box::new(connection), ended: false, made };
        // It takes a request only once it has been looked at.
        made.look();
        Ok(made)
    }

    /// Sends a request and waits for the head of its answer. The connection comes back with it, at work on the body.
    ///
    /// The request is handed over at once, so that nobody who waits has to hold it, too.
    pub(super) fn send(
        mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<(Response<Incoming>, Self), Failed>> {
        let answer = self.sender.try_send_request(request);
        async move {
            let answered = {
                let mut answer = pin!(answer);
                poll_fn(|cx| {
                    if !self.ended {
                        self.ended = self.connection.poll_without_shutdown(cx).is_ready();
                    }
                    // Only the connection moves the answer on, so that nobody else need be woken for it.
                    answer.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                })
                .await
            };
            match answered {
                Ok(response) => Ok((response, self)),
                Err(mut failure) => Err(match failure.take_message() {
                    Some(request) => Failed::NotBegun(Box::new(request), failure.into_error()),
                    None => self.judge(failure.into_error()),
                }),
            }
        }
    }

    fn judge(self, error: hyper::Error) -> Failed {
        let heard = error.is_parse() || error.is_user() || !self.connection.into_parts().read_buf.is_empty();
        if heard { Failed::Broken(error) } else { Failed::Unheard(error) }
    }

    pub(super) const fn made(&self) -> u64 {
        self.made
    }

    /// Moves the connection on, for somebody who waits for what it brings.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        if !self.ended {
            self.ended = Pin::new(&mut *self.connection).poll(cx).is_ready();
        }
    }

    /// Whether it takes another request: the last one and its answer are complete, and nothing has closed it.
    pub(super) fn is_free(&mut self) -> bool {
        self.look();
        !self.ended && self.sender.is_ready()
    }

    /// Runs it in a task until it is free, for a request whose body is still on its way when the answer has begun: nobody
    /// may read the answer before all has been sent.
    pub(super) async fn run(mut self) -> Option<Self> {
        poll_fn(|cx| {
            self.poll(cx);
            if self.ended || self.sender.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        self.is_free().then_some(self)
    }

    /// The connection itself, once it has changed its protocol, with the first bytes of that.
    pub(super) fn into_stream(self) -> (Stream, Bytes) {
        let parts = self.connection.into_parts();
        (parts.io.into_inner(), parts.read_buf)
    }

    /// Lets it notice what has come, without anybody waiting.
    fn look(&mut self) {
        self.poll(&mut Context::from_waker(Waker::noop()));
    }
}
