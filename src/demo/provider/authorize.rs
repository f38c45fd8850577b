//! The authorization endpoint and the login form behind it (OpenID Connect Core §3.1.2).

use std::time::Duration;

use http::header::{ORIGIN, SET_COOKIE};
use http::request::Parts;

use super::answer::{self, Answer, see_other_with};
use super::authorization_request::{AuthorizationRequest, Refusal};
use super::parameters::Parameters;
use super::state::{Code, CodeUse, Grant, ProviderSession};
use super::{DevelopmentProvider, form, pages, query_or_form};
use crate::clock::Timestamp;
use crate::cookie::{Lookup, find};
use crate::entropy::NoEntropy;

/// `acr` of a login for which nobody asked for a certain one.
const DEFAULT_ACR: &str = "urn:vestibule:development:login";

impl DevelopmentProvider {
    pub(super) fn authorize(&self, head: &Parts, body: &[u8], now: Timestamp) -> Answer {
        let Some(parameters) = query_or_form(head, body) else {
            return pages::refused("a parameter is repeated, or the form is not one");
        };
        let request = match self.check(&parameters) {
            Ok(request) => request,
            Err(refusal) => return refusal.answer(self.issuer()),
        };
        match self.known_browser(head).filter(|session| is_good_enough(session, &request, now)) {
            Some(session) => self.grant_code(request, session, now),
            None if request.prompt("none") => request.refuse("login_required").answer(self.issuer()),
            None => {
                let username = request.login_hint.as_deref().unwrap_or_default();
                pages::login(self.accounts(), &request.client_id, &parameters.encoded(), username, false)
            }
        }
    }

    /// The login form comes back. The authorization request is in the query and is checked again, from the start.
    pub(super) fn log_in(&self, head: &Parts, body: &[u8], now: Timestamp) -> Answer {
        // A page elsewhere must not be able to log this browser in as somebody of its choice.
        let foreign = |origin: &http::HeaderValue| origin.as_bytes() != self.issuer().as_bytes();
        if head.headers.get_all(ORIGIN).iter().any(foreign) {
            return pages::refused("the login form was sent from another site");
        }
        let query = head.uri.query().unwrap_or_default();
        let (Ok(parameters), Some(fields)) = (Parameters::parse(query.as_bytes()), form(head, body)) else {
            return pages::refused("a parameter is repeated, or the form is not one");
        };
        let request = match self.check(&parameters) {
            Ok(request) => request,
            Err(refusal) => return refusal.answer(self.issuer()),
        };
        let username = fields.value("username").unwrap_or_default();
        let chosen = self.accounts().iter().find(|account| match fields.value("account") {
            Some(clicked) => account.username == clicked,
            None => account.username == username && Some(account.password.as_str()) == fields.value("password"),
        });
        let Some(account) = chosen else {
            return pages::login(self.accounts(), &request.client_id, &parameters.encoded(), username, true);
        };
        let (Ok(cookie), Ok(sid)) = (self.random(), self.random()) else {
            return pages::unavailable();
        };
        let session = ProviderSession {
            subject: account.subject.clone(),
            auth_time: now,
            acr: request.acr_values.first().cloned().unwrap_or_else(|| DEFAULT_ACR.to_owned()),
            sid,
        };
        if let Lookup::One(old) = find(&head.headers, &self.cookie_name()) {
            self.state().sessions.remove(String::from_utf8_lossy(old).as_ref());
        }
        self.state().sessions.insert(cookie.clone(), session.clone());
        let mut response = self.grant_code(request, session, now);
        let cookie = format!("{}={cookie}; HttpOnly; SameSite=Lax; Path=/", self.cookie_name());
        answer::set(&mut response, SET_COOKIE, &cookie);
        response
    }

    fn check(&self, parameters: &Parameters) -> Result<AuthorizationRequest, Refusal> {
        AuthorizationRequest::check(parameters, &self.state().clients)
    }

    /// The login that this browser's cookie stands for.
    pub(super) fn known_browser(&self, head: &Parts) -> Option<ProviderSession> {
        let Lookup::One(cookie) = find(&head.headers, &self.cookie_name()) else { return None };
        self.state().sessions.get(std::str::from_utf8(cookie).ok()?).cloned()
    }

    fn grant_code(&self, request: AuthorizationRequest, session: ProviderSession, now: Timestamp) -> Answer {
        let drawn: Result<String, NoEntropy> = self.random();
        let Ok(code) = drawn else { return pages::unavailable() };
        let response = see_other_with(
            &request.redirect_uri,
            &[("code", Some(&code)), ("state", request.state.as_deref()), ("iss", Some(self.issuer()))],
        );
        let grant = Grant {
            client_id: request.client_id,
            session,
            scopes: request.scopes,
            resources: request.resources,
            last_used: now,
        };
        let record = Code {
            grant,
            redirect_uri: request.redirect_uri,
            code_challenge: request.code_challenge,
            nonce: request.nonce,
            issued: now,
            use_so_far: CodeUse::Unused,
        };
        self.state().codes.insert(code, record);
        response
    }
}

/// Whether an earlier login serves for this request: young enough, of a wanted kind, and no new one asked for.
fn is_good_enough(session: &ProviderSession, request: &AuthorizationRequest, now: Timestamp) -> bool {
    let anew = request.prompt("login") || request.prompt("select_account");
    let young = request.max_age.is_none_or(|seconds| now.since(session.auth_time) <= Duration::from_secs(seconds));
    let strong = request.acr_values.is_empty() || request.acr_values.contains(&session.acr);
    !anew && young && strong
}
