//! Sends requests over the connections of an application, and tries again what may be tried again.

use std::sync::Arc;

use http::response;
use http::{Request, Response, StatusCode};

use super::carried::Carried;
use super::connector::Wanted;
use super::error::UpstreamError;
use super::exchange::Exchange;
use super::http1::{Failed, Http1};
use super::pool::{Connection, Pool};
use super::request_body::RequestBody;

/// What came of a request.
pub(super) enum Answer {
    /// An answer, whose body is still to come.
    Response(Response<Carried>),
    /// The connection speaks another protocol from here on.
    Switched(response::Parts, Http1),
}

/// Sends a request.
///
/// What was never begun is sent over another connection. So is, once, an idempotent request without a body (RFC 9110
/// §9.2.2) whose connection had served before and ended without a byte of the answer: the application had closed it
/// just then. Nothing else is repeated.
///
/// # Errors
/// [`UpstreamError`].
pub(super) async fn send(
    pool: &Arc<Pool>,
    mut request: Request<RequestBody>,
    exchange: &Arc<Exchange>,
    wanted: Wanted,
) -> Result<Answer, UpstreamError> {
    let mut repeated = false;
    loop {
        let connection = if repeated { pool.open(wanted).await? } else { pool.connection(wanted).await? };
        let again = is_repeatable(&request, &connection, repeated).then(|| copy(&request));
        let sent = match connection {
            Connection::Own { connection, .. } => connection.send(request).await.map(|(response, connection)| {
                if response.status() == StatusCode::SWITCHING_PROTOCOLS {
                    return Answer::Switched(response.into_parts().0, connection);
                }
                Answer::Response(response.map(|body| {
                    if exchange.is_uploading() {
                        Carried::while_sending(body, connection, pool)
                    } else {
                        Carried::over(body, connection, pool)
                    }
                }))
            }),
            Connection::Shared(stream) => stream
                .send(request, pool.connector().scheme())
                .await
                .map(|(response, stream)| Answer::Response(response.map(|body| Carried::of(body, stream)))),
        };
        request = match (sent, again) {
            (Ok(answer), _) => return Ok(answer),
            (Err(Failed::NotBegun(unsent, _)), _) if !repeated => *unsent,
            (Err(Failed::Unheard(_)), Some(again)) if !exchange.is_heard() => again,
            (Err(failed), _) => return Err(failed.into()),
        };
        repeated = true;
    }
}

/// Whether a request could be sent a second time if its connection ended without an answer.
fn is_repeatable(request: &Request<RequestBody>, connection: &Connection, repeated: bool) -> bool {
    let served_before = match connection {
        Connection::Own { reused, .. } => *reused,
        Connection::Shared(_) => true,
    };
    served_before && !repeated && request.body().is_none() && request.method().is_idempotent()
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(RequestBody::none());
    copy.method_mut().clone_from(request.method());
    copy.uri_mut().clone_from(request.uri());
    *copy.version_mut() = request.version();
    copy.headers_mut().clone_from(request.headers());
    copy.extensions_mut().clone_from(request.extensions());
    copy
}
