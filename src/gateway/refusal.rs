//! What a step of the request path says when it does not let a request go on.

use std::fmt;

use super::code::Code;
use super::settings::StepUp;
use crate::entropy::NoEntropy;
use crate::return_to::ReturnTo;
use crate::session::OpenedSession;

/// Why a request goes no further, with what its answer may show and what the log needs.
pub(super) struct Refusal {
    pub(super) code: Code,
    /// Finer than the code, for the log alone.
    pub(super) detail: &'static str,
    /// The account to name on a page: only its owner sees it.
    pub(super) account: Option<Box<str>>,
    /// A hash that stands for the session in logs.
    pub(super) session: Option<Box<str>>,
    /// Where a link on the page leads, when not to the start page.
    pub(super) return_to: Option<ReturnTo>,
    /// The fields of a form that was posted without a usable session, where they may be shown again.
    pub(super) form: Option<Box<[(String, String)]>>,
    /// The scopes that were not granted and are needed, separated by spaces.
    pub(super) missing_scopes: Option<Box<str>>,
    /// Whether a navigation is sent to the login.
    pub(super) login: bool,
    /// What that login must prove, for somebody who is logged in already.
    pub(super) step_up: Option<Box<StepUp>>,
    /// Answer as to a program, whatever the request looks like.
    pub(super) program: bool,
}

impl fmt::Debug for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither accounts nor what people typed belong into a log.
        formatter
            .debug_struct("Refusal")
            .field("code", &self.code)
            .field("detail", &self.detail)
            .finish_non_exhaustive()
    }
}

impl Refusal {
    /// A refusal with nothing but its code.
    pub(super) const fn of(code: Code) -> Self {
        Self {
            code,
            detail: "",
            account: None,
            session: None,
            return_to: None,
            form: None,
            missing_scopes: None,
            login: false,
            step_up: None,
            program: false,
        }
    }

    /// Nobody is logged in.
    pub(super) const fn unauthenticated(why: &'static str) -> Self {
        let mut refusal = Self::of(Code::Unauthenticated);
        refusal.detail = why;
        refusal.login = true;
        refusal
    }

    /// Somebody is logged in, but not as a rule wants it.
    pub(super) fn step_up(wanted: &StepUp, shortfall: &'static str) -> Self {
        let mut refusal = Self::of(Code::StepUpRequired).with_detail(shortfall);
        refusal.login = true;
        refusal.step_up = Some(Box::new(wanted.clone()));
        refusal
    }

    /// The same under a finer code.
    pub(super) const fn because_of(mut self, code: Code) -> Self {
        self.code = code;
        self
    }

    /// Answers with JSON, never with a redirect.
    pub(super) const fn for_a_program(mut self) -> Self {
        self.program = true;
        self.login = false;
        self
    }

    pub(super) const fn with_detail(mut self, detail: &'static str) -> Self {
        self.detail = detail;
        self
    }

    /// Whether what a person has typed into a form can be sent again later, once there is a session that can be used.
    pub(super) const fn keeps_a_form(&self) -> bool {
        self.login || matches!(self.code, Code::RefreshUnavailable | Code::StoreUnavailable)
    }

    /// What had been typed into a form.
    pub(super) fn with_form(mut self, form: Option<Vec<(String, String)>>) -> Self {
        self.form = form.map(Vec::into_boxed_slice);
        self
    }

    /// What the login was not granted.
    pub(super) fn with_missing_scopes(mut self, scopes: &[&str]) -> Self {
        self.missing_scopes = Some(scopes.join(" ").into_boxed_str());
        self
    }

    /// Where the person was going.
    pub(super) fn with_return_to(mut self, return_to: ReturnTo) -> Self {
        self.return_to = Some(return_to);
        self
    }

    /// Whom it concerns.
    pub(super) fn with_session(mut self, session: &OpenedSession) -> Self {
        self.account = Some(session.identity().display_name().into());
        self.session = Some(session.reference().into());
        self
    }
}

impl From<NoEntropy> for Refusal {
    fn from(_: NoEntropy) -> Self {
        Self::of(Code::NoEntropy)
    }
}
