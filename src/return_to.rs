//! Where a browser goes after a login or a logout: the one rule against open redirects.
//!
//! A return path is a path and query on the gateway's own origin. There is no list of other origins.

use url::Url;

use crate::origin::{Host, PublicUrl};

/// Which rule a rejected return path broke; the value itself is never logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReturnToRejected {
    /// It does not begin with one `/`.
    #[error("not-a-local-path")]
    NotALocalPath,
    /// It holds a backslash, a space, a control or a non-ASCII byte.
    #[error("character")]
    Character,
    /// It holds a dot segment, in any spelling.
    #[error("dot-segment")]
    DotSegment,
    /// It leads to one of the gateway's own endpoints that is no page to come back to.
    #[error("own-endpoint")]
    OwnEndpoint,
    /// A browser would resolve it to another origin.
    #[error("other-origin")]
    OtherOrigin,
}

impl ReturnToRejected {
    /// The rule's name in logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotALocalPath => "not-a-local-path",
            Self::Character => "character",
            Self::DotSegment => "dot-segment",
            Self::OwnEndpoint => "own-endpoint",
            Self::OtherOrigin => "other-origin",
        }
    }
}

/// Below the path prefix of the endpoints: a person's own sessions.
pub const OWN_SESSIONS: &str = "/sessions";

/// A path and query on our own origin, as a browser will resolve it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// Checks `input` against the rules of the one host that it is used on.
    ///
    /// `endpoints` is the full path prefix of the gateway's own endpoints, such as `/oauth2`.
    ///
    /// # Errors
    /// [`ReturnToRejected`]; the caller goes on with [`ReturnTo::home`], a login does not fail on it.
    pub fn parse(input: &str, public_url: &PublicUrl, host: &Host, endpoints: &str) -> Result<Self, ReturnToRejected> {
        let mut bytes = input.bytes();
        if bytes.next() != Some(b'/') || matches!(bytes.next(), Some(b'/' | b'\\')) {
            return Err(ReturnToRejected::NotALocalPath);
        }
        if !input.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'\\') {
            return Err(ReturnToRejected::Character);
        }
        let path = input.split(['?', '#']).next().unwrap_or_default();
        let decoded = decode_once(path);
        if decoded.split(|&byte| byte == b'/' || byte == b'\\').any(|segment| matches!(segment, b"." | b"..")) {
            return Err(ReturnToRejected::DotSegment);
        }
        let under_endpoints =
            decoded.strip_prefix(endpoints.as_bytes()).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"));
        // The one page among them that wants a login, and it alone: the others begin one, end one, or are for programs.
        if under_endpoints && input.strip_prefix(endpoints) != Some(OWN_SESSIONS) {
            return Err(ReturnToRejected::OwnEndpoint);
        }
        let base = Url::parse(&public_url.origin_of(host)).map_err(|_| ReturnToRejected::OtherOrigin)?;
        let resolved = base.join(input).map_err(|_| ReturnToRejected::OtherOrigin)?;
        if resolved.origin() != base.origin() || !resolved.username().is_empty() || resolved.password().is_some() {
            return Err(ReturnToRejected::OtherOrigin);
        }
        let serialised = match resolved.query() {
            Some(query) => format!("{}?{query}", resolved.path()),
            None => resolved.path().to_owned(),
        };
        // The parser may have moved something: what is sent must satisfy the first rule as well.
        if serialised.starts_with("//") { Err(ReturnToRejected::NotALocalPath) } else { Ok(Self(serialised)) }
    }

    /// The start page: the public URL's path.
    #[must_use]
    pub fn home(public_url: &PublicUrl) -> Self {
        Self(format!("{}/", public_url.path()))
    }

    /// At most `limit` bytes: a longer one loses its query, then becomes the start page.
    #[must_use]
    pub fn bounded(self, limit: usize, public_url: &PublicUrl) -> Self {
        if self.0.len() <= limit {
            return self;
        }
        let path = self.0.split('?').next().unwrap_or_default();
        if path.len() <= limit { Self(path.to_owned()) } else { Self::home(public_url) }
    }

    /// Path and query, for a `Location`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Percent-decodes once; what is no triplet stays as it is.
