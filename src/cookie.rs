//! Cookies: a byte-exact reader of `Cookie`, the names that are ours, and `Set-Cookie` (RFC 6265bis).
//!
//! The reader is our own because the cookie crate trims Unicode space: a cookie named U+2000 followed by a protected
//! name would be read as the protected one.

use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use crate::origin::PublicUrl;

const PROTECTED_PREFIX: &str = "__Host-Http-vestibule";
const DEVELOPMENT_PREFIX: &str = "vestibule-dev-";

/// The `SameSite` attribute of our cookies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SameSite {
    /// Sent along top-level navigations from elsewhere: deep links work.
    #[default]
    Lax,
    /// Never sent from elsewhere.
    Strict,
}

/// The names of the two cookies of one gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CookieNames {
    session: String,
    login: String,
    secure: bool,
}

impl CookieNames {
    /// The names that belong to `public_url`.
    #[must_use]
    pub fn of(public_url: &PublicUrl) -> Self {
        let base = if public_url.is_development() {
            format!("{DEVELOPMENT_PREFIX}{}", public_url.host().port().unwrap_or(80))
        } else {
            PROTECTED_PREFIX.to_owned()
        };
        let suffix = if public_url.path().is_empty() {
            String::new()
        } else {
            let digest = Sha256::digest(public_url.path().as_bytes());
            digest.iter().take(4).fold(String::from("-"), |text, byte| format!("{text}{byte:02x}"))
        };
        Self {
            session: format!("{base}{suffix}"),
            login: format!("{base}-login{suffix}"),
            secure: !public_url.is_development(),
        }
    }

    /// The name of the session cookie.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// The name of the login cookie.
    #[must_use]
    pub fn login(&self) -> &str {
        &self.login
    }

    /// `Set-Cookie` for one of the two; no `Max-Age` makes it end with the browser.
    #[must_use]
    pub fn set(&self, name: &str, value: &str, same_site: SameSite, max_age: Option<Duration>) -> HeaderValue {
        let same_site = match same_site {
            SameSite::Lax => cookie::SameSite::Lax,
            SameSite::Strict => cookie::SameSite::Strict,
        };
        let mut built = cookie::Cookie::build((name, value)).path("/").http_only(true).same_site(same_site);
        if self.secure {
            built = built.secure(true);
        }
        if let Some(max_age) = max_age {
            let seconds = i64::try_from(max_age.as_secs()).unwrap_or(i64::MAX);
            built = built.max_age(cookie::time::Duration::seconds(seconds));
        }
        // Names and values are made here from a safe alphabet; an empty value is a cookie nobody accepts.
        let mut header =
            HeaderValue::from_str(&built.build().to_string()).unwrap_or_else(|_| HeaderValue::from_static(""));
        header.set_sensitive(true);
        header
    }

    /// `Set-Cookie` that deletes one of the two, with the attributes it was set with.
    #[must_use]
    pub fn delete(&self, name: &str, same_site: SameSite) -> HeaderValue {
        self.set(name, "", same_site, Some(Duration::ZERO))
    }
}

/// What the `Cookie` fields of a request say about one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// No cookie of that name.
    Absent,
    /// Exactly one.
    One(&'a [u8]),
    /// Two or more: somebody tossed one in, and there is no telling which is ours.
    Several,
}

/// Looks a name up, byte for byte, over all `Cookie` fields.
#[must_use]
pub fn find<'a>(headers: &'a HeaderMap, name: &str) -> Lookup<'a> {
    let mut found = Lookup::Absent;
    for pair in pairs(headers) {
        // `$Version` switches some servers to a syntax in which names mean something else (RFC 2109).
        if begins(pair, "$version") {
            return Lookup::Absent;
        }
        // Our names hold no `=`, so what follows the name ends it.
        if let Some(value) = pair.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) {
            found = match found {
                Lookup::Absent => Lookup::One(value),
                _ => Lookup::Several,
            };
        }
    }
    found
}

/// Whether a cookie name belongs to this gateway or another one on the same host, in any spelling that some parser
/// might read as such.
#[must_use]
pub fn is_gateway_name(name: &[u8]) -> bool {
    let ours = |name: &[u8]| begins(name, PROTECTED_PREFIX) || begins(name, DEVELOPMENT_PREFIX);
    // Only what stands before a name can hide it, and nearly always nothing does.
    if name.first().is_some_and(|first| first.is_ascii_graphic() && *first != b'"') {
        return ours(name);
    }
    let text = String::from_utf8_lossy(name);
    ours(text.trim_start_matches(|c: char| c.is_whitespace() || c == '"' || c.is_control()).as_bytes())
}

