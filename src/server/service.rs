//! The gateway as hyper sees it: knows its peer, and says when it is at work.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use pin_project_lite::pin_project;
use tower::Service;
use tower::util::{Oneshot, ServiceExt as _};

use super::connection_info::ConnectionInfo;
use super::occupancy::{Occupancy, ServedBody, Serving};

/// The service of one connection.
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
        let response = ready!(this.inner.poll(cx))?;
        let serving = this.serving.take().expect("polled once after being ready");
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            serving.occupancy().become_tunnel();
        }
        Poll::Ready(Ok(response.map(|body| ServedBody::new(body, serving))))
    }
}
