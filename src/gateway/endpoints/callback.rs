//! `GET /oauth2/callback`: ends a login (RFC 6749 §4.1.2, OpenID Connect Core §3.1.2.5).
//!
//! The order of the steps is the security argument: nothing goes to the provider before the attempt sealed in `state`
//! has been opened and found to belong to this browser.

use std::sync::Arc;

use http::{HeaderMap, Response, header};

use super::super::Gateway;
use super::super::authenticate::{session_of, store_refusal};
use super::super::code::Code;
use super::super::ingress::Ingress;
use super::super::refusal::Refusal;
use super::super::respond;
use super::super::route::KnownProvider;
use super::super::step_up;
use super::{Answer, login};
use crate::cookie::{self, Lookup, SameSite};
use crate::oidc::authorization_response::{
    AuthorizationErrorCode, AuthorizationResponse, IssuerMismatch, Outcome, ResponseError,
};
use crate::provider::ResponseIssuerError;
use crate::provider::exchange::{ExchangeRequest, Login, LoginError};
use crate::return_to::ReturnTo;
use crate::session::OpenedSession;
use crate::session::login_attempt::{AttemptRefused, Flow, LoginAttempt, UnverifiedAttempt};
use crate::session::login_cookie::{LOGIN_COOKIE_LIFETIME, LoginCookie};
use crate::session::{EndReason, SessionError};
use crate::session::{Grant, GrantKey};
use crate::session::{Marker, NewSession};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::{Limit, LoginStep, StoreOperation};

/// A callback that cannot be used, and where the person was going as far as that is known.
struct Rejected {
    refusal: Refusal,
    return_to: Option<ReturnTo>,
    /// A step-up that came to nothing always gets its page: sent on, the person would come straight back.
    step_up: bool,
}

impl From<Refusal> for Rejected {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, return_to: None, step_up: false }
    }
}

pub(super) async fn callback(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
    provider_name: Option<&str>,
) -> Answer {
    let live = session_of(gateway, &ingress.host, headers).await?.ok();
    let Rejected { refusal, return_to, step_up } =
        match finish(gateway, ingress, headers, provider_name, live.as_ref()).await {
            Ok(response) => return Ok(response),
            Err(rejected) => rejected,
        };
    gateway.metrics.login_rejected(refusal.code.as_str());
    gateway.audit(
        Some(ingress),
        &AuditEvent::LoginRejected {
            provider: gateway.routes.provider(&ingress.host).map(|known| known.label()),
            reason: refusal.code.as_str(),
            check: Some(refusal.detail).filter(|detail| !detail.is_empty()),
        },
    );
    let return_to = return_to.unwrap_or_else(|| ReturnTo::home(&gateway.public_url));
    // Whoever is logged in goes on to where they were going: a stale tab is no error to them.
    if let Some(live) = &live
        && refusal.code.is_unusable_callback()
        && !step_up
        && goes_on(gateway, live, &return_to)
    {
        return login::redirect(return_to.as_str());
    }
    let refusal = match (live, refusal.code) {
        (Some(live), Code::StepUpRequired | Code::StepUpOtherAccount) => refusal.with_session(&live),
        _ => refusal,
    };
    Err(refusal.with_return_to(return_to))
}

/// Whether a page with this session is answered by anything but another login: a browser that is sent on to where it is
/// turned back would go round for ever.
fn goes_on(gateway: &Gateway, live: &OpenedSession, return_to: &ReturnTo) -> bool {
    let place = gateway.place_of_page(live.host(), return_to.as_str());
    gateway.serves(live) && place.is_none_or(|place| gateway.lacks(live, &place).is_none())
}

