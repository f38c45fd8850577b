//! WebSockets: through with a session, kept over refreshes, cut when the session ends, and no way around the rules.

use std::sync::Arc;
use std::time::Duration;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::spelled_out::{HANDSHAKE, head};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use vestibule::clock::SystemClock;

async fn stage() -> Stage {
    Stage::with(|setup| {
        setup.upstream = "public = [\"/public/**\"]\n[upstream.headers]\nx-user = \"{claims.sub}\"".to_owned()
    })
    .await
}

async fn echoes(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let message = patiently("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(message, Message::text(text));
}

async fn is_cut(socket: &mut WebSocketStream<TcpStream>) {
    let end = patiently("the end of the WebSocket", socket.next()).await;
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
}

#[tokio::test]
async fn messages_go_both_ways_with_the_persons_identity() {
    let stage = stage().await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket?room=1", None).await.unwrap();
    echoes(&mut socket, "hello").await;
    let large = "x".repeat(1 << 20);
    echoes(&mut socket, &large).await;
    let received = stage.upstream.last();
    assert_eq!(received.target, "/socket?room=1");
    assert_eq!(received.header("x-user"), Some("subject-of-alice"));
    assert!(received.header("authorization").unwrap().starts_with("Bearer "));
    socket.close(None).await.unwrap();
    is_cut(&mut socket).await;
}

#[tokio::test]
async fn ws_02_without_a_session_there_is_401_and_nothing_else() {
    let stage = stage().await;
    let response = stage.spelled("GET /socket", &HANDSHAKE).await;
    assert_eq!((response.status, response.header("set-cookie")), (401, None));
    // Even if it looks like a navigation.
    let mut fields = HANDSHAKE.to_vec();
    fields.extend(["Accept: text/html"]);
    assert_eq!(stage.spelled("GET /socket", &fields).await.status, 401);
    assert_eq!(stage.upstream.hits(), 0);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "ws.denied", "unauthenticated"]), 2);
}

#[tokio::test]
async fn another_origin_gets_no_socket_with_the_persons_session() {
    let stage = stage().await;
    stage.log_in().await;
    let hits = stage.upstream.hits();
    let cookie = stage.cookie_line();
    let origins = [
        &["Origin: https://evil.example"][..],
        &["Origin: null"],
        &[],
        &["Origin: http://app.example"],
        &["Origin: https://app.example", "Origin: https://app.example"],
    ];
    for origin in origins {
        let mut fields = HANDSHAKE[..4].to_vec();
        fields.push(&cookie);
        fields.extend(origin);
        assert_eq!(stage.spelled("GET /socket", &fields).await.status, 403, "{origin:?}");
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(stage.gateway.log.lines_with(&["csrf.denied", "origin"]), origins.len());
}

#[tokio::test]
async fn ws_03_a_refused_handshake_opens_no_tunnel() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    stage.upstream.answer_once(Behaviour::with_headers(426, &[("sec-websocket-version", "13")], "no"));
    let mut fields = HANDSHAKE.to_vec();
    fields[2] = "Sec-WebSocket-Version: 777";
    fields.push(&cookie);
    let mut connection = stage.connect().await;
    let smuggled = head("GET /admin HTTP/1.1", &[]);
    connection.send(head("GET /socket HTTP/1.1", &fields) + &smuggled).await;
    let response = connection.response().await.unwrap();
    assert_eq!((response.status, response.text().as_str()), (426, "no"));
    let hits = stage.upstream.hits();
    // What came with it is a request of its own, and it is nobody's.
    if let Some(response) = connection.response().await {
        assert_eq!(response.status, 401);
    }
    assert_eq!(stage.upstream.hits(), hits);
}

#[tokio::test]
async fn ws_04_early_bytes_wait_for_the_right_101() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let mut fields = HANDSHAKE.to_vec();
    fields.push(&cookie);
    for (behaviour, opens) in [(Behaviour::Tunnel("websocket"), true), (Behaviour::Tunnel("tcp"), false)] {
        let (opener, gate) = gate();
        stage.upstream.answer_once(behaviour.held(gate));
        let hits = stage.upstream.hits();
        let mut connection = stage.connect().await;
        connection.send(head("GET /socket HTTP/1.1", &fields) + "GET /early HTTP/1.1\r\n").await;
        stage.upstream.hits_reach(hits + 1).await;
        opener.open();
        if opens {
            assert_eq!(connection.response_head().await.unwrap().status, 101);
            connection.until(b"GET /early HTTP/1.1\r\n").await;
        } else {
            assert_eq!(connection.response().await.unwrap().status, 502);
        }
        assert_eq!(stage.upstream.hits(), hits + 1);
    }
}

