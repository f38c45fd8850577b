//! `/oauth2/auth`: a proxy that carries the requests itself asks for a decision on each (forward-auth).
//!
//! The decision is the one of the proxied path, made by the same steps. Allowed is exactly 200, and its headers hold a
//! value for every header that says who somebody is, so that the proxy overwrites whatever the user agent has sent.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header};

use super::Gateway;
use super::answer::Answered;
use super::asked;
use super::audience::Audience;
use super::authenticate;
use super::authorize::{self, Permit};
use super::body::Body;
use super::code::Code;
use super::forward;
use super::ingress::{Inbound, Ingress};
use super::query::Query;
use super::refusal::Refusal;
use super::route::Routed;
use super::transport_security;
use crate::cookie;
use crate::telemetry::audit::AuditEvent;

const LOGIN: HeaderName = HeaderName::from_static("x-vestibule-login");
const ON_401: HeaderName = HeaderName::from_static("x-vestibule-on-401");

impl Gateway {
    /// Answers a proxy that asks. `rest` is what follows the endpoint in the path.
    pub(super) async fn answer_proxy(
        self: &Arc<Self>,
        ingress: &Ingress,
        inbound: Inbound,
        rest: &str,
        started: Duration,
    ) -> Response<Body> {
        let mut answered = Answered::default();
        let headers = &inbound.parts.headers;
        let asked = if ingress.provenance.is_trusted() {
            asked::asked(ingress, headers, rest, &self.routes, &self.limits)
        } else {
            Err(Refusal::of(Code::ForwardAuthUntrusted))
        };
        match asked {
            Ok(asked) => {
                let decision = self.decide(ingress, &asked, headers, rest, &mut answered).await;
                // For proxies that do not pass this answer on: where to send a person, ready to be used.
                let login = match &decision {
                    Err(refusal) if refusal.login && asked.audience == Audience::Navigation => {
                        HeaderValue::from_str(&self.login_link(&self.return_to_here(&asked))).ok()
                    }
                    _ => None,
                };
                let decision = decision.map(|response| response.map(Body::from));
                let mut response = self.answer(&asked, decision, &answered, started);
                if let Some(login) = login {
                    response.headers_mut().insert(LOGIN, login);
                }
                response
            }
            Err(refusal) => {
                self.audit(Some(ingress), &AuditEvent::ForwardAuthDenied { reason: reason(&refusal) });
                self.answer(ingress, Err(refusal.for_a_program()), &answered, started)
            }
        }
    }

    async fn decide(
        self: &Arc<Self>,
        ingress: &Ingress,
        asked: &Ingress,
        headers: &HeaderMap,
        rest: &str,
        answered: &mut Answered,
    ) -> Result<Response<Bytes>, Refusal> {
        if let Some(answer) = transport_security::insist(self, asked) {
            return answer;
        }
        let route = match self.routes.route(asked) {
            Routed::Upstream(route) if route.settings.forward_auth() => route,
            // Our own endpoints and what we proxy ourselves are nothing to ask about: a yes would open a way around.
            Routed::Upstream(_) | Routed::Endpoint(_) | Routed::Nowhere => {
                let refusal = Refusal::of(Code::ForwardAuthNoUpstream);
                self.audit(Some(asked), &AuditEvent::ForwardAuthDenied { reason: reason(&refusal) });
                return Err(refusal);
            }
        };
        answered.route = Some(Arc::clone(&route));
        let requirements = route.requirements(&asked.method, &asked.path);
        let authentication = authenticate::authenticate(self, asked, headers, &requirements).await?;
        let permit = match authorize::authorize(self, asked, headers, &route, &requirements, authentication).await {
            Ok(permit) => permit,
            Err(refusal) => {
                let wanted = refusal.login && redirects(ingress, headers, rest)?;
                return match asked.audience {
                    Audience::Navigation if wanted => self.send_to_login(asked, headers, &refusal),
                    _ => Err(refusal),
                };
            }
        };
        answered.session = permit.session().cloned();
        if let Some(session) = permit.session() {
            self.sessions.note_use(session, &route.settings.upstream.name);
        }
        allowed(self, asked, &permit, headers)
    }
}

/// 200 with every header that says who somebody is, empty where there is no value, and with the cookies that are the
/// application's: those of gateways stay here.
fn allowed(
    gateway: &Gateway,
    asked: &Ingress,
    permit: &Permit<'_>,
    received: &HeaderMap,
) -> Result<Response<Bytes>, Refusal> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    forward::identify(gateway, asked, permit, headers)?;
    // As on the proxied path: what the configuration says takes the place of what came.
    if permit.keeps_authorization()
        && headers.get(header::AUTHORIZATION).is_none_or(HeaderValue::is_empty)
        && let Some(own) = received.get(header::AUTHORIZATION)
    {
        headers.insert(header::AUTHORIZATION, own.clone());
    }
    let mut cookies = HeaderMap::new();
    for value in received.get_all(header::COOKIE) {
        cookies.append(header::COOKIE, value.clone());
    }
    cookie::remove_gateway_cookies(&mut cookies);
    let left: Vec<&[u8]> = cookies.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let left = HeaderValue::from_bytes(&left.join(&b"; "[..])).unwrap_or(HeaderValue::from_static(""));
    headers.insert(header::COOKIE, left);
    Ok(response)
}

/// Whether the proxy wants navigations to be sent to the login by this answer. Only its own words count: the query of
/// the endpoint, not that of the request it asks about.
fn redirects(ingress: &Ingress, headers: &HeaderMap, rest: &str) -> Result<bool, Refusal> {
    let by_header = headers.get(ON_401).is_some_and(|value| value.as_bytes() == b"redirect");
    if by_header || !rest.is_empty() {
        return Ok(by_header);
    }
    Ok(Query::read(ingress.query.as_deref(), &["on_401"])?.first(&["on_401"]) == Some("redirect"))
}

fn reason(refusal: &Refusal) -> &'static str {
    if refusal.detail.is_empty() { refusal.code.as_str() } else { refusal.detail }
}
