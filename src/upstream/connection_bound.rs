//! Authentication that holds for a connection instead of a request: NTLM and Negotiate (RFC 4559 §6).
//!
//! Connections to an application are shared: what one person has proved on one of them, the next person's request would
//! profit from. So neither the offers of an application nor the answers of a browser get through.

use http::HeaderName;
use http::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};

/// Schemes that bind a person to a connection.
const SCHEMES: [&str; 3] = ["ntlm", "negotiate", "kerberos"];
/// Says that a connection is authenticated from here on.
const PERSISTENT_AUTH: HeaderName = HeaderName::from_static("persistent-auth");

/// Whether credentials of `Authorization` would hold for the connection.
#[must_use]
pub(super) fn binds(authorization: &HeaderValue) -> bool {
    is_bound(authorization.as_bytes())
}

/// Takes the offers of such schemes out of an answer; says whether there was one. Others stay as they are.
pub(super) fn strip_challenges(headers: &mut HeaderMap) -> bool {
    headers.remove(PERSISTENT_AUTH);
    let offers = |value: &HeaderValue| challenges(value.as_bytes()).iter().any(|challenge| is_bound(challenge));
    if !headers.get_all(WWW_AUTHENTICATE).iter().any(offers) {
        return false;
    }
    let kept: Vec<HeaderValue> = headers
        .get_all(WWW_AUTHENTICATE)
        .iter()
        .flat_map(|value| challenges(value.as_bytes()))
        .filter(|challenge| !is_bound(challenge))
        .filter_map(|challenge| HeaderValue::from_bytes(challenge).ok())
        .collect();
    headers.remove(WWW_AUTHENTICATE);
    for challenge in kept {
        headers.append(WWW_AUTHENTICATE, challenge);
    }
    true
}

fn is_bound(credentials: &[u8]) -> bool {
    let scheme = credentials.trim_ascii_start().split(|&byte| byte == b' ' || byte == b'\t' || byte == b',').next();
    scheme.is_some_and(|scheme| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes())))
}

/// The challenges of one field (RFC 9110 §11.6.1). A comma separates both challenges and the parameters of one: what is
/// followed by `=` is a parameter, and belongs to the challenge before it.
fn challenges(field: &[u8]) -> Vec<&[u8]> {
    let mut all = Vec::new();
    let mut start = 0;
    for (at, piece) in pieces(field) {
        if at > 0 && !is_parameter(piece) {
            all.push(bare(field.get(start..at).unwrap_or_default()));
            start = at;
        }
    }
    all.push(bare(field.get(start..).unwrap_or_default()));
    all.retain(|challenge| !challenge.is_empty());
    all
}

/// Without space and empty list elements around it.
fn bare(mut challenge: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b',', rest @ ..] | [rest @ .., b' ' | b'\t' | b','] = challenge {
        challenge = rest;
    }
    challenge
}

/// What stands between commas that are in no quotes, with its place.
fn pieces(field: &[u8]) -> Vec<(usize, &[u8])> {
    let (mut all, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, &byte) in field.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => {
                all.push((start, field.get(start..at).unwrap_or_default()));
                start = at + 1;
            }
            _ => {}
        }
    }
    all.push((start, field.get(start..).unwrap_or_default()));
    all
}

/// `name=value`, with space around the `=` at most.
fn is_parameter(piece: &[u8]) -> bool {
    let piece = piece.trim_ascii();
    let name =
        piece.iter().take_while(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)).count();
    let rest = piece.get(name..).unwrap_or_default();
    piece.is_empty() || rest.trim_ascii_start().first() == Some(&b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(fields: &[&'static str]) -> (bool, Vec<String>) {
        let mut headers = HeaderMap::new();
        headers.insert(PERSISTENT_AUTH, HeaderValue::from_static("true"));
        for field in fields {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(field));
        }
        let found = strip_challenges(&mut headers);
        assert!(!headers.contains_key(PERSISTENT_AUTH));
        let left = headers.get_all(WWW_AUTHENTICATE).iter().map(|value| value.to_str().unwrap().to_owned());
        (found, left.collect())
    }

    #[test]
    fn ur_06_offers_that_bind_a_connection_go_and_others_stay() {
        for (fields, found, expected) in [
            (&["NTLM", "Negotiate"][..], true, &[][..]),
            (&["negotiate YIIGYQ=="], true, &[]),
            (
                &["Negotiate, NTLM, Basic realm=\"a, b\", charset=\"UTF-8\""],
                true,
                &["Basic realm=\"a, b\", charset=\"UTF-8\""],
            ),
            (&["Digest realm=\"x\", nonce=\"NTLM, y\"", "Kerberos"], true, &["Digest realm=\"x\", nonce=\"NTLM, y\""]),
            (&["Bearer", "NTLM"], true, &["Bearer"]),
            (&["Basic realm=\"NTLM\""], false, &["Basic realm=\"NTLM\""]),
            (&["Basic realm=\"a\", Bearer error=\"b\\\"c\""], false, &["Basic realm=\"a\", Bearer error=\"b\\\"c\""]),
            (&["NTLMv9 x"], false, &["NTLMv9 x"]),
            (&[", , NTLM ,"], true, &[]),
            (&[], false, &[]),
        ] {
            assert_eq!(left(fields), (found, expected.iter().map(ToString::to_string).collect()), "{fields:?}");
        }
    }

    #[test]
    fn ur_06_credentials_that_bind_a_connection_are_known() {
        for (value, expected) in [
            ("NTLM TlRMTVNTUAABAAAA", true),
            ("  negotiate YII", true),
            ("Negotiate", true),
            ("Basic bmVnb3RpYXRl", false),
            ("Bearer negotiate", false),
            ("", false),
        ] {
            assert_eq!(binds(&HeaderValue::from_static(value)), expected, "{value}");
        }
    }
}
