//! Bodies stream both ways and end with whoever ends first.

use super::*;

const EVENTS: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

#[tokio::test]
async fn an_upload_and_its_answer_stream_at_the_same_time() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut gateway.browser, "3\r\none\r\n").await;
    assert_eq!(read_until(&mut stream, "one\r\n").await, "3\r\none\r\n");
    // The answer begins while the request is still being sent.
    send(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\neno\r\n").await;
    assert!(read_until(&mut gateway.browser, "eno\r\n").await.starts_with("HTTP/1.1 200"));
    send(&mut gateway.browser, "3\r\ntwo\r\n0\r\n\r\n").await;
    assert_eq!(read_until(&mut stream, "0\r\n\r\n").await, "3\r\ntwo\r\n0\r\n\r\n");
    send(&mut stream, "3\r\nowt\r\n0\r\n\r\n").await;
    assert_eq!(read_until(&mut gateway.browser, "0\r\n\r\n").await, "3\r\nowt\r\n0\r\n\r\n");
}

#[tokio::test]
async fn an_event_arrives_before_the_stream_ends() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, "GET /events HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, EVENTS).await;
    read_head(&mut gateway.browser).await;
    for event in ["9\r\ndata: 1\n\n\r\n", "9\r\ndata: 2\n\n\r\n"] {
        send(&mut stream, event).await;
        assert_eq!(read_until(&mut gateway.browser, event).await, event);
    }
}

#[tokio::test]
async fn a_hundred_continue_goes_end_to_end() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(
        &mut gateway.browser,
        "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    )
    .await;
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(read_head(&mut stream).await.to_lowercase().contains("expect: 100-continue\r\n"));
    send(&mut stream, "HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!(read_head(&mut gateway.browser).await, "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut gateway.browser, "hello").await;
    assert_eq!(read_until(&mut stream, "hello").await, "hello");
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(read_until(&mut gateway.browser, "ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_is_refused_before_it_is_sent_is_not_asked_for() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    let head = "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    send(&mut gateway.browser, head).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno").await;
    assert!(read_until(&mut gateway.browser, "no").await.starts_with("HTTP/1.1 413"), "and not 100 before it");
}

#[tokio::test]
async fn an_application_that_says_nothing_to_expect_gets_the_body_all_the_same() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    let head = "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    send(&mut gateway.browser, head).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    assert_eq!(read_head(&mut gateway.browser).await, "HTTP/1.1 100 Continue\r\n\r\n");
    send(&mut gateway.browser, "hello").await;
    assert_eq!(read_until(&mut stream, "hello").await, "hello");
    send(&mut stream, "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(read_until(&mut gateway.browser, "ok").await.starts_with("HTTP/1.1 200"), "our own version");
}

#[tokio::test]
async fn announced_trailers_of_an_answer_arrive() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\nTE: trailers\r\nConnection: te\r\n\r\n")
        .await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(
        &mut stream,
        "HTTP/1.1 200 OK\r\nTrailer: grpc-status, set-cookie\r\nTransfer-Encoding: chunked\r\n\r\n\
         2\r\nok\r\n0\r\ngrpc-status: 0\r\nset-cookie: a=b\r\n\r\n",
    )
    .await;
    assert!(read_head(&mut gateway.browser).await.to_lowercase().contains("trailer: grpc-status"));
    let body = read_until(&mut gateway.browser, "\r\n\r\n").await;
    assert!(body.contains("grpc-status: 0\r\n") && !body.contains("a=b"), "{body}");
}

#[tokio::test]
async fn sl_08_a_browser_that_goes_ends_the_exchange_at_the_application() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    // While the answer is waited for.
    let mut waiting = gateway(&upstream, Visitor::alice()).await;
    send(&mut waiting.browser, "GET /slow HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    drop(waiting);
    assert_eq!(read_rest(&mut stream).await, "");
    // In the middle of a download.
    let mut reading = gateway(&upstream, Visitor::alice()).await;
    send(&mut reading.browser, "GET /events HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, EVENTS).await;
    read_head(&mut reading.browser).await;
    drop(reading);
    assert_eq!(read_rest(&mut stream).await, "");
    // In the middle of an upload: the application must not take it for complete.
    let mut sending = gateway(&upstream, Visitor::alice()).await;
    send(
        &mut sending.browser,
        "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    )
    .await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    drop(sending);
    assert!(!read_rest(&mut stream).await.contains("0\r\n"));
}

#[tokio::test]
async fn hp_06_a_malformed_chunk_aborts_the_upload() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(
        &mut gateway.browser,
        "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    )
    .await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    read_until(&mut stream, "hi\r\n").await;
    send(&mut gateway.browser, "0x5\r\nhello\r\n0\r\n\r\n").await;
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::RequestBody(_))));
    assert_eq!(read_rest(&mut stream).await, "");
}

