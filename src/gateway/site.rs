//! The gateway's parts, and the small questions that several steps ask of them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Response};

use super::address_rate::AddressRate;
use super::audience::Audience;
use super::current_providers::CurrentProviders;
use super::ending::session_end;
use super::endpoints;
use super::form;
use super::ingress::{Inbound, Ingress, Rules};
use super::provider_logout::LogoutRates;
use super::rate::Rate;
use super::refresh::Refresher;
use super::refusal::Refusal;
use super::respond::RefusalContext;
use super::revocation::Revoker;
use super::route::{KnownProvider, RouteTable};
use super::settings::{CookieSettings, PagesSettings};
use super::web_sockets::WebSockets;
use crate::clock::{Clock, Timestamp};
use crate::cookie::CookieNames;
use crate::entropy::Entropy;
use crate::origin::{Host, PublicUrl};
use crate::provider::exchange::Login;
use crate::server::settings::Limits;
use crate::server::trusted_proxies::TrustedProxies;
use crate::session::EndReason;
use crate::session::OpenedSession;
use crate::session::PassedSession;
use crate::session::SessionRules;
use crate::session::Sessions;
use crate::session::login_cookie::LoginPlace;
use crate::telemetry::access_log::AccessLog;
use crate::telemetry::audit::{AuditEvent, AuditLog};
use crate::telemetry::labels::{Limit, StoreOperation};
use crate::telemetry::metrics::{Metrics, UpstreamMetrics};
use crate::telemetry::request_id::RequestIds;
use crate::telemetry::settings::LogUser;
use crate::upstream::BodyLimits;

/// A clock before this is wrong: the time this was written, in seconds since the epoch.
const EARLIEST: Timestamp = Timestamp::from_seconds(1_790_000_000);

/// What a gateway is made of.
pub struct GatewayParts {
    /// How browsers reach the gateway.
    pub public_url: PublicUrl,
    /// Limits on requests.
    pub limits: Limits,
    /// Whose word about a request is believed.
    pub trusted_proxies: TrustedProxies,
    /// The session cookie's attributes.
    pub cookie: CookieSettings,
    /// Whether logs name people.
    pub log_user: LogUser,
    /// Hosts, paths and upstreams.
    pub routes: RouteTable,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// The edition of the sessions' rules that belongs to this configuration.
    pub session_rules: Arc<SessionRules>,
    /// The JSON web key set of `/oauth2/jwks.json`.
    pub jwk_set: Bytes,
    /// Pages for people.
    pub pages: PagesSettings,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The access log, unless it is off.
    pub access_log: Option<Arc<AccessLog>>,
    /// Numbers requests.
    pub request_ids: Arc<RequestIds>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// The gateway: everything a request may need on its way.
pub struct Gateway {
    pub(super) public_url: PublicUrl,
    pub(super) limits: Limits,
    pub(super) trusted_proxies: TrustedProxies,
    pub(super) cookie: CookieSettings,
    pub(super) cookie_names: CookieNames,
    pub(super) log_user: LogUser,
    pub(super) routes: RouteTable,
    pub(super) sessions: Arc<Sessions>,
    session_rules: Arc<SessionRules>,
    /// Those of the configuration in force, whatever this gateway began with.
    pub(super) current_providers: Arc<CurrentProviders>,
    pub(super) refresher: Arc<Refresher>,
    pub(super) revoker: Arc<Revoker>,
    pub(super) jwk_set: Bytes,
    pub(super) pages: PagesSettings,
    pub(super) metrics: Arc<Metrics>,
    /// Counts requests that no upstream has to do with.
    pub(super) own_requests: UpstreamMetrics,
    pub(super) access_log: Option<Arc<AccessLog>>,
    pub(super) request_ids: Arc<RequestIds>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) audit_log: Arc<AuditLog>,
    pub(super) callback_rate: Arc<Rate>,
    pub(super) logout_rates: Arc<LogoutRates>,
    pub(super) address_rate: Arc<AddressRate>,
    pub(super) web_sockets: Arc<WebSockets>,
    pub(super) body_limits: Arc<BodyLimits>,
}

/// What one gateway hands on to the next.
struct Lasting {
    current_providers: Arc<CurrentProviders>,
    refresher: Arc<Refresher>,
    revoker: Arc<Revoker>,
    audit_log: Arc<AuditLog>,
    callback_rate: Arc<Rate>,
    logout_rates: Arc<LogoutRates>,
    address_rate: Arc<AddressRate>,
    web_sockets: Arc<WebSockets>,
}

