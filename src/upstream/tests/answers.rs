//! What a browser gets to see.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n";

#[tokio::test]
async fn ck_09_ur_02_answers_are_filtered() {
    let answer = "HTTP/1.1 200 Fine By Me\r\nSet-Cookie: __host-http-VESTIBULE=evil\r\nSet-Cookie: a=b\r\nAlt-Svc: h3\r\n\
                  Keep-Alive: timeout=5\r\nX-App: 1\r\nContent-Length: 3\r\n\r\nfin";
    let (_, text) = exchange(|_| {}, GET, answer, "fin").await;
    let lower = text.to_lowercase();
    assert!(text.starts_with("HTTP/1.1 200 Fine By Me\r\n"), "{text}");
    assert!(!lower.contains("evil") && !lower.contains("alt-svc") && !lower.contains("keep-alive"), "{text}");
    assert!(text.contains("Set-Cookie: a=b\r\n") && text.contains("X-App: 1\r\n"), "{text}");
    assert!(lower.contains("cache-control: private\r\n") && lower.contains("vary: cookie\r\n"), "{text}");
}

#[tokio::test]
async fn hp_20_a_304_with_a_length_is_relayed_without_a_body() {
    let answer = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: \"a\"\r\n\r\n";
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, answer).await;
    assert!(read_head(&mut gateway.browser).await.starts_with("HTTP/1.1 304"));
    // The next answer begins where this one ended.
    send(&mut gateway.browser, GET).await;
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
    assert!(read_until(&mut gateway.browser, "ok").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn hp_20_bytes_after_an_answer_never_reach_the_next_one() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        .await;
    read_until(&mut gateway.browser, "ok").await;
    // That connection is given up; the next request makes another.
    assert_eq!(read_rest(&mut stream).await, "");
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
    assert!(!read_until(&mut gateway.browser, "good").await.contains("evil"));
}

#[tokio::test]
async fn hp_20_what_is_no_answer_is_an_error() {
    for bad in [
        "HTTP/1.1 200 OK\r\nx-a: 1\r\n folded\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-a: a\0b\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n",
        "SSH-2.0-OpenSSH_9.2\r\n\r\n",
        "",
    ] {
        let (listener, address) = application().await;
        let upstream = upstream(&settings(address));
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, GET).await;
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        send(&mut stream, bad).await;
        stream.shutdown().await.unwrap();
        assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(_))), "{bad}");
        assert_eq!(read_rest(&mut stream).await, "", "{bad}");
    }
}

#[tokio::test]
async fn hp_20_a_flood_of_interim_answers_is_an_error() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    // It ends when the connection is closed under it.
    while stream.write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await.is_ok() {}
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(BadAnswer::Interim))));
}

#[tokio::test]
async fn one_interim_answer_is_dropped() {
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (_, text) = exchange(|_| {}, GET, answer, "ok").await;
    assert!(text.starts_with("HTTP/1.1 200") && !text.contains("103"), "{text}");
}

#[tokio::test]
async fn hd_24_a_header_too_large_for_the_upstream_is_told_apart() {
    let (listener, address) = application().await;
    let upstream = upstream(&settings(address));
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    read_head(&mut stream).await;
    send(&mut stream, "HTTP/1.1 431 Too Large\r\ncontent-length: 0\r\n\r\n").await;
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::HeadTooLarge)));
}

#[tokio::test]
async fn a_head_request_keeps_the_length_of_its_answer() {
    let request = "HEAD / HTTP/1.1\r\nHost: wiki.example.com\r\n\r\n";
    let (_, text) = exchange(|_| {}, request, "HTTP/1.1 200 OK\r\nContent-Length: 4096\r\n\r\n", "\r\n\r\n").await;
    assert!(text.contains("Content-Length: 4096\r\n"), "{text}");
}
