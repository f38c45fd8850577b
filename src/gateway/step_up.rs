//! Step-up: whether somebody has logged in strongly and freshly enough for a rule (RFC 9470), and what they still lack.

use std::sync::Arc;
use std::time::Duration;

use http::Method;

use super::Gateway;
use super::authorize::decide;
use super::canonical_path::CanonicalPath;
use super::code::Code;
use super::refusal::Refusal;
use super::route::KnownProvider;
use super::settings::StepUp;
use crate::clock::Timestamp;
use crate::origin::Host;
use crate::policy::Decision;
use crate::provider::exchange::Login;
use crate::session::login_attempt::Flow;
use crate::session::{Grant, GrantKey, OpenedSession};

/// How somebody has logged in, as the provider's ID token said.
#[derive(Clone, Copy, Debug)]
pub(super) struct LoginProof<'a> {
    pub(super) acr: Option<&'a str>,
    pub(super) auth_time: Option<Timestamp>,
    /// When our session began, by our clock.
    pub(super) begun: Timestamp,
}

impl<'a> LoginProof<'a> {
    fn of(session: &'a OpenedSession) -> Self {
        Self { acr: session.acr(), auth_time: session.auth_time(), begun: session.created() }
    }
}

/// What a login does not meet, as logs name it; `None` when it meets everything.
///
/// `leeway` is how far the provider's clock may be off. A login that was fresh when it came, as far as the leeway lets
/// us tell, counts for as long as the leeway: a `max_age` that is shorter would send people round and round.
pub(super) fn shortfall(
    wanted: &StepUp,
    proof: LoginProof<'_>,
    now: Timestamp,
    leeway: Duration,
) -> Option<&'static str> {
    if wanted.acr.as_deref().is_some_and(|acr| proof.acr != Some(acr)) {
        return Some("acr");
    }
    let max_age = wanted.max_age?;
    let fresh = proof.auth_time.is_some_and(|auth_time| {
        let just_begun = proof.begun <= now.plus(leeway)
            && now.since(proof.begun) <= leeway
            && proof.begun.since(auth_time) <= max_age.saturating_add(leeway);
        auth_time <= now.plus(leeway) && (now.since(auth_time) <= max_age || just_begun)
    });
    if fresh { None } else { Some("auth-time") }
}

/// What an attempt was begun to prove.
pub(super) fn wanted_by(flow: &Flow) -> Option<StepUp> {
    match flow {
        Flow::StepUp { acr, max_age } => Some(StepUp { acr: acr.clone(), max_age: max_age.map(Duration::from_secs) }),
        Flow::Login { .. } | Flow::FurtherGrant { .. } => None,
    }
}

/// A method and a path of one host, from which the configuration says what is wanted: never a URL's own words.
#[derive(Clone, Debug)]
pub(super) struct Place {
    method: Method,
    path: CanonicalPath,
}

impl Gateway {
    /// The place of a request by GET to this path and query.
    pub(super) fn place_of_page(&self, host: &Host, path_and_query: &str) -> Option<Place> {
        let path = path_and_query.split(['?', '#']).next()?;
        self.place(host, Method::GET, path)
    }

    /// The upstream that a page is of, by its name.
    pub(super) fn upstream_of_page(&self, host: &Host, path_and_query: &str) -> Option<String> {
        let place = self.place_of_page(host, path_and_query)?;
        self.routes.upstream(host, &place.path).map(|route| route.settings.upstream.name.clone())
    }

    /// Reads a place as links of ours spell it: `POST /path`.
    pub(super) fn place_from(&self, host: &Host, spelled: &str) -> Option<Place> {
        let (method, path) = spelled.split_once(' ')?;
        self.place(host, Method::from_bytes(method.as_bytes()).ok()?, path)
    }

    fn place(&self, host: &Host, method: Method, path: &str) -> Option<Place> {
        Some(Place { method, path: CanonicalPath::parse(path, self.routes.path_policy(host)?).ok()? })
    }

    /// Whether anything is wanted there beyond an ordinary login.
    pub(super) fn wants_step_up(&self, host: &Host, place: &Place) -> bool {
        let route = self.routes.upstream(host, &place.path);
        route.is_some_and(|route| {
            let requirements = route.requirements(&place.method, &place.path);
            !requirements.public && requirements.step_up.is_some()
        })
    }

    /// What a session lacks there. Nothing, for whoever may not in anyway: they are not told.
    pub(super) fn lacks(&self, session: &OpenedSession, place: &Place) -> Option<StepUp> {
        let route = self.routes.upstream(session.host(), &place.path)?;
        let requirements = route.requirements(&place.method, &place.path);
        let wanted = requirements.step_up.filter(|_| !requirements.public)?;
        let allowed = decide(route, &requirements, session) == Decision::Allowed;
        if !allowed || !route.missing_scopes(session).is_empty() {
            return None;
        }
        self.shortfall(&route.known, wanted, session).map(|_| wanted.clone())
    }

    /// Takes what has come of a step-up: from the person of the live session, if there is one, with the proof that was
    /// asked for.
    ///
    /// # Errors
    /// A [`Refusal`] with a page of its own; nobody may be sent on from it by itself, or it would loop.
    pub(super) fn accept_step_up(
        &self,
        known: &Arc<KnownProvider>,
        wanted: &StepUp,
        login: Login,
        live: Option<&OpenedSession>,
    ) -> Result<Login, Refusal> {
        let now = self.clock.now();
        let same_person = live.map(|live| {
            let (here, there) = (live.identity(), &login.identity);
            here.issuer == there.issuer && here.subject == there.subject
        });
        let proof = LoginProof { acr: login.acr.as_deref(), auth_time: login.auth_time, begun: now };
        let refusal = if same_person == Some(false) {
            Refusal::of(Code::StepUpOtherAccount)
        } else {
            match shortfall(wanted, proof, now, known.provider.settings().clock_leeway) {
                None => return Ok(login),
                Some(shortfall) => Refusal::of(Code::StepUpRequired).with_detail(shortfall),
            }
        };
        // The tokens of the person whose session goes on are left to run out: at many providers a revocation ends the
        // whole grant, and the session's own tokens with it.
        if same_person != Some(true) {
            let (provider, scopes) = (known.label().to_owned(), known.provider.settings().scopes.clone());
            let grant = Grant::new(GrantKey { provider, scopes, resource: None }, login.tokens, now);
            self.revoker.revoke(known, Arc::new(grant), "");
        }
        Err(refusal)
    }

    /// What a session, begun with this provider, does not meet.
    pub(super) fn shortfall(
        &self,
        known: &KnownProvider,
        wanted: &StepUp,
        session: &OpenedSession,
    ) -> Option<&'static str> {
        let leeway = known.provider.settings().clock_leeway;
        shortfall(wanted, LoginProof::of(session), self.clock.now(), leeway)
    }
}

#[cfg(test)]
mod tests;
