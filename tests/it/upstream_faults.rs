//! An upstream that is away, slow or broken: a clear answer, nothing asked twice, nobody logged out.

use std::time::Duration;

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{Setup, Stage};
use crate::harness::provider::TestProvider;
use crate::harness::spelled_out::{NAVIGATION, head};
use tokio::net::TcpListener;

const PUBLIC: &str = "public = [\"/public/**\"]";

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = PUBLIC.to_owned()).await
}

/// Page for a person, JSON for a program, nothing but the head for HEAD; the same status and code everywhere.
async fn answered(stage: &Stage, status: u16, code: &str) {
    let page = stage.spelled("GET /public/x", &NAVIGATION).await;
    let problem = stage.spelled("GET /public/x", &[]).await;
    let bare = stage.spelled("HEAD /public/x", &[]).await;
    for response in [&page, &problem, &bare] {
        assert_eq!(response.status, status, "{code}");
        assert_eq!(response.header("cache-control"), Some("no-store"));
        assert_eq!(response.header("set-cookie"), None);
    }
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains(page.header("x-request-id").unwrap()), "{}", page.text());
    assert_eq!(problem.header("content-type"), Some("application/problem+json"));
    let document: serde_json::Value = serde_json::from_slice(&problem.body).unwrap();
    assert_eq!((document["code"].as_str(), document["status"].as_u64()), (Some(code), Some(status.into())));
    assert_eq!(document["request_id"].as_str(), problem.header("x-request-id"));
    assert_eq!(stage.gateway.log.lines_with(&["upstream.error", code]), 3);
    assert_eq!(stage.gateway.log.lines_with(&["request.refused", code, "\"blame\":\"upstream\""]), 3);
}

#[tokio::test]
async fn nobody_listening_is_502() {
    let mut stage = stage().await;
    stage.upstream.stop().await;
    answered(&stage, 502, "upstream-unreachable").await;
}

#[tokio::test]
async fn a_connection_that_is_not_accepted_in_time_is_502() {
    // Accepts at the TCP level and never says a word of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = format!("https://{}", silent.local_addr().unwrap());
    let more = format!("[[upstream]]\nname = \"silent\"\npath = \"/public\"\n{PUBLIC}\ntarget = \"{target}\"");
    let stage = Stage::with_settings(
        TestProvider::start().await,
        |setup: &mut Setup| setup.more = more,
        |settings| settings.routes[1].upstream.timeouts.connect = Duration::from_millis(200),
    )
    .await;
    answered(&stage, 502, "upstream-unreachable").await;
}

#[tokio::test]
async fn no_answer_in_time_is_504() {
    let stage = Stage::with_settings(
        TestProvider::start().await,
        |setup: &mut Setup| setup.upstream = PUBLIC.to_owned(),
        |settings| settings.routes[0].upstream.timeouts.response_header = Duration::from_millis(200),
    )
    .await;
    stage.upstream.answer(|_| Behaviour::Hang);
    answered(&stage, 504, "upstream-timeout").await;
    assert_eq!(stage.upstream.hits(), 3);
}

#[tokio::test]
async fn hp_20_an_answer_that_two_could_read_differently_is_502_and_leaks_nothing() {
    let stage = stage().await;
    let bad: [&[u8]; 9] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nleaked",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nleaked",
        b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nleaked",
        b"HTTP/1.1 200 OK\r\nX-A: a\rb\r\n\r\nleaked",
        b"HTTP/1.1 200 OK\r\nX-A : a\r\n\r\nleaked",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\nleaked",
        b"SSH-2.0-OpenSSH_9.9\r\nleaked",
        b"leaked\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\nleaked",
    ];
    for bytes in bad {
        stage.upstream.answer_once(Behaviour::Raw(bytes.to_vec()));
        let mut connection = stage.connect().await;
        connection.send(head("GET /public/x HTTP/1.1", &[])).await;
        let response = connection.response().await.unwrap();
        let why = String::from_utf8_lossy(bytes).into_owned();
        assert_eq!(response.status, 502, "{why}");
        assert!(!response.text().contains("leaked"), "{why}");
        connection.send(head("GET /public/y HTTP/1.1", &[])).await;
        assert_eq!(connection.response().await.unwrap().text(), "upstream", "{why}");
    }
    let flood = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
    stage.upstream.answer_once(Behaviour::RawAndHang(flood));
    assert_eq!(stage.spelled("GET /public/x", &[]).await.status, 502);
}

#[tokio::test]
async fn bytes_after_an_answer_never_reach_the_next_one() {
    let stage = stage().await;
    let surplus = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nleaked";
    stage.upstream.answer_once(Behaviour::RawAndGoOn(surplus.to_vec()));
    let mut connection = stage.connect().await;
    for expected in ["ok", "upstream", "upstream"] {
        connection.send(head("GET /public/x HTTP/1.1", &[])).await;
        let response = connection.response().await.unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, expected));
    }
}

#[tokio::test]
async fn what_was_begun_is_never_sent_twice() {
    let stage = stage().await;
    for behaviour in [Behaviour::Close, Behaviour::Reset] {
        // A connection that has served before, so that a pool could think of another try.
        assert_eq!(stage.spelled("GET /public/x", &[]).await.status, 200);
        stage.upstream.answer_once(behaviour);
        let hits = stage.upstream.hits();
        let mut connection = stage.connect().await;
        connection.send(head("POST /public/pay HTTP/1.1", &["Content-Length: 3"]) + "pay").await;
        assert_eq!(connection.response().await.unwrap().status, 502);
        assert_eq!(stage.upstream.hits(), hits + 1);
    }
}

#[tokio::test]
async fn a_fault_of_the_upstream_logs_nobody_out() {
    let stage = stage().await;
    stage.log_in().await;
    // Twice: on the connection that is kept, and on the new one that a GET is repeated on.
    stage.upstream.answer_once(Behaviour::Close);
    stage.upstream.answer_once(Behaviour::Close);
    let page = stage.browser.navigate_once(&stage.url("/x")).await;
    assert_eq!((page.status.as_u16(), page.set_cookies().len()), (502, 0));
    assert!(page.text().contains("You have not been logged out"), "{}", page.text());
    for status in [401, 403, 500, 503] {
        // The upstream's own answers stay its own.
        stage.upstream.answer_once(Behaviour::text(status, "its own"));
        let page = stage.browser.navigate_once(&stage.url("/x")).await;
        assert_eq!((page.status.as_u16(), page.text().as_str()), (status, "its own"));
    }
    assert_eq!(stage.browser.navigate_once(&stage.url("/x")).await.status, 200);
}
