//! A WebSocket that sends back what it gets (RFC 6455).

use futures_util::{SinkExt, StreamExt};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::{SampleBody, complete, empty};

/// The longest message that is sent back.
const MESSAGE_LIMIT: usize = 64 * 1024;

/// Answers the opening handshake (§4.2) and serves the connection in a task of its own.
pub(super) fn accept(request: Request<Incoming>) -> Response<SampleBody> {
    let headers = request.headers();
    let key = headers.get(SEC_WEBSOCKET_KEY).filter(|key| key.len() == 24);
    let (true, Some(key)) = (request.method() == Method::GET && asks_for_web_socket(headers), key) else {
        return complete(empty(StatusCode::BAD_REQUEST));
    };
    if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut response = empty(StatusCode::UPGRADE_REQUIRED);
        response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return complete(response);
    }
    // The result is base64, which is always a header.
    let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) else {
        return complete(empty(StatusCode::BAD_REQUEST));
    };
    tokio::spawn(echo(request));
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    complete(response)
}

fn asks_for_web_socket(headers: &HeaderMap) -> bool {
    let names = |name: http::HeaderName, wanted: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|field| field.to_str().ok())
            .flat_map(|field| field.split(','))
            .any(|item| item.trim().eq_ignore_ascii_case(wanted))
    };
    names(UPGRADE, "websocket") && names(CONNECTION, "upgrade")
}

async fn echo(request: Request<Incoming>) {
    let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
    let limits = WebSocketConfig::default().max_message_size(Some(MESSAGE_LIMIT)).max_frame_size(Some(MESSAGE_LIMIT));
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
    // Ends when the peer closes or breaks the protocol; both concern nobody else.
    while let Some(Ok(message)) = socket.next().await {
        if (message.is_text() || message.is_binary()) && socket.send(message).await.is_err() {
            return;
        }
    }
}
