//! Tunnels, and what must not become one.

use super::*;

const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nHost: wiki.example.com\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Auth-User: root\r\n\r\n";
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// A tunnel that stands: gateway and application.
async fn tunnel(session: &Arc<Session>) -> (Gateway, TcpStream) {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::with(session)).await;
    send(&mut gateway.browser, HANDSHAKE).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read_head(&mut stream).await.to_lowercase();
    // WS-10: identity as everywhere else.
    assert!(head.contains("x-auth-user: alice\r\n") && !head.contains("root"), "{head}");
    assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: upgrade\r\n"), "{head}");
    assert!(head.contains("sec-websocket-key: dghlihnhbxbszsbub25jzq==\r\n"), "{head}");
    send(&mut stream, ACCEPTED).await;
    let answer = read_head(&mut gateway.browser).await;
    assert!(answer.starts_with("HTTP/1.1 101") && answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    (gateway, stream)
}

#[tokio::test]
async fn ws_10_bytes_pass_both_ways_and_count_as_use() {
    let session = Arc::new(Session::default());
    let (mut gateway, mut application) = tunnel(&session).await;
    send(&mut application, "from the application").await;
    read_until(&mut gateway.browser, "from the application").await;
    assert_eq!(*session.used.lock().unwrap(), 0);
    send(&mut gateway.browser, "\0\u{1}from the browser").await;
    read_until(&mut application, "from the browser").await;
    assert_eq!(*session.used.lock().unwrap(), 1);
    // Each direction ends by itself.
    application.shutdown().await.unwrap();
    assert_eq!(read_rest(&mut gateway.browser).await, "");
    send(&mut gateway.browser, "still").await;
    read_until(&mut application, "still").await;
    drop(gateway);
    assert_eq!(read_rest(&mut application).await, "");
}

#[tokio::test]
async fn ss_07_a_session_that_ends_cuts_its_tunnel() {
    let session = Arc::new(Session::default());
    let (mut gateway, mut application) = tunnel(&session).await;
    session.ended.send_replace(true);
    assert_eq!(read_rest(&mut gateway.browser).await, "");
    assert_eq!(read_rest(&mut application).await, "");
}

#[tokio::test]
async fn ws_04_bytes_before_the_101_are_released_after_it() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, &format!("{HANDSHAKE}early")).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    assert!(stream.read_u8().now_or_never().is_none());
    send(&mut stream, ACCEPTED).await;
    read_head(&mut gateway.browser).await;
    assert_eq!(read_until(&mut stream, "early").await, "early");
}

#[tokio::test]
async fn ws_03_a_refusal_is_relayed_and_what_follows_is_http() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    let bad_version = HANDSHAKE.replace("Version: 13", "Version: 777");
    let smuggled = "GET /second HTTP/1.1\r\nHost: wiki.example.com\r\nX-Auth-User: root\r\n\r\n";
    send(&mut gateway.browser, &format!("{bad_version}{smuggled}")).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_head(&mut stream).await.contains("777"));
    send(&mut stream, "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nno")
        .await;
    let answer = read_until(&mut gateway.browser, "no").await;
    assert!(answer.starts_with("HTTP/1.1 426") && answer.contains("Sec-WebSocket-Version: 13"), "{answer}");
    // The second request was parsed as one: its headers are stripped and set.
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("GET /second") && head.contains("alice") && !head.contains("root"), "{head}");
}

#[tokio::test]
async fn ws_05_other_upgrades_are_refused_before_the_application() {
    for bad in [
        HANDSHAKE.replace("Upgrade: websocket", "Upgrade: h2c, websocket"),
        HANDSHAKE.replace("Upgrade: websocket", "Upgrade: tcp"),
        HANDSHAKE.replace("GET", "POST"),
        HANDSHAKE.replace("HTTP/1.1", "HTTP/1.0"),
    ] {
        let (listener, address) = application().await;
        let upstream = upstream(&settings(address));
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, &bad).await;
        assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::UpgradeRefused(_))), "{bad}");
        assert!(listener.accept().now_or_never().is_none());
    }
}

#[tokio::test]
async fn ws_05_a_101_to_something_else_opens_nothing() {
    for wrong in [ACCEPTED.replace("WebSocket\r\nC", "h2c\r\nC"), ACCEPTED.replace("Upgrade: WebSocket\r\n", "")] {
        let (listener, address) = application().await;
        let upstream = upstream(&settings(address));
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, HANDSHAKE).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        send(&mut stream, &wrong).await;
        assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(BadAnswer::Upgrade))), "{wrong}");
        assert!(read_head(&mut gateway.browser).await.starts_with("HTTP/1.1 599"));
        assert_eq!(read_rest(&mut stream).await, "");
    }
}
