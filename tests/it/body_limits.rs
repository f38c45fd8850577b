//! Bodies of requests: how much is let through, and how slowly it may come.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{Gateway, Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use crate::harness::raw::RawConnection;
use crate::harness::received::Received;
use crate::harness::spelled_out::head;

const PUBLIC: &str = "public = [\"/public/**\"]";

/// A stage that lets a KiB through.
async fn narrow() -> Stage {
    Stage::with(|setup| {
        setup.upstream = PUBLIC.to_owned();
        setup.listen = "limits = { body_bytes = \"1KiB\" }".to_owned();
    })
    .await
}

/// A stage that waits for a moment.
async fn impatient() -> Stage {
    let provider = TestProvider::start().await;
    let adjust = |setup: &mut Setup| setup.upstream = PUBLIC.to_owned();
    Stage::with_settings(provider, adjust, |settings| {
        settings.listen.limits.body_grace = Duration::from_millis(50);
    })
    .await
}

fn chunk(length: usize) -> String {
    format!("{length:x}\r\n{}\r\n", "x".repeat(length))
}

#[tokio::test]
async fn sl_09_a_body_that_announces_too_much_is_413_before_anything_is_forwarded() {
    let stage = narrow().await;
    for length in ["1099511627776", "1025"] {
        let mut connection = stage.connect().await;
        connection.send(head("POST /public/x HTTP/1.1", &[&format!("Content-Length: {length}")])).await;
        let response = connection.response().await.unwrap();
        assert_eq!((response.status, response.header("connection")), (413, Some("close")));
        assert!(response.text().contains("\"code\":\"body-too-large\""), "{}", response.text());
    }
    assert_eq!(stage.upstream.hits(), 0);
    assert_eq!(stage.gateway.limit_reached("body"), 2);
    let mut connection = stage.connect().await;
    connection.send(head("POST /public/x HTTP/1.1", &["Content-Length: 1024"]) + &"x".repeat(1024)).await;
    assert_eq!(connection.response().await.unwrap().status, 200);
    assert_eq!(stage.upstream.last().body.len(), 1024);
    // With a session it is no different.
    stage.log_in().await;
    let fields = [&stage.cookie_line(), "Sec-Fetch-Site: same-origin", "Content-Length: 1025"];
    assert_eq!(stage.spelled("POST /x", &fields).await.status, 413);
}

#[tokio::test]
async fn a_body_without_a_length_is_cut_at_the_limit() {
    let stage = narrow().await;
    let mut connection = stage.connect().await;
    connection.send(head("POST /public/x HTTP/1.1", &["Transfer-Encoding: chunked"]) + &chunk(1000)).await;
    stage.upstream.hits_reach(1).await;
    connection.send(chunk(25)).await;
    let response = connection.response().await.unwrap();
    assert_eq!((response.status, response.header("connection")), (413, Some("close")));
    stage.upstream.requests_reach(1).await;
    assert!(!stage.upstream.last().complete, "the application must not take it for whole");
    assert_eq!(stage.gateway.limit_reached("body"), 1);
}

