//! What goes out to applications: rewriting, forwarding, streaming, tunnels. Cannot log anyone in.
//!
//! The order in which a request is rewritten is the security argument; it is written down in
//! `request.rs`.

pub mod body;
pub mod body_limits;
mod connection_bound;
pub mod error;
mod forwarded;
mod hop_by_hop;
pub mod identity_assertion;
pub mod managed;
pub mod own_names;
pub mod prefix;
pub mod presets;
mod principal;
mod request;
pub mod settings;
pub mod template;
pub mod upgrade;
mod via;

mod exchange;
mod identity_headers;
mod request_body;
mod response;
mod transport;
mod tunnel;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use prometheus::IntGauge;

pub use body::{Body, BodyError};
pub use body_limits::{BodyLimits, BodyRefused};
pub use error::{BadAnswer, InvalidUpstream, UpstreamError};
pub use forwarded::ForwardedContext;
pub use identity_assertion::IdentityAssertion;
pub use managed::ManagedSet;
pub use principal::{Principal, SessionGuard, SharedGuard};
pub use request::Outgoing;
pub use template::RequestValues;
pub use upgrade::{UpgradeRefused, WebSocketHandshake};
pub use via::Via;

use body::Patience;
use body_limits::Allowance;
use exchange::Exchange;
use request::RequestComposer;
use request_body::RequestBody;
use response::{PublicOrigin, ResponseFilter};
use settings::{UpstreamSettings, UpstreamTimeouts};
use transport::{Answer, Endpoint, Sending, Targets, Wanted};

/// So often an upload asks whether its session has ended.
const SESSION_LOOK: Duration = Duration::from_secs(5);

/// One application and its connections.
pub struct Upstream {
    name: String,
    composer: RequestComposer,
    timeouts: UpstreamTimeouts,
    needs_access_token: bool,
    managed: Arc<ManagedSet>,
    via: Via,
    gauges: Gauges,
    targets: Targets,
    /// Whether it has been said that an application offers what binds a person to a connection.
    told_of_binding: AtomicBool,
}

/// What is shown of one application.
#[derive(Clone, Debug)]
pub struct Gauges {
    /// WebSockets that are open, of all applications.
    pub tunnels: IntGauge,
    /// Targets of this one that are left out.
    pub targets_out: IntGauge,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Sets an application up; nothing is connected yet, unless its health is asked for. `managed` and `via` are those of
    /// the whole gateway; `assertion` fills `{identity}`. Of what is in the place of this one so far, `before`, targets that
    /// are spoken to in the same manner go on with their connections.
    ///
    /// # Errors
    /// [`InvalidUpstream`].
    pub fn new(
        settings: &UpstreamSettings,
        managed: Arc<ManagedSet>,
        via: Via,
        gauges: Gauges,
        assertion: Option<IdentityAssertion>,
        before: Option<&Self>,
    ) -> Result<Arc<Self>, InvalidUpstream> {
        let composer = RequestComposer::new(settings, &managed, assertion)?;
        let targets = Targets::new(settings, before.map(|before| &before.targets), &gauges.targets_out)?;
        Ok(Arc::new(Self {
            name: settings.name.clone(),
            timeouts: settings.timeouts,
            needs_access_token: composer.identity_headers().use_access_token(),
            composer,
            managed,
            via,
            gauges,
            targets,
            told_of_binding: AtomicBool::new(false),
        }))
    }

    /// The name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a header carries the access token: without a live one a request counts as unauthenticated.
    #[must_use]
    pub const fn needs_access_token(&self) -> bool {
        self.needs_access_token
    }

    /// What this upstream is told about the person, for answers that somebody else turns into a request: every header of
    /// the configuration in its order, and `Authorization`. A header with nothing to say stands there with `None`, so
    /// that whoever copies them can put an empty one in the place of what came from outside; one whose list is repeated
    /// stands there once for each item.
    ///
    /// # Errors
    /// [`UpstreamError`] of the headers alone, for the same answer as when forwarding.
    pub fn identity_headers(
        &self,
        principal: &Principal<'_>,
        request: RequestValues<'_>,
    ) -> Result<Vec<(HeaderName, Option<HeaderValue>)>, UpstreamError> {
        self.composer.identity_headers().list(principal, request)
    }

