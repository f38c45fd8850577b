//! `GET/POST /oauth2/sign_out`: ends the session here, revokes its tokens (RFC 7009), then lets the provider end its
//! own (OpenID Connect RP-Initiated Logout).

use std::sync::Arc;

use http::{HeaderMap, Method, header};

use super::super::Gateway;
use super::super::audience::Audience;
use super::super::authenticate::session_of;
use super::super::authorize::cross_site_refusal;
use super::super::code::Code;
use super::super::cross_site;
use super::super::form;
use super::super::ingress::{Inbound, Ingress};
use super::super::query::Query;
use super::super::refusal::Refusal;
use super::super::respond;
use super::super::route::KnownProvider;
use super::{Answer, login};
use crate::return_to::ReturnTo;
use crate::session::EndReason;
use crate::session::OpenedSession;
use crate::session::login_attempt::MAX_RETURN_PATH;
use crate::session::logout_state::LogoutState;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::StoreOperation;

/// A sign-out form holds a return path and nothing else.
const FORM_LIMIT: usize = 8 << 10;

pub(super) async fn sign_out(gateway: &Arc<Gateway>, ingress: &Ingress, inbound: Inbound) -> Answer {
    let Inbound { parts, body } = inbound;
    let headers = &parts.headers;
    let mut rd = Query::read(ingress.query.as_deref(), &["rd"])?.first(&["rd"]).map(str::to_owned);
    if ingress.method == Method::POST {
        if let Err(rule) = cross_site::check(headers, &gateway.public_url, &ingress.host) {
            return Err(cross_site_refusal(gateway, ingress, headers, rule, None));
        }
        let form = form::read(body, FORM_LIMIT).await.ok_or(Refusal::of(Code::CallbackMalformed))?;
        let form = std::str::from_utf8(&form).unwrap_or_default();
        if let Some(value) = Query::read(Some(form), &["rd"])?.first(&["rd"]) {
            rd = Some(value.to_owned());
        }
    } else if !is_by_the_person(ingress, headers) {
        // A link on another site must not log anybody out: a person has to press a button.
        let rd = rd.map(|rd| gateway.return_to(Some(&rd), &ingress.host));
        return Ok(respond::sign_out_confirm(
            &gateway.page_context(ingress),
            &gateway.endpoint("/sign_out"),
            rd.as_ref().map(ReturnTo::as_str),
        ));
    }
    let session = session_of(gateway, &ingress.host, headers).await.map_err(|refusal| match refusal.code {
        Code::StoreUnavailable => Refusal::of(Code::NotSignedOut),
        _ => refusal,
    })?;
    let return_to = rd
        .map(|rd| gateway.return_to(Some(&rd), &ingress.host))
        .map(|return_to| return_to.bounded(MAX_RETURN_PATH, &gateway.public_url));
    let place = gateway.login_place(&ingress.host);
    let state = match &return_to {
        Some(path) => Some(LogoutState::seal(place, path, gateway.clock.now(), gateway.entropy.as_ref())?),
        None => None,
    };
    let mut location = gateway.endpoint("/signed_out");
    if let Some(state) = &state {
        location.push_str("?state=");
        location.push_str(state);
    }
    if let Ok(session) = session {
        let known = gateway.routes.provider(&ingress.host).ok_or(Refusal::of(Code::NotFound))?;
        end_here(gateway, ingress, known, &session).await?;
        let id_token = session.login_grant().and_then(|grant| grant.tokens.id_token.as_ref());
        let back = gateway.post_logout_redirect_uri(&ingress.host);
        if let Some(url) = known.provider.end_session_redirect(id_token, &back, state.as_deref()) {
            let event = AuditEvent::LogoutAtProvider { provider: known.label(), session: session.reference() };
            gateway.audit(Some(ingress), &event);
            location = url;
        }
    }
    signed_out_at(gateway, &location)
}

/// Ends the session that the request has come with, and revokes its tokens.
pub(super) async fn end_here(
    gateway: &Gateway,
    ingress: &Ingress,
    known: &Arc<KnownProvider>,
    session: &OpenedSession,
) -> Result<(), Refusal> {
    if gateway.sessions.end(session, EndReason::SignOut).await.is_err() {
        gateway.store_failed(StoreOperation::Remove);
        gateway.audit(Some(ingress), &AuditEvent::LogoutFailed { session: session.reference() });
        return Err(Refusal::of(Code::NotSignedOut).with_session(session));
    }
    let user = gateway.user_in_logs(session);
    gateway.audit(Some(ingress), &AuditEvent::LogoutLocal { user, session: session.reference() });
    gateway.session_ended(ingress, session, EndReason::SignOut);
    for grant in session.grants() {
        gateway.revoker.revoke(known, Arc::clone(grant), session.reference());
    }
    Ok(())
}

/// Sends the browser on without its session cookie.
pub(super) fn signed_out_at(gateway: &Gateway, location: &str) -> Answer {
    let mut response = login::redirect(location)?;
    let names = &gateway.cookie_names;
    response.headers_mut().append(header::SET_COOKIE, names.delete(names.session(), gateway.cookie.same_site));
    Ok(response)
}

/// A link that the person followed or an address that they typed: nothing that another site, an image of a page or a
/// prefetch has caused.
fn is_by_the_person(ingress: &Ingress, headers: &HeaderMap) -> bool {
    if ingress.method != Method::GET || ingress.audience != Audience::Navigation {
        return false;
    }
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.next().is_some_and(|site| matches!(site.as_bytes(), b"same-origin" | b"none")) && sites.next().is_none()
}
