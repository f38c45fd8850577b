//! What somebody gets: whoever is not logged in, and a person with these claims.

use http::Method;

use super::{Explanation, Supposed};
use crate::claims::Identity;
use crate::gateway::code::Code;
use crate::gateway::rule::Requirements;
use crate::gateway::settings::{Anonymous, RouteSettings, Settings};
use crate::oidc::identity::{self, IdentityError, IdentityRules};
use crate::origin::Host;
use crate::policy::{self, Decision, DenyReason, Verdict};
use crate::secret::{AccessToken, RawIdToken};
use crate::upstream::Principal;
use crate::upstream::template::RequestValues;

/// A request that has found its upstream and its rule.
pub(super) struct Request<'a> {
    pub(super) settings: &'a Settings,
    pub(super) route: &'a RouteSettings,
    pub(super) requirements: &'a Requirements<'a>,
    pub(super) host: &'a Host,
}

impl Request<'_> {
    /// Whether another proxy carries it and only asks.
    fn is_asked_about(&self) -> bool {
        self.route.upstream.is_elsewhere()
    }

    /// What becomes of a request that may pass.
    fn passes(&self) -> &'static str {
        if self.is_asked_about() { "200 to the proxy that asks," } else { "forwarded" }
    }
}

/// What somebody without a session gets.
pub(super) fn anonymous(told: &mut Explanation, request: &Request<'_>, method: &Method) {
    const WHO: &str = "nobody";
    let Requirements { public, anonymous, api, .. } = *request.requirements;
    if public || anonymous == Anonymous::Forward {
        let who = if public { "everybody" } else { WHO };
        told.say(who, format!("{} without identity", request.passes()));
        let filled = headers(request, &Principal::default());
        filled.tell(told);
        return;
    }
    let provider = request.settings.providers.get(request.route.provider).map_or("", |provider| provider.label());
    told.say(
        WHO,
        match anonymous {
            Anonymous::Deny => "401 anonymous-denied, and no login begins".to_owned(),
            _ if api => "401 unauthenticated".to_owned(),
            _ if matches!(*method, Method::GET | Method::HEAD) => {
                format!("303 to the login at provider {provider} for a page in a window, 401 for anything else")
            }
            _ => "401; a form that was posted is shown again".to_owned(),
        },
    );
}

/// What a person gets of whom the provider says this.
pub(super) fn supposed(told: &mut Explanation, request: &Request<'_>, supposed: &Supposed) {
    const WHO: &str = "person";
    let Some(provider) = request.settings.providers.get(request.route.provider) else { return };
    let mapping = &provider.claims;
    let rules = IdentityRules { issuer: provider.issuer_name(), mapping, email_verified: provider.email_verified };
    let identity = match identity::of_supposed(&rules, supposed.claims.clone(), provider.issuer.is_none()) {
        Ok(identity) => identity,
        Err(IdentityError::Subject) => {
            let why = format!("there is no login: the claim {} is missing or is no subject", mapping.subject);
            return told.say(WHO, why);
        }
        Err(IdentityError::ClaimsSize) => {
            return told.say(WHO, "there is no login: that is more than 16 KiB of claims");
        }
    };
    told.say(WHO, identity.display_name());
    for finding in policy::findings(request.requirements.access, &identity, mapping) {
        let verdict = match finding.verdict {
            Verdict::Passes => "passes".to_owned(),
            Verdict::Fails => "fails".to_owned(),
            Verdict::Unknown(reason) => format!("cannot be told ({})", reason.as_str()),
        };
        let found = finding.found.map(|value| format!("; it is {value}")).unwrap_or_default();
        told.say("verdict", format!("{:indent$}{}: {verdict}{found}", "", finding.access, indent = finding.depth * 2));
    }
    let needs_groups = || request.route.upstream.uses_claim(|name| mapping.is_groups(name));
    match policy::decide(request.requirements.access, &identity, mapping) {
        Decision::Denied(DenyReason::GroupsOverage) => {
            told.refuse(Code::GroupsOverage, "the provider left the groups out, and the rule needs them");
        }
        Decision::Denied(reason) => told.refuse(Code::Forbidden, reason.as_str()),
        Decision::Allowed if identity.has_groups_overage(mapping) && needs_groups() => {
            told.refuse(Code::GroupsOverage, "the provider left the groups out, and a header needs them");
        }
        Decision::Allowed if !super::unasked(request.settings, request.route).is_empty() => {
            told.refuse(Code::ScopeNotGranted, "the provider is not asked for every scope that the upstream needs");
        }
        Decision::Allowed => {
            let filled = identified(request, &identity, supposed);
            if filled.refusal.is_none() {
                let step_up = if request.requirements.step_up.is_some() { ", once the step-up is met" } else { "" };
                told.say("answer", format!("{} with identity{step_up}", request.passes()));
            }
            filled.tell(told);
        }
    }
}

/// The headers of a session that has just begun; tokens are named, never made up.
fn identified(request: &Request<'_>, identity: &Identity, supposed: &Supposed) -> Filled {
    let has_id_token = request.settings.providers.get(request.route.provider).is_some_and(|one| one.issuer.is_some());
    let access_token = AccessToken::new("<access token>".to_owned());
    let id_token = has_id_token.then(|| RawIdToken::new("<ID token>".to_owned()));
    let principal = Principal {
        identity: Some(identity),
        access_token: Some(&access_token),
        id_token: id_token.as_ref(),
        created: Some(supposed.now),
        expires: Some(supposed.now.plus(request.settings.session.lifetime)),
    };
    headers(request, &principal)
}

/// What the configured headers become, and why the request ends there if it does.
#[derive(Default)]
struct Filled {
    lines: Vec<String>,
    refusal: Option<(Code, String)>,
}

impl Filled {
    fn tell(self, told: &mut Explanation) {
        for line in self.lines {
            told.say("headers", line);
        }
        if let Some((code, name)) = self.refusal {
            told.refuse(code, name);
        }
    }
}

/// The configured headers, filled by the code that fills them.
fn headers(request: &Request<'_>, principal: &Principal<'_>) -> Filled {
    let mut filled = Filled::default();
    let values = RequestValues { id: "<request id>", host: request.host.as_str() };
    for (name, template) in &request.route.upstream.headers {
        let mut lines = Vec::new();
        let asserted = principal.identity.map(|_| "<signed identity>");
        if let Err(error) = template.lines(principal, values, asserted, |value| lines.push(value)) {
            filled.lines.push(format!("{name}: {error}"));
            filled.refusal = Some((Code::ClaimNotAHeader, name.to_string()));
            return filled;
        }
        if lines.is_empty() {
            filled.lines.push(format!("no {name}: there is no value for it"));
            if template.is_required() && principal.identity.is_some() {
                filled.refusal = Some((Code::ClaimMissing, name.to_string()));
                return filled;
            }
        }
        for value in lines {
            // Often a key that opens the application.
            let shown = if template.is_fixed() {
                "<the configured value>"
            } else if template.holds_password() {
                "Basic <user name and the configured password>"
            } else {
                value.to_str().unwrap_or_default()
            };
            filled.lines.push(format!("{name}: {shown}"));
        }
    }
    let others = if request.is_asked_about() {
        "every other managed name is there too, empty, for the proxy to copy"
    } else {
        "X-Request-Id, Forwarded and X-Forwarded-* are the gateway's; managed names that came in are removed"
    };
    filled.lines.push(others.to_owned());
    filled
}
