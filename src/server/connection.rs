//! Accepts connections and serves HTTP/1 on them.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::sync::watch;
use tower::Service;

use super::connection_info::ConnectionInfo;
use super::deadline::{Deadline, Expired};
use super::drain::{Drain, Shutdown, told};
use super::listener::Listener;
use super::observer::{ConnectionEnd, ConnectionObserver};
use super::occupancy::Occupancy;
use super::room::Room;
use super::service::ConnectionService;
use super::settings::{Limits, SharedLimits};
use super::socket::Socket;

/// How long accepting rests when the system has no room for another connection.
const ACCEPT_REST: Duration = Duration::from_millis(100);
/// hyper reads up to this much of a header, so that our own limits get to answer; past it the parser says 431.
const BUFFER: usize = 64 << 10;
/// As many header fields as hyper keeps without allocating.
const HEADERS_ON_STACK: usize = 100;

/// Serves a listener until the shutdown is over: after the drain delay it closes, what is in flight may end within the
/// drain timeout, and the rest is cut.
///
/// `service` is cloned per request, so it should be an `Arc` or the like; `observer` hears of every connection. A
/// connection is held to the limits in force when it was accepted.
pub async fn serve<S, B>(
    listener: Listener,
    service: S,
    limits: SharedLimits,
    observer: Arc<dyn ConnectionObserver>,
    shutdown: Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let room = Arc::new(Room::default());
    let (drain, told_drain) = watch::channel(Drain::Open);
    {
        let mut close = pin!(async {
            shutdown.wait().await;
            shutdown.wait_for_close(limits.current().drain_delay).await;
        });
        loop {
            let accepted = tokio::select! {
                biased;
                () = close.as_mut() => break,
                accepted = listener.accept() => accepted,
            };
            let (transport, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    rest(&error).await;
                    continue;
                }
            };
            let limits = limits.current();
            let occupancy = Arc::new(Occupancy::default());
            let Some(place) = room.enter(limits.connections, &occupancy) else {
                // To leave it waiting would hide from a load balancer that there is no room.
                observer.turned_away();
                continue;
            };
            let deadline = Deadline::new(Arc::clone(&occupancy), limits.header_timeout, limits.keep_alive);
            let socket = Socket::new(transport, Arc::clone(&occupancy), limits.keep_alive, place);
            let service = ConnectionService::new(service.clone(), ConnectionInfo { peer }, occupancy);
            let connection = protocol(&limits).serve_connection(TokioIo::new(socket), service).with_upgrades();
            tokio::spawn(run(connection, deadline, told_drain.clone(), Arc::clone(&observer)));
        }
    }
    drop(listener);
    drain.send_replace(Drain::Closing);
    // Tunnels hold their places, too.
    let drained = tokio::time::timeout(limits.current().drain_timeout, room.emptied()).await;
    if drained.is_err() {
        tracing::warn!("connections were cut because the drain timeout is over");
    }
    drain.send_replace(Drain::Over);
}

fn protocol(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(true)
        // `Deadline` has both deadlines, each in its place.
        .header_read_timeout(None)
        .max_buf_size(BUFFER.max(limits.header_bytes + limits.target_bytes + (16 << 10)));
    if limits.headers != HEADERS_ON_STACK {
        builder.max_headers(limits.headers);
    }
    builder
}

/// Serves one connection to its end.
async fn run<C>(
    connection: C,
    deadline: Deadline,
    mut drain: watch::Receiver<Drain>,
    observer: Arc<dyn ConnectionObserver>,
) where
    C: GracefulConnection,
{
    observer.opened();
    let mut served = pin!(Served { connection, deadline });
    let end = tokio::select! {
        biased;
        end = served.as_mut() => end,
        () = told(&mut drain, Drain::Closing) => {
            served.as_mut().project().connection.finish();
            tokio::select! {
                biased;
                end = served => end,
                () = told(&mut drain, Drain::Over) => ConnectionEnd::Drained,
            }
        }
    };
    observer.closed(end);
}

pin_project! {
    /// A connection with its deadlines.
    struct Served<C> {
        #[pin]
        connection: C,
        deadline: Deadline,
    }
}

impl<C: GracefulConnection> Future for Served<C> {
    type Output = ConnectionEnd;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        match this.connection.as_mut().poll(cx) {
            Poll::Ready(_) if this.deadline.occupancy().is_stalled() => Poll::Ready(ConnectionEnd::WriteTimeout),
            Poll::Ready(Ok(())) => Poll::Ready(ConnectionEnd::Finished),
            Poll::Ready(Err(error)) => Poll::Ready(ConnectionEnd::of(&error)),
            Poll::Pending => {
                if this.deadline.occupancy().poll_leaving(cx).is_ready() {
                    if this.deadline.occupancy().is_idle() {
                        return Poll::Ready(ConnectionEnd::Displaced);
                    }
                    // A request has come in the meantime: it is answered, as the last one.
                    this.connection.as_mut().finish();
                }
                this.deadline.poll(cx).map(|expired| match expired {
                    Expired::Header => ConnectionEnd::HeaderTimeout,
                    Expired::Idle => ConnectionEnd::Finished,
                })
            }
        }
    }
}

/// What is asked of a connection here, so that `run` needs no list of bounds.
trait GracefulConnection: Future<Output = hyper::Result<()>> {
    /// Ends the connection after the request in flight.
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

/// A peer that has gone again is nothing; without file descriptors, accepting would spin.
async fn rest(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    if !matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted) {
        tracing::warn!(%error, "a connection cannot be accepted");
        tokio::time::sleep(ACCEPT_REST).await;
    }
}

#[cfg(test)]
mod tests;
