//! `/oauth2/userinfo`, `/oauth2/session` and `/oauth2/session/refresh`: what a page may know about its own session.
//!
//! Times, names and scopes; never a token.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, header};
use serde_json::json;

use super::super::Gateway;
use super::super::authenticate::session_of;
use super::super::authorize::cross_site_refusal;
use super::super::code::Code;
use super::super::cross_site;
use super::super::ingress::Ingress;
use super::super::refresh::NotFresh;
use super::super::refusal::Refusal;
use super::Answer;
use crate::clock::Timestamp;
use crate::session::OpenedSession;

pub(super) async fn userinfo(gateway: &Arc<Gateway>, ingress: &Ingress, headers: &HeaderMap) -> Answer {
    let session = own(gateway, ingress, headers).await?;
    let identity = session.identity();
    answer(&json!({
        "user": identity.subject,
        "email": identity.email,
        "groups": identity.groups,
        "preferredUsername": identity.username,
    }))
}

pub(super) async fn times(gateway: &Arc<Gateway>, ingress: &Ingress, headers: &HeaderMap) -> Answer {
    let session = own(gateway, ingress, headers).await?;
    answer(&describe(gateway, &session))
}

pub(super) async fn refresh(gateway: &Arc<Gateway>, ingress: &Ingress, headers: &HeaderMap) -> Answer {
    let session = own(gateway, ingress, headers).await?;
    cross_site::check(headers, &gateway.public_url, &ingress.host)
        .map_err(|rule| cross_site_refusal(gateway, ingress, headers, rule, Some(&session)))?;
    let known = gateway.routes.provider(&ingress.host).ok_or(Refusal::of(Code::NotFound))?;
    // A script in a loop must not wear the provider out: a token that is young is fresh enough.
    let session = if is_young(&session, gateway.clock.now()) {
        session
    } else {
        gateway.refresher.force(known, &session).await.map_err(|not_fresh| match not_fresh {
            NotFresh::Unavailable => Refusal::of(Code::RefreshUnavailable),
            NotFresh::Ended(why) => Refusal::unauthenticated(why).for_a_program(),
            NotFresh::AccessTokenExpired => Refusal::of(Code::AccessTokenExpired).for_a_program(),
        })?
    };
    answer(&describe(gateway, &session))
}

fn describe(gateway: &Gateway, session: &OpenedSession) -> serde_json::Value {
    let asked = gateway.routes.provider(session.host()).map(|known| known.provider.settings().scopes.clone());
    let grant = session.login_grant();
    let granted: &[String] = grant.map(|grant| grant.tokens.scopes.as_slice()).unwrap_or_default();
    let mut missing = asked.unwrap_or_default();
    let needed = gateway.routes.scopes(session.host()).into_iter().map(str::to_owned);
    let further: Vec<_> = needed.filter(|scope| !missing.contains(scope)).collect();
    missing.extend(further);
    missing.retain(|scope| !granted.contains(scope));
    let seconds = |at: Option<Timestamp>| at.map(Timestamp::as_seconds);
    json!({
        "created": session.created().as_seconds(),
        "session_expires": gateway.sessions.absolute_expiry(session).as_seconds(),
        "idle_expires": gateway.sessions.idle_expiry(session).as_seconds(),
        "access_token_expires": seconds(grant.and_then(|grant| grant.tokens.access_expires)),
        "next_refresh": seconds(session.next_refresh().filter(|_| session.can_refresh())),
        "refreshable": session.can_refresh(),
        "scopes_granted": granted,
        "scopes_missing": missing,
    })
}

/// Whether a forced refresh would come too soon after the last one.
fn is_young(session: &OpenedSession, now: Timestamp) -> bool {
    session.login_grant().is_some_and(|grant| {
        let lifetime = grant.tokens.access_expires.map_or(Duration::MAX, |expires| expires.since(grant.obtained));
        now.since(grant.obtained) < (lifetime / 10).min(Duration::from_secs(60))
    })
}

/// The session of the person who asks, from a page of this very origin.
pub(super) async fn own(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
) -> Result<Arc<OpenedSession>, Refusal> {
    let session = session_of(gateway, &ingress.host, headers)
        .await?
        .map_err(|why| Refusal::unauthenticated(why).for_a_program())?;
    let mut sites = headers.get_all("sec-fetch-site").iter().map(HeaderValue::as_bytes);
    if matches!((sites.next(), sites.next()), (None | Some(b"same-origin" | b"none"), None)) {
        Ok(session)
    } else {
        Err(cross_site_refusal(gateway, ingress, headers, cross_site::CrossSite::FetchMetadata, Some(&session)))
    }
}

pub(super) fn answer(body: &serde_json::Value) -> Answer {
    let mut response = Response::new(Bytes::from(body.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}
