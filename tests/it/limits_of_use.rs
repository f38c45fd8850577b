//! Limits on how much is done at once: connections, callbacks, WebSockets, calls to a provider.

use std::time::Duration;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::gateway::{Setup, Stage};
use crate::harness::login_steps::{authorize, begin, call_back};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::raw::RawConnection;
use crate::harness::spelled_out::head;
use futures_util::StreamExt;

async fn stage(limits: &str) -> Stage {
    Stage::with(|setup| {
        setup.upstream = "public = [\"/public/**\"]".to_owned();
        setup.listen = format!("limits = {{ {limits} }}");
    })
    .await
}

async fn hurried() -> Stage {
    let adjust = |setup: &mut Setup| setup.upstream = "public = [\"/public/**\"]".to_owned();
    Stage::with_settings(TestProvider::start().await, adjust, |settings| {
        settings.listen.limits.header_timeout = Duration::from_millis(50);
    })
    .await
}

/// Waits for a count: a connection's end is counted after the peer has seen it.
async fn reaches(stage: &Stage, limit: &str, wanted: usize) {
    patiently(limit, async {
        while stage.gateway.limit_reached(limit) != wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn sl_01_silence_and_slow_heads_are_closed_and_counted() {
    let stage = hurried().await;
    for (closed, begun) in
        ["", "G", "GET /public/x HTTP/1.1\r\nHost: app.example\r\n", "PRI * HT"].into_iter().enumerate()
    {
        let mut connection = stage.connect().await;
        connection.send(begun).await;
        assert!(connection.is_closed().await, "{begun:?}");
        reaches(&stage, "header-timeout", closed + 1).await;
    }
    // Many at once, and somebody among them who is not slow.
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut connection = stage.connect().await;
        connection.send("GET /public/x HT").await;
        slow.push(connection);
    }
    assert_eq!(stage.spelled("GET /public/x", &[]).await.status, 200);
    for connection in &mut slow {
        assert!(connection.is_closed().await);
    }
    reaches(&stage, "header-timeout", 54).await;
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn sl_01_the_opening_of_http_2_is_told_apart() {
    let stage = hurried().await;
    let mut connection = stage.connect().await;
    connection.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    connection.rest().await;
    patiently("the count", async {
        while stage.gateway.counted("malformed_total{kind=\"http2\"}") != 1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn sl_05_idle_connections_make_room_and_nobody_waits() {
    let stage = stage("connections = 10").await;
    let mut all = Vec::new();
    for _ in 0..200 {
        let mut connection = stage.connect().await;
        connection.send(head("GET /public/x HTTP/1.1", &[])).await;
        assert_eq!(connection.response().await.unwrap().status, 200);
        all.push(connection);
    }
    reaches(&stage, "connections", 190).await;
    for displaced in &mut all[..100] {
        assert!(displaced.is_closed().await);
    }
    let last = all.last_mut().unwrap();
    last.send(head("GET /public/x HTTP/1.1", &[])).await;
    assert_eq!(last.response().await.unwrap().status, 200);
}

#[tokio::test]
async fn sl_06_when_all_are_busy_the_newcomer_is_closed_and_the_others_go_on() {
    let stage = stage("connections = 2").await;
    let mut busy = Vec::new();
    for number in 1..=2 {
        let (opener, held) = gate();
        stage.upstream.answer_once(Behaviour::text(200, "done").held(held));
        let mut connection = stage.connect().await;
        connection.send(head("GET /public/x HTTP/1.1", &[])).await;
        stage.upstream.requests_reach(number).await;
        busy.push((connection, opener));
    }
    for _ in 0..20 {
        assert!(RawConnection::open(stage.gateway.address).await.is_closed().await);
    }
    reaches(&stage, "connections", 20).await;
    for (mut connection, opener) in busy {
        opener.open();
        assert_eq!(connection.response().await.unwrap().text(), "done");
    }
    assert_eq!(stage.spelled("GET /public/x", &[]).await.status, 200);
}

#[tokio::test]
async fn callbacks_over_the_rate_are_429_and_spend_nothing() {
    let stage = stage("callbacks_per_second = 1").await;
    let mut callbacks = Vec::new();
    for _ in 0..3 {
        let browser = stage.gateway.browser();
        let callback = authorize(&browser, &begin(&browser, &stage.url("/")).await, "alice").await;
        callbacks.push((browser, callback));
    }
    let mut statuses = Vec::new();
    for (browser, callback) in &callbacks {
        let page = call_back(browser, callback).await;
        if page.status == 429 {
            assert_eq!(page.header("retry-after"), Some("5"));
        }
        statuses.push(page.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    let refused = statuses.iter().filter(|status| **status == 429).count();
    reaches(&stage, "callbacks", refused).await;
    assert_eq!(stage.provider.hits(Endpoint::Token), 3 - refused);
    // What was turned away is still good.
    patiently("a callback's turn", async {
        let (browser, callback) = &callbacks[statuses.iter().position(|status| *status == 429).unwrap()];
        while call_back(browser, callback).await.status == 429 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(stage.provider.hits(Endpoint::Token), 4 - refused);
}

#[tokio::test]
async fn a_session_has_so_many_web_sockets_and_no_more() {
    let stage = stage("websockets_per_session = 2").await;
    stage.log_in().await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(stage.browser.web_socket("/socket", None).await.unwrap());
    }
    let hits = stage.upstream.hits();
    let refused = stage.browser.web_socket("/socket", None).await.unwrap_err();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "30"));
    assert_eq!(stage.upstream.hits(), hits);
    reaches(&stage, "websockets-per-session", 1).await;
    assert_eq!(stage.gateway.log.lines_with(&["ws.denied", "too-many-websockets"]), 1);
    // Another session of the same person has its own.
    let other = stage.gateway.browser();
    other.log_in(&stage.url("/"), "alice").await;
    other.web_socket("/socket", None).await.unwrap();
    // A handshake that comes to nothing takes no place, and one that closes gives it back.
    let mut closing = open.pop().unwrap();
    closing.close(None).await.unwrap();
    while patiently("the end of the WebSocket", closing.next()).await.is_some() {}
    drop(closing);
    stage.upstream.answer_once(Behaviour::text(403, "no"));
    let status = patiently("a place", async {
        loop {
            match stage.browser.web_socket("/socket", None).await {
                Err(response) if response.status() == 429 => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(response) => break response.status().as_u16(),
                Ok(_) => break 101,
            }
        }
    })
    .await;
    assert_eq!(status, 403);
    patiently("the place again", async {
        while stage.browser.web_socket("/socket", None).await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn calls_to_a_provider_are_bounded_and_logins_over_it_are_503() {
    let stage = Stage::with(|setup| setup.provider = "concurrent_calls = 1".to_owned()).await;
    stage.log_in().await;
    let (opener, held) = gate();
    stage
        .provider
        .once(Endpoint::Token, Behaviour::json(400, &serde_json::json!({ "error": "invalid_grant" })).held(held));
    let (first, second) = (stage.gateway.browser(), stage.gateway.browser());
    let mut callbacks = Vec::new();
    for browser in [&first, &second] {
        callbacks.push(authorize(browser, &begin(browser, &stage.url("/")).await, "bob").await);
    }
    let waiting = call_back(&first, &callbacks[0]);
    let turned_away = async {
        stage.provider.hits_reach(Endpoint::Token, 2).await;
        let page = call_back(&second, &callbacks[1]).await;
        assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("10")));
        reaches(&stage, "provider-calls", 1).await;
        opener.open();
    };
    let (page, ()) = tokio::join!(waiting, turned_away);
    assert_eq!(page.status, 400);
    assert_eq!(stage.provider.hits(Endpoint::Token), 2, "nothing was sent for the second");
}
