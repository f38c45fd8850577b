//! `GET /oauth2/start?rd=`, also `/oauth2/sign_in` and `/oauth2/login?redirect=`.

use std::sync::Arc;

use http::HeaderMap;

use super::super::Gateway;
use super::super::audience::Audience;
use super::super::authenticate::session_of;
use super::super::ingress::Ingress;
use super::super::query::Query;
use super::super::refusal::Refusal;
use super::{Answer, login};
use crate::oidc::authorization_request::PassedOn;

/// Parameters that must not repeat (RFC 6749 §3.1).
const SINGLE: [&str; 7] = ["rd", "redirect", "login_hint", "ui_locales", "prompt", "domain_hint", "step_up"];

pub(super) async fn start(gateway: &Arc<Gateway>, ingress: &Ingress, headers: &HeaderMap) -> Answer {
    let query = Query::read(ingress.query.as_deref(), &SINGLE)?;
    // Only a person who opens a page begins a login: scripts that poll would pile up attempts.
    if ingress.audience != Audience::Navigation {
        return Err(Refusal::unauthenticated("not-a-navigation"));
    }
    let return_to = gateway.return_to(query.first(&["rd", "redirect"]), &ingress.host);
    let passed_on: Vec<(PassedOn, String)> = PassedOn::ALL
        .into_iter()
        .filter_map(|parameter| Some((parameter, query.first(&[parameter.name()])?.to_owned())))
        .collect();
    // What a step-up must prove stands in the configuration; an address only says for which place.
    let named = query.first(&["step_up"]).and_then(|place| gateway.place_from(&ingress.host, place));
    let place = named.clone().or_else(|| gateway.place_of_page(&ingress.host, return_to.as_str()));
    if let Some(place) = place.filter(|place| gateway.wants_step_up(&ingress.host, place))
        && let Ok(session) = session_of(gateway, &ingress.host, headers).await?
    {
        if let Some(wanted) = gateway.lacks(&session, &place) {
            return login::begin_step_up(gateway, ingress, headers, return_to, &passed_on, &wanted);
        }
        // Another tab was first: a plain login would take away what that one has proved.
        if named.is_some() {
            return login::redirect(return_to.as_str());
        }
    }
    login::begin(gateway, ingress, headers, return_to, &passed_on)
}
