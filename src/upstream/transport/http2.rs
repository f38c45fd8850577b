//! One HTTP/2 connection to an application (RFC 9113), shared by the requests that are on it.

use std::error::Error as _;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::header::{CONNECTION, HOST, HeaderValue, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme, Uri};
use http::{Request, Response, Version};
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::http1::Failed;
use super::stream::Stream as Transport;
use crate::upstream::request_body::RequestBody;

/// Requests on one connection at once; most servers allow as many. Beyond it another connection is opened.
const STREAMS: usize = 100;
/// What an application may send of one answer, and of all of a connection's, before somebody takes it.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 2 << 20;
/// As much of a header as of one over HTTP/1.
const HEADER_LIST: u32 = 64 << 10;
/// While requests wait: whether the application is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection; a task of its own moves it on.
pub(super) struct Http2 {
    sender: SendRequest<RequestBody>,
    streams: AtomicUsize,
}

/// A place on a connection, for one request and its answer.
pub(super) struct Stream(Arc<Http2>);

impl fmt::Debug for Http2 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Http2").field("streams", &self.streams).finish_non_exhaustive()
    }
}

impl Http2 {
    pub(super) async fn new(transport: Transport) -> hyper::Result<Arc<Self>> {
        let (sender, connection) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_LIST)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(transport))
            .await?;
        tokio::spawn(async move {
            // Every request on it learns of the error by itself.
            let _ended = connection.await;
        });
        Ok(Arc::new(Self { sender, streams: AtomicUsize::new(0) }))
    }

    /// A place for one more request, if there is one.
    pub(super) fn open(self: &Arc<Self>) -> Option<Stream> {
        if self.sender.is_closed() {
            return None;
        }
        let room = |streams| (streams < STREAMS).then_some(streams + 1);
        self.streams.fetch_update(Ordering::AcqRel, Ordering::Acquire, room).ok()?;
        Some(Stream(Arc::clone(self)))
    }

    /// Whether it serves nobody.
    pub(super) fn is_unused(&self) -> bool {
        self.streams.load(Ordering::Acquire) == 0
    }

    /// Whether it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }
}

impl Stream {
    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        self,
        request: Request<RequestBody>,
        scheme: &Scheme,
    ) -> Result<(Response<Incoming>, Self), Failed> {
        let request = as_http2(request, scheme).map_err(Failed::Unsendable)?;
        match self.0.sender.clone().try_send_request(request).await {
            Ok(response) => Ok((response, self)),
            Err(mut failure) => match failure.take_message() {
                Some(unsent) => match as_http1(unsent) {
                    Ok(unsent) => Err(Failed::NotBegun(Box::new(unsent), failure.into_error())),
                    Err(error) => Err(Failed::Unsendable(error)),
                },
                None if was_not_processed(failure.error()) => Err(Failed::Unheard(failure.into_error())),
                None => Err(Failed::Broken(failure.into_error())),
            },
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::AcqRel);
    }
}

/// A request as HTTP/2 spells it (RFC 9113 §8.3.1): the host is in `:authority`, and no field is of the connection.
fn as_http2(mut request: Request<RequestBody>, scheme: &Scheme) -> Result<Request<RequestBody>, http::Error> {
    *request.version_mut() = Version::HTTP_2;
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    if let Some(host) = headers.remove(HOST) {
        let mut uri = request.uri().clone().into_parts();
        uri.scheme = Some(scheme.clone());
        uri.authority = Some(Authority::try_from(host.as_bytes())?);
        *request.uri_mut() = Uri::from_parts(uri)?;
    }
    Ok(request)
}

/// The same request for a connection of another kind.
fn as_http1(mut request: Request<RequestBody>) -> Result<Request<RequestBody>, http::Error> {
    *request.version_mut() = Version::HTTP_11;
    let uri = std::mem::take(request.uri_mut()).into_parts();
    if let Some(authority) = uri.authority {
        request.headers_mut().insert(HOST, HeaderValue::from_str(authority.as_str())?);
    }
    *request.uri_mut() = uri.path_and_query.map(Uri::from).unwrap_or_default();
    Ok(request)
}

/// Whether the application says that it has done nothing with a request (RFC 9113 §8.7).
fn was_not_processed(error: &hyper::Error) -> bool {
    let Some(cause) = error.source().and_then(|source| source.downcast_ref::<h2::Error>()) else { return false };
    cause.is_remote()
        && (cause.reason() == Some(h2::Reason::REFUSED_STREAM)
            || (cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR)))
}