/// Whether `text` begins with `prefix`, in any case.
fn begins(text: &[u8], prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
}

/// Whether a cookie of a gateway is among the `Cookie` fields.
#[must_use]
pub fn holds_gateway_cookies(headers: &HeaderMap) -> bool {
    // A pair begins with its name, so the name need not be taken out to be judged.
    pairs(headers).any(is_gateway_name)
}

/// Takes the gateway's cookies out of the `Cookie` fields; all others keep their bytes and their order.
pub fn remove_gateway_cookies(headers: &mut HeaderMap) {
    if !holds_gateway_cookies(headers) {
        return;
    }
    let room = headers.get_all(COOKIE).iter().map(|field| field.len() + 2).sum();
    let mut joined = Vec::with_capacity(room);
    for field in headers.get_all(COOKIE) {
        let before = joined.len();
        if before > 0 {
            joined.extend_from_slice(b"; ");
        }
        let start = joined.len();
        keep_others(field.as_bytes(), &mut joined);
        if joined.len() == start {
            joined.truncate(before);
        }
    }
    headers.remove(COOKIE);
    if !joined.is_empty()
        && let Ok(mut value) = HeaderValue::from_maybe_shared(Bytes::from(joined))
    {
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}

/// What is left of one field, with the very separators that stood between.
fn keep_others(field: &[u8], kept: &mut Vec<u8>) {
    let mut first = true;
    for (index, piece) in pieces(field).enumerate() {
        let bare = piece.strip_prefix(b" ").unwrap_or(piece);
        if is_gateway_name(bare) {
            continue;
        }
        if first && index > 0 {
            kept.extend_from_slice(bare);
        } else {
            if !first {
                kept.push(b';');
            }
            kept.extend_from_slice(piece);
        }
        first = false;
    }
}

/// The name in a `Set-Cookie` value.
#[must_use]
pub fn set_cookie_name(value: &[u8]) -> &[u8] {
    let pair = value.split(|&byte| byte == b';').next().unwrap_or_default();
    split_pair(pair).0.unwrap_or(pair)
}

/// The pairs of all `Cookie` fields: split at `;`, with the one space that belongs to the separator taken off.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).iter().flat_map(|field| {
        pieces(field.as_bytes())
            .enumerate()
            .map(|(index, pair)| if index == 0 { pair } else { pair.strip_prefix(b" ").unwrap_or(pair) })
    })
}

/// What stands between the `;` of a field, at least one piece.
fn pieces(field: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(field);
    std::iter::from_fn(move || {
        let now = rest?;
        let (piece, after) = match memchr::memchr(b';', now).and_then(|at| now.split_at_checked(at)) {
            Some((piece, after)) => (piece, after.get(1..)),
            None => (now, None),
        };
        rest = after;
        Some(piece)
    })
}

