//! The pages for people: plain, without scripts, readable on a phone and with a screen reader.
//!
//! The templates escape every value. Links are held to this site here once more, because no escaping helps against a
//! `javascript:` link.

use std::fmt;

use askama::Template;

/// What every page shows around its content.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The heading.
    pub title: &'a str,
    /// What happened and what to do now.
    pub explanation: &'a str,
    /// Whose pages these are.
    pub name: Option<&'a str>,
    /// Whom to ask.
    pub contact: Option<&'a str>,
    /// The request id.
    pub request_id: &'a str,
}

/// A link to a path of this site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalLink<'a>(&'a str);

impl<'a> LocalLink<'a> {
    /// The link to an absolute path; anything else leads to `/`.
    #[must_use]
    pub fn new(path: &'a str) -> Self {
        Self::exactly(path).unwrap_or(Self("/"))
    }

    /// The link to an absolute path, where nothing else would do.
    #[must_use]
    pub fn exactly(path: &'a str) -> Option<Self> {
        let mut bytes = path.bytes();
        let local = bytes.next() == Some(b'/') && !matches!(bytes.next(), Some(b'/' | b'\\'));
        let clean = path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
        (local && clean).then_some(Self(path))
    }
}

impl fmt::Display for LocalLink<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

/// Any refusal: a heading, an explanation, perhaps a link on.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/refusal.html")]
pub struct Refusal<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// Where to go on.
    pub link: Option<LocalLink<'a>>,
    /// What the link says.
    pub label: &'a str,
}

/// An access rule said no.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/forbidden.html")]
pub struct Forbidden<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// The account that is logged in.
    pub account: Option<&'a str>,
    /// Where to choose another account.
    pub switch_account: Option<LocalLink<'a>>,
    /// Where to sign out.
    pub sign_out: Option<LocalLink<'a>>,
}

/// A login was to be confirmed and was not, or not as a rule wants it. Nothing on it moves on by itself.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/step_up_failed.html")]
pub struct StepUpFailed<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// The account that is logged in.
    pub account: Option<&'a str>,
    /// Where to try once more.
    pub again: Option<LocalLink<'a>>,
    /// Where to sign out.
    pub sign_out: Option<LocalLink<'a>>,
}

/// Several logins within seconds.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/login_loop.html")]
pub struct LoginLoop<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// Where the person was going.
    pub onward: LocalLink<'a>,
}

/// A step between the callback and the page, so that the next request comes from this site.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/login_continues.html")]
pub struct LoginContinues<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// Where the person was going.
    pub onward: LocalLink<'a>,
}

/// Asks before signing out.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/sign_out_confirm.html")]
pub struct SignOutConfirm<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// Where the button posts to.
    pub action: LocalLink<'a>,
    /// Where to go afterwards.
    pub rd: Option<LocalLink<'a>>,
    /// Where to go without signing out.
    pub stay: LocalLink<'a>,
}

/// The end of a logout.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/signed_out.html")]
pub struct SignedOut<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// The way back to the site.
    pub back: LocalLink<'a>,
}

/// A login cannot be shown inside a frame; this leads the whole window to it.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/frame.html")]
pub struct FrameUnauthenticated<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// Where the login begins.
    pub login: LocalLink<'a>,
}

/// A form that was posted without a usable session.
#[derive(Clone, Copy, Debug)]
pub struct UnsentForm<'a> {
    /// Path and query it was posted to.
    pub action: LocalLink<'a>,
    /// Its fields in their order, decoded.
    pub fields: &'a [(String, String)],
}

/// Says that a form was not sent, and keeps its fields.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/form_not_sent.html")]
pub struct FormNotSent<'a> {
    /// Around it.
    pub frame: Frame<'a>,
    /// Where the login begins, if one is needed.
    pub login: Option<LocalLink<'a>>,
    /// The form, where its fields may be shown again.
    pub form: Option<UnsentForm<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ru_18_only_paths_of_this_site_become_links() {
        for good in ["/", "/oauth2/start?rd=%2Fwiki%3Fa%3Db", "/a//b", "/a?b='&\"<>"] {
            assert_eq!(LocalLink::new(good).to_string(), good);
            assert_eq!(LocalLink::exactly(good), Some(LocalLink::new(good)));
        }
        for bad in [
            "",
            "https://evil",
            "//evil",
            "/\\evil",
            "\\/evil",
            "javascript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "java\tscript:alert(1)",
            "data:text/html,x",
            "http:evil",
            " /a",
            "/a b",
            "/a\nb",
            "/a\\b",
            "evil",
            "/é",
        ] {
            assert_eq!(LocalLink::new(bad).to_string(), "/", "{bad:?}");
            assert_eq!(LocalLink::exactly(bad), None, "{bad:?}");
        }
    }
}
