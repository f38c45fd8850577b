//! A login taken step by step, so that a test can change what comes back with the browser.

use url::{Url, form_urlencoded};

use super::browser::{Asked, Browser, Kind};
use super::gateway::Stage;
use super::page::Page;
use super::provider::Endpoint;

pub const SESSION_COOKIE: &str = "__Host-Http-vestibule";
pub const LOGIN_COOKIE: &str = "__Host-Http-vestibule-login";

/// Opens `url` and stops at the redirect to the provider: the authorization request.
pub async fn begin(browser: &Browser, url: &str) -> Url {
    let page = browser.navigate_once(url).await;
    assert_eq!(page.status, 303, "{}", page.text());
    page.location().unwrap()
}

/// Logs in at the provider, silently when it knows the browser, and stops at the redirect back: the callback.
pub async fn authorize(browser: &Browser, authorization: &Url, username: &str) -> Url {
    let page = browser.ask(authorization.as_str(), Asked::new(Kind::Navigation).once()).await;
    if let Some(callback) = page.location() {
        return callback;
    }
    let forms = page.forms();
    let found = forms.iter().find_map(|form| Some((form, form.button("account", username)?)));
    let (form, button) = found.unwrap_or_else(|| panic!("no login form for {username}: {}", page.text()));
    let mut fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.push(("account", &button.value));
    let action = page.url.join(form.action.as_deref().unwrap_or_default()).unwrap();
    let sent = browser.ask(action.as_str(), Asked::new(Kind::Navigation).form(&fields).once()).await;
    sent.location().unwrap_or_else(|| panic!("the provider did not send the browser back: {}", sent.text()))
}

/// Comes to the callback as from the provider, and stops at the answer.
pub async fn call_back(browser: &Browser, callback: &Url) -> Page {
    browser.ask(callback.as_str(), Asked::new(Kind::Navigation).once()).await
}

/// The value of a parameter of `url`.
pub fn parameter(url: &Url, name: &str) -> Option<String> {
    let mut values = url.query_pairs().filter(|(known, _)| known == name).map(|(_, value)| value.into_owned());
    let first = values.next();
    assert!(values.next().is_none(), "{name} is repeated in {url}");
    first
}

/// `url` with another value for one parameter.
pub fn with_parameter(url: &Url, name: &str, value: &str) -> Url {
    let pairs: Vec<_> = url.query_pairs().into_owned().collect();
    let mut changed = url.clone();
    changed
        .query_pairs_mut()
        .clear()
        .extend_pairs(pairs.iter().map(|(known, old)| (known, if known == name { value } else { old })));
    changed
}

pub fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// The link of a page by which a login starts that comes back to `path`.
pub fn start_link(path: &str) -> String {
    format!("/oauth2/start?rd={}", encoded(path))
}

/// What was counted before a callback, to tell what it has done.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    tokens: usize,
    userinfo: usize,
    upstream: usize,
    rejected: usize,
    sessions: usize,
}

impl Counts {
    pub fn of(stage: &Stage) -> Self {
        Self {
            tokens: stage.provider.hits(Endpoint::Token),
            userinfo: stage.provider.hits(Endpoint::Userinfo),
            upstream: stage.upstream.hits(),
            rejected: stage.gateway.log.lines_with(&["login.rejected"]),
            sessions: stage.gateway.sessions().live_sessions(),
        }
    }

    /// The callback was refused as every unusable one is: a page that leads on to `back`, nothing else.
    pub fn assert_refused(self, stage: &Stage, page: &Page, reason: &str, back: &str, token_calls: usize) {
        self.assert_failed(stage, page, 400, reason, back, token_calls);
    }

    /// The same with another status.
    pub fn assert_failed(self, stage: &Stage, page: &Page, status: u16, reason: &str, back: &str, token_calls: usize) {
        let (url, text) = (&page.url, page.text());
        assert_eq!(page.status.as_u16(), status, "{url}: {text}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{url}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{url}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{url}");
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"), "{url}");
        assert_eq!(page.set_cookies(), Vec::<&str>::new(), "{url}");
        assert!(text.contains(page.header("x-request-id").unwrap()), "{url}: {text}");
        let links: Vec<_> = page.links().into_iter().map(|(address, _)| address).collect();
        assert_eq!(links, [start_link(back)], "{url}: {text}");
        assert_eq!(stage.provider.hits(Endpoint::Token), self.tokens + token_calls, "{url}");
        assert_eq!(stage.upstream.hits(), self.upstream, "{url}");
        assert_eq!(stage.gateway.sessions().live_sessions(), self.sessions, "{url}");
        let log = &stage.gateway.log;
        assert_eq!(log.lines_with(&["login.rejected"]), self.rejected + 1, "{url}: {}", log.text());
        let lines = log.text();
        let line = lines.lines().rfind(|line| line.contains("login.rejected")).unwrap();
        assert!(line.contains("\"level\":\"WARN\"") && line.contains(&format!("\"reason\":\"{reason}\"")), "{line}");
        self.assert_no_value(stage, url, &text);
    }

    /// Nobody but the token endpoint was asked: the tokens were dropped before they were used.
    pub fn assert_no_userinfo(self, stage: &Stage) {
        assert_eq!(stage.provider.hits(Endpoint::Userinfo), self.userinfo);
    }

    /// No value of the callback is in the log or on the page.
    fn assert_no_value(self, stage: &Stage, url: &Url, text: &str) {
        let log = stage.gateway.log.text();
        for (name, value) in
            url.query_pairs().filter(|(name, value)| !matches!(&**name, "iss" | "error") && value.len() > 16)
        {
            assert!(!log.contains(&*value), "{name} is in the log");
            assert!(!text.contains(&*value), "{name} is on the page");
        }
    }
}
