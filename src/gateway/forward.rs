//! The one place that hands a request to an upstream; it takes a [`Permit`].

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response};

use super::Gateway;
use super::authorize::Permit;
use super::code::Code;
use super::ingress::{Inbound, Ingress};
use super::keeper::Keeper;
use super::refusal::Refusal;
use super::web_sockets::WebSocketPlace;
use crate::server::Stay;
use crate::session::OpenedSession;
use crate::telemetry::audit::AuditEvent;
use crate::upstream::identity_assertion::AssertionError;
use crate::upstream::template::RequestValues;
use crate::upstream::{self, BodyRefused, ForwardedContext, Outgoing, Principal, SharedGuard, UpstreamError};

/// Forwards a request with the identity and the token of its permit, or of nobody.
pub(super) async fn forward(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    inbound: Inbound,
    permit: &Permit<'_>,
) -> Result<Response<upstream::Body>, Refusal> {
    let route = permit.route();
    let session = permit.session();
    note_use(gateway, permit);
    let guard = session.map(|session| Arc::new(Keeper::new(gateway, session)) as SharedGuard);
    let Inbound { mut parts, body } = inbound;
    let place = match ingress.upgrade {
        Some(_) => {
            let place = place(gateway, ingress, session.map(Arc::as_ref))?;
            // Its connection must not seem idle as long as it is open.
            Some(Box::new((place, parts.extensions.remove::<Stay>())) as Box<dyn Send>)
        }
        None => None,
    };
    let outgoing = Outgoing {
        path: ingress.path.as_str(),
        query: ingress.query.as_deref(),
        principal: principal(gateway, permit),
        keep_authorization: permit.keeps_authorization(),
        forwarded: ForwardedContext {
            hops: ingress.provenance.hops(),
            peer: ingress.provenance.peer(),
            scheme: gateway.public_url.scheme(),
            host: &ingress.host,
            request_id: ingress.request_id.as_str(),
        },
        upgrade: ingress.upgrade,
        session: session.map(|session| number(session)),
        guard,
        body_limits: &gateway.body_limits,
        clock: &gateway.clock,
        place,
    };
    route.upstream.forward(parts, body, outgoing).await.map_err(|error| refused(gateway, ingress, permit, &error))
}

/// Writes what the upstream of a permit is told about the person, for a proxy that carries the request itself.
///
/// Every header that says who somebody is to any upstream is there, empty where it has nothing to say: a proxy that
/// copies them overwrites whatever the user agent has sent under these names.
pub(super) fn identify(
    gateway: &Gateway,
    ingress: &Ingress,
    permit: &Permit<'_>,
    headers: &mut HeaderMap,
) -> Result<(), Refusal> {
    note_use(gateway, permit);
    let values = RequestValues { id: ingress.request_id.as_str(), host: ingress.host.as_str() };
    let list = permit.route().upstream.identity_headers(&principal(gateway, permit), values);
    for (name, value) in list.map_err(|error| refused(gateway, ingress, permit, &error))? {
        if let Some(value) = value {
            headers.append(name, value);
        }
    }
    for name in gateway.routes.told() {
        headers.entry(name).or_insert(HeaderValue::from_static(""));
    }
    Ok(())
}

