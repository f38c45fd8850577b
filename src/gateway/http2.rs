//! What HTTP/2 spells in another way than HTTP/1 (RFC 9113 §8), brought into the one form that the gateway reads.

use bytes::{BufMut as _, BytesMut};
use http::header::{COOKIE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{HeaderName, Method};
use hyper::ext::Protocol;

use crate::entropy::{Entropy, NoEntropy, draw};
use crate::upstream::WebSocketHandshake;

const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");

/// Makes the handshake of a WebSocket (RFC 8441 §4) the GET that it is over HTTP/1. Every other request is left as it is: a
/// CONNECT to anything else stays one, and is refused as such.
///
/// # Errors
/// [`NoEntropy`], for the key that the application is asked with.
pub(super) fn handshake(parts: &mut Parts, entropy: &dyn Entropy) -> Result<Option<WebSocketHandshake>, NoEntropy> {
    let is_websocket = parts.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    if parts.method != Method::CONNECT || !is_websocket {
        return Ok(None);
    }
    parts.method = Method::GET;
    // A browser has none here (RFC 8441 §5).
    parts.headers.remove(SEC_WEBSOCKET_KEY);
    draw(entropy).map(WebSocketHandshake::over_http2).map(Some)
}

/// Joins the `Cookie` fields, which HTTP/2 may have taken apart, before anybody reads them (RFC 9113 §8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(COOKIE).iter().nth(1).is_none() {
        return;
    }
    let mut joined = BytesMut::new();
    for field in headers.get_all(COOKIE) {
        if !joined.is_empty() {
            joined.put_slice(b"; ");
        }
        joined.put_slice(field.as_bytes());
    }
    // Parts of a value are a value together.
    if let Ok(mut value) = HeaderValue::from_maybe_shared(joined.freeze()) {
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;
    use http::Request;

    #[test]
    fn h2_14_cookies_are_joined_once_and_in_their_order() {
        let mut headers = HeaderMap::new();
        join_cookies(&mut headers);
        assert!(headers.is_empty());
        for part in ["a=1", "__Host-Http-vestibule=x", "b=2; c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(part));
        }
        join_cookies(&mut headers);
        let all: Vec<_> = headers.get_all(COOKIE).iter().collect();
        assert_eq!(all, ["a=1; __Host-Http-vestibule=x; b=2; c=3"]);
        assert!(all[0].is_sensitive());
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().count(), 1);
    }

    #[test]
    fn h2_10_only_the_handshake_of_a_websocket_becomes_a_get() {
        for (method, protocol, expected) in [
            (Method::CONNECT, Some("websocket"), true),
            (Method::CONNECT, Some("connect-udp"), false),
            (Method::CONNECT, Some("WebSocket"), false),
            (Method::CONNECT, None, false),
            (Method::GET, Some("websocket"), false),
        ] {
            let request = Request::builder().method(method.clone()).header("sec-websocket-key", "k");
            let (mut parts, ()) = request.body(()).unwrap().into_parts();
            if let Some(protocol) = protocol {
                parts.extensions.insert(Protocol::from_static(protocol));
            }
            let made = handshake(&mut parts, &SystemEntropy).unwrap();
            assert_eq!(made.is_some_and(WebSocketHandshake::is_over_http2), expected, "{method} {protocol:?}");
            assert_eq!(parts.method, if expected { Method::GET } else { method });
            assert_ne!(parts.headers.contains_key(SEC_WEBSOCKET_KEY), expected);
        }
    }
}
