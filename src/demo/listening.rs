//! A small HTTP/1.1 server for the two parts of the demonstration.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::Error;

/// How long a peer may take to send a request's head.
const HEAD_DEADLINE: Duration = Duration::from_secs(30);
/// How long to wait after a failed `accept`, which mostly means that file descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A part of the demonstration that is listening; it stops when this is dropped.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Running {
    /// The address it listens on, with the port that was really taken.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops listening and cuts what is open: streams of events would never end by themselves.
    pub async fn shutdown(self) {
        drop(self.stop);
        // The task cannot fail but by a panic, which has been reported by then.
        let _ = self.accepting.await;
    }
}

/// Accepts connections until the returned handle is dropped and answers every request with `respond`.
pub(super) fn start<R, F, B>(listener: TcpListener, respond: R) -> Result<Running, Error>
where
    R: Fn(Request<Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let address = listener.local_addr()?;
    if !address.ip().is_loopback() {
        return Err(Error::NotLoopback);
    }
    let (stop, mut stopped) = oneshot::channel();
    let accepting = tokio::spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                _ = &mut stopped => return,
                Some(_) = connections.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve_connection(stream, respond.clone()));
                    }
                    Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
                },
            }
        }
    });
    Ok(Running { address, stop, accepting })
}

async fn serve_connection<R, F, B>(stream: TcpStream, respond: R)
where
    R: Fn(Request<Incoming>) -> F + Send + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    // Without this a small answer may wait for an acknowledgement; a failure only costs time.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let answer = respond(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_DEADLINE)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // A connection that breaks concerns nobody but its peer.
    let _ = connection.await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    #[tokio::test]
    async fn an_address_that_others_can_reach_is_refused() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let started = start(listener, |_| async { Response::new(Full::new(Bytes::new())) });
        assert!(matches!(started, Err(Error::NotLoopback)));
    }

    #[tokio::test]
    async fn after_shutdown_nobody_listens() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let running = start(listener, |_| async { Response::new(Full::new(Bytes::new())) }).unwrap();
        let address = running.address();
        assert!(TcpStream::connect(address).await.is_ok());
        running.shutdown().await;
        assert!(TcpStream::connect(address).await.is_err());
    }
}