async fn finish(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
    provider_name: Option<&str>,
    live: Option<&Arc<OpenedSession>>,
) -> Result<Response<bytes::Bytes>, Rejected> {
    let now = gateway.clock.now();
    if !gateway.clock_is_sane(now) {
        return Err(Refusal::of(Code::Clock).into());
    }
    let place = gateway.login_place(&ingress.host);
    let open = |state: &str| UnverifiedAttempt::open(place, state.as_bytes());
    let response = match AuthorizationResponse::parse(ingress.query.as_deref().unwrap_or_default()) {
        Ok(response) => response,
        Err(unusable) => {
            let attempt = unusable.state.as_deref().and_then(|state| open(state).ok());
            let step_up = attempt.as_ref().is_some_and(|attempt| step_up::wanted_by(attempt.flow()).is_some());
            let return_to = attempt.map(|attempt| gateway.return_to(Some(attempt.return_path()), &ingress.host));
            return Err(Rejected { refusal: response_refusal(unusable.reason), return_to, step_up });
        }
    };
    let attempt = open(&response.state).map_err(|_| Refusal::of(Code::StateMismatch).with_detail("not-ours"))?;
    let return_to = gateway.return_to(Some(attempt.return_path()), &ingress.host);
    let wanted = step_up::wanted_by(attempt.flow());
    let step_up = wanted.is_some();
    let reject = |refusal: Refusal| Rejected { refusal, return_to: Some(return_to.clone()), step_up };

    let cookie = match cookie::find(headers, gateway.cookie_names.login()) {
        Lookup::One(value) => LoginCookie::decode(place, value)
            .map_err(|_| reject(Refusal::of(Code::LoginCookieMissing).with_detail("not-ours")))?,
        Lookup::Absent => return Err(reject(Refusal::of(Code::LoginCookieMissing))),
        Lookup::Several => return Err(reject(Refusal::of(Code::DuplicateCookie))),
    };
    let attempt =
        attempt.bound_to(&cookie, place.ring, now).map_err(|(refused, _)| reject(attempt_refusal(refused)))?;

    let known = gateway.routes.provider(&ingress.host).ok_or(Refusal::of(Code::NotFound))?;
    let provider = &known.provider;
    if attempt.provider() != provider.settings().label() || provider_name != provider.settings().name.as_deref() {
        return Err(reject(Refusal::of(Code::ProviderMismatch)));
    }
    // Twenty restored tabs make one session, not twenty in a row.
    if let Some(session) = live
        && wanted.as_ref().map_or(matches!(attempt.flow(), Flow::Login { .. }), |wanted| {
            gateway.shortfall(known, wanted, session).is_none()
        })
        && *session.browser() == attempt.browser()
        && attempt.created() <= session.created()
    {
        return login::redirect(return_to.as_str()).map_err(Rejected::from);
    }
    provider.check_response_issuer(response.issuer.as_deref()).map_err(|mismatch| {
        reject(Refusal::of(match mismatch {
            ResponseIssuerError::Mismatch(IssuerMismatch::Missing) => Code::IssMissing,
            ResponseIssuerError::Mismatch(_) => Code::IssMismatch,
            ResponseIssuerError::Unavailable(_) => Code::ProviderUnavailable,
        }))
    })?;
    let code = match response.outcome {
        Outcome::Code(code) => code,
        Outcome::Error(error) => {
            return if error.wants_interaction() && *attempt.flow() == (Flow::Login { interactive: false }) {
                login::begin_interactive(gateway, ingress, headers, return_to.clone()).map_err(Rejected::from)
            } else {
                Err(reject(provider_error_refusal(known.label(), error, step_up)))
            };
        }
    };
    // The one address first: what it may not do must not use up what everybody has.
    let monotonic = gateway.clock.monotonic();
    if !gateway.address_rate.admits(gateway.limits.callbacks_per_address, ingress.provenance.user_agent(), monotonic) {
        gateway.metrics.limit_reached(Limit::CallbacksPerAddress);
        return Err(reject(Refusal::of(Code::TooManyCallbacks).with_detail("of-one-address")));
    }
    if !gateway.callback_rate.admits(gateway.limits.callbacks_per_second, monotonic) {
        gateway.metrics.limit_reached(Limit::Callbacks);
        return Err(reject(Refusal::of(Code::TooManyCallbacks)));
    }
    mark_used(gateway, &attempt).await.map_err(reject)?;
    gateway.metrics.login(LoginStep::Exchanging);
    let redirect_uri = gateway.redirect_uri(&ingress.host, provider.settings());
    let (nonce, verifier) = attempt.into_proofs();
    let granted = provider
        .exchange(ExchangeRequest {
            code,
            verifier,
            nonce,
            state: &response.state,
            redirect_uri: &redirect_uri,
            additional_scopes: &[],
            max_age: wanted.as_ref().and_then(|wanted| wanted.max_age),
        })
        .await
        .map_err(|error| reject(login_refusal(&error, step_up)))?;
    let granted = match &wanted {
        Some(wanted) => gateway.accept_step_up(known, wanted, granted, live.map(Arc::as_ref)).map_err(reject)?,
        None => granted,
    };
    begin_session(gateway, ingress, known, granted, cookie, Before { live, step_up }, &return_to).await.map_err(reject)
}

