//! The last step: a refusal becomes the answer for whoever waits, and every answer its line, its count and its id.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};
use http_body::Body as _;

use super::audience::Audience;
use super::body::Body;
use super::code::{Code, Description};
use super::endpoints;
use super::grpc;
use super::ingress::{Ingress, Refused};
use super::method::method_in_logs;
use super::refusal::Refusal;
use super::respond::{self, RefusalContext};
use super::route::Route;
use super::site::Gateway;
use crate::return_to::{OWN_SESSIONS, ReturnTo};
use crate::session::OpenedSession;
use crate::telemetry::access_line::AccessLine;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::{Limit, Outcome};
use crate::telemetry::request_id::RequestId;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the steps have found out by the time there is an answer.
#[derive(Debug, Default)]
pub(super) struct Answered {
    pub(super) route: Option<Arc<Route>>,
    pub(super) session: Option<Arc<OpenedSession>>,
}

impl Gateway {
    /// The answer to a request that was read.
    pub(super) fn answer(
        &self,
        ingress: &Ingress,
        response: Result<Response<Body>, Refusal>,
        answered: &Answered,
        started: Duration,
    ) -> Response<Body> {
        let (mut response, status, code, refused_session) = match response {
            Ok(response) => {
                let status = response.status();
                (response, status, None, None)
            }
            Err(refusal) => {
                let mut response = self.refuse(ingress, &refusal);
                let status = response.status();
                if ingress.is_grpc {
                    response = grpc::refusal(refusal.code);
                }
                let denied = matches!(status, StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS);
                if ingress.upgrade.is_some() && denied {
                    let upstream = answered.route.as_ref().map(|route| route.upstream.name());
                    self.audit(Some(ingress), &AuditEvent::UpgradeDenied { upstream, rule: refusal.code.as_str() });
                }
                (response.map(Body::from), status, Some(refusal.code), refusal.session)
            }
        };
        set_request_id(&mut response, &ingress.request_id);
        if ingress.has_body && !ingress.is_http2 && matches!(response.body(), Body::Own(_)) {
            // Nobody waits for a body that goes nowhere, so there is no telling where the next request would begin.
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let took = self.clock.monotonic().saturating_sub(started);
        if let Some(route) = &answered.route {
            let forwarded = matches!(response.body(), Body::Upstream(_));
            let outcome = match code {
                None if forwarded => Outcome::of_upstream(status.as_u16()),
                None if status == StatusCode::OK => Outcome::Allowed,
                None => Outcome::Login,
                Some(_) => Outcome::of_refusal(status.as_u16()),
            };
            route.metrics.request(outcome);
            if forwarded {
                route.metrics.responded(took);
            }
        } else {
            self.own_requests.request(code.map_or(Outcome::Endpoint, |_| Outcome::of_refusal(status.as_u16())));
        }
        let Some(access_log) = &self.access_log else { return response };
        let session = answered.session.as_deref();
        access_log.write(&AccessLine {
            time_millis: self.clock.now_millis(),
            request_id: ingress.request_id.as_str(),
            peer: ingress.provenance.address(),
            host: ingress.host.as_str(),
            method: ingress.method.as_str(),
            path: ingress.path.as_str(),
            status: response.status().as_u16(),
            code: code.map(Code::as_str),
            upstream: answered.route.as_ref().map(|route| route.upstream.name()),
            user: session.map(|session| self.user_in_logs(session)),
            session: session.map(|session| session.reference()).or(refused_session.as_deref()),
            bytes: response.body().size_hint().exact(),
            duration_micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        });
        response
    }

    /// The answer when a step has panicked; nothing is known any more but that.
    #[must_use]
    pub fn answer_panicked(&self) -> Response<Body> {
        let id = self.request_ids.next();
        let context = RefusalContext::new(&self.pages, id.as_str(), "");
        let mut response = respond::problem(Code::Internal, &context).map(Body::from);
        self.metrics.refusal(Code::Internal.as_str());
        set_request_id(&mut response, &id);
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }

    /// The answer to a request that was refused before it had one meaning.
    pub(super) fn answer_refused(&self, refused: &Refused, started: Duration) -> Response<Body> {
        let host = refused.host.as_ref().map(crate::origin::Host::as_str).unwrap_or_default();
        let mut context = RefusalContext::new(&self.pages, refused.request_id.as_str(), host);
        context.again = None;
        let program = refused.audience == Audience::Program;
        let response =
            if program { respond::problem(refused.code, &context) } else { respond::page(refused.code, &context) };
        self.metrics.refusal(refused.code.as_str());
        self.metrics.malformed(refused.detail);
        self.own_requests.request(Outcome::of_refusal(response.status().as_u16()));
        let response = if refused.is_grpc { grpc::refusal(refused.code) } else { response };
        let mut response = response.map(Body::from);
        match refused.code {
            Code::TargetTooLong => self.metrics.limit_reached(Limit::Target),
            Code::HeadersTooLarge => self.metrics.limit_reached(Limit::Headers),
            Code::MethodNotAllowed => allow(&mut response, &[Method::GET, Method::HEAD, Method::POST]),
            _ => {}
        }
        let event = match refused.code {
            Code::UpgradeRefused => AuditEvent::UpgradeDenied { upstream: None, rule: refused.detail },
            _ => AuditEvent::HttpMalformed { kind: refused.detail },
        };
        self.audit_log.record(self.clock.now_millis(), Some(refused.request_id.as_str()), &event);
        set_request_id(&mut response, &refused.request_id);
        // What could be read in two ways says nothing reliable about where the next request begins.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        if let Some(access_log) = &self.access_log {
            access_log.write(&AccessLine {
                time_millis: self.clock.now_millis(),
                request_id: refused.request_id.as_str(),
                peer: refused.peer,
                host,
                method: method_in_logs(&refused.method),
                path: "",
                status: response.status().as_u16(),
                code: Some(refused.code.as_str()),
                upstream: None,
                user: None,
                session: None,
                bytes: response.body().size_hint().exact(),
                duration_micros: u64::try_from(self.clock.monotonic().saturating_sub(started).as_micros())
                    .unwrap_or(u64::MAX),
            });
        }
        response
    }

