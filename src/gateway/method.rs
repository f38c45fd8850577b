//! Which methods there are for us: none that can be read in two ways, and none that is no word.

use http::Method;

/// The longest method, in bytes: registered ones have up to 17. It stands in logs and goes upstream, and no other limit
/// counts it.
const LONGEST_METHOD: usize = 32;

/// Methods are told apart by case (RFC 9110 §9.1), but not by every application: `get` is nobody's.
pub(super) fn may_be_forwarded(method: &Method) -> bool {
    !matches!(method.as_str(), "CONNECT" | "TRACE" | "TRACK")
        && method.as_str().len() <= LONGEST_METHOD
        && !method.as_str().bytes().any(|byte| byte.is_ascii_lowercase())
}

/// A method as far as it is worth telling.
pub(super) fn method_in_logs(method: &Method) -> &str {
    let text = method.as_str();
    text.get(..LONGEST_METHOD).unwrap_or(text)
}
