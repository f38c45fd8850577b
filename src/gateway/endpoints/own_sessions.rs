//! `GET/POST /oauth2/sessions`: a person's own live sessions, on every host and in every browser, each with a button that
//! ends it.
//!
//! Sessions are named by their keys in the store, which open nothing. Whose a session is stands in its card; a name that
//! somebody else's session has is answered like one that nobody has.

use std::sync::Arc;

use http::{HeaderMap, Method};
use serde_json::json;

use super::super::audience::Audience;
use super::super::authenticate::{session_of, store_refusal};
use super::super::authorize::cross_site_refusal;
use super::super::code::Code;
use super::super::cross_site;
use super::super::form;
use super::super::ingress::{Inbound, Ingress};
use super::super::page::OwnSession;
use super::super::query::Query;
use super::super::refusal::Refusal;
use super::super::respond;
use super::super::{EndedBy, EndedElsewhere, Gateway, WhichSessions};
use super::own_session::{answer, own};
use super::{Answer, login, sign_out};
use crate::clock::Timestamp;
use crate::return_to::{OWN_SESSIONS, ReturnTo};
use crate::session::{EndReason, OpenedSession, SessionSummary, StoreKey};
use crate::telemetry::labels::StoreOperation;

/// One name, or one word.
const FORM_LIMIT: usize = 1 << 10;

pub(super) async fn own_sessions(gateway: &Arc<Gateway>, ingress: &Ingress, inbound: Inbound) -> Answer {
    if ingress.method == Method::POST {
        return end(gateway, ingress, inbound).await;
    }
    let headers = &inbound.parts.headers;
    if ingress.audience != Audience::Navigation {
        let session = own(gateway, ingress, headers).await?;
        return answer(&for_programs(&list(gateway, &session).await?, session.lives_on_as()));
    }
    match session_of(gateway, &ingress.host, headers).await? {
        Ok(session) => Ok(page(gateway, ingress, &list(gateway, &session).await?, session.lives_on_as())),
        Err(why) => gateway.send_to_login(ingress, headers, &Refusal::unauthenticated(why)),
    }
}

/// Ends the one that `id` names, or with `others=true` all but this.
async fn end(gateway: &Arc<Gateway>, ingress: &Ingress, inbound: Inbound) -> Answer {
    let Inbound { parts, body } = inbound;
    let session = current(gateway, ingress, &parts.headers).await?;
    let form = form::read(body, FORM_LIMIT).await.ok_or(malformed("body"))?;
    let form = Query::read(Some(std::str::from_utf8(&form).unwrap_or_default()), &["id", "others"])?;
    let (which, scope) = match (form.first(&["id"]), form.first(&["others"])) {
        (Some(id), None) => {
            // What was ended a moment ago in another window is not told apart from what never was.
            let key = id.parse().map_err(|_| Refusal::of(Code::NotFound))?;
            if key == session.lives_on_as() {
                return end_this_one(gateway, ingress, &session).await;
            }
            let found = gateway.sessions.find(key).await;
            let found = found.map_err(|_| not_ended(gateway, StoreOperation::Load, &session))?;
            found.filter(|found| is_of(found, &session)).ok_or(Refusal::of(Code::NotFound))?;
            (vec![key], "one")
        }
        (None, Some("true")) => {
            let all = list(gateway, &session).await.map_err(|refusal| match refusal.code {
                Code::StoreUnavailable => Refusal::of(Code::NotEnded).with_session(&session),
                _ => refusal,
            })?;
            (all.into_iter().map(|one| one.store_key).filter(|key| *key != session.lives_on_as()).collect(), "others")
        }
        _ => return Err(malformed("what")),
    };
    let ended = end_elsewhere(gateway, ingress, &session, which, scope).await?;
    if ingress.audience == Audience::Program {
        let EndedElsewhere { ended, revoking, .. } = ended;
        return answer(&json!({ "ended": ended, "tokens_being_revoked": revoking }));
    }
    login::redirect(&gateway.endpoint(OWN_SESSIONS))
}

