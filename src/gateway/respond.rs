//! The one place that turns a reason into an answer: a problem for programs (RFC 9457), a page for people.
//!
//! An answer never shows an error's own words: only what stands in the table of reasons, and the plain values of
//! [`RefusalContext`].

use askama::Template;
use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use serde::Serialize;

use super::code::{Code, Description};
use super::page::{
    Forbidden, FormNotSent, Frame, FrameUnauthenticated, LocalLink, LoginContinues, LoginLoop, OwnSession, OwnSessions,
    Refusal, SignOutConfirm, SignedOut, StepUpFailed, UnsentForm,
};
use super::settings::{PagesSettings, StepUp};

macro_rules! content_security_policy {
    ($ancestors:literal) => {
        concat!(
            "default-src 'none'; style-src 'sha256-mPIX3+nJgsymLaRfB1MJMC/IHe3LhWsgZ7lMkHeBoy0='; ",
            "frame-ancestors ",
            $ancestors,
            "; base-uri 'none'"
        )
    };
}

/// No `form-action`: browsers apply it to the redirects behind a form too, and signing out leads to the provider.
const POLICY: &str = content_security_policy!("'none'");
/// What is meant for a frame can be shown in one of this site.
const POLICY_IN_FRAME: &str = content_security_policy!("'self'");

/// What an answer may say besides its reason; every value is plain text, every link a checked path of this site.
#[derive(Clone, Copy, Debug)]
pub struct RefusalContext<'a> {
    /// Name and contact.
    pub pages: &'a PagesSettings,
    /// The request id.
    pub request_id: &'a str,
    /// The canonical host, for the realm of a 401.
    pub host: &'a str,
    /// The account that is logged in, as its person knows it.
    pub account: Option<&'a str>,
    /// Path and query of the link that starts again, tries again, or logs in.
    pub again: Option<&'a str>,
    /// Path and query of the sign-out endpoint.
    pub sign_out: Option<&'a str>,
    /// Path and query of the way to another account that ends where the person is.
    pub switch_account: Option<&'a str>,
    /// Absolute URL of the login's start, for programs.
    pub login: Option<&'a str>,
    /// Scopes that are needed and were not granted, separated by spaces.
    pub missing_scopes: Option<&'a str>,
    /// What a login must prove for a request that was refused without it; frames, forms and programs learn of it here.
    pub step_up: Option<&'a StepUp>,
}

impl<'a> RefusalContext<'a> {
    /// A context without links and account.
    #[must_use]
    pub const fn new(pages: &'a PagesSettings, request_id: &'a str, host: &'a str) -> Self {
        Self {
            pages,
            request_id,
            host,
            account: None,
            again: None,
            sign_out: None,
            switch_account: None,
            login: None,
            missing_scopes: None,
            step_up: None,
        }
    }

    fn frame(&self, code: Code) -> Frame<'a> {
        let Description { title, explanation, .. } = code.description();
        let PagesSettings { name, contact } = self.pages;
        let (name, contact) = (name.as_deref(), contact.as_deref());
        Frame { title, explanation, name, contact, request_id: self.request_id }
    }
}

/// The answer for programs: `application/problem+json`.
#[must_use]
pub fn problem(code: Code, context: &RefusalContext<'_>) -> Response<Bytes> {
    #[derive(Serialize)]
    struct Problem<'a> {
        title: &'a str,
        status: u16,
        code: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        login: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        acr_values: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        max_age: Option<u64>,
        #[serde(skip_serializing_if = "Option::is_none")]
        scope: Option<&'a str>,
        request_id: &'a str,
    }
    let Description { status, title, .. } = code.description();
    let problem = Problem {
        title,
        status: status.as_u16(),
        code: code.as_str(),
        login: context.login,
        acr_values: context.step_up.and_then(|wanted| wanted.acr.as_deref()),
        max_age: context.step_up.and_then(|wanted| wanted.max_age).map(|age| age.as_secs()),
        scope: context.missing_scopes,
        request_id: context.request_id,
    };
    // Strings and a number: there is nothing in it that could not be written.
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    answer(code, context, "application/problem+json", "no-referrer", POLICY, body)
}

