//! The smallest proxy that hyper and hyper-util make: what everybody pays who proxies HTTP/1 with them.
//!
//! Or the same with header names kept in the case in which they came, as the gateway keeps them.

use std::net::SocketAddr;

use http::Uri;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::child::serve_until_parent_ends;

pub async fn run(upstream: SocketAddr, keeps_case: bool) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<HttpConnector, Incoming> =
        Client::builder(TokioExecutor::new()).set_host(false).http1_preserve_header_case(keeps_case).build(connector);
    let mut protocol = http1::Builder::new();
    protocol.preserve_header_case(keeps_case);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let client = client.clone();
            let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                let mut target = std::mem::take(request.uri_mut()).into_parts();
                target.scheme = Some(http::uri::Scheme::HTTP);
                target.authority = Some(upstream.to_string().parse().unwrap());
                *request.uri_mut() = Uri::from_parts(target).unwrap();
                client.request(request)
            });
            tokio::spawn(protocol.serve_connection(TokioIo::new(stream), service));
        }
    });
    serve_until_parent_ends(address).await;
}
