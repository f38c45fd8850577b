//! A client of HTTP/2, over whatever bytes go.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;

use super::patiently;
use super::raw::Bytestream;

pub type RequestBody = BoxBody<Bytes, std::io::Error>;

pub struct Http2Client {
    sender: SendRequest<RequestBody>,
    pub connection: JoinHandle<hyper::Result<()>>,
}

/// A body of these bytes.
pub fn full(bytes: impl Into<Bytes>) -> RequestBody {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

pub fn empty() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed()
}

impl Http2Client {
    pub async fn over(stream: impl Bytestream + 'static) -> Self {
        let (sender, connection) =
            patiently("HTTP/2", http2::handshake(TokioExecutor::new(), TokioIo::new(stream))).await.unwrap();
        Self { sender, connection: tokio::spawn(connection) }
    }

    pub async fn send(&self, request: Request<RequestBody>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.sender.clone();
        patiently("room for a request", sender.ready()).await?;
        patiently("an answer over HTTP/2", sender.send_request(request)).await
    }

    /// GET of a path at a host, with these fields.
    pub async fn get(&self, host: &str, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let mut request = Request::get(format!("https://{host}{path}"));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let response = self.send(request.body(empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = patiently("a body", response.into_body().collect()).await.unwrap().to_bytes();
        (status, String::from_utf8_lossy(&body).into_owned())
    }
}
