//! RP-initiated logout (OpenID Connect RP-Initiated Logout §2 and §3).

use http::header::{ORIGIN, SET_COOKIE};
use http::request::Parts;
use serde_json::{Map, Value};

use super::answer::{self, Answer, see_other_with};
use super::parameters::Parameters;
use super::{DevelopmentProvider, pages, query_or_form};
use crate::cookie::{Lookup, find};

impl DevelopmentProvider {
    pub(super) fn end_session(&self, head: &Parts, body: &[u8]) -> Answer {
        let Some(parameters) = query_or_form(head, body) else {
            return pages::refused("a parameter is repeated, or the form is not one");
        };
        let hint = match parameters.value("id_token_hint") {
            None => None,
            Some(token) => match self.key.claims_of(token) {
                None => return pages::refused("id_token_hint is not an ID token of this provider"),
                hint => hint,
            },
        };
        let Some(return_to) = self.return_to(&parameters, hint.as_ref()) else {
            return pages::refused("post_logout_redirect_uri is not registered for this client");
        };
        // Without a hint that fits, anybody's link could log the person out: the person is asked.
        if !self.hint_fits(head, hint.as_ref()) && !self.is_confirmed(head, &parameters) {
            let names = ["id_token_hint", "client_id", "post_logout_redirect_uri", "state"];
            let fields: Vec<_> = names.iter().filter_map(|name| Some((*name, parameters.value(name)?))).collect();
            return pages::confirm_logout(&fields);
        }
        if let Lookup::One(cookie) = find(&head.headers, &self.cookie_name()) {
            self.state().sessions.remove(String::from_utf8_lossy(cookie).as_ref());
        }
        let mut response = match return_to {
            Some(uri) => see_other_with(&uri, &[("state", parameters.value("state"))]),
            None => pages::logged_out(),
        };
        let cookie = format!("{}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0", self.cookie_name());
        answer::set(&mut response, SET_COOKIE, &cookie);
        response
    }

    /// Where to go afterwards: `Some(None)` nowhere, `None` a place that is not registered.
    fn return_to(&self, parameters: &Parameters, hint: Option<&Map<String, Value>>) -> Option<Option<String>> {
        let Some(uri) = parameters.value("post_logout_redirect_uri") else { return Some(None) };
        let audience = hint.and_then(|claims| claims.get("aud")).and_then(Value::as_str);
        let client_id = match (audience, parameters.value("client_id")) {
            (Some(audience), Some(named)) if audience != named => return None,
            (audience, named) => audience.or(named)?,
        };
        let state = self.state();
        let known = &state.client(client_id)?.post_logout_redirect_uris;
        known.iter().any(|known| known == uri).then(|| Some(uri.to_owned()))
    }

    /// Whether the hint is about the login of this very browser, or the browser has none to lose.
    fn hint_fits(&self, head: &Parts, hint: Option<&Map<String, Value>>) -> bool {
        let Some(claims) = hint else { return false };
        match self.known_browser(head) {
            Some(session) => claims.get("sid").and_then(Value::as_str) == Some(session.sid.as_str()),
            None => true,
        }
    }

    /// Whether the person has pressed the button on our own page.
    fn is_confirmed(&self, head: &Parts, parameters: &Parameters) -> bool {
        let own = |origin: &http::HeaderValue| origin.as_bytes() == self.issuer().as_bytes();
        head.method == http::Method::POST
            && head.headers.get_all(ORIGIN).iter().all(own)
            && parameters.value("confirmed") == Some("yes")
    }
}
