//! The application behind every proxy: 17 bytes, and a count of what it was asked.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::Response;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

pub const ANSWER: &[u8] = b"seventeen bytes!\n";

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    with_token: AtomicUsize,
}

/// How many requests there were, and how many of them with an access token.
#[derive(Clone, Copy)]
pub struct Seen {
    pub requests: usize,
    pub with_token: usize,
}

pub struct Upstream {
    pub address: SocketAddr,
    counts: Arc<Counts>,
}

impl Upstream {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let counted = Arc::clone(&counts);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                let counts = Arc::clone(&counted);
                let service = service_fn(move |request: hyper::Request<Incoming>| {
                    counts.requests.fetch_add(1, Ordering::Relaxed);
                    let token = request.headers().get("authorization");
                    if token.is_some_and(|token| token.as_bytes().starts_with(b"Bearer ")) {
                        counts.with_token.fetch_add(1, Ordering::Relaxed);
                    }
                    let answer = Response::builder().header("content-type", "text/plain");
                    std::future::ready(Ok::<_, Infallible>(answer.body(Full::new(Bytes::from_static(ANSWER))).unwrap()))
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, counts }
    }

    pub fn seen(&self) -> Seen {
        Seen {
            requests: self.counts.requests.load(Ordering::Relaxed),
            with_token: self.counts.with_token.load(Ordering::Relaxed),
        }
    }
}