/// The answer to a provider whose logout token is refused (OpenID Connect Back-Channel Logout §2.8).
#[must_use]
pub fn logout_refused(code: Code, context: &RefusalContext<'_>) -> Response<Bytes> {
    let body = br#"{"error":"invalid_request"}"#.to_vec();
    answer(code, context, "application/json", "no-referrer", POLICY, body)
}

/// The page for people of any reason that needs no page of its own.
#[must_use]
pub fn page<'a>(code: Code, context: &RefusalContext<'a>) -> Response<Bytes> {
    let frame = context.frame(code);
    if matches!(code, Code::Forbidden | Code::GroupsOverage | Code::ClaimMissing | Code::ScopeNotGranted) {
        let link = |path: Option<&'a str>| path.map(LocalLink::new);
        let (switch_account, sign_out) = (link(context.switch_account), link(context.sign_out));
        let (account, missing_scopes) = (context.account, context.missing_scopes);
        return html(code, context, &Forbidden { frame, missing_scopes, account, switch_account, sign_out });
    }
    let status = code.description().status;
    if matches!(code, Code::StepUpRequired | Code::StepUpOtherAccount) {
        let (account, again) = (context.account, context.again.map(LocalLink::new));
        let sign_out = context.sign_out.map(LocalLink::new);
        return html(code, context, &StepUpFailed { frame, account, again, sign_out });
    }
    let label = match status {
        _ if code == Code::CrossSite => "Open this site",
        StatusCode::UNAUTHORIZED => "Log in",
        _ if status.is_server_error() => "Try again",
        _ => "Start again",
    };
    html(code, context, &Refusal { frame, link: context.again.map(LocalLink::new), label })
}

/// The page at the third login within seconds; it goes with the session's cookie, and its link leads on.
#[must_use]
pub fn login_loop(context: &RefusalContext<'_>, onward: &str) -> Response<Bytes> {
    let code = Code::LoginLoop;
    html(code, context, &LoginLoop { frame: context.frame(code), onward: LocalLink::new(onward) })
}

/// The page behind the callback when the cookie is strict: the next request then comes from this site.
#[must_use]
pub fn login_continues(context: &RefusalContext<'_>, onward: &str) -> Response<Bytes> {
    let code = Code::LoginContinues;
    html(code, context, &LoginContinues { frame: context.frame(code), onward: LocalLink::new(onward) })
}

/// The page that asks before signing out; its button posts to `action`.
#[must_use]
pub fn sign_out_confirm(context: &RefusalContext<'_>, action: &str, rd: Option<&str>) -> Response<Bytes> {
    let code = Code::SignOutConfirm;
    let (rd, stay) = (rd.map(LocalLink::new), LocalLink::new(rd.unwrap_or("/")));
    let page = SignOutConfirm { frame: context.frame(code), action: LocalLink::new(action), rd, stay };
    html_with_form(code, context, &page)
}