    fn refuse(&self, ingress: &Ingress, refusal: &Refusal) -> Response<Bytes> {
        self.metrics.refusal(refusal.code.as_str());
        if refusal.code == Code::AtCapacity {
            self.metrics.limit_reached(Limit::Sessions);
        }
        let code = refusal.code;
        refused(code, refusal.detail, ingress.request_id.as_str());
        let return_to = match &refusal.return_to {
            Some(path) => path.clone(),
            None => self.return_to_here(ingress),
        };
        let mut login = self.login_link(&return_to);
        if refusal.step_up.is_some() && ingress.method != Method::GET {
            // The return path says nothing about a request that is no page: the link names what it is for.
            login.push_str("&step_up=");
            login.push_str(&encode(&format!("{} {}", ingress.method, ingress.path.as_str())));
        }
        let absolute = format!("{}{login}", self.public_url.origin_of(&ingress.host));
        let (sign_out, switch_account) = (self.endpoint("/sign_out"), self.switch_link(ingress, &return_to));
        let own_sessions = self.endpoint(OWN_SESSIONS);
        let mut context = self.page_context(ingress);
        context.account = refusal.account.as_deref();
        context.sign_out = Some(&sign_out);
        context.switch_account = Some(&switch_account);
        context.step_up = refusal.step_up.as_deref();
        context.missing_scopes = refusal.missing_scopes.as_deref();
        // Where no login is offered, none is pointed at either.
        let unauthenticated = code.description().status == StatusCode::UNAUTHORIZED && code != Code::AnonymousDenied;
        if code.is_refused_logout_token() && ingress.method == Method::POST {
            return respond::logout_refused(code, &context);
        }
        if refusal.program || ingress.audience == Audience::Program {
            context.login = (unauthenticated || refusal.step_up.is_some()).then_some(absolute.as_str());
            return self.with_allow(ingress, respond::problem(code, &context), code);
        }
        // Browsers leave a backslash in a query as it is, but no link may hold one.
        let action = ingress.path_and_query().replace('\\', "%5C");
        let form = refusal.form.as_deref().map(|fields| (action.as_str(), fields));
        let framed = ingress.audience == Audience::Frame;
        if refusal.login {
            match ingress.audience {
                Audience::Form | Audience::Frame if ingress.method == Method::POST => {
                    return respond::form_not_sent(&context, &login, form, framed);
                }
                Audience::Frame => return respond::frame_unauthenticated(&context, &login),
                _ => {}
            }
        } else if let Some((action, fields)) = form {
            return respond::form_kept(code, &context, action, fields, framed);
        }
        context.again = match code {
            _ if unauthenticated || code.is_unusable_callback() || code.is_failed_login() => Some(&login),
            Code::TooManyCallbacks => Some(&login),
            Code::NotSignedOut => Some(&sign_out),
            Code::NotEnded => Some(&own_sessions),
            Code::CrossSite => Some(return_to.as_str()),
            _ => code.description().status.is_server_error().then_some(return_to.as_str()),
        };
        self.with_allow(ingress, respond::page(code, &context), code)
    }

