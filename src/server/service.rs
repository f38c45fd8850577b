//! The gateway as hyper sees it: knows its peer, and says when it is at work.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::header::{CONNECTION, HeaderMap};
use http::{Method, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::{Oneshot, ServiceExt as _};

use super::connection_info::{ConnectionInfo, Stay};
use super::occupancy::{Occupancy, ServedBody, Serving};
use super::untaken::Taking;

/// The service of one connection.
#[derive(Clone)]
pub(super) struct ConnectionService<S> {
    inner: S,
    info: ConnectionInfo,
    occupancy: Arc<Occupancy>,
}

impl<S> ConnectionService<S> {
    pub(super) const fn new(inner: S, info: ConnectionInfo, occupancy: Arc<Occupancy>) -> Self {
        Self { inner, info, occupancy }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for ConnectionService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone,
{
    type Response = Response<ServedBody<B>>;
    type Error = Infallible;
    type Future = Answering<S>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.info);
        let has_body = !request.body().is_end_stream();
        if request.method() == Method::CONNECT {
            // Its tunnel is a stream of this connection, which would seem idle without it.
            request.extensions_mut().insert(Stay::new(Arc::clone(&self.occupancy).begin(false)));
        }
        let serving = Some(Arc::clone(&self.occupancy).begin(has_body));
        Answering { inner: self.inner.clone().oneshot(request), serving }
    }
}

pin_project! {
    /// An answer in the making.
    pub(super) struct Answering<S: Service<Request<Incoming>>> {
        #[pin]
        inner: Oneshot<S, Request<Incoming>>,
        serving: Option<Serving>,
    }
}

impl<S, B> Future for Answering<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
{
    type Output = Result<Response<ServedBody<B>>, Infallible>;

    #[expect(clippy::expect_used, reason = "a future that is ready is not polled again")]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut response = ready!(this.inner.poll(cx))?;
        let serving = this.serving.take().expect("polled once after being ready");
        let occupancy = serving.occupancy();
        let taking = if occupancy.is_multiplexed() {
            forget_connection(response.headers_mut());
            Some(Taking::new(Arc::clone(occupancy)))
        } else {
            if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                occupancy.become_tunnel();
            }
            None
        };
        Poll::Ready(Ok(response.map(|body| ServedBody::new(body, serving, taking))))
    }
}

/// HTTP/2 has no `Connection`, and what it would say is said by frames (RFC 9113 §8.2.2).
fn forget_connection(headers: &mut HeaderMap) {
    headers.remove(CONNECTION);
}
