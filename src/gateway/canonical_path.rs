//! The one view of a path: what is matched is what is forwarded.

use std::borrow::Cow;

/// Whether ambiguous characters in paths are let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PathPolicy {
    /// `%2F`, `//`, `;` and `%3B` are refused.
    #[default]
    Strict,
    /// They pass.
    Permissive,
}

/// Why a path is ambiguous or malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It does not begin with `/`.
    #[error("not-a-path")]
    NotAPath,
    /// A raw control, space, backslash, quote or non-ASCII byte.
    #[error("character")]
    Character,
    /// A `%` without two hexadecimal digits.
    #[error("bad-escape")]
    BadEscape,
    /// An encoded control, NUL or backslash.
    #[error("encoded-control")]
    EncodedControl,
    /// Octets that are no UTF-8 once decoded.
    #[error("not-utf8")]
    NotUtf8,
    /// `.` or `..` in any spelling.
    #[error("dot-segment")]
    DotSegment,
    /// `%2F`, `//` or `;` under the strict policy.
    #[error("ambiguous")]
    Ambiguous,
}

/// A path with triplets in upper case and unreserved characters decoded (RFC 3986 §6.2.2), free of everything that two
/// servers could read differently.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CanonicalPath(String);

impl CanonicalPath {
    /// Canonicalises the path of a request target, without its query.
    ///
    /// # Errors
    /// [`PathError`]; the request is refused with 400.
    pub fn parse(path: &str, policy: PathPolicy) -> Result<Self, PathError> {
        if !path.starts_with('/') {
            return Err(PathError::NotAPath);
        }
        if is_plain(path) {
            return Ok(Self(path.to_owned()));
        }
        Self::canonicalise(path, policy)
    }

    fn canonicalise(path: &str, policy: PathPolicy) -> Result<Self, PathError> {
        let mut canonical = String::with_capacity(path.len());
        let mut decoded = Vec::with_capacity(path.len());
        let mut bytes = path.bytes();
        let mut encoded_slash = false;
        while let Some(byte) = bytes.next() {
            match byte {
                b'%' => {
                    let value = match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                        (Some(high), Some(low)) => high << 4 | low,
                        _ => return Err(PathError::BadEscape),
                    };
                    match value {
                        0..=0x1f | 0x7f | b'\\' => return Err(PathError::EncodedControl),
                        b'/' => encoded_slash = true,
                        _ => {}
                    }
                    decoded.push(value);
                    if is_unreserved(value) {
                        canonical.push(char::from(value));
                    } else {
                        canonical.push_str(&format!("%{value:02X}"));
                    }
                }
                // What no URI path holds raw, though `http::Uri` lets most of it through.
                0..=0x20 | 0x7f.. | b'\\' | b'"' | b'<' | b'>' | b'^' | b'`' | b'{' | b'|' | b'}' | b'#' | b'?' => {
                    return Err(PathError::Character);
                }
                _ => {
                    decoded.push(byte);
                    canonical.push(char::from(byte));
                }
            }
        }
        if std::str::from_utf8(&decoded).is_err() {
            return Err(PathError::NotUtf8);
        }
        // A segment's parameters (`..;a=b`) do not make it less of a dot segment to servers that take them off.
        let is_dot = |segment: &[u8]| {
            let bare = segment.split(|&byte| byte == b';').next().unwrap_or_default();
            matches!(bare, b"." | b"..")
        };
        if decoded.split(|&byte| byte == b'/').any(is_dot) {
            return Err(PathError::DotSegment);
        }
        if policy == PathPolicy::Strict {
            let empty_segment = decoded.windows(2).any(|pair| pair == b"//");
            if encoded_slash || empty_segment || decoded.contains(&b';') {
                return Err(PathError::Ambiguous);
            }
        }
        Ok(Self(canonical))
    }

    /// The canonical form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `prefix` (no final slash) is this path or a whole-segment prefix of it.
    #[must_use]
    pub fn is_under(&self, prefix: &str) -> bool {
        self.0.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

/// A canonical path, or a part of one, as it is compared with what the configuration says: `:` is as good as `%3A`.
///
/// RFC 3986 §2.2 lets the two mean different things, and so both go on as they came. But nearly every application reads
/// them alike, so that a rule about the one must not be got around by writing the other.
#[must_use]
pub fn as_compared(path: &str) -> Cow<'_, str> {
    if !path.bytes().any(|byte| matches!(byte, b'%' | b'*')) {
        return Cow::Borrowed(path);
    }
    let mut compared = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find(['%', '*']) {
        let (plain, from) = rest.split_at(at);
        compared.push_str(plain);
        let (one, length) = match from.get(..3).and_then(reserved) {
            _ if from.starts_with('*') => ("%2A", 1),
            Some(one) => (one, 3),
            None => ("%", 1),
        };
        compared.push_str(one);
        rest = from.get(length..).unwrap_or_default();
    }
    compared.push_str(rest);
    Cow::Owned(compared)
}

/// What may stand raw in a segment (RFC 3986 §3.3), or does although it may not, by its triplet. Not `;`, which is
/// refused in either spelling, and not `*`, which in patterns means something else.
fn reserved(triplet: &str) -> Option<&'static str> {
    Some(match triplet {
        "%21" => "!",
        "%24" => "$",
        "%26" => "&",
        "%27" => "'",
        "%28" => "(",
        "%29" => ")",
        "%2B" => "+",
        "%2C" => ",",
        "%3A" => ":",
        "%3D" => "=",
        "%40" => "@",
        "%5B" => "[",
        "%5D" => "]",
        _ => return None,
    })
}