    /// Sends a request and gives back the answer's head with its body still streaming. Dropping either one ends the
    /// request at the application too.
    ///
    /// # Errors
    /// [`UpstreamError`]; nothing has been sent to the browser then.
    pub async fn forward(
        &self,
        mut parts: Parts,
        body: Incoming,
        outgoing: Outgoing<'_>,
    ) -> Result<Response<Body>, UpstreamError> {
        if outgoing.body_limits.refuses(body.size_hint().lower()) {
            return Err(UpstreamError::BodyRefused(BodyRefused::TooLarge));
        }
        self.composer.compose(&mut parts, &body, &outgoing, &self.managed, &self.via)?;
        let authenticated = outgoing.principal.identity.is_some();
        let exchange = Arc::new(Exchange::default());
        let body = if body.is_end_stream() {
            RequestBody::none()
        } else {
            let allowance = Allowance::new(outgoing.body_limits, outgoing.clock, &parts.headers);
            let (watched, guard) = (Arc::clone(&exchange), outgoing.guard.clone());
            let is_awaited = request_body::awaits_leave(&parts.headers);
            RequestBody::new(body, Arc::clone(&self.managed), watched, guard, allowance, is_awaited)
        };
        let mut request = Request::from_parts(parts, body);
        let browser = outgoing.upgrade.map(|_| hyper::upgrade::on(&mut request));
        exchange.watch(&mut request);

        let wanted = if outgoing.upgrade.is_some() { Wanted::Http1 } else { Wanted::Any };
        let sending = Sending { wanted, session: outgoing.session };
        let (answer, authority) = self.answer(request, &exchange, sending, outgoing.guard.as_ref()).await?;
        let filter = ResponseFilter {
            prefix: self.composer.prefix(),
            authority: authority.as_ref(),
            authenticated,
            origin: (self.composer.prefix().is_some() || authority.is_some())
                .then(|| PublicOrigin { scheme: outgoing.forwarded.scheme, host: outgoing.forwarded.host.clone() }),
            upstream: &self.name,
            told_of_binding: &self.told_of_binding,
        };
        let (mut parts, body) = match answer {
            // Over HTTP/2 it would open a tunnel to nobody.
            Answer::Response(response)
                if response.status().is_success()
                    && outgoing.upgrade.is_some_and(WebSocketHandshake::is_over_http2) =>
            {
                return Err(UpstreamError::BadAnswer(BadAnswer::Upgrade));
            }
            Answer::Response(response) => response.into_parts(),
            Answer::Switched(mut parts, application) => {
                response::check_framing(&parts).map_err(UpstreamError::BadAnswer)?;
                let accepted = outgoing.upgrade.filter(|handshake| handshake.is_accepted_by(&parts.headers));
                let (Some(handshake), Some(browser)) = (accepted, browser) else {
                    return Err(UpstreamError::BadAnswer(BadAnswer::Upgrade));
                };
                filter.apply(&mut parts);
                handshake.confirm(&mut parts);
                let (open, place) = (self.gauges.tunnels.clone(), outgoing.place);
                tokio::spawn(async move {
                    open.inc();
                    tunnel::run(browser, application, outgoing.guard).await;
                    open.dec();
                    drop(place);
                });
                return Ok(Response::from_parts(parts, Body::none()));
            }
        };
        response::check_framing(&parts).map_err(UpstreamError::BadAnswer)?;
        // What came in was within our limits: it is what we have added that is too much.
        if parts.status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE && authenticated {
            return Err(UpstreamError::HeadTooLarge);
        }
        let patience =
            if response::is_stream(&parts.headers) { Patience::STREAM } else { Patience::ordinary(self.timeouts.idle) };
        filter.apply(&mut parts);
        Ok(Response::from_parts(parts, Body::new(body, patience, outgoing.guard)))
    }

    /// Waits for the head of the answer. While an upload moves on, the deadline moves with it.
    async fn answer(
        &self,
        request: Request<RequestBody>,
        exchange: &Arc<Exchange>,
        sending: Sending,
        guard: Option<&SharedGuard>,
    ) -> Result<(Answer, Option<Authority>), UpstreamError> {
        let mut answer = pin!(self.targets.send(request, exchange, sending));
        let mut wait = pin!(poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => {
                exchange.set_answered();
                // Whose fault it is that the body broke off shows in no error of hyper's.
                Poll::Ready(answer.map_err(|error| exchange.refused().map_or(error, UpstreamError::BodyRefused)))
            }
            Poll::Pending => exchange.poll_flooded(cx).map(|()| Err(UpstreamError::BadAnswer(BadAnswer::Interim))),
        }));
        let mut deadline = pin!(tokio::time::sleep(self.timeouts.response_header));
        let has_ended = || guard.is_some_and(|guard| guard.ended().now_or_never().is_some());
        loop {
            tokio::select! {
                biased;
                answer = wait.as_mut() => return answer,
                () = deadline.as_mut() => {
                    if has_ended() {
                        return Err(UpstreamError::SessionEnded);
                    }
                    if !exchange.take_moved() {
                        exchange.endpoint().inspect(Endpoint::failed);
                        return Err(UpstreamError::ResponseTimeout);
                    }
                    deadline.set(tokio::time::sleep(self.timeouts.response_header));
                }
                // An upload that goes on for longer than its session is cut; what has been sent gets its answer. The timer is
                // made only for uploads: `select!` makes what it does not wait for, too.
                () = async { tokio::time::sleep(SESSION_LOOK).await }, if guard.is_some() && exchange.is_uploading() => {
                    if exchange.is_uploading() && has_ended() {
                        return Err(UpstreamError::SessionEnded);
                    }
                }
            }
        }
    }
}
