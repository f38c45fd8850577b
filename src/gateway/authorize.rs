//! The one place that lets a request through: nothing is forwarded without the [`Permit`] that only this file makes.

use std::sync::Arc;

use http::HeaderMap;

use super::Gateway;
use super::audience::Audience;
use super::authenticate::Authentication;
use super::code::Code;
use super::cross_site::{self, Asked, CrossSite};
use super::denial;
use super::ingress::Ingress;
use super::refresh::NotFresh;
use super::refusal::Refusal;
use super::route::Route;
use super::rule::Requirements;
use super::settings::Anonymous;
use crate::policy::{self, Decision, DenyReason};
use crate::session::OpenedSession;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::Denial;

/// Leave to forward one request to one upstream, with the authority of one session or of nobody.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    route: &'a Route,
    session: Option<Arc<OpenedSession>>,
    public: bool,
}

impl Permit<'_> {
    pub(super) const fn route(&self) -> &Route {
        self.route
    }

    /// Whether the caller's own `Authorization` goes on: on a public path, where nobody has been looked for.
    pub(super) fn keeps_authorization(&self) -> bool {
        self.public && self.route.settings.upstream.keep_authorization
    }

    pub(super) const fn session(&self) -> Option<&Arc<OpenedSession>> {
        self.session.as_ref()
    }
}

/// Decides whether a request may pass: cross-site check, refresh when due, then the rules on what the refresh brought,
/// step-up last.
pub(super) async fn authorize<'a>(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
    route: &'a Route,
    requirements: &Requirements<'_>,
    authentication: Authentication,
) -> Result<Permit<'a>, Refusal> {
    let session = match authentication {
        Authentication::Public => return Ok(Permit { route, session: None, public: true }),
        Authentication::Anonymous(why) => return anonymous(headers, route, requirements, why),
        Authentication::Session(session) => session,
    };
    let asked =
        Asked { method: &ingress.method, path: ingress.path.as_str(), headers, web_socket: ingress.is_handshake };
    cross_site::judge(&asked, &gateway.public_url, &ingress.host, route.settings.cross_site.as_ref()).map_err(
        |rule| {
            if asked.web_socket {
                let (upstream, rule) = (Some(route.settings.upstream.name.as_str()), rule.as_str());
                gateway.audit(Some(ingress), &AuditEvent::UpgradeDenied { upstream, rule });
            }
            cross_site_refusal(gateway, ingress, headers, rule, Some(&session))
        },
    )?;
    let needs_access_token = route.upstream.needs_access_token();
    let session = match gateway.refresher.fresh(&route.known, session, needs_access_token).await {
        Ok(session) => session,
        Err(NotFresh::Unavailable) => return Err(Refusal::of(Code::RefreshUnavailable)),
        Err(NotFresh::Ended(why)) => return anonymous(headers, route, requirements, why),
        Err(NotFresh::AccessTokenExpired) if requirements.anonymous == Anonymous::Deny => {
            return Err(Refusal::of(Code::AccessTokenExpired));
        }
        Err(NotFresh::AccessTokenExpired) => {
            let refusal = unauthenticated(headers, requirements, "access-token-expired");
            return Err(refusal.because_of(Code::AccessTokenExpired));
        }
    };
    if let Decision::Denied(reason) = decide(route, requirements, &session) {
        return Err(denial::denied(gateway, ingress, route, requirements, &session, reason));
    }
    let missing = route.missing_scopes(&session);
    if !missing.is_empty() {
        return Err(denial::not_granted(gateway, ingress, route, requirements, &session, &missing));
    }
    // Last: whoever may not in anyway does not learn what it would take.
    if let Some(wanted) = requirements.step_up
        && let Some(shortfall) = gateway.shortfall(&route.known, wanted, &session)
    {
        let refusal = Refusal::step_up(wanted, shortfall).with_session(&session);
        let refusal = for_who_asks(headers, requirements, refusal);
        if refusal.program || ingress.audience != Audience::Navigation {
            denial::tell(gateway, ingress, route, requirements, &session, Denial::StepUpRequired);
        }
        return Err(refusal);
    }
    Ok(Permit { route, session: Some(session), public: false })
}

/// Whether somebody who is logged in may in.
pub(super) fn decide(route: &Route, requirements: &Requirements<'_>, session: &OpenedSession) -> Decision {
    let (identity, mapping) = (session.identity(), &route.known.provider.settings().claims);
    match policy::decide(requirements.access, identity, mapping) {
        // Without its groups header the upstream would take the person for somebody without groups.
        Decision::Allowed if route.needs_groups && identity.has_groups_overage(mapping) => {
            Decision::Denied(DenyReason::GroupsOverage)
        }
        decision => decision,
    }
}

/// What the upstream gets to see of somebody who is not logged in.
fn anonymous<'a>(
    headers: &HeaderMap,
    route: &'a Route,
    requirements: &Requirements<'_>,
    why: &'static str,
) -> Result<Permit<'a>, Refusal> {
    match requirements.anonymous {
        Anonymous::Forward => Ok(Permit { route, session: None, public: false }),
        Anonymous::Deny => Err(Refusal::of(Code::AnonymousDenied).with_detail(why)),
        Anonymous::Login => Err(unauthenticated(headers, requirements, why)),
    }
}

fn unauthenticated(headers: &HeaderMap, requirements: &Requirements<'_>, why: &'static str) -> Refusal {
    for_who_asks(headers, requirements, Refusal::unauthenticated(why))
}

fn for_who_asks(headers: &HeaderMap, requirements: &Requirements<'_>, refusal: Refusal) -> Refusal {
    // Whoever brings credentials of their own is a program, and so is whoever asks an API.
    if requirements.api || headers.contains_key(http::header::AUTHORIZATION) {
        refusal.for_a_program()
    } else {
        refusal
    }
}

/// 403 for a request of another site; the session stays.
pub(super) fn cross_site_refusal(
    gateway: &Gateway,
    ingress: &Ingress,
    headers: &HeaderMap,
    rule: CrossSite,
    session: Option<&OpenedSession>,
) -> Refusal {
    let site = cross_site::site_in_logs(headers);
    gateway.audit(Some(ingress), &AuditEvent::CsrfDenied { rule: rule.as_str(), site });
    let refusal = Refusal::of(Code::CrossSite).with_detail(rule.as_str());
    match session {
        Some(session) => refusal.with_session(session),
        None => refusal,
    }
}
