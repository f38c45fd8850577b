//! Header fields: which go, and what asks for an upgrade.

use std::net::SocketAddr;
use std::str;

use http::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::{Method, Request, Version};
use vestibule::gateway::provenance::Provenance;
use vestibule::server::ConnectionInfo;
use vestibule::server::trusted_proxies::TrustedProxies;
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

/// A field a line, after the name `f` (`Forwarded`), `x` (`X-Forwarded-For`) or `p` (`X-Forwarded-Proto`): whatever a
/// proxy passes on, every address but the first is a trusted proxy's, and what stands to the left of the first that is
/// none changes nothing.
pub fn forwarded(bytes: &[u8]) {
    let (Ok(peer), Ok(network)) = ("10.0.0.1".parse(), "10.0.0.0/8".parse()) else { return };
    let proxies = TrustedProxies::new(vec![network], false);
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n').take(20) {
        let Some((name, value)) = line.split_first() else { continue };
        let name = match name {
            b'f' => "forwarded",
            b'x' => "x-forwarded-for",
            b'p' => "x-forwarded-proto",
            _ => continue,
        };
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let connection = ConnectionInfo { peer: Some(SocketAddr::new(peer, 1)), is_direct: false };
    let told = Provenance::read(&headers, connection, &proxies);
    assert!(told.is_trusted());
    assert_eq!(told.peer(), Some(peer));
    assert!(told.hops().iter().skip(1).all(|hop| proxies.trusts(*hop)), "{:?}", told.hops());
    assert_eq!(told.user_agent(), told.hops().first().copied());
    let stranger = Provenance::read(&headers, connection, &TrustedProxies::default());
    assert_eq!((stranger.address(), stranger.user_agent(), stranger.is_plain_http()), (Some(peer), None, false));
}
