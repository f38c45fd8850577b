//! `strip_prefix`: the application lives at the root, the browser sees it under a path. Bodies are never rewritten.

use http::HeaderValue;
use http::uri::PathAndQuery;

use super::error::InvalidUpstream;

/// The prefix that is taken off paths and put back into what the application answers.
#[derive(Clone, Debug)]
pub struct Prefix {
    path: String,
    value: HeaderValue,
}

impl Prefix {
    /// `path` begins with a slash and does not end with one.
    ///
    /// # Errors
    /// [`InvalidUpstream::Prefix`] when it does.
    pub fn new(path: &str) -> Result<Self, InvalidUpstream> {
        let plausible = path.starts_with('/') && !path.ends_with('/') && PathAndQuery::try_from(path).is_ok();
        match HeaderValue::from_str(path) {
            Ok(value) if plausible && !path.contains(['?', '#', ';']) => Ok(Self { path: path.to_owned(), value }),
            _ => Err(InvalidUpstream::Prefix),
        }
    }

    /// For `X-Forwarded-Prefix`.
    pub(super) const fn value(&self) -> &HeaderValue {
        &self.value
    }

    /// The path without the prefix; `None` when it does not lie under it.
    #[must_use]
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        match path.strip_prefix(self.path.as_str())? {
            "" => Some("/"),
            rest if rest.starts_with('/') => Some(rest),
            _ => None,
        }
    }

    /// The path behind the prefix, of a path that has been found to lie under it in whatever spelling: as many segments
    /// are taken off as the prefix has.
    #[must_use]
    pub fn strip_routed<'a>(&self, path: &'a str) -> &'a str {
        let segments = self.path.bytes().filter(|byte| *byte == b'/').count();
        let rest = path.match_indices('/').nth(segments).and_then(|(at, _)| path.get(at..));
        self.strip(path).or(rest).unwrap_or("/")
    }

    /// Puts the prefix before an absolute path. One that lies under it already stays: the application has read
    /// `X-Forwarded-Prefix` itself.
    pub(super) fn add(&self, path: &str) -> Option<String> {
        let (bare, _) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
        if !path.starts_with('/') || self.strip(bare).is_some() {
            return None;
        }
        Some(if path == "/" { self.path.clone() + "/" } else { format!("{}{path}", self.path) })
    }

    /// The `Path` of a `Set-Cookie` value, put under the prefix.
    ///
    /// `None` when nothing changes: without `Path` the browser takes its own view of the path, and a `__Host-` cookie
    /// must say `/`.
    pub(super) fn add_to_cookie(&self, set_cookie: &str) -> Option<String> {
        let host_bound =
            set_cookie.trim_start().as_bytes().get(..7).is_some_and(|name| name.eq_ignore_ascii_case(b"__Host-"));
        if host_bound {
            return None;
        }
        let mut changed = false;
        let attributes: Vec<String> = set_cookie
            .split(';')
            .enumerate()
            .map(|(index, attribute)| match attribute.split_once('=') {
                Some((name, path)) if index > 0 && name.trim().eq_ignore_ascii_case("path") => {
                    // The scope of a cookie is a segment: `/wiki` covers `/wiki` and what is under it.
                    let scoped = self.add(path.trim()).map(|path| path.trim_end_matches('/').to_owned());
                    changed |= scoped.is_some();
                    scoped.map_or_else(|| attribute.to_owned(), |path| format!("{name}={path}"))
                }
                _ => attribute.to_owned(),
            })
            .collect();
        changed.then(|| attributes.join(";"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiki() -> Prefix {
        Prefix::new("/wiki").unwrap()
    }

    #[test]
    fn a_prefix_is_taken_off_on_a_segment_border() {
        let wiki = wiki();
        assert_eq!(wiki.strip("/wiki"), Some("/"));
        assert_eq!(wiki.strip("/wiki/"), Some("/"));
        assert_eq!(wiki.strip("/wiki/a/b"), Some("/a/b"));
        assert_eq!(wiki.strip("/wikipedia"), None);
    }

    #[test]
    fn a_prefix_is_taken_off_in_either_spelling() {
        let prefix = Prefix::new("/v1/jobs:new").unwrap();
        for (path, rest) in [
            ("/v1/jobs:new/a/b", "/a/b"),
            ("/v1/jobs%3Anew/a/b", "/a/b"),
            ("/v1/jobs%3Anew", "/"),
            ("/v1/jobs:new", "/"),
        ] {
            assert_eq!(prefix.strip_routed(path), rest);
        }
    }

    #[test]
    fn paths_get_the_prefix_once() {
        let wiki = wiki();
        assert_eq!(wiki.add("/").unwrap(), "/wiki/");
        assert_eq!(wiki.add("/login?a=/b").unwrap(), "/wiki/login?a=/b");
        assert_eq!(wiki.add("/?a").unwrap(), "/wiki/?a");
        assert_eq!(wiki.add("/wikipedia").unwrap(), "/wiki/wikipedia");
        assert_eq!(wiki.add("/wiki/login"), None);
        assert_eq!(wiki.add("/wiki?a"), None);
        assert_eq!(wiki.add("login"), None);
    }

    #[test]
    fn cookie_paths_get_the_prefix() {
        let wiki = wiki();
        assert_eq!(wiki.add_to_cookie("a=b; Path=/; HttpOnly").unwrap(), "a=b; Path=/wiki; HttpOnly");
        assert_eq!(wiki.add_to_cookie("a=path=/; path = /app ;Secure").unwrap(), "a=path=/; path =/wiki/app;Secure");
        for kept in ["a=b", "a=b; Path=/wiki/x", "__Host-a=b; Path=/; Secure", "__host-A=b; Path=/", "path=/; Secure"] {
            assert_eq!(wiki.add_to_cookie(kept), None, "{kept}");
        }
    }

    #[test]
    fn what_is_no_path_is_no_prefix() {
        for bad in ["", "/", "wiki", "/wiki/", "/wi ki", "/a?b", "/a\r\n"] {
            assert!(Prefix::new(bad).is_err(), "{bad}");
        }
    }
}
