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
    impatient.targets = vec![Target::Https { host: address.ip().to_string(), port: address.port() }];
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
    assert!(read_until(&mut gateway.browser, "\r\n\r\nok").await.starts_with("HTTP/1.1 200"));
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Two requests on one connection, which the application closes at the second after it has sent `last`.
async fn closed_at_the_second(second: &str, last: &str) -> (TcpListener, Gateway) {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, OK).await;
    read_until(&mut gateway.browser, "\r\n\r\nok").await;
    send(&mut gateway.browser, second).await;
    read_head(&mut stream).await;
    send(&mut stream, last).await;
    (listener, gateway)
}

#[tokio::test]
async fn a_safe_request_whose_connection_was_just_closed_goes_over_another() {
    let (listener, mut gateway) = closed_at_the_second(GET, "").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_head(&mut stream).await.starts_with("GET / HTTP/1.1\r\nHost: wiki.example.com\r\n"));
    send(&mut stream, OK).await;
    let answer = read_until(&mut gateway.browser, "\r\n\r\nok").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_request_is_repeated_once() {
    let (listener, mut gateway) = closed_at_the_second(GET, "").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    drop(stream);
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(_))));
    assert!(listener.accept().now_or_never().is_none());
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    let post = "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 0\r\n\r\n";
    let put = "PUT / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 1\r\n\r\nx";
    for (second, last) in [(post, ""), (put, ""), (GET, "HTTP/1.1 2"), (GET, "HTTP/1.1 103 Early Hints\r\n\r\n")] {
        let (listener, mut gateway) = closed_at_the_second(second, last).await;
        assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(_))), "{second} {last}");
        assert!(listener.accept().now_or_never().is_none(), "{second} {last}");
    }
}

#[tokio::test]
async fn a_first_request_of_a_connection_is_not_repeated() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    drop(stream);
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(_))));
    assert!(listener.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_connection_that_was_closed_between_two_requests_is_not_used() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    for _ in 0..3 {
        send(&mut gateway.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 1\r\n\r\nx").await;
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, "\r\n\r\nx").await;
        send(&mut stream, OK).await;
        read_until(&mut gateway.browser, "\r\n\r\nok").await;
        stream.shutdown().await.unwrap();
        // The gateway closes its side once it has looked, which it does when it needs the connection next.
        let looked = async { while listener.accept().now_or_never().is_some() {} };
        looked.await;
    }
}

#[tokio::test]
async fn an_answer_before_the_end_of_an_upload_does_not_wait_for_it() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 4\r\n\r\na").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, "\r\n\r\na").await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\no").await;
    read_until(&mut gateway.browser, "\r\n\r\no").await;
    for (sent, answered) in [("b", "k"), ("c", "a"), ("d", "y")] {
        send(&mut gateway.browser, sent).await;
        read_until(&mut stream, sent).await;
        send(&mut stream, answered).await;
        read_until(&mut gateway.browser, answered).await;
    }
    // Both are complete: the connection serves again.
    send(&mut gateway.browser, GET).await;
    read_head(&mut stream).await;
    send(&mut stream, OK).await;
    read_until(&mut gateway.browser, "\r\n\r\nok").await;
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
        read_until(&mut gateway.browser, "\r\n\r\nok").await;
        send(&mut gateway.browser, GET).await;
    }
}
