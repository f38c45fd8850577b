//! Applications that are away, late or too busy.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n";

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let (listener, address) = application().await;
    drop(listener);
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::Unreachable(_))));
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_in_time_is_a_timeout() {
    // The application accepts TCP and never answers the TLS handshake.
    let (_listener, address) = application().await;
    let mut impatient = settings(address);
    impatient.target = Target::Https { host: address.ip().to_string(), port: address.port() };
    impatient.timeouts.connect = Duration::from_millis(50);
    let upstream = upstream(&impatient);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::ConnectTimeout)));
}

#[tokio::test]
async fn an_answer_that_does_not_come_in_time_is_a_timeout_and_ends_the_request() {
    let (listener, address) = application().await;
    let mut impatient = settings(address);
    impatient.timeouts.response_header = Duration::from_millis(50);
    let upstream = upstream(&impatient);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::ResponseTimeout)));
    assert_eq!(read_rest(&mut stream).await, "");
}

#[tokio::test]
async fn an_upload_that_moves_on_is_not_late() {
    let (listener, address) = application().await;
    let mut impatient = settings(address);
    let deadline = Duration::from_millis(100);
    impatient.timeouts.response_header = deadline;
    let upstream = upstream(&impatient);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    let mut long_after = std::pin::pin!(tokio::time::sleep(3 * deadline));
    while long_after.as_mut().now_or_never().is_none() {
        send(&mut gateway.browser, "1\r\nx\r\n").await;
        read_until(&mut stream, "x\r\n").await;
    }
    send(&mut gateway.browser, "0\r\n\r\n").await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(read_until(&mut gateway.browser, "ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn nothing_that_was_sent_is_sent_again() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    read_until(&mut gateway.browser, "ok").await;
    // The second request goes out on the same connection, which is then closed without an answer.
    send(&mut gateway.browser, GET).await;
    read_head(&mut stream).await;
    drop(stream);
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(_))));
    assert!(listener.accept().now_or_never().is_none());
}

#[tokio::test]
async fn connections_are_used_again() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    for _ in 0..3 {
        read_head(&mut stream).await;
        send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        read_until(&mut gateway.browser, "ok").await;
        send(&mut gateway.browser, GET).await;
    }
}
