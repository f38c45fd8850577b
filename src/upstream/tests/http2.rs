//! Applications that speak HTTP/2. The test plays them with the frames of `h2`.

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::UnboundedReceiver;

use super::transports::{acceptor_of, authority};
use super::*;

const GET: &str = "GET /page?q HTTP/1.1\r\nHost: wiki.example.com\r\nTE: trailers\r\nConnection: TE\r\n\r\n";
/// Without a length HTTP/1 is told in chunks.
const END: &str = "2\r\nok\r\n0\r\n\r\n";

type Asked = (Request<RecvStream>, SendResponse<Bytes>);

fn h2c(address: SocketAddr) -> Arc<Upstream> {
    let mut chosen = settings(address);
    chosen.targets = vec![Target::H2c { host: address.ip().to_string(), port: address.port() }];
    upstream(&chosen)
}

/// Moves a connection on and hands its requests out.
fn requests<T>(mut connection: Connection<T, Bytes>) -> UnboundedReceiver<Asked>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Some(Ok(asked)) = connection.accept().await {
            let _gone = sender.send(asked);
        }
    });
    receiver
}

async fn accept(listener: &TcpListener) -> UnboundedReceiver<Asked> {
    requests(h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap())
}

fn answer(mut respond: SendResponse<Bytes>) {
    respond.send_response(Response::new(()), false).unwrap().send_data("ok".into(), true).unwrap();
}

