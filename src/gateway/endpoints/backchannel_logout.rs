//! `POST /oauth2/backchannel-logout`: the provider ends sessions, server to server (OpenID Connect Back-Channel Logout
//! §2.5 to §2.8).
//!
//! The token is all the authority there is: no cookie is looked at, and a request that brings one of ours comes from a
//! browser and is refused. There is no cross-site check, because there is nothing of a browser to be misused.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};

use super::super::Gateway;
use super::super::authenticate::store_refusal;
use super::super::code::Code;
use super::super::field::Field;
use super::super::form;
use super::super::ingress::{Inbound, Ingress};
use super::super::provider_logout::ProviderLogout;
use super::super::query::Query;
use super::super::refusal::Refusal;
use super::super::route::KnownProvider;
use super::Answer;
use crate::cookie;
use crate::oidc::logout_token::{LogoutToken, UnverifiedLogoutToken};
use crate::provider::logout_token::LogoutTokenRefused;
use crate::session::{EndReason, NamedToken};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::{Limit, StoreOperation};

/// A token of 16 KiB, which nobody has to escape, and room for the little that may stand beside it.
const FORM_LIMIT: usize = 20 << 10;

pub(super) async fn backchannel_logout(gateway: &Arc<Gateway>, ingress: &Ingress, inbound: Inbound) -> Answer {
    let (known, issuer) = issuer_of(gateway, ingress)?;
    let refusal = match act(gateway, ingress, inbound, known, issuer).await {
        Ok(()) => return Ok(done()),
        Err(refusal) => refusal,
    };
    let check = Some(refusal.detail).filter(|detail| !detail.is_empty());
    let event = AuditEvent::BackChannelRejected { provider: Some(known.label()), reason: refusal.code.as_str(), check };
    gateway.audit(Some(ingress), &event);
    Err(refusal.for_a_program())
}

/// The provider of this host; a plain OAuth 2.0 server ends nobody's session.
pub(super) fn issuer_of<'a>(
    gateway: &'a Gateway,
    ingress: &Ingress,
) -> Result<(&'a Arc<KnownProvider>, &'a str), Refusal> {
    let known = gateway.routes.provider(&ingress.host).ok_or(Refusal::of(Code::NotFound))?;
    let issuer = known.provider.settings().issuer.as_deref().ok_or(Refusal::of(Code::NotFound))?;
    Ok((known, issuer))
}

async fn act(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    inbound: Inbound,
    known: &Arc<KnownProvider>,
    issuer: &str,
) -> Result<(), Refusal> {
    if !gateway.clock_is_sane(gateway.clock.now()) {
        return Err(Refusal::of(Code::Clock));
    }
    let form = read_form(inbound).await?;
    let text = std::str::from_utf8(&form).map_err(|_| malformed("form"))?;
    let form = Query::read(Some(text), &["logout_token"]).map_err(|_| malformed("repeated"))?;
    let token = form.first(&["logout_token"]).ok_or(malformed("missing"))?;
    let token = UnverifiedLogoutToken::parse(token).map_err(|error| invalid(error.check()))?;
    let token = verify(gateway, known, &token).await?;
    let logout = ProviderLogout {
        known: Arc::clone(known),
        issuer: issuer.to_owned(),
        logged_out: token.logged_out().clone(),
        at: Some(token.issued_at()),
        reason: EndReason::BackChannelLogout,
        request_id: ingress.request_id,
    };
    // A provider that hangs up must not leave a token used and its sessions alive.
    let carried_out = tokio::spawn(carry_out(Arc::clone(gateway), token, logout));
    carried_out.await.unwrap_or(Err(Refusal::of(Code::Internal)))
}

/// What the provider has signed passes, however much else comes: forgeries must not keep its word out. Anything else is
/// held to the limit before it can make the provider's keys be fetched.
async fn verify(
    gateway: &Gateway,
    known: &KnownProvider,
    token: &UnverifiedLogoutToken<'_>,
) -> Result<LogoutToken, Refusal> {
    if let Some(token) = known.provider.knows_logout_token(token) {
        return Ok(token);
    }
    gateway.admit_logout(Limit::LogoutTokens)?;
    known.provider.verify_logout_token(token).await.map_err(|refused| match refused {
        LogoutTokenRefused::Invalid { check } => invalid(check),
        LogoutTokenRefused::KeysUnavailable => Refusal::of(Code::ProviderUnavailable),
    })
}

/// Ends the sessions, once for each token; see [`crate::session::LogoutTurn`] for the order.
async fn carry_out(gateway: Arc<Gateway>, token: LogoutToken, logout: ProviderLogout) -> Result<(), Refusal> {
    let store_away = |error| store_refusal(&gateway, StoreOperation::PutOnce, &error);
    // Our clock may be ahead of the provider's, and other replicas' behind ours.
    let margin = logout.known.provider.settings().clock_leeway.saturating_mul(2).saturating_add(Duration::from_secs(1));
    let named = NamedToken { issuer: &logout.issuer, jti: token.jti(), until: token.good_until().plus(margin) };
    let turn = gateway.sessions.take_turn(named).await.map_err(store_away)?.ok_or(invalid("replayed"))?;
    let counted = gateway.end_for_provider(&logout).await?;
    gateway.sessions.use_up(named, turn).await.map_err(store_away)?;
    let event = AuditEvent::BackChannelAccepted {
        provider: logout.known.label(),
        by: logout.by(),
        ended: counted.ended,
        revoked: counted.revoked,
    };
    gateway.audit_log.record(gateway.clock.now_millis(), Some(logout.request_id.as_str()), &event);
    Ok(())
}

async fn read_form(inbound: Inbound) -> Result<Bytes, Refusal> {
    let Inbound { parts, body } = inbound;
    if cookie::holds_gateway_cookies(&parts.headers) {
        return Err(malformed("cookie"));
    }
    if !is_form(&parts.headers) {
        return Err(malformed("content-type"));
    }
    form::read(body, FORM_LIMIT).await.ok_or(malformed("form"))
}

fn is_form(headers: &HeaderMap) -> bool {
    let Field::One(field) = Field::of(headers, &header::CONTENT_TYPE) else { return false };
    let media = field.to_str().ok().and_then(|field| field.split(';').next());
    media.is_some_and(|media| media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

const fn malformed(detail: &'static str) -> Refusal {
    Refusal::of(Code::LogoutMalformed).with_detail(detail)
}

const fn invalid(check: &'static str) -> Refusal {
    Refusal::of(Code::LogoutTokenInvalid).with_detail(check)
}

/// 200 without a body, also when there was nothing to end (§2.8).
fn done() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