/// The marker is set just before the token call, so that a code is spent once even if two callbacks race.
async fn mark_used(gateway: &Gateway, attempt: &LoginAttempt) -> Result<(), Refusal> {
    match gateway.sessions.put_once(Marker::Attempt(attempt.id()), attempt.expires()).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Refusal::of(Code::StateUsed)),
        Err(error) => Err(store_refusal(gateway, StoreOperation::PutOnce, &error)),
    }
}

/// What there was before a login.
#[derive(Clone, Copy)]
struct Before<'a> {
    live: Option<&'a Arc<OpenedSession>>,
    /// Whether its person has stepped up, or somebody has logged in anew.
    step_up: bool,
}

async fn begin_session(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    known: &Arc<KnownProvider>,
    granted: Login,
    cookie: LoginCookie,
    before: Before<'_>,
    return_to: &ReturnTo,
) -> Result<Response<bytes::Bytes>, Refusal> {
    let provider = &known.provider;
    gateway.warn_of_short_tokens(ingress, known, &granted);
    let key =
        GrantKey { provider: known.label().to_owned(), scopes: provider.settings().scopes.clone(), resource: None };
    let grant = Arc::new(Grant::new(key, granted.tokens, gateway.clock.now()));
    let new = NewSession {
        host: ingress.host.clone(),
        identity: granted.identity,
        sub: granted.sub,
        client_id: provider.settings().client_id.clone(),
        sid: granted.sid,
        auth_time: granted.auth_time,
        acr: granted.acr,
        login_issued: granted.issued_at,
        browser: cookie.browser(),
        upstream: gateway.upstream_of_page(&ingress.host, return_to.as_str()),
        grants: vec![Arc::clone(&grant)],
        replaces: before.live,
        steps_up: before.step_up,
    };
    let begun = match gateway.sessions.begin(new).await {
        Ok(begun) => begun,
        Err(error) => {
            gateway.revoker.revoke(known, grant, "");
            return Err(match error {
                SessionError::EndedMeanwhile => Refusal::of(Code::StateUsed).with_detail("ended-meanwhile"),
                other => store_refusal(gateway, StoreOperation::Insert, &other),
            });
        }
    };
    gateway.metrics.login(LoginStep::Ok);
    known.metrics.sessions_begun.inc();
    let (provider, user, session) = (known.label(), gateway.user_in_logs(&begun.session), begun.session.reference());
    let (asked, granted) = (grant.key.scopes.join(" "), grant.tokens.scopes.join(" "));
    let event = AuditEvent::LoginOk { provider, user, session, asked: &asked, granted: &granted };
    gateway.audit(Some(ingress), &event);
    gateway.audit(Some(ingress), &AuditEvent::SessionCreated { provider, user, session });
    let missing = grant.missing_scopes().join(" ");
    if !missing.is_empty() {
        gateway.audit(Some(ingress), &AuditEvent::GrantNarrowed { provider, user, session, missing: &missing });
    }
    // One that has been stepped up from already has been told of then.
    if let Some(live) = before.live.filter(|live| !live.is_superseded()) {
        let reason = if before.step_up { EndReason::SteppedUp } else { EndReason::Replaced };
        gateway.session_ended(ingress, live, reason);
    }
    for displaced in begun.displaced.iter().filter_map(|ended| ended.opened.as_ref()) {
        gateway.session_ended(ingress, displaced, EndReason::SubjectLimit);
        for grant in displaced.grants() {
            gateway.revoker.revoke(known, Arc::clone(grant), displaced.reference());
        }
    }
    let now = gateway.clock.now();
    let counted = cookie.finished(now);
    let mut response = if counted.is_looping() {
        gateway.metrics.login_rejected(Code::LoginLoop.as_str());
        let reason = Code::LoginLoop.as_str();
        gateway.audit(Some(ingress), &AuditEvent::LoginRejected { provider: Some(provider), reason, check: None });
        respond::login_loop(&gateway.page_context(ingress), return_to.as_str())
    } else if gateway.cookie.same_site == SameSite::Strict {
        // A strict cookie is not sent along the chain of redirects that began at the provider.
        respond::login_continues(&gateway.page_context(ingress), return_to.as_str())
    } else {
        login::redirect(return_to.as_str())?
    };
    let lifetime = gateway.cookie.persistent.then(|| begun.session.absolute_expiry().since(now));
    let names = &gateway.cookie_names;
    let login_cookie = counted.encode(gateway.login_place(&ingress.host));
    let headers = response.headers_mut();
    headers.append(header::SET_COOKIE, names.set(names.session(), &begun.cookie, gateway.cookie.same_site, lifetime));
    headers.append(
        header::SET_COOKIE,
        names.set(names.login(), &login_cookie, SameSite::Lax, Some(LOGIN_COOKIE_LIFETIME)),
    );
    Ok(response)
}