/// Whether there is nothing in a path to decode, to fold or to doubt: unreserved characters in segments that neither are
/// empty nor begin with a dot. Most paths are so.
fn is_plain(path: &str) -> bool {
    let mut before = b' ';
    path.bytes().all(|byte| {
        let plain = match byte {
            b'/' | b'.' => before != b'/',
            _ => is_unreserved(byte),
        };
        before = byte;
        plain
    })
}

const fn hex(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn strict(path: &str) -> Result<String, PathError> {
        CanonicalPath::parse(path, PathPolicy::Strict).map(|path| path.0)
    }

    fn permissive(path: &str) -> Result<String, PathError> {
        CanonicalPath::parse(path, PathPolicy::Permissive).map(|path| path.0)
    }

    #[test]
    fn pa_01_and_pa_03_dot_segments_in_any_spelling() {
        for path in [
            "/public/../admin",
            "/public/./../admin",
            "/./admin",
            "/public/%2e%2e/admin",
            "/public/%2E./admin",
            "/public/.%2e/admin",
            "/public/..%2fadmin",
            "/public/..;/admin",
            "/public/..;a=b/admin",
            "/public/%2e%2e%3b/x",
            "/..",
            "/.",
            "/a/..",
            "/public/..%3Bx/admin",
        ] {
            assert_eq!(permissive(path), Err(PathError::DotSegment), "{path}");
            assert!(strict(path).is_err(), "{path}");
        }
    }

    #[test]
    fn pa_06_backslashes_and_controls() {
        for path in [
            "/public\\..\\admin",
            "/a%5cb",
            "/a%5Cb",
            "/a%00b",
            "/a%0d%0ab",
            "/a%7f",
            "/a b",
            "/a\u{e9}",
            "/a\"b",
            "/a{b}",
        ] {
            assert!(permissive(path).is_err(), "{path}");
        }
    }

    #[test]
    fn pa_07_and_pa_08_ambiguity_is_a_policy() {
        for path in ["/public;a=b/x", "/admin;x", "/admin%3bx", "/a%2fb", "/a%2Fb", "//admin", "/a//b"] {
            assert_eq!(strict(path), Err(PathError::Ambiguous), "{path}");
            assert!(permissive(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn pa_10_and_pa_15_one_canonical_form() {
        assert_eq!(strict("/%252e%252e%252f").unwrap(), "/%252e%252e%252f");
        assert_eq!(strict("/%7Euser").unwrap(), "/~user");
        assert_eq!(strict("/%c3%a9").unwrap(), "/%C3%A9");
        assert_eq!(strict("/admin%23/public/").unwrap(), "/admin%23/public/");
        assert_eq!(strict("/admin%3f/public/").unwrap(), "/admin%3F/public/");
    }

    #[test]
    fn reserved_characters_are_compared_in_one_spelling() {
        for (path, compared) in [
            ("/v1/jobs%3Apurge", "/v1/jobs:purge"),
            ("/v1/jobs:purge", "/v1/jobs:purge"),
            ("/%21%24%26%27%28%29%2B%2C%3D%40%5B%5D", "/!$&'()+,=@[]"),
            ("/a*b%2Ac", "/a%2Ab%2Ac"),
            ("/%253A%C3%A9%20%25", "/%253A%C3%A9%20%25"),
            ("/plain", "/plain"),
        ] {
            assert_eq!(as_compared(&strict(path).unwrap()), compared);
            assert_eq!(as_compared(compared), compared);
        }
        // Every character that a path may hold raw has one spelling.
        for byte in 0x21..0x7f_u8 {
            let (raw, encoded) = (format!("/{}", char::from(byte)), format!("/%{byte:02X}"));
            let (Ok(raw), Ok(encoded)) = (strict(&raw), strict(&encoded)) else { continue };
            assert_eq!(as_compared(&raw), as_compared(&encoded));
        }
    }

    #[test]
    fn bad_escapes_and_foreign_octets() {
        for path in ["/%", "/%4", "/%zz", "/%4g"] {
            assert_eq!(strict(path), Err(PathError::BadEscape), "{path}");
        }
        for path in ["/%ff", "/%c0%ae", "/%e0%80%af"] {
            assert_eq!(strict(path), Err(PathError::NotUtf8), "{path}");
        }
        assert_eq!(strict("x"), Err(PathError::NotAPath));
        assert_eq!(strict(""), Err(PathError::NotAPath));
    }

    proptest! {
        #[test]
        fn a_plain_path_is_canonical_already(path in "/[a-zA-Z0-9/.~_-]{0,12}") {
            if is_plain(&path) {
                for policy in [PathPolicy::Strict, PathPolicy::Permissive] {
                    prop_assert_eq!(CanonicalPath::canonicalise(&path, policy), Ok(CanonicalPath(path.clone())));
                }
            }
        }

        #[test]
        fn canonical_is_a_fixed_point(path in "/[a-zA-Z0-9/%.;~_-]{0,40}") {
            for policy in [PathPolicy::Strict, PathPolicy::Permissive] {
                if let Ok(once) = CanonicalPath::parse(&path, policy) {
                    prop_assert_eq!(CanonicalPath::parse(once.as_str(), policy), Ok(once.clone()));
                }
            }
        }
    }
}
