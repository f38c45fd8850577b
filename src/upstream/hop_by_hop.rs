//! Fields that belong to one connection and must not travel on (RFC 9110 §7.6.1).

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING, UPGRADE,
};

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");

/// Takes the hop-by-hop fields of a request off, those first that its `Connection` fields name; exactly `TE: trailers`
/// stays, because without it a server sends no trailers.
///
/// Must run before anything of ours is set: `Connection: x-auth-user` would take it off again.
pub(super) fn strip_request(headers: &mut HeaderMap) {
    let trailers = wants_trailers(headers);
    strip(headers);
    if trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        // Who sends TE must name it (RFC 9110 §10.1.4).
        headers.insert(CONNECTION, HeaderValue::from_static("TE"));
    }
}

/// Takes the hop-by-hop fields of a response off.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    strip(headers);
}

/// Takes off what has no place in a trailer section: framing, routing and credentials (RFC 9110 §6.5.1).
pub(super) fn strip_trailers(trailers: &mut HeaderMap) {
    strip(trailers);
    for name in [HOST, CONTENT_LENGTH, TRAILER, http::header::COOKIE, http::header::SET_COOKIE] {
        trailers.remove(name);
    }
}

/// Whether one of the `Connection` fields holds an option, without case.
#[must_use]
pub(super) fn names_option(headers: &HeaderMap, option: &str) -> bool {
    tokens(headers, &CONNECTION).any(|token| token.eq_ignore_ascii_case(option.as_bytes()))
}

fn strip(headers: &mut HeaderMap) {
    let mut named = Vec::new();
    for token in tokens(headers, &CONNECTION) {
        if is_removed_anyway(token) {
            continue;
        }
        // What is no field name, names no field.
        if let Ok(name) = HeaderName::from_bytes(token)
            && !is_framing(&name)
            && headers.contains_key(&name)
        {
            named.push(name);
        }
    }
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, TE, TRANSFER_ENCODING, UPGRADE] {
        headers.remove(name);
    }
}

fn is_removed_anyway(token: &[u8]) -> bool {
    [&b"keep-alive"[..], b"close", b"upgrade", b"te"].iter().any(|known| token.eq_ignore_ascii_case(known))
}

/// What says where a message ends and whom it is for is not at the sender's disposal.
fn is_framing(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER].contains(name)
}

fn wants_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    fn left(fields: &[(&str, &[u8])]) -> Vec<String> {
        let mut headers = headers(fields);
        strip_request(&mut headers);
        let mut names: Vec<String> = headers.keys().map(ToString::to_string).collect();
        names.sort();
        names
    }

    #[test]
    fn all_fields_of_the_connection_go() {
        let fields: [(&str, &[u8]); 9] = [
            ("Connection", b"X-Hop , \tx-TWO"),
            ("connection", b"x-three"),
            ("x-hop", b"1"),
            ("x-two", b"1"),
            ("x-three", b"1"),
            ("keep-alive", b"timeout=5"),
            ("proxy-connection", b"keep-alive"),
            ("transfer-encoding", b"chunked"),
            ("upgrade", b"websocket"),
        ];
        assert_eq!(left(&fields), Vec::<String>::new());
    }

    #[test]
    fn hd_06_every_spelling_of_a_name_in_connection_is_understood() {
        for line in
            [&b"x-auth-user, authorization"[..], b"X-AUTH-USER ,\tAuthorization", b",,x-auth-user,,authorization,"]
        {
            assert_eq!(
                left(&[("connection", line), ("x-auth-user", b"a"), ("authorization", b"b"), ("accept", b"c")]),
                ["accept"]
            );
        }
        assert_eq!(left(&[("connection", b"x-auth-\xffuser, \xff"), ("accept", b"c")]), ["accept"]);
    }

    #[test]
    fn hp_16_connection_never_takes_framing_off() {
        let fields: [(&str, &[u8]); 4] = [
            ("connection", b"host, content-length, transfer-encoding, trailer, cookie"),
            ("host", b"a.example"),
            ("content-length", b"5"),
            ("trailer", b"x-sum"),
        ];
        assert_eq!(left(&fields), ["content-length", "host", "trailer"]);
        assert_eq!(left(&[("connection", b"close, keep-alive"), ("accept", b"c")]), ["accept"]);
        assert_eq!(left(&[("connection", b"\xff"), ("accept", b"c")]), ["accept"]);
    }

    #[test]
    fn hp_16_ten_thousand_tokens_are_read_once_each() {
        let line = b"a,".repeat(10_000);
        assert_eq!(left(&[("connection", &line), ("a", b"1"), ("b", b"2")]), ["b"]);
    }

    #[test]
    fn hd_18_te_is_trailers_or_nothing() {
        let mut map = headers(&[("te", b"gzip;q=0.5, Trailers"), ("connection", b"te")]);
        strip_request(&mut map);
        assert_eq!(map.get(TE).unwrap(), "trailers");
        assert_eq!(map.get(CONNECTION).unwrap(), "TE");
        assert_eq!(left(&[("te", b"gzip")]), Vec::<String>::new());
    }

    #[test]
    fn hd_16_trailers_hold_no_framing_and_no_cookies() {
        let mut map = headers(&[("host", b"x"), ("content-length", b"1"), ("set-cookie", b"a=b"), ("x-sum", b"1")]);
        strip_trailers(&mut map);
        assert_eq!(map.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["x-sum"]);
    }
}