/// The page with the person's own sessions; its buttons post to `action`.
#[must_use]
pub(super) fn own_sessions(
    context: &RefusalContext<'_>,
    action: &str,
    back: &str,
    sessions: &[OwnSession<'_>],
) -> Response<Bytes> {
    let code = Code::OwnSessions;
    let (action, back) = (LocalLink::new(action), LocalLink::new(back));
    html_with_form(code, context, &OwnSessions { frame: context.frame(code), action, back, sessions })
}

/// The neutral page at the end of a logout.
#[must_use]
pub fn signed_out(context: &RefusalContext<'_>, back: &str) -> Response<Bytes> {
    let code = Code::SignedOut;
    html(code, context, &SignedOut { frame: context.frame(code), back: LocalLink::new(back) })
}

/// The page for a frame: 401, or 403 for a step-up; `login` begins a login in the whole window.
#[must_use]
pub fn frame_unauthenticated(context: &RefusalContext<'_>, login: &str) -> Response<Bytes> {
    let code = if context.step_up.is_some() { Code::StepUpRequired } else { Code::FrameUnauthenticated };
    let page = FrameUnauthenticated { frame: context.frame(code), login: LocalLink::new(login) };
    answer(code, context, HTML, "no-referrer", POLICY_IN_FRAME, render(&page, code))
}

/// The page for a posted form: 401, or 403 for a step-up. `form` holds path and query it was posted to and its decoded
/// fields, if they may be shown again: same-origin, urlencoded, not too long. `framed` is a form inside another page of
/// this site.
#[must_use]
pub fn form_not_sent(
    context: &RefusalContext<'_>,
    login: &str,
    form: Option<(&str, &[(String, String)])>,
    framed: bool,
) -> Response<Bytes> {
    let code = if context.step_up.is_some() { Code::StepUpRequired } else { Code::FormNotSent };
    let form = form.and_then(|(action, fields)| Some(UnsentForm { action: LocalLink::exactly(action)?, fields }));
    let page = FormNotSent { frame: context.frame(code), login: Some(LocalLink::new(login)), form };
    unsent(code, context, &page, framed)
}

/// The page for a posted form that cannot be passed on right now, though its person may well be logged in: it keeps the
/// fields and can send them again.
#[must_use]
pub fn form_kept(
    code: Code,
    context: &RefusalContext<'_>,
    action: &str,
    fields: &[(String, String)],
    framed: bool,
) -> Response<Bytes> {
    // Better not to keep it than to send it somewhere else.
    let Some(action) = LocalLink::exactly(action) else { return page(code, context) };
    let form = Some(UnsentForm { action, fields });
    unsent(code, context, &FormNotSent { frame: context.frame(code), login: None, form }, framed)
}

fn unsent(code: Code, context: &RefusalContext<'_>, page: &FormNotSent<'_>, framed: bool) -> Response<Bytes> {
    let referrer_policy = if page.form.is_some() { REFERRER_WITH_FORM } else { "no-referrer" };
    let policy = if framed { POLICY_IN_FRAME } else { POLICY };
    answer(code, context, HTML, referrer_policy, policy, render(page, code))
}

const HTML: &str = "text/html; charset=utf-8";

fn html(code: Code, context: &RefusalContext<'_>, page: &impl Template) -> Response<Bytes> {
    answer(code, context, HTML, "no-referrer", POLICY, render(page, code))
}

/// Under `no-referrer` a form is posted with `Origin: null`, which the gateway and many applications refuse.
const REFERRER_WITH_FORM: &str = "same-origin";

fn html_with_form(code: Code, context: &RefusalContext<'_>, page: &impl Template) -> Response<Bytes> {
    answer(code, context, HTML, REFERRER_WITH_FORM, POLICY, render(page, code))
}

fn render(page: &impl Template, code: Code) -> Vec<u8> {
    // Rendering into memory does not fail; if it ever did, the heading alone is a page that says what happened.
    page.render().unwrap_or_else(|_| code.description().title.to_owned()).into_bytes()
}

fn answer(
    code: Code,
    context: &RefusalContext<'_>,
    content_type: &'static str,
    referrer_policy: &'static str,
    content_security_policy: &'static str,
    body: Vec<u8>,
) -> Response<Bytes> {
    let Description { status, retry_after, .. } = code.description();
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer_policy));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(content_security_policy));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::UNAUTHORIZED || context.step_up.is_some() || context.missing_scopes.is_some() {
        headers.insert(WWW_AUTHENTICATE, challenge(context));
    }
    response
}

/// The challenge (RFC 6750 §3), which names scopes that are missing; for a step-up with what it must prove (RFC 9470 §3).
fn challenge(context: &RefusalContext<'_>) -> HeaderValue {
    // A canonical host holds neither quotes nor controls; one that did would lose its realm, not forge a challenge.
    let quotable = |text: &&str| text.bytes().all(|byte| matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\');
    let mut challenge = "Bearer".to_owned();
    let mut separator = " ";
    let mut add = |name: &str, value: &str| {
        challenge.push_str(&format!("{separator}{name}=\"{value}\""));
        separator = ", ";
    };
    if let Some(host) = Some(context.host).filter(quotable) {
        add("realm", host);
    }
    if let Some(scopes) = context.missing_scopes.filter(quotable) {
        add("error", "insufficient_scope");
        add("scope", scopes);
    }
    if let Some(wanted) = context.step_up {
        add("error", "insufficient_user_authentication");
        if let Some(acr) = wanted.acr.as_deref().filter(quotable) {
            add("acr_values", acr);
        }
        if let Some(max_age) = wanted.max_age {
            add("max_age", &max_age.as_secs().to_string());
        }
    }
    HeaderValue::try_from(challenge).unwrap_or(HeaderValue::from_static("Bearer"))
}

#[cfg(test)]
#[path = "respond/tests.rs"]
mod tests;
