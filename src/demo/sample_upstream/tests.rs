//! The sample upstream over a real connection.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::clock::ManualClock;
use crate::demo::{Running, start_sample_upstream};

async fn start() -> Running {
    let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(1_800_000_000)));
    start_sample_upstream(TcpListener::bind("127.0.0.1:0").await.unwrap(), clock).await.unwrap()
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.replace('\n', "\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn what_was_received_is_shown_and_escaped() {
    let running = start().await;
    let request = "GET / HTTP/1.1\nHost: a\nConnection: close\nX-Forwarded-User: </td><script>alert(1)</script>\n\
                   Authorization: Bearer eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE4MDAwMDAwNDIsIm4iOiI8L3NjcmlwdD4ifQ.c2ln\n\n";
    let answer = ask(running.address(), request).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("x-forwarded-user") && !answer.contains("<script>alert(1)"), "{answer}");
    assert!(answer.contains("42 s left") && !answer.contains("eyJhbGci"), "{answer}");
    assert_eq!(answer.matches("</script>").count(), 1);
    assert!(
        ask(running.address(), "GET /no HTTP/1.1\nHost: a\nConnection: close\n\n").await.starts_with("HTTP/1.1 404 ")
    );
}

#[tokio::test]
async fn whoami_lists_the_headers() {
    let running = start().await;
    let answer = ask(running.address(), "POST /whoami?a HTTP/1.1\nHost: a\nConnection: close\n\n").await;
    let json: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    assert_eq!(json["method"], "POST");
    assert_eq!(json["headers"], serde_json::json!([["connection", "close"], ["host", "a"]]));
}

#[tokio::test]
async fn events_come_by_themselves() {
    let running = start().await;
    let mut stream = TcpStream::connect(running.address()).await.unwrap();
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let (mut seen, mut buffer) = (String::new(), [0; 1024]);
    while !seen.contains("data: {\"count\":0,\"now\":1800000000}\n\n") {
        let length = stream.read(&mut buffer).await.unwrap();
        assert_ne!(length, 0, "{seen}");
        seen.push_str(std::str::from_utf8(&buffer[..length]).unwrap());
    }
    assert!(seen.contains("text/event-stream"), "{seen}");
}

#[tokio::test]
async fn a_web_socket_sends_back_what_it_gets() {
    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::tungstenite::Message;

    let running = start().await;
    let stream = TcpStream::connect(running.address()).await.unwrap();
    let (mut socket, response) = tokio_tungstenite::client_async("ws://localhost/ws", stream).await.unwrap();
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
}

#[tokio::test]
async fn an_unknown_version_is_not_upgraded() {
    let running = start().await;
    let handshake = "GET /ws HTTP/1.1\nHost: a\nConnection: Upgrade, close\nUpgrade: websocket\n\
                     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\nSec-WebSocket-Version: 777\n\n";
    assert!(ask(running.address(), handshake).await.starts_with("HTTP/1.1 426 "));
    let without_key = "GET /ws HTTP/1.1\nHost: a\nConnection: close\n\n";
    assert!(ask(running.address(), without_key).await.starts_with("HTTP/1.1 400 "));
}