#[tokio::test]
async fn an_answer_that_breaks_off_breaks_off_at_the_browser() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n").await;
    read_until(&mut gateway.browser, "hi\r\n").await;
    drop(stream);
    assert_eq!(read_rest(&mut gateway.browser).await, "");
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_cut_but_not_a_stream_of_events() {
    let (listener, address) = application().await;
    let mut impatient = settings(address);
    impatient.timeouts.idle = Duration::from_millis(50);
    let upstream = upstream(&impatient);
    let mut events = gateway(&upstream, Visitor::alice()).await;
    send(&mut events.browser, "GET /events HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut quiet, _) = listener.accept().await.unwrap();
    read_head(&mut quiet).await;
    send(&mut quiet, EVENTS).await;
    read_head(&mut events.browser).await;
    let mut download = gateway(&upstream, Visitor::alice()).await;
    send(&mut download.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut stalled, _) = listener.accept().await.unwrap();
    read_head(&mut stalled).await;
    send(&mut stalled, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    assert!(read_rest(&mut download.browser).await.ends_with("hello"));
    // As much time has passed for the events.
    send(&mut quiet, "2\r\nhi\r\n").await;
    assert_eq!(read_until(&mut events.browser, "hi\r\n").await, "2\r\nhi\r\n");
}

#[tokio::test]
async fn ss_07_a_session_that_ends_cuts_its_streams_and_lets_short_answers_finish() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let session = Arc::new(Session::default());
    let mut events = gateway(&upstream, Visitor::with(&session)).await;
    send(&mut events.browser, "GET /events HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut open, _) = listener.accept().await.unwrap();
    read_head(&mut open).await;
    send(&mut open, EVENTS).await;
    read_head(&mut events.browser).await;
    let mut download = gateway(&upstream, Visitor::with(&session)).await;
    send(&mut download.browser, "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n").await;
    let (mut short, _) = listener.accept().await.unwrap();
    read_head(&mut short).await;
    send(&mut short, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello").await;
    read_until(&mut download.browser, "hello").await;
    session.ended.send_replace(true);
    assert_eq!(read_rest(&mut events.browser).await, "");
    assert_eq!(read_rest(&mut open).await, "");
    send(&mut short, "world").await;
    assert_eq!(read_until(&mut download.browser, "world").await, "world");
}

#[tokio::test]
async fn bytes_of_an_upload_count_as_use() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let session = Arc::new(Session::default());
    let mut gateway = gateway(&upstream, Visitor::with(&session)).await;
    send(&mut gateway.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 2\r\n\r\nhi").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, "hi").await;
    assert_eq!(*session.used.lock().unwrap(), 1);
}

#[tokio::test]
async fn ss_07_an_upload_is_cut_within_seconds_of_the_end_of_its_session() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let session = Arc::new(Session::default());
    let mut gateway = gateway(&upstream, Visitor::with(&session)).await;
    send(&mut gateway.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 9\r\n\r\nhi").await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_until(&mut stream, "hi").await;
    session.ended.send_replace(true);
    tokio::time::pause();
    let cut = tokio::time::timeout(2 * SESSION_LOOK, gateway.errors.recv()).await;
    assert!(matches!(cut, Ok(Some(UpstreamError::SessionEnded))), "{cut:?}");
}

#[tokio::test]
async fn ss_07_a_request_that_was_sent_whole_gets_its_answer() {
    for body in ["Content-Length: 2\r\n\r\nhi", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"] {
        let (listener, address) = application().await;
        let upstream = upstream(&settings(address));
        let session = Arc::new(Session::default());
        let mut gateway = gateway(&upstream, Visitor::with(&session)).await;
        send(&mut gateway.browser, &format!("POST / HTTP/1.1\r\nHost: wiki.example.com\r\n{body}")).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        read_until(&mut stream, body.split_once("\r\n\r\n").unwrap().1).await;
        session.ended.send_replace(true);
        tokio::time::pause();
        tokio::time::sleep(4 * SESSION_LOOK).await;
        tokio::time::resume();
        send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
        assert!(read_until(&mut gateway.browser, "ok").await.starts_with("HTTP/1.1 200"));
    }
}
