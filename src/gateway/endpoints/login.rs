//! Begins a login: one redirect to the provider and one cookie; nothing is stored and nobody is called.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use super::super::Gateway;
use super::super::code::Code;
use super::super::ingress::Ingress;
use super::super::refusal::Refusal;
use super::super::settings::StepUp;
use super::super::step_up;
use super::Answer;
use crate::cookie::{self, Lookup, SameSite};
use crate::oidc::authorization_request::{AuthorizationRequest, PassedOn};
use crate::return_to::ReturnTo;
use crate::session::login_attempt::{self, Flow, MAX_RETURN_PATH};
use crate::session::login_cookie::{LOGIN_COOKIE_LIFETIME, LoginCookie};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::LoginStep;

/// Sends a browser to the provider.
///
/// `passed_on` are parameters of the closed list that the browser may add to the authorization request.
pub(in crate::gateway) fn begin(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
    return_to: ReturnTo,
    passed_on: &[(PassedOn, String)],
) -> Answer {
    send(gateway, ingress, headers, return_to, passed_on, Flow::Login { interactive: false })
}

/// The one further attempt when the provider says that it must talk to the person.
pub(super) fn begin_interactive(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
    return_to: ReturnTo,
) -> Answer {
    send(gateway, ingress, headers, return_to, &[], Flow::Login { interactive: true })
}

/// Sends somebody who is logged in to the provider to prove what a rule wants (RFC 9470 §4).
pub(in crate::gateway) fn begin_step_up(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
    return_to: ReturnTo,
    passed_on: &[(PassedOn, String)],
    wanted: &StepUp,
) -> Answer {
    let max_age = wanted.max_age.map(|age| age.as_secs());
    send(gateway, ingress, headers, return_to, passed_on, Flow::StepUp { acr: wanted.acr.clone(), max_age })
}

fn send(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    headers: &HeaderMap,
    return_to: ReturnTo,
    passed_on: &[(PassedOn, String)],
    flow: Flow,
) -> Answer {
    let known = gateway.routes.provider(&ingress.host).ok_or(Refusal::of(Code::NotFound))?;
    let provider = &known.provider;
    let now = gateway.clock.now();
    if !gateway.clock_is_sane(now) {
        return Err(Refusal::of(Code::Clock));
    }
    let place = gateway.login_place(&ingress.host);
    let known_browser = match cookie::find(headers, gateway.cookie_names.login()) {
        Lookup::One(value) => LoginCookie::decode(place, value).ok(),
        _ => None,
    };
    let cookie = match known_browser {
        Some(cookie) => cookie,
        None => LoginCookie::draw(gateway.entropy.as_ref())?,
    };
    let return_to = return_to.bounded(MAX_RETURN_PATH, &gateway.public_url);
    let wanted = step_up::wanted_by(&flow);
    // A step-up must be able to ask the person, whatever `prompt` is fixed or handed in.
    let interactive = wanted.is_some() || matches!(flow, Flow::Login { interactive: true });
    let attempt = login_attempt::start(place, &cookie, known.label(), flow, &return_to, now, gateway.entropy.as_ref())?;
    let redirect_uri = gateway.redirect_uri(&ingress.host, provider.settings());
    let location = provider
        .authorization_redirect(&AuthorizationRequest {
            redirect_uri: &redirect_uri,
            state: &attempt.state,
            nonce: &attempt.nonce,
            verifier: &attempt.verifier,
            additional_scopes: &[],
            passed_on,
            interactive,
            max_age: wanted.as_ref().and_then(|wanted| wanted.max_age),
            acr_values: wanted.as_ref().and_then(|wanted| wanted.acr.as_deref()),
        })
        .map_err(|_| Refusal::of(Code::ProviderUnavailable))?;
    gateway.metrics.login(LoginStep::Started);
    let flow = if wanted.is_some() { "step-up" } else { "login" };
    gateway.audit(Some(ingress), &AuditEvent::LoginStarted { provider: known.label(), flow });
    let value = cookie.encode(place);
    let mut response = redirect(&location)?;
    response.headers_mut().append(
        header::SET_COOKIE,
        gateway.cookie_names.set(gateway.cookie_names.login(), &value, SameSite::Lax, Some(LOGIN_COOKIE_LIFETIME)),
    );
    Ok(response)
}

/// 303 (RFC 9110 §15.4.4), which no cache keeps and no referrer tells of.
pub(in crate::gateway) fn redirect(location: &str) -> Answer {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let location = HeaderValue::from_str(location).map_err(|_| Refusal::of(Code::Internal).with_detail("location"))?;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
