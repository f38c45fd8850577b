//! The one upgrade that passes: WebSocket (RFC 6455). Everything else behind `Upgrade` would be a way around the rules.
//!
//! Over HTTP/2 a WebSocket is a stream (RFC 8441). Towards the application it is the handshake of HTTP/1.1 all the same,
//! and it is us who ask and who look at the answer then.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING,
    UPGRADE,
};
use http::request::Parts;
use http::{Method, StatusCode, Version, response};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::hop_by_hop;

const WEBSOCKET: &str = "websocket";

/// An upgrade that is no WebSocket handshake (400).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpgradeRefused {
    /// Another protocol, or several.
    #[error("only an upgrade to websocket passes")]
    Protocol,
    /// Not a GET of HTTP/1.1, or one with a body.
    #[error("a WebSocket handshake is a GET of HTTP/1.1 without a body")]
    Form,
    /// `Connection` does not name `Upgrade`.
    #[error("Connection does not name Upgrade")]
    Connection,
}

/// A request that asks for a WebSocket.
///
/// A browser's key and version are not looked at: the application refuses bad ones by an ordinary answer, and no tunnel
/// opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketHandshake(Asked);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// By HTTP/1.1: the browser has sent its own key.
    OverHttp1,
    /// By HTTP/2, which has no key: this is ours.
    OverHttp2([u8; 16]),
}

impl WebSocketHandshake {
    /// What a request asks for; `None` when it asks for no upgrade.
    ///
    /// # Errors
    /// [`UpgradeRefused`] for every other upgrade.
    pub fn recognise(parts: &Parts) -> Result<Option<Self>, UpgradeRefused> {
        let mut lines = parts.headers.get_all(UPGRADE).iter();
        let Some(line) = lines.next() else { return Ok(None) };
        if lines.next().is_some() || !is_websocket(line) {
            return Err(UpgradeRefused::Protocol);
        }
        let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
            || parts.headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
        if parts.method != Method::GET || parts.version != Version::HTTP_11 || has_body {
            return Err(UpgradeRefused::Form);
        }
        if !hop_by_hop::names_option(&parts.headers, "upgrade") {
            return Err(UpgradeRefused::Connection);
        }
        Ok(Some(Self(Asked::OverHttp1)))
    }

    /// One that came over HTTP/2. The application is asked with `nonce`, which must be random (RFC 6455 §4.1).
    #[must_use]
    pub const fn over_http2(nonce: [u8; 16]) -> Self {
        Self(Asked::OverHttp2(nonce))
    }

    /// Whether it came over HTTP/2: then any successful answer opens it.
    #[must_use]
    pub const fn is_over_http2(self) -> bool {
        matches!(self.0, Asked::OverHttp2(_))
    }

    /// Asks the next hop for the same.
    pub(super) fn set(self, headers: &mut HeaderMap) {
        headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Some(key) = self.key()
            && let Ok(key) = HeaderValue::try_from(key)
        {
            headers.insert(SEC_WEBSOCKET_KEY, key);
        }
    }

    /// Whether a 101 changes to what was asked for. Where the key is ours, so is the look at what was made of it.
    pub(super) fn is_accepted_by(self, headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(UPGRADE).iter();
        let is_changed = lines.next().is_some_and(is_websocket) && lines.next().is_none();
        let is_proven = self.key().is_none_or(|key| {
            headers.get(SEC_WEBSOCKET_ACCEPT).is_some_and(|accept| accept == derive_accept_key(key.as_bytes()).as_str())
        });
        is_changed && is_proven
    }

    /// Says to whoever has asked that the tunnel is open.
    pub(super) fn confirm(self, parts: &mut response::Parts) {
        match self.0 {
            Asked::OverHttp1 => self.set(&mut parts.headers),
            Asked::OverHttp2(_) => {
                parts.status = StatusCode::OK;
                parts.headers.remove(SEC_WEBSOCKET_ACCEPT);
            }
        }
    }

    fn key(self) -> Option<String> {
        match self.0 {
            Asked::OverHttp1 => None,
            Asked::OverHttp2(nonce) => Some(STANDARD.encode(nonce)),
        }
    }
}

fn is_websocket(value: &HeaderValue) -> bool {
    value.as_bytes().trim_ascii().eq_ignore_ascii_case(WEBSOCKET.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn recognise(
        method: Method,
        version: Version,
        fields: &[(&str, &str)],
    ) -> Result<Option<WebSocketHandshake>, UpgradeRefused> {
        let mut request = Request::builder().method(method).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        WebSocketHandshake::recognise(&request.body(()).unwrap().into_parts().0)
    }

    const GET: Method = Method::GET;
    const V11: Version = Version::HTTP_11;

    #[test]
    fn a_handshake_is_recognised() {
        assert_eq!(recognise(GET, V11, &[("connection", "upgrade")]), Ok(None));
        for connection in ["Upgrade", "keep-alive, Upgrade", "keep-alive,upgrade"] {
            let fields = [("upgrade", "WebSocket"), ("connection", connection), ("sec-websocket-version", "777")];
            assert_eq!(recognise(GET, V11, &fields), Ok(Some(WebSocketHandshake(Asked::OverHttp1))), "{connection}");
        }
    }

    #[test]
    fn ws_05_every_other_upgrade_is_refused() {
        let connection = ("connection", "Upgrade");
        for protocol in ["h2c, websocket", "h2c", "tcp", "websocket, h2c", "websocket/13", "", "TLS/1.0"] {
            let refused = recognise(GET, V11, &[("upgrade", protocol), connection]);
            assert_eq!(refused, Err(UpgradeRefused::Protocol), "{protocol}");
        }
        let twice = [("upgrade", "websocket"), ("upgrade", "h2c"), connection];
        assert_eq!(recognise(GET, V11, &twice), Err(UpgradeRefused::Protocol));
        let websocket = ("upgrade", "websocket");
        assert_eq!(recognise(Method::POST, V11, &[websocket, connection]), Err(UpgradeRefused::Form));
        assert_eq!(recognise(GET, Version::HTTP_10, &[websocket, connection]), Err(UpgradeRefused::Form));
        let body = [websocket, connection, ("content-length", "5")];
        assert_eq!(recognise(GET, V11, &body), Err(UpgradeRefused::Form));
        let chunked = [websocket, connection, ("transfer-encoding", "chunked")];
        assert_eq!(recognise(GET, V11, &chunked), Err(UpgradeRefused::Form));
        assert_eq!(recognise(GET, V11, &[websocket]), Err(UpgradeRefused::Connection));
    }
    #[test]
    fn a_handshake_of_http2_is_made_and_looked_at_here() {
        let handshake = WebSocketHandshake::over_http2(*b"the sample nonce");
        let mut headers = HeaderMap::new();
        handshake.set(&mut headers);
        // The example of RFC 6455 §1.3.
        assert_eq!(headers.get(SEC_WEBSOCKET_KEY).unwrap(), "dGhlIHNhbXBsZSBub25jZQ==");
        let answer = |accept: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.extend(accept.map(|accept| (SEC_WEBSOCKET_ACCEPT, HeaderValue::from_static(accept))));
            headers
        };
        assert!(handshake.is_accepted_by(&answer(Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))));
        assert!(!handshake.is_accepted_by(&answer(Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOO="))));
        assert!(!handshake.is_accepted_by(&answer(None)));
        let of_http1 = WebSocketHandshake(Asked::OverHttp1);
        assert!(of_http1.is_accepted_by(&answer(None)), "the browser looks at it");
    }
}
