//! Header fields: which go, and what asks for an upgrade.

use std::str;

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Version};
use vestibule::upstream::managed::{FIXED_NAMES, FIXED_PREFIXES};
use vestibule::upstream::{ManagedSet, WebSocketHandshake};

const CONFIGURED: &str = "x_wiki.user";

/// One name a line: no name that is left reads as a managed one for whoever folds names, and nothing else is missing.
pub fn header_folding(bytes: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(200) {
        if let Ok(name) = HeaderName::from_bytes(line) {
            headers.append(name, HeaderValue::from_static("x"));
        }
    }
    let managed = ManagedSet::new([&HeaderName::from_static(CONFIGURED)]);
    let before = headers.clone();
    managed.strip(&mut headers);
    for name in before.keys() {
        let folded = fold(name.as_str());
        let is_managed = FIXED_NAMES.contains(&&folded[..])
            || FIXED_PREFIXES.iter().any(|prefix| folded.starts_with(prefix))
            || folded == fold(CONFIGURED);
        let is_plain = name.as_str() == folded;
        assert_eq!(headers.contains_key(name), is_plain && !is_managed, "{name}");
    }
    let once = headers.clone();
    managed.strip(&mut headers);
    assert_eq!(headers, once);
}

fn fold(name: &str) -> String {
    let fold = |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' };
    name.bytes().map(fold).collect()
}

/// A method, then a field a line: an upgrade is a WebSocket's or none.
pub fn web_socket_handshake(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let Some(Ok(method)) = lines.next().map(Method::from_bytes) else { return };
    let mut request = Request::new(());
    *request.method_mut() = method;
    for line in lines.take(100) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(line[colon + 1..].trim_ascii()));
        match (name, value) {
            // Stands for the request line's.
            (Ok(name), _) if name == "version" => *request.version_mut() = Version::HTTP_10,
            (Ok(name), Ok(value)) => {
                request.headers_mut().append(name, value);
            }
            _ => {}
        }
    }
    let (parts, ()) = request.into_parts();
    let protocols: Vec<_> = parts.headers.get_all(UPGRADE).iter().collect();
    match WebSocketHandshake::recognise(&parts) {
        Ok(None) => assert!(protocols.is_empty(), "an upgrade has gone by: {protocols:?}"),
        Ok(Some(_)) => {
            assert_eq!((parts.method, parts.version), (Method::GET, Version::HTTP_11));
            assert!(
                protocols.len() == 1 && protocols[0].as_bytes().eq_ignore_ascii_case(b"websocket"),
                "{protocols:?}"
            );
            let mut connection =
                parts.headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
            assert!(connection.any(|option| option.trim_ascii().eq_ignore_ascii_case(b"upgrade")));
            assert!(!parts.headers.contains_key("transfer-encoding"), "a body comes with it");
        }
        Err(_) => assert!(!protocols.is_empty()),
    }
}
