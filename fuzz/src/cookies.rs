//! The `Cookie` field and the login cookie.

use std::sync::OnceLock;

use http::header::{COOKIE, HeaderMap, HeaderValue};
use vestibule::cookie::{self, Lookup};
use vestibule::session::login_cookie::LoginCookie;

use super::configuration::Fixed;
use super::sealed::{changed, place};

const NAME: &str = "__Host-Http-vestibule";

/// One field a line: a cookie is found by exactly its name, and none of ours goes to an application while all others do.
pub fn cookie_header(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(COOKIE, value);
        }
    }
    let before = pairs(&headers);
    let wanted = [NAME.as_bytes(), b"="].concat();
    let old_syntax = before.iter().any(|pair| pair.to_ascii_lowercase().starts_with(b"$version"));
    let mut values = before.iter().filter_map(|pair| pair.strip_prefix(&wanted[..]));
    let expected = match (values.next(), values.next()) {
        _ if old_syntax => Lookup::Absent,
        (None, _) => Lookup::Absent,
        (Some(value), None) => Lookup::One(value),
        (Some(_), Some(_)) => Lookup::Several,
    };
    let found = cookie::find(&headers, NAME);
    // Of two, and then an old syntax, either answer leads to no session.
    assert!(found == expected || (old_syntax && !matches!(found, Lookup::One(_))), "{found:?}, not {expected:?}");

    let mut left = headers.clone();
    cookie::remove_gateway_cookies(&mut left);
    let after = pairs(&left);
    assert!(!after.iter().any(|pair| cookie::is_gateway_name(pair)), "one of ours is left");
    assert!(!after.iter().any(|pair| trimmed(pair).starts_with("__host-http-vestibule")), "one of ours is left");
    let others: Vec<_> = before.iter().filter(|pair| !cookie::is_gateway_name(pair)).cloned().collect();
    let filled = |pairs: &[Vec<u8>]| pairs.iter().filter(|pair| !pair.is_empty()).cloned().collect::<Vec<_>>();
    assert_eq!(filled(&after), filled(&others), "another's cookie is not as it was");
    let mut again = left.clone();
    cookie::remove_gateway_cookies(&mut again);
    assert_eq!(again, left);
    let name = cookie::set_cookie_name(bytes);
    assert!(bytes.starts_with(name) && !name.contains(&b'=') && !name.contains(&b';'));
}

fn pairs(headers: &HeaderMap) -> Vec<Vec<u8>> {
    let mut pairs = Vec::new();
    for field in headers.get_all(COOKIE) {
        for (place, pair) in field.as_bytes().split(|byte| *byte == b';').enumerate() {
            let pair = if place > 0 { pair.strip_prefix(b" ").unwrap_or(pair) } else { pair };
            pairs.push(pair.to_vec());
        }
    }
    pairs
}

/// As the most forgiving reader would have it.
fn trimmed(pair: &[u8]) -> String {
    let text = String::from_utf8_lossy(pair);
    text.trim_matches(|letter: char| letter.is_whitespace() || letter == '"').to_lowercase()
}

/// Only the very cookie that was written is one.
pub fn login_cookie(bytes: &[u8]) {
    static GENUINE: OnceLock<String> = OnceLock::new();
    let genuine = GENUINE.get_or_init(|| LoginCookie::draw(&Fixed).unwrap().encode(place()));
    let value = changed(genuine.as_bytes(), bytes);
    let decoded = LoginCookie::decode(place(), &value);
    assert_eq!(decoded.is_ok(), value == genuine.as_bytes());
    assert!(decoded.is_err() || decoded.unwrap().encode(place()) == *genuine);
}
