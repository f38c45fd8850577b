//! The pages for people: plain, without scripts, readable on a phone and with a screen reader.
//!
//! The templates escape every value. Links are held to this site here once more, because no escaping helps against a
//! `javascript:` link.

use std::fmt;

use askama::Template;

/// What every page shows around its content.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// The heading.
    pub(super) title: &'a str,
    /// What happened and what to do now.
    pub(super) explanation: &'a str,
    /// Whose pages these are.
    pub(super) name: Option<&'a str>,
    /// Whom to ask.
    pub(super) contact: Option<&'a str>,
    /// The request id.
    pub(super) request_id: &'a str,
}

/// A link to a path of this site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LocalLink<'a>(&'a str);

impl<'a> LocalLink<'a> {
    /// The link to an absolute path; anything else leads to `/`.
    #[must_use]
    pub(super) fn new(path: &'a str) -> Self {
        Self::exactly(path).unwrap_or(Self("/"))
    }

    /// The link to an absolute path, where nothing else would do.
    #[must_use]
    pub(super) fn exactly(path: &'a str) -> Option<Self> {
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
pub(super) struct Refusal<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// Where to go on.
    pub(super) link: Option<LocalLink<'a>>,
    /// What the link says.
    pub(super) label: &'a str,
}

/// An access rule said no.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/forbidden.html")]
pub(super) struct Forbidden<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// What the login service did not grant.
    pub(super) missing_scopes: Option<&'a str>,
    /// The account that is logged in.
    pub(super) account: Option<&'a str>,
    /// Where to choose another account.
    pub(super) switch_account: Option<LocalLink<'a>>,
    /// Where to sign out.
    pub(super) sign_out: Option<LocalLink<'a>>,
}

/// A login was to be confirmed and was not, or not as a rule wants it. Nothing on it moves on by itself.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/step_up_failed.html")]
pub(super) struct StepUpFailed<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// The account that is logged in.
    pub(super) account: Option<&'a str>,
    /// Where to try once more.
    pub(super) again: Option<LocalLink<'a>>,
    /// Where to sign out.
    pub(super) sign_out: Option<LocalLink<'a>>,
}

/// Several logins within seconds.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/login_loop.html")]
pub(super) struct LoginLoop<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// Where the person was going.
    pub(super) onward: LocalLink<'a>,
}

/// A step between the callback and the page, so that the next request comes from this site.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/login_continues.html")]
pub(super) struct LoginContinues<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// Where the person was going.
    pub(super) onward: LocalLink<'a>,
}

/// Asks before signing out.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/sign_out_confirm.html")]
pub(super) struct SignOutConfirm<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// Where the button posts to.
    pub(super) action: LocalLink<'a>,
    /// Where to go afterwards.
    pub(super) rd: Option<LocalLink<'a>>,
    /// Where to go without signing out.
    pub(super) stay: LocalLink<'a>,
}

/// The end of a logout.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/signed_out.html")]
pub(super) struct SignedOut<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// The way back to the site.
    pub(super) back: LocalLink<'a>,
}

/// One of the sessions of the person who looks.
#[derive(Debug)]
pub(super) struct OwnSession<'a> {
    /// Its name in the store.
    pub(super) id: &'a str,
    /// Where it is for.
    pub(super) host: &'a str,
    /// Whether the request has come with it.
    pub(super) current: bool,
    /// When it began, as for programs and as for people.
    pub(super) begun: (String, String),
    /// When it was last used, likewise.
    pub(super) last_used: (String, String),
    /// The upstreams it was used for.
    pub(super) upstreams: &'a [String],
}

/// The live sessions of the person who looks.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/own_sessions.html")]
pub(super) struct OwnSessions<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// Where the buttons post to.
    pub(super) action: LocalLink<'a>,
    /// The way back to the site.
    pub(super) back: LocalLink<'a>,
    /// This one first.
    pub(super) sessions: &'a [OwnSession<'a>],
}

/// A login cannot be shown inside a frame; this leads the whole window to it.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/frame.html")]
pub(super) struct FrameUnauthenticated<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// Where the login begins.
    pub(super) login: LocalLink<'a>,
}

/// A form that was posted without a usable session.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnsentForm<'a> {
    /// Path and query it was posted to.
    pub(super) action: LocalLink<'a>,
    /// Its fields in their order, decoded.
    pub(super) fields: &'a [(String, String)],
}

/// Says that a form was not sent, and keeps its fields.
#[derive(Debug, Template)]
#[template(path = "gateway/pages/form_not_sent.html")]
pub(super) struct FormNotSent<'a> {
    /// Around it.
    pub(super) frame: Frame<'a>,
    /// Where the login begins, if one is needed.
    pub(super) login: Option<LocalLink<'a>>,
    /// The form, where its fields may be shown again.
    pub(super) form: Option<UnsentForm<'a>>,
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
