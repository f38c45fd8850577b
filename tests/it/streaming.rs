//! Bodies stream both ways as they come, and an end on one side is an end on the other.

use std::time::Duration;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::{Gateway, Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use crate::harness::raw::RawConnection;
use crate::harness::received::{Received, position};
use crate::harness::spelled_out::head;
use bytes::Bytes;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = "public = [\"/public/**\"]".to_owned()).await
}

#[tokio::test]
async fn a_download_arrives_before_it_has_ended() {
    let stage = stage().await;
    let (sender, behaviour) = Behaviour::stream(&[]);
    stage.upstream.answer_once(behaviour);
    let mut connection = stage.connect().await;
    connection.send(head("GET /public/x HTTP/1.1", &[])).await;
    assert_eq!(connection.response_head().await.unwrap().status, 200);
    for part in ["one", "two", "three"] {
        sender.send(Bytes::from(part)).await.unwrap();
        connection.until(part.as_bytes()).await;
    }
    drop(sender);
    connection.until(b"0\r\n\r\n").await;
}

#[tokio::test]
async fn an_upload_arrives_before_it_has_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (provider, setup) = (TestProvider::start().await, public());
    let gateway = Gateway::start(&setup, provider.issuer(), listener.local_addr().unwrap(), |_| {}).await;
    let mut connection = RawConnection::open(gateway.address).await;
    connection.send(head("POST /public/x HTTP/1.1", &["Transfer-Encoding: chunked"])).await;
    let (mut stream, _) = patiently("the upstream's connection", listener.accept()).await.unwrap();
    let mut pending = Vec::new();
    patiently("the head", Received::read(&mut stream, &mut pending)).await.unwrap();
    for part in ["one", "two", "three"] {
        connection.send(format!("{:x}\r\n{part}\r\n", part.len())).await;
        patiently(part, async {
            while position(&pending, part.as_bytes()).is_none() {
                assert_ne!(stream.read_buf(&mut pending).await.unwrap(), 0);
            }
        })
        .await;
    }
    // It may answer, and go on reading, while the upload still runs.
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nearly").await.unwrap();
    connection.until(b"early").await;
}

fn public() -> Setup {
    Setup { upstream: "public = [\"/public/**\"]".to_owned(), ..Setup::default() }
}

#[tokio::test]
async fn server_sent_events_come_at_once_and_end_with_the_session() {
    let stage = stage().await;
    stage.log_in().await;
    let (sender, events) = Behaviour::events();
    stage.upstream.answer_once(events);
    let asked = Asked::new(Kind::Fetch).header("accept", "text/event-stream");
    let mut response = stage.browser.stream(&stage.url("/events"), asked).await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        sender.send(Bytes::from(event)).await.unwrap();
        let frame = patiently("an event", response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    let tab = stage.browser.clone();
    tab.navigate(&stage.url("/oauth2/sign_out")).await;
    let end = patiently("the end of the stream", response.body_mut().frame()).await;
    assert!(end.is_none_or(|frame| frame.is_err()));
    patiently("the upstream to notice", sender.closed()).await;
}

#[tokio::test]
async fn sl_08_who_goes_away_cancels_the_upstream() {
    let stage = stage().await;
    let (sender, behaviour) = Behaviour::stream(&[]);
    stage.upstream.answer_once(behaviour);
    let mut connection = stage.connect().await;
    connection.send(head("GET /public/x HTTP/1.1", &[])).await;
    connection.response_head().await.unwrap();
    drop(connection);
    patiently("the upstream to notice a download given up", sender.closed()).await;

    let mut connection = stage.connect().await;
    connection.send(head("POST /public/x HTTP/1.1", &["Content-Length: 1000000"])).await;
    connection.send("only a part").await;
    stage.upstream.hits_reach(2).await;
    drop(connection);
    stage.upstream.requests_reach(2).await;
    assert!(!stage.upstream.last().complete);

    stage.upstream.answer_once(Behaviour::Hang);
    let gone = stage.upstream.disconnections().value();
    let mut connection = stage.connect().await;
    connection.send(head("GET /public/x HTTP/1.1", &[])).await;
    stage.upstream.requests_reach(3).await;
    drop(connection);
    stage.upstream.disconnections().reaches(gone + 1).await;
}

#[tokio::test]
async fn an_upstream_that_breaks_off_breaks_the_answer_off() {
    let stage = stage().await;
    let cut: [&[u8]; 3] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\nzz\r\n",
    ];
    for bytes in cut {
        stage.upstream.answer_once(Behaviour::Raw(bytes.to_vec()));
        let mut connection = stage.connect().await;
        connection.send(head("GET /public/x HTTP/1.1", &[])).await;
        // Never the whole answer, and never one that looks whole.
        assert!(connection.response().await.is_none());
    }
    // Without a length the end of the connection is the end of the body.
    stage.upstream.answer_once(Behaviour::Raw(b"HTTP/1.1 200 OK\r\n\r\nto the end".to_vec()));
    assert_eq!(stage.spelled("GET /public/x", &[]).await.text(), "to the end");
}