impl fmt::Debug for GatewayParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GatewayParts").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Puts the first gateway of a process together.
    #[must_use]
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        let audit_log = Arc::new(AuditLog::default());
        let revoker = Revoker::new(Arc::clone(&parts.clock), Arc::clone(&audit_log));
        let refresher = Refresher::new(
            Arc::clone(&parts.sessions),
            Arc::clone(&parts.clock),
            Arc::clone(&parts.metrics),
            Arc::clone(&audit_log),
            Arc::clone(&revoker),
        );
        let lasting = Lasting {
            current_providers: Arc::default(),
            refresher,
            revoker,
            audit_log,
            callback_rate: Arc::default(),
            logout_rates: Arc::default(),
            address_rate: Arc::default(),
            web_sockets: Arc::default(),
        };
        let gateway = Self::compose(parts, lasting);
        gateway.take_over();
        gateway
    }

    /// Puts together the gateway that follows this one. What is under way in the background and what is limited is
    /// counted on: a session has one refresh, whichever gateway its requests belong to.
    #[must_use]
    pub fn succeeded_by(&self, parts: GatewayParts) -> Arc<Self> {
        let lasting = Lasting {
            current_providers: Arc::clone(&self.current_providers),
            refresher: Arc::clone(&self.refresher),
            revoker: Arc::clone(&self.revoker),
            audit_log: Arc::clone(&self.audit_log),
            callback_rate: Arc::clone(&self.callback_rate),
            logout_rates: Arc::clone(&self.logout_rates),
            address_rate: Arc::clone(&self.address_rate),
            web_sockets: Arc::clone(&self.web_sockets),
        };
        Self::compose(parts, lasting)
    }

    /// Comes into force for what outlives the gateway it began under: open streams are refreshed at the providers of
    /// this one, and refreshes that have failed are tried again at once, since what they failed by may have changed.
    pub fn take_over(&self) {
        self.current_providers.replace(self.routes.providers());
        self.refresher.forget_failures();
    }

    fn compose(parts: GatewayParts, lasting: Lasting) -> Arc<Self> {
        Arc::new(Self {
            cookie_names: CookieNames::of(&parts.public_url),
            public_url: parts.public_url,
            limits: parts.limits,
            trusted_proxies: parts.trusted_proxies,
            cookie: parts.cookie,
            log_user: parts.log_user,
            routes: parts.routes,
            sessions: parts.sessions,
            session_rules: parts.session_rules,
            current_providers: lasting.current_providers,
            refresher: lasting.refresher,
            revoker: lasting.revoker,
            audit_log: lasting.audit_log,
            jwk_set: parts.jwk_set,
            callback_rate: lasting.callback_rate,
            logout_rates: lasting.logout_rates,
            address_rate: lasting.address_rate,
            web_sockets: lasting.web_sockets,
            body_limits: Arc::new(body_limits(&parts.limits, &parts.metrics)),
            pages: parts.pages,
            own_requests: parts.metrics.upstream("-"),
            metrics: parts.metrics,
            access_log: parts.access_log,
            request_ids: parts.request_ids,
            clock: parts.clock,
            entropy: parts.entropy,
        })
    }

    /// What requests are read against.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            limits: &self.limits,
            scheme: self.public_url.scheme(),
            routes: &self.routes,
            trusted_proxies: &self.trusted_proxies,
            entropy: self.entropy.as_ref(),
        }
    }

    /// What login cookies and attempts on this host are bound to.
    pub(super) fn login_place<'a>(&'a self, host: &'a Host) -> LoginPlace<'a> {
        self.session_rules.login_place(host)
    }

    /// Waits for what goes on behind the requests that have ended: at most `saving` for refreshes, then `calls` for
    /// revocations.
    pub async fn settle(&self, saving: Duration, calls: Duration) {
        self.refresher.settle(saving).await;
        self.revoker.settle(calls).await;
    }

    /// Whether the clock can be right: a time before this program was written would let expired things live.
    pub(super) fn clock_is_sane(&self, now: Timestamp) -> bool {
        now >= EARLIEST
    }

    /// What every page of ours shows around its content.
    pub(super) fn page_context<'a>(&'a self, ingress: &'a Ingress) -> RefusalContext<'a> {
        RefusalContext::new(&self.pages, ingress.request_id.as_str(), ingress.host.as_str())
    }

    /// Writes an audit event.
    pub(super) fn audit(&self, ingress: Option<&Ingress>, event: &AuditEvent<'_>) {
        let request_id = ingress.map(|ingress| ingress.request_id.as_str());
        self.audit_log.record(self.clock.now_millis(), request_id, event);
    }

    /// Counts and tells of a store that fails.
    pub(super) fn store_failed(&self, operation: StoreOperation) {
        self.metrics.store_error(operation);
        self.audit(None, &AuditEvent::StoreError { operation, kind: "unavailable" });
    }

    /// Counts and tells of a session that has ended.
    pub(super) fn session_ended(&self, ingress: &Ingress, session: &OpenedSession, reason: EndReason) {
        let reason = session_end(reason);
        self.metrics.session_ended(reason);
        let (user, session) = (Some(self.user_in_logs(session)), session.reference());
        self.audit(Some(ingress), &AuditEvent::SessionEnded { user, session, reason });
    }

    /// Counts and tells of sessions that have reached a limit: when somebody meets one, and at every sweep.
    pub fn tell_of_passed(&self) {
        for PassedSession { session, reason } in self.sessions.take_passed() {
            let reason = session_end(reason);
            self.metrics.session_ended(reason);
            let (user, session) = (Some(self.user_in_logs(&session)), session.reference());
            self.audit(None, &AuditEvent::SessionEnded { user, session, reason });
        }
    }

    /// What stands for a person in logs.
    pub(super) fn user_in_logs<'a>(&self, session: &'a OpenedSession) -> &'a str {
        match self.log_user {
            LogUser::Name => session.identity().display_name(),
            LogUser::Pseudonym => session.pseudonym(),
        }
    }

    /// Turns away who is not logged in, or not as a rule wants it: a navigation is sent to the login, all others learn
    /// why.
    pub(super) async fn turn_away(
        self: &Arc<Self>,
        ingress: &Ingress,
        inbound: Inbound,
        refusal: Refusal,
    ) -> Result<Response<Bytes>, Refusal> {
        match ingress.audience {
            Audience::Navigation if refusal.login => self.send_to_login(ingress, &inbound.parts.headers, &refusal),
            // What was typed into the form goes back into the page, so that it is not lost with the session.
            Audience::Form | Audience::Frame if ingress.method == Method::POST && refusal.keeps_a_form() => {
                Err(refusal.with_form(form::fields(inbound).await))
            }
            _ => Err(refusal),
        }
    }

    /// Begins the login, or the step-up, that a refusal asks for; it comes back to where the request was going.
    pub(super) fn send_to_login(
        self: &Arc<Self>,
        ingress: &Ingress,
        headers: &HeaderMap,
        refusal: &Refusal,
    ) -> Result<Response<Bytes>, Refusal> {
        let return_to = self.return_to_here(ingress);
        match &refusal.step_up {
            Some(wanted) => endpoints::begin_step_up(self, ingress, headers, return_to, &[], wanted),
            None => endpoints::begin_login(self, ingress, headers, return_to, &[]),
        }
    }

    /// Whether a request with this session would go on, as far as its access token decides: sending a browser on to
    /// where it is turned back to the login would go round for ever.
    pub(super) fn serves(&self, session: &OpenedSession) -> bool {
        let usable = session.login_grant().is_none_or(|grant| grant.is_usable(self.clock.now()));
        usable || session.can_refresh() || !self.routes.uses_access_token(session.host())
    }

    /// Warns once per login when a session will outlive the token that its upstreams need.
    pub(super) fn warn_of_short_tokens(&self, ingress: &Ingress, known: &KnownProvider, login: &Login) {
        let outlives = login
            .tokens
            .access_expires
            .is_some_and(|expires| expires < self.clock.now().plus(self.session_rules.lifetime()));
        if outlives && login.tokens.refresh_token.is_none() && self.routes.uses_access_token(&ingress.host) {
            known.metrics.without_refresh_token.inc();
            tracing::warn!(
                event = "login.no-refresh-token",
                provider = known.label(),
                "the session outlives its access token and the provider sent no refresh token: ask for one with the \
                 scope offline_access (or what this provider documents)"
            );
        }
    }
}

fn body_limits(limits: &Limits, metrics: &Metrics) -> BodyLimits {
    BodyLimits {
        bytes: limits.body_bytes,
        rate: limits.body_rate,
        grace: limits.body_grace,
        too_large: metrics.limit(Limit::Body),
        too_slow: metrics.limit(Limit::BodyRate),
    }
}