fn split_pair(pair: &[u8]) -> (Option<&[u8]>, &[u8]) {
    match pair.iter().position(|&byte| byte == b'=') {
        Some(at) => (pair.get(..at), pair.get(at + 1..).unwrap_or_default()),
        None => (None, pair),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "__Host-Http-vestibule";

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn names(url: &str) -> CookieNames {
        CookieNames::of(&PublicUrl::parse(url).unwrap())
    }

    #[test]
    fn names_follow_the_public_url() {
        assert_eq!(names("https://a.example").session(), NAME);
        assert_eq!(names("https://a.example").login(), "__Host-Http-vestibule-login");
        assert_eq!(names("http://localhost:8080").session(), "vestibule-dev-8080");
        assert_eq!(names("http://localhost:8080").login(), "vestibule-dev-8080-login");
        let with_path = names("https://a.example/tools");
        assert!(
            with_path.session().starts_with("__Host-Http-vestibule-") && with_path.session().len() == NAME.len() + 9
        );
        assert_ne!(with_path.session(), names("https://a.example/other").session());
    }

    #[test]
    fn ck_08_attributes_are_exact() {
        let names = names("https://a.example");
        let set = |age| names.set(NAME, "v", SameSite::Lax, age).to_str().unwrap().to_owned();
        assert_eq!(set(None), "__Host-Http-vestibule=v; HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(
            set(Some(Duration::from_secs(60))),
            "__Host-Http-vestibule=v; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=60"
        );
        assert_eq!(
            names.delete(NAME, SameSite::Strict).to_str().unwrap(),
            "__Host-Http-vestibule=; HttpOnly; SameSite=Strict; Secure; Path=/; Max-Age=0"
        );
        let development = self::names("http://localhost:8080");
        assert_eq!(
            development.set(development.session(), "v", SameSite::Lax, None).to_str().unwrap(),
            "vestibule-dev-8080=v; HttpOnly; SameSite=Lax; Path=/"
        );
    }

    #[test]
    fn one_cookie_is_found_wherever_it_stands() {
        assert_eq!(find(&headers(&[b"a=b; __Host-Http-vestibule=v=w; c=d"]), NAME), Lookup::One(b"v=w"));
        assert_eq!(find(&headers(&[b"a=b", b"__Host-Http-vestibule=v"]), NAME), Lookup::One(b"v"));
        assert_eq!(find(&headers(&[b"a=b"]), NAME), Lookup::Absent);
        assert_eq!(find(&headers(&[b"__Host-Http-vestibule"]), NAME), Lookup::Absent);
    }

    #[test]
    fn ck_03_two_of_a_name_are_several() {
        assert_eq!(find(&headers(&[b"__Host-Http-vestibule=v; __Host-Http-vestibule=v"]), NAME), Lookup::Several);
        assert_eq!(find(&headers(&[b"__Host-Http-vestibule=v", b"__Host-Http-vestibule=w"]), NAME), Lookup::Several);
    }

    #[test]
    fn ck_04_look_alikes_are_not_recognised() {
        for tossed in [
            "__host-http-vestibule=v",
            "\u{2000}__Host-Http-vestibule=v",
            " __Host-Http-vestibule=v",
            "a=b;  __Host-Http-vestibule=v",
            "\"__Host-Http-vestibule\"=v",
            "$Version=1,__Host-Http-vestibule=v",
            "x=a,__Host-Http-vestibule=b",
            "__Host-Http-vestibule =v",
        ] {
            assert_eq!(find(&headers(&[tossed.as_bytes()]), NAME), Lookup::Absent, "{tossed}");
        }
        assert_eq!(find(&headers(&[b"$Version=1; __Host-Http-vestibule=v"]), NAME), Lookup::Absent);
    }

    #[test]
    fn ck_07_ten_thousand_pairs_are_read_once_each() {
        let mut line = b"a=b;;; =;x;\xc3\xa9=1;".repeat(10_000);
        line.extend(b" __Host-Http-vestibule=v");
        assert_eq!(find(&headers(&[&line]), NAME), Lookup::One(b"v"));
    }

    #[test]
    fn ck_10_gateway_cookies_go_and_others_keep_their_bytes() {
        let mut map = headers(&[
            b"a=\"q;uoted\"; __Host-Http-vestibule=1;b==;  c = d; vestibule-dev-80-login=2; __host-http-VESTIBULE-x=3; e",
            b"__Host-Http-vestibule-login-01234567=4; f=\xff",
        ]);
        remove_gateway_cookies(&mut map);
        let left: Vec<_> = map.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
        assert_eq!(left, [&b"a=\"q;uoted\";b==;  c = d; e; f=\xff"[..]]);
        let mut only_ours = headers(&[b"__Host-Http-vestibule=1"]);
        remove_gateway_cookies(&mut only_ours);
        assert!(!only_ours.contains_key(COOKIE));
        let mut none_of_ours = headers(&[b"a=b;c=d", b"e=f"]);
        remove_gateway_cookies(&mut none_of_ours);
        assert_eq!(none_of_ours, headers(&[b"a=b;c=d", b"e=f"]));
    }

    #[test]
    fn ck_09_set_cookie_names_are_seen_through_disguises() {
        for name in ["__Host-Http-vestibule=v; Path=/", " __HOST-http-Vestibule-login=v", "\u{2000}vestibule-dev-1=v"] {
            assert!(is_gateway_name(set_cookie_name(name.as_bytes())), "{name}");
        }
        assert!(!is_gateway_name(set_cookie_name(b"JSESSIONID=__Host-Http-vestibule")));
    }
}