#[tokio::test]
async fn a_body_that_outgrows_the_limit_under_an_answer_breaks_the_answer_off() {
    let stage = narrow().await;
    let (sender, answer) = Behaviour::stream(&[]);
    let mut once = Some(answer);
    stage.upstream.answer_at_head(move |_| once.take());
    let mut connection = stage.connect().await;
    connection.send(head("POST /public/x HTTP/1.1", &["Transfer-Encoding: chunked"]) + &chunk(1000)).await;
    assert_eq!(connection.response_head().await.unwrap().status, 200);
    connection.send(chunk(25)).await;
    assert!(!connection.rest().await.ends_with(b"0\r\n\r\n"));
    patiently("the upstream to notice", sender.closed()).await;
    assert_eq!(stage.gateway.limit_reached("body"), 1);
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408_and_the_upstream_sees_it_break_off() {
    let stage = impatient().await;
    for framing in ["Content-Length: 100000", "Transfer-Encoding: chunked"] {
        stage.upstream.forget();
        let mut connection = stage.connect().await;
        connection.send(head("POST /public/x HTTP/1.1", &[framing]) + &chunk(3)).await;
        let response = connection.response().await.unwrap();
        assert_eq!((response.status, response.header("connection")), (408, Some("close")), "{framing}");
        assert!(response.text().contains("\"code\":\"body-too-slow\""), "{}", response.text());
    }
    stage.upstream.requests_reach(2).await;
    assert!(stage.upstream.requests().iter().all(|request| !request.complete));
    assert_eq!(stage.gateway.limit_reached("body-rate"), 2);
}

#[tokio::test]
async fn grpc_and_what_is_answered_already_may_be_silent() {
    let stage = impatient().await;
    let (sender, answer) = Behaviour::stream(&[]);
    let mut once = Some(answer);
    stage.upstream.answer_at_head(move |_| once.take());
    let mut answered = stage.connect().await;
    answered.send(head("POST /public/x HTTP/1.1", &["Transfer-Encoding: chunked"]) + &chunk(3)).await;
    assert_eq!(answered.response_head().await.unwrap().status, 200);
    let mut grpc = stage.connect().await;
    let fields = ["Content-Type: application/grpc+proto", "Transfer-Encoding: chunked"];
    grpc.send(head("POST /public/grpc HTTP/1.1", &fields) + &chunk(3)).await;
    stage.upstream.hits_reach(2).await;
    // One that came later has run out of time meanwhile: theirs would have, too.
    let mut slow = stage.connect().await;
    slow.send(head("POST /public/slow HTTP/1.1", &["Content-Length: 10"])).await;
    assert_eq!(slow.response().await.unwrap().status, 408);
    grpc.send("0\r\n\r\n").await;
    assert_eq!(grpc.response().await.unwrap().status, 200);
    sender.send("still here".into()).await.unwrap();
    answered.until(b"still here").await;
    assert_eq!(stage.gateway.limit_reached("body-rate"), 1);
}

#[tokio::test]
async fn a_sender_that_waits_for_the_application_is_not_slow() {
    const LENGTH: usize = 16 << 20;
    let (provider, listener) = (TestProvider::start().await, TcpListener::bind("127.0.0.1:0").await.unwrap());
    let setup = Setup { upstream: PUBLIC.to_owned(), ..Setup::default() };
    let gateway = Gateway::start(&setup, provider.issuer(), listener.local_addr().unwrap(), |settings| {
        settings.listen.limits.body_grace = Duration::from_secs(1);
        // Bytes earn nothing: all that counts is the time for which they were waited for.
        settings.listen.limits.body_rate = Some(1 << 60);
    })
    .await;
    let mut connection = RawConnection::open(gateway.address).await;
    connection.send(head("POST /public/x HTTP/1.1", &[&format!("Content-Length: {LENGTH}")])).await;
    let (mut stream, _) = patiently("the upstream's connection", listener.accept()).await.unwrap();
    let mut pending = Vec::new();
    patiently("the head", Received::read(&mut stream, &mut pending)).await.unwrap();
    let application = async {
        // More than all buffers on the way can hold is coming, and nothing of it is read for longer than the grace: until
        // that of somebody who came later and sends nothing is over.
        let mut silent = RawConnection::open(gateway.address).await;
        silent.send(head("POST /public/y HTTP/1.1", &["Content-Length: 10"])).await;
        assert_eq!(silent.response().await.unwrap().status, 408);
        let mut read = pending.len();
        let mut buffer = vec![0; 1 << 16];
        while read < LENGTH {
            let length = stream.read(&mut buffer).await.unwrap();
            assert_ne!(length, 0, "cut after {read}");
            read += length;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    };
    let browser = async {
        connection.send(vec![b'x'; LENGTH]).await;
        connection.response().await.unwrap().status
    };
    let ((), status) = patiently("the upload", async { tokio::join!(application, browser) }).await;
    assert_eq!(status, 200);
}