fn response_refusal(error: ResponseError) -> Refusal {
    Refusal::of(match error {
        ResponseError::StateMissing => Code::StateMissing,
        ResponseError::Ambiguous => Code::Ambiguous,
        ResponseError::DuplicateParameter => Code::DuplicateParameter,
        ResponseError::UnexpectedResponse => Code::UnexpectedResponse,
        ResponseError::CodeMissing => Code::CodeMissing,
        ResponseError::Malformed | ResponseError::TooLong | ResponseError::CodeTooLong => Code::CallbackMalformed,
    })
    .with_detail(error.reason())
}

fn attempt_refusal(refused: AttemptRefused) -> Refusal {
    match refused {
        AttemptRefused::Expired => Refusal::of(Code::StateExpired),
        AttemptRefused::OtherBrowser => Refusal::of(Code::StateMismatch).with_detail("other-browser"),
    }
}

/// The table of what a provider says and what a person gets.
fn provider_error_refusal(provider: &str, error: AuthorizationErrorCode, step_up: bool) -> Refusal {
    let code = match error {
        AuthorizationErrorCode::UnmetAuthenticationRequirements if step_up => Code::StepUpRequired,
        AuthorizationErrorCode::AccessDenied => Code::AccessDenied,
        AuthorizationErrorCode::TemporarilyUnavailable | AuthorizationErrorCode::ServerError => {
            Code::ProviderTemporarilyUnavailable
        }
        other if other.wants_interaction() => Code::InteractionRequired,
        _ => Code::ProviderOperatorError,
    };
    if code == Code::ProviderOperatorError {
        // Nothing that a person can do helps: somebody has to change the registration or the configuration.
        tracing::error!(event = "provider.error", provider, endpoint = "authorization", kind = error.as_str());
    }
    Refusal::of(code).with_detail(error.as_str())
}

fn login_refusal(error: &LoginError, step_up: bool) -> Refusal {
    Refusal::of(match error {
        // The provider has let somebody through who should have proved anew who they are.
        LoginError::TokenInvalid { check: "auth-time" } if step_up => Code::StepUpRequired,
        LoginError::CodeRejected { .. } => Code::CodeRejected,
        LoginError::TokenInvalid { .. } => Code::TokenInvalid,
        LoginError::OperatorError { .. } => Code::ProviderOperatorError,
        LoginError::ProviderUnavailable { .. } => Code::ProviderUnavailable,
    })
    .with_detail(match error {
        LoginError::CodeRejected { reason } | LoginError::OperatorError { reason } => reason,
        LoginError::TokenInvalid { check } => check,
        LoginError::ProviderUnavailable { kind, .. } => kind,
    })
}