    /// Path and query of the login that comes back to `return_to`.
    pub(super) fn login_link(&self, return_to: &ReturnTo) -> String {
        format!("{}?rd={}", self.endpoint("/start"), encode(return_to.as_str()))
    }

    /// Path and query of the way to another account, which comes back to `return_to`.
    ///
    /// By way of the logout at the provider, after which it must ask who is there. A provider without one would log the
    /// same account in again without a word: it is asked to let the person choose.
    fn switch_link(&self, ingress: &Ingress, return_to: &ReturnTo) -> String {
        let rd = encode(return_to.as_str());
        let ends_sessions = self.routes.provider(&ingress.host).is_some_and(|known| known.provider.ends_sessions());
        if ends_sessions {
            return format!("{}?rd={rd}", self.endpoint("/sign_out"));
        }
        format!("{}?rd={rd}&prompt=select_account", self.endpoint("/start"))
    }

    fn with_allow(&self, ingress: &Ingress, response: Response<Bytes>, code: Code) -> Response<Bytes> {
        let mut response = response;
        if code == Code::MethodNotAllowed {
            let rest = ingress.path.as_str().strip_prefix(self.routes.endpoints()).unwrap_or_default();
            allow(&mut response, endpoints::allowed(rest));
        }
        response
    }
}

/// The line that says why a request was refused, as severe as its code.
fn refused(code: Code, detail: &'static str, request_id: &str) {
    let Description { level, blame, .. } = code.description();
    let (code, blame) = (code.as_str(), blame.as_str());
    macro_rules! line {
        ($level:expr) => {
            tracing::event!($level, event = "request.refused", code, blame, detail, request_id)
        };
    }
    match level {
        tracing::Level::ERROR => line!(tracing::Level::ERROR),
        tracing::Level::WARN => line!(tracing::Level::WARN),
        tracing::Level::INFO => line!(tracing::Level::INFO),
        _ => line!(tracing::Level::DEBUG),
    }
}

fn allow<B>(response: &mut Response<B>, methods: &[Method]) {
    let list = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
    if let Ok(list) = HeaderValue::from_str(&list) {
        response.headers_mut().insert(header::ALLOW, list);
    }
}

fn set_request_id<B>(response: &mut Response<B>, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

fn encode(path: &str) -> String {
    url::form_urlencoded::byte_serialize(path.as_bytes()).collect()
}