async fn impatient() -> Stage {
    let public = |setup: &mut Setup| setup.upstream = "public = [\"/public/**\"]".to_owned();
    Stage::with_settings(TestProvider::start().await, public, |settings| {
        let timeouts = &mut settings.routes[0].upstream.timeouts;
        timeouts.response_header = Duration::from_millis(300);
        timeouts.idle = Duration::from_millis(300);
    })
    .await
}

#[tokio::test]
async fn a_silent_upstream_is_504_and_not_asked_again() {
    let stage = impatient().await;
    stage.upstream.answer(|_| Behaviour::Hang);
    assert_eq!(stage.spelled("GET /public/x", &[]).await.status, 504);
    stage.upstream.disconnections().reaches(1).await;
    assert_eq!(stage.upstream.hits(), 1);
    assert_eq!(stage.gateway.log.lines_with(&["upstream.error", "upstream-timeout"]), 1);
}

#[tokio::test]
async fn an_answer_that_falls_silent_is_cut_but_events_may_be_silent() {
    let stage = impatient().await;
    let (sender, behaviour) = Behaviour::stream(&[]);
    stage.upstream.answer_once(behaviour);
    let mut connection = stage.connect().await;
    connection.send(head("GET /public/x HTTP/1.1", &[])).await;
    connection.response_head().await.unwrap();
    let (events_sender, events) = Behaviour::events();
    stage.upstream.answer_once(events);
    let mut stream = stage.connect().await;
    stream.send(head("GET /public/events HTTP/1.1", &[])).await;
    stream.response_head().await.unwrap();
    connection.rest().await;
    patiently("the upstream to notice", sender.closed()).await;
    // By now the stream of events has been as silent.
    events_sender.send(Bytes::from("data: late\n\n")).await.unwrap();
    stream.until(b"data: late").await;
}

#[tokio::test]
async fn a_slow_upload_does_not_run_into_the_deadline_for_the_answer() {
    let stage = impatient().await;
    let mut connection = stage.connect().await;
    connection.send(head("POST /public/x HTTP/1.1", &["Content-Length: 6"])).await;
    for _ in 0..6 {
        connection.send("x").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(connection.response().await.unwrap().status, 200);
}

#[tokio::test]
async fn sl_03_a_reader_that_takes_nothing_holds_the_upstream_back() {
    let stage = stage().await;
    let (sender, behaviour) = Behaviour::stream(&[]);
    stage.upstream.answer_once(behaviour);
    let mut connection = stage.connect().await;
    connection.send(head("GET /public/x HTTP/1.1", &[])).await;
    stage.upstream.requests_reach(1).await;
    let chunk = Bytes::from(vec![b'x'; 1 << 20]);
    let mut sent = 0;
    // Nobody reads: at some point nothing more is taken, far from the whole gibibyte.
    while tokio::time::timeout(Duration::from_millis(500), sender.send(chunk.clone())).await.is_ok() {
        sent += 1;
        assert!(sent < 1024, "it is buffered without end");
    }
    assert!(sent < 128, "{sent} MiB were taken");
    drop(connection);
    patiently("the upstream to notice", sender.closed()).await;
}
