//! Path patterns: exact, a whole segment `*`, a final `/**`; an optional method before.

use http::Method;

use super::canonical_path::{CanonicalPath, PathPolicy, as_compared};

/// Why something is no pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// It does not begin with `/`.
    #[error("a pattern begins with / (or with a method and a space)")]
    NotAPath,
    /// The method is no upper-case token.
    #[error("the method before a pattern is an upper-case word, such as GET")]
    Method,
    /// A wildcard that is neither a whole segment nor the final `/**`.
    #[error("* stands for one whole segment and /** for the rest at the end; there are no other wildcards")]
    Wildcard,
    /// A character that a canonical path cannot hold.
    #[error("a pattern is written as a canonical path: no dot segments, //, ;, %2F, backslashes, controls, ? or #")]
    NotCanonical,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Any,
}

/// A method and path pattern over canonical paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    method: Option<Method>,
    segments: Vec<Segment>,
    /// Ends in `/**`: the prefix itself and everything under it.
    open: bool,
}

impl Pattern {
    /// Reads `/assets/**`, `GET /healthz`, `/users/*/photo`.
    ///
    /// # Errors
    /// [`InvalidPattern`], which says what is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let (method, path) = match text.split_once(' ') {
            Some((method, path)) => {
                if method.is_empty() || !method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
                    return Err(InvalidPattern::Method);
                }
                (Some(Method::from_bytes(method.as_bytes()).map_err(|_| InvalidPattern::Method)?), path)
            }
            None => (None, text),
        };
        let rest = path.strip_prefix('/').ok_or(InvalidPattern::NotAPath)?;
        let (rest, open) = match rest.strip_suffix("/**") {
            // `//**` has an empty segment.
            Some("") => return Err(InvalidPattern::NotCanonical),
            Some(prefix) => (prefix, true),
            None if rest == "**" => return Ok(Self { method, segments: Vec::new(), open: true }),
            None => (rest, false),
        };
        let canonical =
            CanonicalPath::parse(&format!("/{rest}"), PathPolicy::Strict).map_err(|_| InvalidPattern::NotCanonical)?;
        let rest = canonical.as_str().strip_prefix('/').unwrap_or_default();
        let segments = rest
            .split('/')
            .map(|segment| match segment {
                "*" => Ok(Segment::Any),
                _ if segment.contains(['*', '?', '#']) => Err(InvalidPattern::Wildcard),
                _ => Ok(Segment::Literal(as_compared(segment).into_owned())),
            })
            .collect::<Result<Vec<_>, _>>()?;
        // `^/foo/.*/bar$` and the like are regular expressions of somebody's old configuration, not paths.
        if path.contains(['^', '$', '(', ')', '[', ']', '{', '}', '|', '+']) {
            return Err(InvalidPattern::Wildcard);
        }
        Ok(Self { method, segments, open })
    }

    /// Whether it matches everything under `/`, for whatever method.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        (self.segments.is_empty() && self.open) || self.segments == [Segment::Literal(String::new())]
    }

    /// The method it names.
    #[must_use]
    pub const fn method(&self) -> Option<&Method> {
        self.method.as_ref()
    }

    /// Its path as it is written, without the method.
    #[must_use]
    pub fn path(&self) -> String {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(literal) => literal.as_str(),
            Segment::Any => "*",
        });
        segments.chain(self.open.then_some("**")).fold(String::new(), |path, segment| path + "/" + segment)
    }

    /// Whether both match the same paths.
    #[must_use]
    pub fn is_same_path(&self, other: &Self) -> bool {
        self.segments == other.segments && self.open == other.open
    }

    /// One rank for each segment and one for the end, the more specific the lower: of two patterns that match one path,
    /// the more specific one compares as less, and they are equal only if they are the same.
    pub fn specificity(&self) -> impl Iterator<Item = u8> {
        let segments = self.segments.iter().map(|segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Any => 1,
        });
        segments.chain(std::iter::once(if self.open { 2 } else { 0 }))
    }

    /// Whether it matches; `path` is canonical.
    #[must_use]
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method) && self.matches_path(path)
    }

    /// Whether it matches for whatever method; `path` is canonical.
    #[must_use]
    pub fn matches_path(&self, path: &str) -> bool {
        let mut rest = path.strip_prefix('/').unwrap_or(path).split('/');
        for wanted in &self.segments {
            match (wanted, rest.next()) {
                (Segment::Literal(literal), Some(segment)) if *literal == as_compared(segment) => {}
                (Segment::Any, Some(segment)) if !segment.is_empty() => {}
                _ => return false,
            }
        }
        self.open || rest.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, method: &str, path: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(&Method::from_bytes(method.as_bytes()).unwrap(), path)
    }

    #[test]
    fn exact_prefix_and_segment_patterns() {
        assert!(matches("/healthz", "GET", "/healthz"));
        assert!(!matches("/healthz", "GET", "/healthz/"));
        assert!(matches("/assets/**", "GET", "/assets"));
        assert!(matches("/assets/**", "GET", "/assets/a/b"));
        assert!(matches("/u/*/photo", "GET", "/u/7/photo"));
        assert!(!matches("/u/*/photo", "GET", "/u/7/8/photo"));
        assert!(!matches("/u/*/photo", "GET", "/u//photo"));
        assert!(matches("/**", "GET", "/anything/at/all"));
    }

    #[test]
    fn pa_11_and_pa_13_borders_and_case_count() {
        for path in ["/publicX", "/public.admin", "/PUBLIC/a", "/Public"] {
            assert!(!matches("/public/**", "GET", path), "{path}");
        }
    }

    #[test]
    fn pa_24_a_reserved_character_is_met_in_either_spelling() {
        for pattern in ["/v1/jobs:purge", "/v1/jobs%3Apurge", "/v1/jobs%3apurge"] {
            assert!(matches(pattern, "POST", "/v1/jobs:purge"), "{pattern}");
            assert!(matches(pattern, "POST", "/v1/jobs%3Apurge"), "{pattern}");
            assert!(!matches(pattern, "POST", "/v1/jobs%253Apurge"), "{pattern}");
        }
        let (one, other) = (Pattern::parse("/a:b").unwrap(), Pattern::parse("/a%3Ab").unwrap());
        assert!(one.is_same_path(&other), "two rules for these are a tie");
        assert!(!matches("/%2A", "GET", "/x") && matches("/%2A", "GET", "/*"), "an encoded * is no wildcard");
    }

    #[test]
    fn pa_17_a_method_is_matched_exactly() {
        assert!(matches("GET /x", "GET", "/x"));
        for method in ["POST", "HEAD", "get", "PATCH", "FOO"] {
            assert!(!matches("GET /x", method, "/x"), "{method}");
        }
    }

    #[test]
    fn pa_22_everything_else_is_refused() {
        for bad in [
            "",
            "x",
            "^/foo/.*/bar$",
            "(a+)+$",
            "/a*b",
            "/a/**/b",
            "/**/",
            "/a**",
            "/../x",
            "/a//b",
            "//**",
            "/a;b",
            "/a%2fb",
            "get /x",
            " /x",
            "/a?b",
            "/a#b",
            "/foo/.*",
            "/a\\b",
            "/[a-z]/x",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
