//! `GET /oauth2/start?rd=`, also `/oauth2/sign_in` and `/oauth2/login?redirect=`.

use std::sync::Arc;

use http::HeaderMap;

use super::super::Gateway;
use super::super::ingress::{Audience, Ingress};
use super::super::query::Query;
use super::super::refusal::Refusal;
use super::{Answer, login};
use crate::oidc::authorization_request::PassedOn;

/// Parameters that must not repeat (RFC 6749 §3.1).
const SINGLE: [&str; 6] = ["rd", "redirect", "login_hint", "ui_locales", "prompt", "domain_hint"];

pub(super) fn start(gateway: &Arc<Gateway>, ingress: &Ingress, headers: &HeaderMap) -> Answer {
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
    login::begin(gateway, ingress, headers, return_to, &passed_on)
}