#[tokio::test]
async fn ws_05_every_other_upgrade_is_refused() {
    let stage = stage().await;
    stage.log_in().await;
    let hits = stage.upstream.hits();
    let cookie = stage.cookie_line();
    for protocol in ["h2c, websocket", "tcp", "h2c", "websocket, h2c", "websocket\r\nUpgrade: h2c", "TLS/1.0"] {
        for target in ["/socket", "/public/socket"] {
            let upgrade = format!("Upgrade: {protocol}");
            let fields = [
                &cookie,
                upgrade.as_str(),
                "Connection: Upgrade, HTTP2-Settings",
                "HTTP2-Settings: AAMAAABk",
                HANDSHAKE[4],
            ];
            assert_eq!(stage.spelled(&format!("GET {target}"), &fields).await.status, 400, "{protocol}");
        }
    }
    let mut fields = HANDSHAKE.to_vec();
    fields.extend([cookie.as_str(), "Content-Length: 0"]);
    assert_eq!(stage.spelled("POST /socket", &fields).await.status, 400);
    let old = head("GET /socket HTTP/1.0", &fields);
    assert_eq!(stage.status_of_bytes(old).await, Some(400));
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(stage.gateway.log.lines_with(&["ws.denied"]), 14);
}

#[tokio::test]
async fn ws_05_a_101_that_nobody_asked_for_is_502() {
    let stage = stage().await;
    for target in ["/public/x", "/public/y"] {
        stage.upstream.answer_once(Behaviour::Tunnel("websocket"));
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 502);
    }
}

#[tokio::test]
async fn ws_10_identity_headers_are_the_gateways_on_a_handshake_too() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for target in ["/socket", "/public/socket"] {
        let mut fields = HANDSHAKE.to_vec();
        fields.extend([
            cookie.as_str(),
            "X-User: mark-evil",
            "X_User: mark-evil",
            "X-Forwarded-For: mark-evil",
            "Authorization: Bearer mark-evil",
        ]);
        fields[0] = "Connection: Upgrade, x-user, authorization";
        let mut connection = stage.connect().await;
        connection.send(head(&format!("GET {target} HTTP/1.1"), &fields)).await;
        assert_eq!(connection.response_head().await.unwrap().status, 101);
        let received = stage.upstream.last();
        let head = String::from_utf8_lossy(&received.head).into_owned();
        assert!(!head.contains("mark-evil") && !head.contains("vestibule="), "{head}");
        let user = (target == "/socket").then_some("subject-of-alice");
        assert_eq!(received.header("x-user"), user);
        assert_eq!(received.header("connection"), Some("Upgrade"));
    }
}

#[tokio::test]
async fn a_logout_in_another_tab_cuts_the_socket() {
    let stage = stage().await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    let mut open = stage.browser.web_socket("/public/socket", None).await.unwrap();
    echoes(&mut socket, "before").await;
    echoes(&mut open, "before").await;
    let tab = stage.browser.clone();
    tab.navigate(&stage.url("/oauth2/sign_out")).await;
    is_cut(&mut socket).await;
    // A public one belongs to no session.
    echoes(&mut open, "after").await;
    let refused = stage.browser.web_socket("/socket", None).await.unwrap_err();
    assert_eq!(refused.status(), 401);
}

#[tokio::test]
async fn rf_16_a_socket_lives_on_and_keeps_its_session_fresh() {
    let provider = TestProvider::with(Arc::new(SystemClock::default()), |settings| {
        settings.access_token_lifetime = Duration::from_secs(4);
    })
    .await;
    let stage = Stage::with_provider(provider, |_| {}).await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    echoes(&mut socket, "before").await;
    // Nothing but the open socket asks for this.
    stage.provider.hits_reach(Endpoint::Token, 3).await;
    assert!(stage.provider.token_requests("refresh_token").len() >= 2);
    echoes(&mut socket, "after").await;
    let used = stage.upstream.last().header("authorization").unwrap().to_owned();
    stage.browser.fetch("/page").await;
    let now = stage.upstream.last().header("authorization").unwrap().to_owned();
    assert_ne!(used, now, "the session has new tokens");
}