/// What stands for a session where a number will do; it opens nothing.
fn number(session: &OpenedSession) -> u64 {
    session.store_key().as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Has the first use of an upstream written down, so that whoever looks at sessions sees what they were for.
fn note_use(gateway: &Gateway, permit: &Permit<'_>) {
    if let Some(session) = permit.session() {
        gateway.sessions.note_use(session, &permit.route().settings.upstream.name);
    }
}

/// What headers may say of the person behind a permit; nothing when nobody is.
fn principal<'a>(gateway: &Gateway, permit: &'a Permit<'_>) -> Principal<'a> {
    let Some(session) = permit.session() else { return Principal::default() };
    let grant = session.login_grant();
    Principal {
        identity: Some(session.identity()),
        access_token: grant.map(|grant| &grant.tokens.access_token),
        id_token: grant.and_then(|grant| grant.tokens.id_token.as_ref()),
        created: Some(session.created()),
        expires: Some(gateway.sessions.absolute_expiry(session)),
    }
}

/// Tells of an error of an upstream, or of its headers, and says how it is answered.
fn refused(gateway: &Gateway, ingress: &Ingress, permit: &Permit<'_>, error: &UpstreamError) -> Refusal {
    if let (UpstreamError::ClaimMissing { header }, Some(session)) = (error, permit.session()) {
        return claim_missing(gateway, ingress, permit, session, header);
    }
    let refusal = refusal(error);
    if matches!(error, UpstreamError::BodyRefused(_)) {
        // The upstream has nothing to do with it, and a line says so already.
        return refusal;
    }
    tracing::warn!(
        event = "upstream.error",
        upstream = permit.route().settings.upstream.name,
        code = refusal.code.as_str(),
        %error,
        request_id = ingress.request_id.as_str(),
    );
    refusal
}

/// 403 for somebody who lacks what a header needs: the account is as good as one that may not in.
fn claim_missing(
    gateway: &Gateway,
    ingress: &Ingress,
    permit: &Permit<'_>,
    session: &OpenedSession,
    header: &HeaderName,
) -> Refusal {
    let upstream = permit.route().settings.upstream.name.as_str();
    tracing::info!(
        event = "header.claim-missing",
        upstream,
        header = header.as_str(),
        request_id = ingress.request_id.as_str()
    );
    let (user, reason) = (gateway.user_in_logs(session), Code::ClaimMissing.as_str());
    gateway.audit(
        Some(ingress),
        &AuditEvent::AuthzDenied { upstream, rule: None, user, session: session.reference(), reason },
    );
    Refusal::of(Code::ClaimMissing).with_session(session)
}

/// A place among the WebSockets of a session and of a user agent's address, as far as there are such.
fn place(gateway: &Gateway, ingress: &Ingress, session: Option<&OpenedSession>) -> Result<WebSocketPlace, Refusal> {
    let session = session.map(|session| *session.store_key().as_bytes());
    match gateway.web_sockets.enter(&gateway.limits, session, ingress.provenance.user_agent()) {
        Ok(place) => Ok(place),
        Err(limit) => {
            gateway.metrics.limit_reached(limit);
            Err(Refusal::of(Code::TooManyWebSockets).with_detail(limit.as_str()))
        }
    }
}

fn refusal(error: &UpstreamError) -> Refusal {
    Refusal::of(match error {
        UpstreamError::Unreachable(_) | UpstreamError::ConnectTimeout => Code::UpstreamUnreachable,
        UpstreamError::Busy => Code::UpstreamBusy,
        UpstreamError::ResponseTimeout => Code::UpstreamTimeout,
        UpstreamError::BadAnswer(_) => Code::UpstreamBadAnswer,
        UpstreamError::HeadTooLarge => Code::UpstreamHeadersTooLarge,
        UpstreamError::ClaimMissing { .. } => Code::ClaimMissing,
        UpstreamError::Assertion(AssertionError::NoEntropy(_)) => Code::NoEntropy,
        UpstreamError::Assertion(AssertionError::Signing(_)) => Code::Internal,
        UpstreamError::ClaimNotAHeader { .. } => Code::ClaimNotAHeader,
        UpstreamError::Loop => Code::Loop,
        UpstreamError::UpgradeRefused(_) => Code::UpgradeRefused,
        UpstreamError::RequestBody(_) => Code::MalformedHeader,
        UpstreamError::BodyRefused(BodyRefused::TooLarge) => Code::BodyTooLarge,
        UpstreamError::BodyRefused(BodyRefused::TooSlow) => Code::BodyTooSlow,
        UpstreamError::Target(_) => Code::MalformedPath,
        UpstreamError::SessionEnded => Code::Unauthenticated,
    })
}