/// The session of the person who asks, unless another site does.
async fn current(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
) -> Result<Arc<OpenedSession>, Refusal> {
    if let Err(rule) = cross_site::check(headers, &gateway.public_url, &ingress.host) {
        return Err(cross_site_refusal(gateway, ingress, headers, rule, None));
    }
    let session = session_of(gateway, &ingress.host, headers).await.map_err(|refusal| match refusal.code {
        Code::StoreUnavailable => Refusal::of(Code::NotEnded),
        _ => refusal,
    })?;
    session.map_err(Refusal::unauthenticated)
}

async fn end_this_one(gateway: &Arc<Gateway>, ingress: &Ingress, session: &OpenedSession) -> Answer {
    let known = gateway.routes.provider(&ingress.host).ok_or(Refusal::of(Code::NotFound))?;
    sign_out::end_here(gateway, ingress, known, session).await?;
    sign_out::signed_out_at(gateway, &gateway.endpoint("/signed_out"))
}

/// In a task of its own: a closed tab must not leave half of them alive.
async fn end_elsewhere(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    session: &Arc<OpenedSession>,
    keys: Vec<StoreKey>,
    scope: &'static str,
) -> Result<EndedElsewhere, Refusal> {
    let (owner, whose, request_id) = (Arc::clone(gateway), Arc::clone(session), ingress.request_id);
    let ending = tokio::spawn(async move {
        let user = Some(owner.user_in_logs(&whose));
        let by = EndedBy { reason: EndReason::SignOut, by: "person", scope, user, request_id: request_id.as_str() };
        owner.end_elsewhere(WhichSessions::Named(keys), by).await
    });
    match ending.await {
        Ok(Ok(ended)) if ended.failed == 0 => Ok(ended),
        Ok(_) => Err(Refusal::of(Code::NotEnded).with_session(session)),
        Err(_) => Err(Refusal::of(Code::Internal)),
    }
}

/// This one first, then those that were used last.
async fn list(gateway: &Gateway, session: &OpenedSession) -> Result<Vec<SessionSummary>, Refusal> {
    let identity = session.identity();
    let found = gateway.sessions.of_subject(&identity.issuer, &identity.subject).await;
    let mut found = found.map_err(|error| store_refusal(gateway, StoreOperation::Index, &error))?;
    found.retain(|one| is_of(one, session));
    found.sort_by_key(|one| (one.store_key != session.lives_on_as(), std::cmp::Reverse(one.last_use), one.store_key));
    Ok(found)
}

fn is_of(found: &SessionSummary, session: &OpenedSession) -> bool {
    let identity = session.identity();
    found.card.issuer == identity.issuer && found.card.subject == identity.subject
}

fn not_ended(gateway: &Gateway, operation: StoreOperation, session: &OpenedSession) -> Refusal {
    gateway.store_failed(operation);
    Refusal::of(Code::NotEnded).with_session(session)
}

fn malformed(detail: &'static str) -> Refusal {
    Refusal::of(Code::CallbackMalformed).with_detail(detail)
}

fn page(
    gateway: &Gateway,
    ingress: &Ingress,
    found: &[SessionSummary],
    current: StoreKey,
) -> http::Response<bytes::Bytes> {
    let names: Vec<String> = found.iter().map(|one| one.store_key.to_string()).collect();
    let told = |at: Timestamp| (at.rfc3339(), at.in_words());
    let shown = found.iter().zip(&names).map(|(one, name)| OwnSession {
        id: name,
        host: &one.card.host,
        current: one.store_key == current,
        begun: told(one.card.created_at()),
        last_used: told(one.last_use),
        upstreams: &one.card.upstreams,
    });
    let back = ReturnTo::home(&gateway.public_url);
    let context = gateway.page_context(ingress);
    respond::own_sessions(&context, &gateway.endpoint(OWN_SESSIONS), back.as_str(), &shown.collect::<Vec<_>>())
}

fn for_programs(found: &[SessionSummary], current: StoreKey) -> serde_json::Value {
    let sessions: Vec<_> = found
        .iter()
        .map(|one| {
            json!({
                "id": one.store_key.to_string(),
                "host": one.card.host,
                "current": one.store_key == current,
                "created": one.card.created,
                "last_used": one.last_use.as_seconds(),
                "session_expires": one.absolute_expiry.as_seconds(),
                "upstreams": one.card.upstreams,
            })
        })
        .collect();
    json!({ "sessions": sessions })
}