fn decode_once(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return decoded,
            [b'%', high, low, tail @ ..] => {
                let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                match (digit(high), digit(low)) {
                    (Some(high), Some(low)) => {
                        decoded.push(high << 4 | low);
                        rest = tail;
                    }
                    _ => {
                        decoded.push(b'%');
                        rest = rest.get(1..).unwrap_or_default();
                    }
                }
            }
            [byte, tail @ ..] => {
                decoded.push(*byte);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(input: &str) -> Result<String, ReturnToRejected> {
        let public_url = PublicUrl::parse("https://good.example").unwrap();
        ReturnTo::parse(input, &public_url, public_url.host(), "/oauth2").map(|to| to.as_str().to_owned())
    }

    #[test]
    fn local_paths_pass_as_they_are() {
        for good in ["/", "/a/b?c=d&e=%2F", "/a//b", "/%252f%252fevil", "/oauth2x", "/a?next=https://evil"] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
        assert_eq!(parse("/a#b").as_deref(), Ok("/a"));
    }

    #[test]
    fn ru_01_to_ru_16_other_origins_are_rejected() {
        for bad in [
            "",
            "https://evil",
            "http:evil",
            "https:/evil",
            "https:///evil",
            "//evil",
            "///evil",
            "/\\evil",
            "\\/evil",
            "/.//evil",
            "/..//evil",
            "/./evil",
            "/a/../b",
            "/%2e%2e/evil",
            "/.%2E/evil",
            "/a/..\\evil",
            "/a/..%5cevil",
            "javascript:alert(1)",
            "JaVaScRiPt:x",
            "java\tscript:x",
            "data:text/html,x",
            "vbscript:x",
            "https://good.example@evil",
            "good.example.evil",
            "evilgood.example",
            "a@b@good",
            "good.example%2eevil",
            "goodxexample",
            "[::1]",
            "https://good.example:8443/",
            "/\u{ff0f}evil",
            "/a\u{3002}b",
            "/a b",
            "/a\nb",
            "/\t/evil",
            "https://good.example/",
            "https://sibling.good.example/",
            "/a\r\nSet-Cookie: x",
            "/\0",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn own_endpoints_are_no_place_to_return_to() {
        let endings = ["/oauth2", "/oauth2/sign_out", "/%6fauth2/sign_out", "/oauth2?x", "/oauth2%2fsign_out"];
        for bad in endings.into_iter().chain(["/oauth2/sessions/", "/oauth2/sessions?x", "/oauth2/%73essions"]) {
            assert_eq!(parse(bad), Err(ReturnToRejected::OwnEndpoint), "{bad}");
        }
        assert_eq!(parse("/oauth2/sessions").as_deref(), Ok("/oauth2/sessions"));
    }

    #[test]
    fn a_long_one_loses_its_query_then_becomes_home() {
        let public_url = PublicUrl::parse("https://good.example/app").unwrap();
        let long = |path: &str| ReturnTo::parse(path, &public_url, public_url.host(), "/app/oauth2").unwrap();
        assert_eq!(long(&format!("/a?{}", "x".repeat(2000))).bounded(1024, &public_url).as_str(), "/a");
        assert_eq!(long(&format!("/{}", "x".repeat(2000))).bounded(1024, &public_url).as_str(), "/app/");
    }

    proptest! {
        #[test]
        fn whatever_passes_resolves_to_our_own_origin(input in "[/\\\\.:@?#%a-z0-9 \\t\u{ff0f}]{0,40}") {
            if let Ok(path) = parse(&input) {
                let base = Url::parse("https://good.example/some/page").unwrap();
                prop_assert_eq!(base.join(&path).unwrap().origin(), base.origin());
                prop_assert_eq!(parse(&path), Ok(path));
            }
        }
    }
}
