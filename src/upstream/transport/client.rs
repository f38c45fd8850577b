//! Sends requests to the targets of an application, and tries again what may be tried again.

use std::sync::Arc;

use bytes::Bytes;
use http::header::HOST;
use http::uri::Authority;
use http::{Request, Response, StatusCode, response};
use hyper::body::Incoming;
use prometheus::IntGauge;

use super::balancer::{Balancer, Tried};
use super::carried::Carried;
use super::connector::Wanted;
use super::endpoint::{Endpoint, Manner, Turn};
use super::http1::{Failed, Http1};
use super::pool::{Carrier, Connection};
use super::repeat::Repeat;
use super::stream::Stream;
use crate::upstream::error::{InvalidUpstream, UpstreamError};
use crate::upstream::exchange::Exchange;
use crate::upstream::request_body::RequestBody;
use crate::upstream::settings::UpstreamSettings;

/// So many targets are tried for a request that none has taken.
const ATTEMPTS: u32 = 3;

/// The targets of one application.
#[derive(Debug)]
pub(in crate::upstream) struct Targets {
    balancer: Balancer,
    /// They see the browser's `Host`, not their own.
    pass_host: bool,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug)]
pub(in crate::upstream) struct Sending {
    pub(in crate::upstream) wanted: Wanted,
    /// The session it belongs to, as a number.
    pub(in crate::upstream) session: Option<u64>,
}

/// What came of a request.
pub(in crate::upstream) enum Answer {
    /// An answer, whose body is still to come.
    Response(Response<Carried>),
    /// The connection speaks another protocol from here on.
    Switched(response::Parts, Switched),
}

/// A connection that has changed its protocol.
pub(in crate::upstream) struct Switched {
    connection: Http1,
    turn: Turn,
}

impl Switched {
    /// The connection, the first bytes of the other protocol, and what is dropped when it is over.
    pub(in crate::upstream) fn into_parts(self) -> (Stream, Bytes, impl Send) {
        let (stream, first) = self.connection.into_stream();
        (stream, first, self.turn)
    }
}

impl Targets {
    /// Sets the targets up. Those that `before` has, and that are spoken to in the same manner, go on as they are. `out`
    /// counts those that are left out.
    ///
    /// # Errors
    /// [`InvalidUpstream`].
    pub(in crate::upstream) fn new(
        settings: &UpstreamSettings,
        before: Option<&Self>,
        out: &IntGauge,
    ) -> Result<Self, InvalidUpstream> {
        let endpoint = |target| {
            let manner = Manner::of(settings, target);
            match before.and_then(|before| before.spoken_to_as(&manner)) {
                Some(same) => Ok(Arc::clone(same)),
                None => Endpoint::new(manner, out.clone()),
            }
        };
        let endpoints = settings.targets.iter().map(endpoint).collect::<Result<Vec<_>, _>>()?;
        let balancer = Balancer::new(endpoints, settings.balance).ok_or(InvalidUpstream::NoTarget)?;
        Ok(Self { balancer, pass_host: settings.pass_host })
    }

    fn spoken_to_as(&self, manner: &Manner) -> Option<&Arc<Endpoint>> {
        self.balancer.endpoints().iter().find(|endpoint| endpoint.manner() == manner)
    }

    /// Whether every target of `other` goes on here as it is.
    #[cfg(test)]
    pub(in crate::upstream) fn has_all_of(&self, other: &Self) -> bool {
        let has = |wanted: &Arc<Endpoint>| self.balancer.endpoints().iter().any(|own| Arc::ptr_eq(own, wanted));
        other.balancer.endpoints().iter().all(has)
    }

    /// Sends a request, and says under which name the target that has answered knows itself if it does not see the
    /// browser's `Host`.
    ///
    /// What was never begun is sent to another target, or over another connection. So is, once, an idempotent request
    /// without a body (RFC 9110 §9.2.2) whose connection had served before and ended without a byte of the answer: the
    /// application had closed it just then. Nothing else is repeated.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(in crate::upstream) async fn send(
        &self,
        mut request: Request<RequestBody>,
        exchange: &Arc<Exchange>,
        sending: Sending,
    ) -> Result<(Answer, Option<Authority>), UpstreamError> {
        let (mut tried, mut repeated) = (Tried::default(), false);
        loop {
            let (endpoint, this) = self.balancer.choose(sending.session, tried);
            let turn = endpoint.turn().await.map_err(|_| UpstreamError::Busy)?;
            exchange.set_endpoint(endpoint);
            let pool = endpoint.pool();
            let connection = if repeated {
                Box::pin(pool.open(sending.wanted)).await
            } else {
                pool.connection(sending.wanted).await
            };
            let connection = match connection {
                Ok(connection) => connection,
                Err(error) => {
                    endpoint.failed();
                    tried = tried.and(this);
                    if self.balancer.has_others(tried) && tried.count() < ATTEMPTS {
                        continue;
                    }
                    return Err(error.into());
                }
            };
            if !self.pass_host {
                request.headers_mut().insert(HOST, endpoint.host().clone());
            }
            if matches!(connection, Connection::Shared(_)) {
                // Interim answers do not show there.
                exchange.set_continued();
            }
            let again = is_repeatable(&request, &connection, repeated).then(|| Repeat::of(&request));
            request = match (connection.send(request, pool.connector().scheme()).await, again) {
                (Ok((response, carrier)), _) => {
                    endpoint.answered();
                    let authority = (!self.pass_host).then(|| endpoint.authority().clone());
                    return Ok((answer(response, carrier, turn, exchange), authority));
                }
                (Err(Failed::NotBegun(unsent, _)), _) if !repeated => *unsent,
                (Err(Failed::Unheard(_)), Some(again)) if !exchange.is_heard() => {
                    // If it is about to go altogether, another one is the better choice.
                    tried = tried.and(this);
                    again.into_request()
                }
                (Err(failed), _) => {
                    if !failed.is_ours() {
                        endpoint.failed();
                    }
                    return Err(failed.into());
                }
            };
            repeated = true;
        }
    }
}

fn answer(response: Response<Incoming>, carrier: Carrier, turn: Turn, exchange: &Exchange) -> Answer {
    match carrier {
        Carrier::Own(connection) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
            Answer::Switched(response.into_parts().0, Switched { connection, turn })
        }
        Carrier::Own(connection) => Answer::Response(response.map(|body| {
            if exchange.is_uploading() {
                Carried::while_sending(body, connection, turn)
            } else {
                Carried::over(body, connection, turn)
            }
        })),
        Carrier::Shared(stream) => Answer::Response(response.map(|body| Carried::of(body, stream, turn))),
    }
}

/// Whether a request could be sent a second time if its connection ended without an answer.
fn is_repeatable(request: &Request<RequestBody>, connection: &Connection, repeated: bool) -> bool {
    connection.served_before() && !repeated && request.body().is_none() && request.method().is_idempotent()
}
