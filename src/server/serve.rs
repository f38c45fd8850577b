//! Accepts the connections of a listener, and serves HTTP on them until the shutdown is over.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tower::Service;

use super::arrival::{Arrived, Protocol, arrive};
use super::connection::{run, run_until_over};
use super::connection_info::ConnectionInfo;
use super::deadline::Deadline;
use super::drain::{Drain, Shutdown};
use super::entrance::{Entrance, SharedEntrance};
use super::listener::Listener;
use super::neighbourhood::Neighbours;
use super::observer::ConnectionObserver;
use super::occupancy::Occupancy;
use super::protocol;
use super::room::{Place, Room};
use super::service::ConnectionService;
use super::settings::{Limits, SharedLimits};
use super::socket::Socket;
use super::stream::{Plain, Stream, Transport};

/// How long accepting rests when the system has no room for another connection.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Serves a listener until the shutdown is over: after the drain delay it closes, what is in flight may end within the
/// drain timeout, and the rest is cut.
///
/// `service` is cloned per request, so it should be an `Arc` or the like; `observer` hears of every connection. A
/// connection is held to the limits and comes in by the entrance in force when it was accepted.
pub async fn serve<S, B>(
    listener: Listener,
    entrance: SharedEntrance,
    service: S,
    limits: SharedLimits,
    observer: Arc<dyn ConnectionObserver>,
    shutdown: Shutdown,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let (room, neighbours) = (Arc::new(Room::default()), Arc::new(Neighbours::default()));
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
            let guest = Guest {
                occupancy,
                place,
                limits,
                service: service.clone(),
                drain: told_drain.clone(),
                observer: Arc::clone(&observer),
            };
            let entrance = entrance.current();
            if entrance.is_plain() {
                let info = ConnectionInfo { peer, is_direct: false };
                let stream = Stream::Plain(Plain::from(transport));
                let arrived = Arrived { stream, info, protocol: Protocol::Http1, neighbour: None };
                tokio::spawn(guest.serve_http1(arrived));
            } else {
                tokio::spawn(guest.serve(transport, peer, entrance, Arc::clone(&neighbours)));
            }
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

/// A connection that has been let in, with all that serves it.
struct Guest<S> {
    occupancy: Arc<Occupancy>,
    place: Place,
    limits: Limits,
    service: S,
    drain: watch::Receiver<Drain>,
    observer: Arc<dyn ConnectionObserver>,
}

impl<S, B> Guest<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    /// Serves a connection that has to arrive first.
    async fn serve(
        mut self,
        transport: Transport,
        peer: Option<SocketAddr>,
        entrance: Arc<Entrance>,
        neighbours: Arc<Neighbours>,
    ) {
        self.observer.opened();
        // Boxed, as what follows: an idle connection should hold no more than it needs.
        let arriving = Box::pin(arrive(transport, peer, &entrance, &self.limits, &neighbours));
        let arrived = match run_until_over(arriving, &mut self.drain).await {
            Ok(arrived) => arrived,
            Err(end) => return self.observer.closed(end),
        };
        drop((entrance, neighbours));
        match arrived.protocol {
            Protocol::Http1 => Box::pin(self.serve_arrived_http1(arrived)).await,
            Protocol::Http2 => Box::pin(self.serve_arrived_http2(arrived)).await,
        }
    }

    async fn serve_http1(self, arrived: Arrived) {
        self.observer.opened();
        self.serve_arrived_http1(arrived).await;
    }

    async fn serve_arrived_http1(self, arrived: Arrived) {
        let Self { occupancy, place, limits, service, drain, observer } = self;
        let Arrived { stream, info, neighbour, .. } = arrived;
        let deadline = Deadline::new(Arc::clone(&occupancy), limits.header_timeout, limits.keep_alive);
        let socket = Socket::new(stream, Arc::clone(&occupancy), limits.keep_alive, place, neighbour);
        let service = ConnectionService::new(service, info, occupancy);
        let connection = protocol::http1(&limits).serve_connection(TokioIo::new(socket), service).with_upgrades();
        run(connection, deadline, drain, observer).await;
    }

    async fn serve_arrived_http2(self, arrived: Arrived) {
        let Self { occupancy, place, limits, service, drain, observer } = self;
        let Arrived { stream, info, neighbour, .. } = arrived;
        occupancy.set_multiplexed();
        let deadline = Deadline::new(Arc::clone(&occupancy), limits.header_timeout, limits.keep_alive);
        let socket = Socket::new(stream, Arc::clone(&occupancy), limits.keep_alive, place, neighbour);
        let service = ConnectionService::new(service, info, occupancy);
        let connection = protocol::http2(&limits).serve_connection(TokioIo::new(socket), service);
        run(connection, deadline, drain, observer).await;
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