#[tokio::test]
async fn a_request_over_http2_has_its_host_in_the_authority_and_nothing_of_a_connection() {
    let (listener, address) = application().await;
    let mut gateway = gateway(&h2c(address), Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let mut asked = accept(&listener).await;
    let (request, respond) = asked.recv().await.unwrap();
    assert_eq!(request.uri(), "http://wiki.example.com/page?q");
    let headers = request.headers();
    assert_eq!(
        (&headers["te"], &headers["authorization"]),
        (&"trailers".parse().unwrap(), &"Bearer at-1".parse().unwrap())
    );
    for name in ["host", "connection", "transfer-encoding"] {
        assert!(!headers.contains_key(name), "{name}");
    }
    answer(respond);
    assert!(read_until(&mut gateway.browser, END).await.starts_with("HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn many_requests_share_one_connection() {
    let (listener, address) = application().await;
    let upstream = h2c(address);
    let mut browsers = Vec::new();
    for _ in 0..20 {
        let mut gateway = gateway(&upstream, Visitor::alice()).await;
        send(&mut gateway.browser, GET).await;
        browsers.push(gateway);
    }
    let mut asked = accept(&listener).await;
    let mut responds = Vec::new();
    for _ in 0..20 {
        responds.push(asked.recv().await.unwrap().1);
    }
    responds.into_iter().for_each(answer);
    for mut gateway in browsers {
        read_until(&mut gateway.browser, END).await;
    }
    assert!(listener.accept().now_or_never().is_none());
}

#[tokio::test]
async fn a_body_streams_both_ways_at_once() {
    let (listener, address) = application().await;
    let mut gateway = gateway(&h2c(address), Visitor::alice()).await;
    let chunked = "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nTransfer-Encoding: chunked\r\n\r\n";
    send(&mut gateway.browser, chunked).await;
    let mut asked = accept(&listener).await;
    let (request, mut respond) = asked.recv().await.unwrap();
    let mut upload = request.into_body();
    let mut download = respond.send_response(Response::new(()), false).unwrap();
    for part in ["one", "two"] {
        send(&mut gateway.browser, &format!("3\r\n{part}\r\n")).await;
        assert_eq!(upload.data().await.unwrap().unwrap(), part);
        download.send_data(part.into(), false).unwrap();
        read_until(&mut gateway.browser, &format!("3\r\n{part}\r\n")).await;
    }
    send(&mut gateway.browser, "0\r\n\r\n").await;
    // The end may come in a frame of its own.
    while let Some(last) = upload.data().await {
        assert_eq!(last.unwrap(), "");
    }
    download.send_data(Bytes::new(), true).unwrap();
    read_until(&mut gateway.browser, "0\r\n\r\n").await;
}

#[tokio::test]
async fn a_browser_that_goes_ends_its_stream_alone() {
    let (listener, address) = application().await;
    let upstream = h2c(address);
    let mut going = gateway(&upstream, Visitor::alice()).await;
    send(&mut going.browser, GET).await;
    let mut asked = accept(&listener).await;
    let (_, mut respond) = asked.recv().await.unwrap();
    drop(going);
    let reset = poll_fn(|cx| respond.poll_reset(cx)).await.unwrap();
    assert_eq!(reset, Reason::CANCEL);
    let mut staying = gateway(&upstream, Visitor::alice()).await;
    send(&mut staying.browser, GET).await;
    answer(asked.recv().await.unwrap().1);
    read_until(&mut staying.browser, END).await;
}

#[tokio::test]
async fn a_stream_that_was_refused_is_tried_again_if_it_may_be() {
    let (listener, address) = application().await;
    let upstream = h2c(address);
    let mut repeated = gateway(&upstream, Visitor::alice()).await;
    send(&mut repeated.browser, GET).await;
    let mut asked = accept(&listener).await;
    asked.recv().await.unwrap().1.send_reset(Reason::REFUSED_STREAM);
    let mut other = accept(&listener).await;
    answer(other.recv().await.unwrap().1);
    read_until(&mut repeated.browser, END).await;

    let mut once = gateway(&upstream, Visitor::alice()).await;
    send(&mut once.browser, "POST / HTTP/1.1\r\nHost: wiki.example.com\r\nContent-Length: 0\r\n\r\n").await;
    tokio::select! {
        request = asked.recv() => request.unwrap().1.send_reset(Reason::REFUSED_STREAM),
        request = other.recv() => request.unwrap().1.send_reset(Reason::REFUSED_STREAM),
    }
    assert!(matches!(once.errors.recv().await, Some(UpstreamError::BadAnswer(_))));
}

#[tokio::test]
async fn after_a_goaway_another_connection_is_made() {
    let (listener, address) = application().await;
    let upstream = h2c(address);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    for _ in 0..2 {
        send(&mut gateway.browser, GET).await;
        let mut connection = h2::server::handshake(listener.accept().await.unwrap().0).await.unwrap();
        answer(connection.accept().await.unwrap().unwrap().1);
        connection.graceful_shutdown();
        let ended = tokio::spawn(async move { while connection.accept().await.is_some() {} });
        read_until(&mut gateway.browser, END).await;
        ended.await.unwrap();
    }
}

#[tokio::test]
async fn over_tls_the_application_chooses_and_a_web_socket_asks_for_http1() {
    let issuer = authority();
    let (listener, address) = application().await;
    let acceptor = acceptor_of(&issuer, "localhost", &["h2", "http/1.1"]);
    let mut chosen = settings(address);
    chosen.targets = vec![Target::Https { host: "localhost".into(), port: address.port() }];
    chosen.tls.ca_certificates = vec![issuer.der().clone()];
    let upstream = upstream(&chosen);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut asked = requests(h2::server::handshake(stream).await.unwrap());
    let (request, respond) = asked.recv().await.unwrap();
    assert_eq!(request.uri(), "https://wiki.example.com/page?q");
    answer(respond);
    read_until(&mut gateway.browser, END).await;

    let handshake = "GET /ws HTTP/1.1\r\nHost: wiki.example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    send(&mut gateway.browser, handshake).await;
    let stream = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
}

#[tokio::test]
async fn what_is_no_http2_is_a_bad_answer() {
    let (listener, address) = application().await;
    let mut gateway = gateway(&h2c(address), Visitor::alice()).await;
    send(&mut gateway.browser, GET).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    send(&mut stream, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    assert!(matches!(gateway.errors.recv().await, Some(UpstreamError::BadAnswer(_))));
}
