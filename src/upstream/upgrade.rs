//! The one upgrade that passes: WebSocket (RFC 6455). Everything else behind `Upgrade` would be a way around the rules.

use http::header::{CONNECTION, CONTENT_LENGTH, HeaderMap, HeaderValue, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{Method, Version};

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
/// Key and version are not looked at: the application refuses bad ones by an ordinary answer, and no tunnel opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketHandshake(());

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
        Ok(Some(Self(())))
    }

    /// Asks the next hop for the same.
    pub(super) fn set(self, headers: &mut HeaderMap) {
        headers.insert(UPGRADE, HeaderValue::from_static(WEBSOCKET));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }

    /// Whether a 101 changes to what was asked for.
    pub(super) fn is_accepted_by(headers: &HeaderMap) -> bool {
        let mut lines = headers.get_all(UPGRADE).iter();
        lines.next().is_some_and(is_websocket) && lines.next().is_none()
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
            assert_eq!(recognise(GET, V11, &fields), Ok(Some(WebSocketHandshake(()))), "{connection}");
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
}
