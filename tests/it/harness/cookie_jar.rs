//! The cookies of a browser (RFC 6265bis §5), as Chromium keeps them. They are kept by host; ports do not count.

use url::Url;

use super::site::trustworthy;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    Strict,
    Lax,
    None,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCookie {
    pub name: String,
    pub value: String,
    /// The host that set it, or its domain when it has one.
    pub host: String,
    pub host_only: bool,
    pub path: String,
    pub secure: bool,
    pub http_only: bool,
    pub same_site: SameSite,
    /// As sent; the jar does not let it run out by itself.
    pub max_age: Option<i64>,
}

/// What a request may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carriage {
    /// Every URL on the way is of the initiator's site, or there is no initiator.
    pub same_site: bool,
    /// A navigation of the whole window with a safe method: Lax cookies go along.
    pub safe_navigation: bool,
}

#[derive(Clone, Debug, Default)]
pub struct CookieJar {
    cookies: Vec<StoredCookie>,
    /// `Set-Cookie` lines that a browser does not accept, with the reason.
    pub refused: Vec<(String, &'static str)>,
}

impl CookieJar {
    /// All cookies that would ever be sent to `host`.
    pub fn of(&self, host: &str) -> Vec<&StoredCookie> {
        self.cookies.iter().filter(|cookie| matches_host(cookie, host)).collect()
    }

    pub fn find(&self, host: &str, name: &str) -> Option<&StoredCookie> {
        self.of(host).into_iter().find(|cookie| cookie.name == name)
    }

    /// The one cookie of `host` whose name begins so; tests look for the gateway's without spelling them out.
    pub fn beginning(&self, host: &str, prefix: &str) -> Vec<&StoredCookie> {
        self.of(host).into_iter().filter(|cookie| cookie.name.starts_with(prefix)).collect()
    }

    /// Puts a cookie in as it is, past every rule: for cookies that an attacker has planted.
    pub fn plant(&mut self, host: &str, name: &str, value: &str) {
        self.remove(host, name);
        self.cookies.push(StoredCookie {
            name: name.into(),
            value: value.into(),
            host: host.into(),
            host_only: true,
            path: "/".into(),
            secure: false,
            http_only: false,
            same_site: SameSite::Lax,
            max_age: None,
        });
    }

    pub fn remove(&mut self, host: &str, name: &str) {
        self.cookies.retain(|cookie| !(cookie.name == name && matches_host(cookie, host)));
    }

    pub fn clear(&mut self) {
        self.cookies.clear();
    }

    /// The `Cookie` header for `url`: longer paths first, then older ones.
    pub fn header(&self, url: &Url, carriage: Carriage) -> Option<String> {
        let mut fitting: Vec<_> = self
            .of(url.host_str().unwrap())
            .into_iter()
            .filter(|cookie| path_matches(&cookie.path, url.path()))
            .filter(|cookie| !cookie.secure || trustworthy(url))
            .filter(|cookie| match cookie.same_site {
                SameSite::None => true,
                SameSite::Lax => carriage.same_site || carriage.safe_navigation,
                SameSite::Strict => carriage.same_site,
            })
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<_> = fitting.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Takes a `Set-Cookie` line in; one that breaks a rule is only noted down.
    pub fn store(&mut self, url: &Url, line: &str, carriage: Carriage) {
        match parse(url, line, carriage) {
            Err(reason) => self.refused.push((line.to_owned(), reason)),
            Ok(cookie) => {
                let same = |known: &StoredCookie| {
                    known.name == cookie.name && known.host == cookie.host && known.path == cookie.path
                };
                let at = self.cookies.iter().position(same);
                match (cookie.max_age.is_some_and(|age| age <= 0), at) {
                    (true, Some(at)) => drop(self.cookies.remove(at)),
                    (true, None) => {}
                    (false, Some(at)) => self.cookies[at] = cookie,
                    (false, None) => self.cookies.push(cookie),
                }
            }
        }
    }
}

fn parse(url: &Url, line: &str, carriage: Carriage) -> Result<StoredCookie, &'static str> {
    let mut parts = line.split(';');
    let (name, value) = parts.next().unwrap().split_once('=').ok_or("no name")?;
    let host = url.host_str().unwrap().to_owned();
    let mut cookie = StoredCookie {
        name: name.trim().into(),
        value: value.trim().into(),
        host,
        host_only: true,
        path: default_path(url),
        secure: false,
        http_only: false,
        same_site: SameSite::Lax,
        max_age: None,
    };
    for part in parts {
        let (attribute, value) = part.split_once('=').unwrap_or((part, ""));
        let value = value.trim();
        match attribute.trim().to_ascii_lowercase().as_str() {
            "path" if value.starts_with('/') => cookie.path = value.into(),
            "domain" if !value.is_empty() => {
                cookie.host = value.trim_start_matches('.').to_ascii_lowercase();
                cookie.host_only = false;
            }
            "secure" => cookie.secure = true,
            "httponly" => cookie.http_only = true,
            "max-age" => cookie.max_age = value.parse().ok(),
            "expires" if value.contains("1970") => cookie.max_age = cookie.max_age.or(Some(0)),
            "samesite" if value.eq_ignore_ascii_case("strict") => cookie.same_site = SameSite::Strict,
            "samesite" if value.eq_ignore_ascii_case("none") => cookie.same_site = SameSite::None,
            _ => {}
        }
    }
    if !cookie.host_only && !matches_host(&cookie, url.host_str().unwrap()) {
        return Err("a foreign domain");
    }
    if cookie.secure && !trustworthy(url) {
        return Err("Secure over plain http");
    }
    if cookie.same_site == SameSite::None && !cookie.secure {
        return Err("SameSite=None without Secure");
    }
    if cookie.same_site != SameSite::None && !carriage.same_site && !carriage.safe_navigation {
        return Err("SameSite in an answer to a foreign subresource");
    }
    // Prefixes are compared without case when a cookie is set.
    let folded = cookie.name.to_ascii_lowercase();
    let starts = |prefix: &str| folded.starts_with(prefix);
    if (starts("__secure-") || starts("__http-") || starts("__host-")) && !cookie.secure {
        return Err("a prefix that needs Secure");
    }
    if (starts("__http-") || starts("__host-http-")) && !cookie.http_only {
        return Err("a prefix that needs HttpOnly");
    }
    if starts("__host-") && !(cookie.host_only && cookie.path == "/") {
        return Err("a prefix that needs Path=/ and no Domain");
    }
    Ok(cookie)
}

fn matches_host(cookie: &StoredCookie, host: &str) -> bool {
    cookie.host == host
        || (!cookie.host_only && host.strip_suffix(&cookie.host).is_some_and(|before| before.ends_with('.')))
}

fn path_matches(cookie: &str, path: &str) -> bool {
    path == cookie || path.strip_prefix(cookie).is_some_and(|rest| cookie.ends_with('/') || rest.starts_with('/'))
}

fn default_path(url: &Url) -> String {
    match url.path().rsplit_once('/') {
        Some((directory, _)) if !directory.is_empty() => directory.into(),
        _ => "/".into(),
    }
}
