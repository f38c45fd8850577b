//! Serves one connection to its end: its deadlines, and how it is told to leave.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use pin_project_lite::pin_project;
use tokio::sync::watch;
use tower::Service;

use super::deadline::{Deadline, Expired};
use super::drain::{Drain, told};
use super::observer::{ConnectionEnd, ConnectionObserver};
use super::service::ConnectionService;
use super::socket::Socket;

/// Serves one connection to its end.
pub(super) async fn run<C>(
    connection: C,
    deadline: Deadline,
    mut drain: watch::Receiver<Drain>,
    observer: Arc<dyn ConnectionObserver>,
) where
    C: GracefulConnection,
{
    let mut served = pin!(Served { connection, deadline, leaving: None });
    let end = tokio::select! {
        biased;
        end = served.as_mut() => end,
        () = told(&mut drain, Drain::Closing) => {
            served.as_mut().leave(ConnectionEnd::Finished);
            tokio::select! {
                biased;
                end = served => end,
                () = told(&mut drain, Drain::Over) => ConnectionEnd::Drained,
            }
        }
    };
    observer.closed(end);
}

/// Waits for a connection to become one, at most until the time to shut down is over.
pub(super) async fn run_until_over<T>(
    arriving: impl Future<Output = Result<T, ConnectionEnd>>,
    drain: &mut watch::Receiver<Drain>,
) -> Result<T, ConnectionEnd> {
    tokio::select! {
        biased;
        arrived = arriving => arrived,
        () = told(drain, Drain::Over) => Err(ConnectionEnd::Drained),
    }
}

pin_project! {
    /// A connection with its deadlines.
    struct Served<C> {
        #[pin]
        connection: C,
        deadline: Deadline,
        // It has been told to leave, and this is how it ends when it has.
        leaving: Option<ConnectionEnd>,
    }
}

impl<C: GracefulConnection> Served<C> {
    /// Has the connection end after the requests in flight. One of HTTP/2 says so to its peer, which may take a moment.
    fn leave(self: Pin<&mut Self>, end: ConnectionEnd) {
        let this = self.project();
        this.connection.finish();
        if this.deadline.occupancy().is_multiplexed() && this.leaving.is_none() {
            *this.leaving = Some(end);
            this.deadline.hurry();
        }
    }
}

impl<C: GracefulConnection> Future for Served<C> {
    type Output = ConnectionEnd;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let this = self.as_mut().project();
            match this.connection.poll(cx) {
                Poll::Ready(_) if this.deadline.occupancy().is_stalled() => {
                    return Poll::Ready(ConnectionEnd::WriteTimeout);
                }
                Poll::Ready(Ok(())) => return Poll::Ready(this.leaving.unwrap_or(ConnectionEnd::Finished)),
                Poll::Ready(Err(error)) => return Poll::Ready(ConnectionEnd::of(&error)),
                Poll::Pending => {}
            }
            let occupancy = Arc::clone(this.deadline.occupancy());
            let is_shared = occupancy.is_multiplexed();
            if this.leaving.is_none() && occupancy.poll_leaving(cx).is_ready() {
                if occupancy.is_idle() && !is_shared {
                    return Poll::Ready(ConnectionEnd::Displaced);
                }
                // A request may have come in the meantime: it is answered, as the last one.
                self.as_mut().leave(ConnectionEnd::Displaced);
                if is_shared {
                    continue;
                }
            }
            let this = self.as_mut().project();
            match ready!(this.deadline.poll(cx)) {
                Expired::Header => return Poll::Ready(ConnectionEnd::HeaderTimeout),
                Expired::Untaken => return Poll::Ready(ConnectionEnd::WriteTimeout),
                // The peer hears of it first, so that it begins no request that nobody would answer.
                Expired::Idle if is_shared && this.leaving.is_none() => {
                    self.as_mut().leave(ConnectionEnd::Finished);
                }
                Expired::Idle => return Poll::Ready(this.leaving.unwrap_or(ConnectionEnd::Finished)),
            }
        }
    }
}

/// What is asked of a connection here, so that `run` needs no list of bounds.
pub(super) trait GracefulConnection: Future<Output = hyper::Result<()>> {
    /// Ends the connection after the requests in flight.
    fn finish(self: Pin<&mut Self>);
}

impl<S, B> GracefulConnection for http1::UpgradeableConnection<TokioIo<Socket>, ConnectionService<S>>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + 'static,
    B: Body + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, B> GracefulConnection for http2::Connection<TokioIo<Socket>, ConnectionService<S>, TokioExecutor>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
