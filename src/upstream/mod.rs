//! What goes out to applications: rewriting, forwarding, streaming, tunnels. Cannot log anyone in.
//!
//! The order in which a request is rewritten is the security argument; it is written down in
//! `request.rs`.

pub mod body;
pub mod body_limits;
mod connector;
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
mod stream;
mod tls;
mod tunnel;

#[cfg(test)]
mod tests;

use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
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
use connector::Connector;
use exchange::Exchange;
use request::RequestComposer;
use request_body::RequestBody;
use response::{PublicOrigin, ResponseFilter};
use settings::{Target, UpstreamSettings, UpstreamTimeouts, UpstreamTls};

/// How long an idle connection is kept: below the keep-alive of most servers, so that few are found closed.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// So often an upload asks whether its session has ended.
const SESSION_LOOK: Duration = Duration::from_secs(5);

/// One application and its connections.
pub struct Upstream {
    name: String,
    connection: Connection,
    composer: RequestComposer,
    timeouts: UpstreamTimeouts,
    needs_access_token: bool,
    managed: Arc<ManagedSet>,
    via: Via,
    tunnels: IntGauge,
    client: Client<Connector, RequestBody>,
}

/// Everything by which a connection to an application is made: the pool serves as long as it stays the same.
#[derive(PartialEq)]
struct Connection {
    target: Target,
    tls: UpstreamTls,
    deadline: Duration,
}

impl Connection {
    fn of(settings: &UpstreamSettings) -> Self {
        Self { target: settings.target.clone(), tls: settings.tls.clone(), deadline: settings.timeouts.connect }
    }
}

impl fmt::Debug for Upstream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Sets an application up; nothing is connected yet. `managed` and `via` are those of the whole gateway;
    /// `tunnels` shows how many WebSockets are open; `assertion` fills `{identity}`.
    ///
    /// # Errors
    /// [`InvalidUpstream`].
    pub fn new(
        settings: &UpstreamSettings,
        managed: Arc<ManagedSet>,
        via: Via,
        tunnels: IntGauge,
        assertion: Option<IdentityAssertion>,
    ) -> Result<Arc<Self>, InvalidUpstream> {
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(POOL_IDLE)
            .pool_timer(TokioTimer::new())
            // Only what was never begun: a connection that was found closed before a byte was written.
            .retry_canceled_requests(true)
            .set_host(false)
            .http1_preserve_header_case(true)
            .build(Connector::new(settings)?);
        Self::with_client(settings, managed, via, tunnels, assertion, client)
    }

    /// Sets up what takes the place of `before`. Connections that are open go on serving unless they are made in
    /// another manner now.
    ///
    /// # Errors
    /// [`InvalidUpstream`].
    pub fn succeeding(
        before: &Self,
        settings: &UpstreamSettings,
        managed: Arc<ManagedSet>,
        via: Via,
        tunnels: IntGauge,
        assertion: Option<IdentityAssertion>,
    ) -> Result<Arc<Self>, InvalidUpstream> {
        if before.connection == Connection::of(settings) {
            Self::with_client(settings, managed, via, tunnels, assertion, before.client.clone())
        } else {
            Self::new(settings, managed, via, tunnels, assertion)
        }
    }

    fn with_client(
        settings: &UpstreamSettings,
        managed: Arc<ManagedSet>,
        via: Via,
        tunnels: IntGauge,
        assertion: Option<IdentityAssertion>,
        client: Client<Connector, RequestBody>,
    ) -> Result<Arc<Self>, InvalidUpstream> {
        let composer = RequestComposer::new(settings, &managed, assertion)?;
        Ok(Arc::new(Self {
            connection: Connection::of(settings),
            name: settings.name.clone(),
            timeouts: settings.timeouts,
            needs_access_token: composer.identity_headers().use_access_token(),
            composer,
            managed,
            via,
            tunnels,
            client,
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
        let filter = ResponseFilter {
            prefix: self.composer.prefix(),
            authority: self.composer.hides_host().then(|| self.composer.authority()),
            authenticated,
            origin: (self.composer.prefix().is_some() || self.composer.hides_host())
                .then(|| PublicOrigin { scheme: outgoing.forwarded.scheme, host: outgoing.forwarded.host.clone() }),
            upstream: &self.name,
        };
        let exchange = Arc::new(Exchange::default());
        let allowance = (!body.is_end_stream())
            .then(|| Box::new(Allowance::new(outgoing.body_limits, outgoing.clock, &parts.headers)));
        let (watched, guard) = (Arc::clone(&exchange), outgoing.guard.clone());
        let body = RequestBody::new(body, Arc::clone(&self.managed), watched, guard, allowance);
        let mut request = Request::from_parts(parts, body);
        let browser = outgoing.upgrade.map(|_| hyper::upgrade::on(&mut request));
        exchange.watch(&mut request);

        let mut response = self.answer(request, &exchange, outgoing.guard.as_ref()).await?;
        let application = hyper::upgrade::on(&mut response);
        let (mut parts, body) = response.into_parts();
        response::check_framing(&parts).map_err(UpstreamError::BadAnswer)?;
        match (parts.status, outgoing.upgrade, browser) {
            (StatusCode::SWITCHING_PROTOCOLS, Some(handshake), Some(browser))
                if WebSocketHandshake::is_accepted_by(&parts.headers) =>
            {
                filter.apply(&mut parts);
                handshake.set(&mut parts.headers);
                let (open, place) = (self.tunnels.clone(), outgoing.place);
                tokio::spawn(async move {
                    open.inc();
                    tunnel::run(browser, application, outgoing.guard).await;
                    open.dec();
                    drop(place);
                });
                return Ok(Response::from_parts(parts, Body::new(body, Patience::STREAM, None)));
            }
            (StatusCode::SWITCHING_PROTOCOLS, _, _) => return Err(UpstreamError::BadAnswer(BadAnswer::Upgrade)),
            // What came in was within our limits: it is what we have added that is too much.
            (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, _, _) if authenticated => {
                return Err(UpstreamError::HeadTooLarge);
            }
            _ => {}
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
        exchange: &Exchange,
        guard: Option<&SharedGuard>,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let mut answer = pin!(self.client.request(request));
        let mut wait = pin!(poll_fn(|cx| match answer.as_mut().poll(cx) {
            Poll::Ready(answer) => {
                exchange.set_answered();
                // Whose fault it is that the body broke off shows in no error of hyper's.
                let error =
                    |error| exchange.refused().map_or_else(|| UpstreamError::of(error), UpstreamError::BodyRefused);
                Poll::Ready(answer.map_err(error))
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
