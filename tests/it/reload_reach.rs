//! What a reload reaches: everything that a request meets on its way, and what is counted or left behind goes on.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::by_hand::{pair, program, session_cookie};
use crate::harness::gateway::{Setup, Stage};
use crate::harness::patiently;
use crate::harness::spelled_out::head;
use crate::reload_sessions::Keys;

fn with_rules(rules: &'static str) -> impl FnOnce(&mut Setup) {
    move |setup| setup.more = rules.to_owned()
}

#[tokio::test]
async fn trusted_proxies_are_believed_from_the_next_request_on_open_connections_too() {
    let trusting = |proxies: &'static str| {
        move |setup: &mut Setup| {
            setup.listen = proxies.to_owned();
            setup.upstream = "public = [\"/public/**\"]".to_owned();
        }
    };
    let stage = Stage::with(trusting("")).await;
    let mut connection = stage.connect().await;
    let request = head("GET /public/a HTTP/1.1", &["X-Forwarded-For: 198.51.100.7", "X-Forwarded-Proto: http"]);
    let logged = |apply| stage.gateway.log.lines_with(&["limits.per-address", &format!("\"apply\":{apply}")]);
    for (proxies, status) in [
        ("trusted_proxies = [\"10.0.0.0/8\"]", 200),
        ("trusted_proxies = [\"127.0.0.0/8\"]", 308),
        ("trusted_proxies = [\"127.0.0.1\"]", 308),
        ("", 200),
    ] {
        stage.reload(trusting(proxies)).await.unwrap();
        connection.send(&request).await;
        assert_eq!(connection.response().await.unwrap().status, status, "{proxies}");
        if status == 200 {
            assert_eq!(stage.upstream.last().all("x-forwarded-for"), ["127.0.0.1"], "{proxies}");
        }
    }
    stage.reload(trusting("trusted_proxies = [\"127.0.0.1\"]")).await.unwrap();
    connection.send(head("GET /public/a HTTP/1.1", &["X-Forwarded-For: 198.51.100.7"])).await;
    assert_eq!(connection.response().await.unwrap().status, 200);
    assert_eq!(stage.upstream.last().all("x-forwarded-for"), ["198.51.100.7, 127.0.0.1"]);
    assert_eq!((logged(true), logged(false)), (2, 1), "told when it changes, and not otherwise");
}

#[tokio::test]
async fn a_rule_applies_to_the_next_request() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let nobody = "[[upstream.rule]]\npath = \"/admin/**\"\naccess = { claim = \"groups\", contains = \"nobody\" }";
    for (rules, cookie, statuses) in [
        ("", ours.as_str(), [200, 200]),
        (nobody, &ours, [403, 200]),
        ("[[upstream.rule]]\npath = \"/admin/**\"\npublic = true", "", [200, 401]),
        ("", "", [401, 401]),
        ("", &ours, [200, 200]),
    ] {
        stage.reload(with_rules(rules)).await.unwrap();
        let hits = stage.upstream.hits();
        for (path, status) in ["/admin/x", "/other"].into_iter().zip(statuses) {
            assert_eq!(program(&stage.gateway, path, cookie).await.status, status, "{rules} {path}");
        }
        let served = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(stage.upstream.hits() - hits, served, "{rules}");
    }
}

#[tokio::test]
async fn who_has_stepped_up_keeps_it_and_the_session_left_behind_ends_in_its_time() {
    const STRONG: &str = "[[upstream.rule]]\npath = \"/strong/**\"\nstep_up = { acr = \"urn:strong\" }";
    let keys = Keys::new();
    let with = |names: &[&str], limits: &str| {
        let session = keys.line(names) + limits;
        move |setup: &mut Setup| (setup.session, setup.more) = (session, STRONG.to_owned())
    };
    let stage = Stage::with(with(&["a"], "")).await;
    stage.log_in().await;
    let old = pair(&session_cookie(&stage.browser));
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    assert_eq!(stage.step_up("/strong/x", "alice").await.status, 200);
    let new = pair(&session_cookie(&stage.browser));
    let gateway = &stage.gateway;
    for (names, limits) in [(&["b", "a"][..], ""), (&["b", "a"], "lifetime = \"20h\"\nidle_timeout = \"20h\"")] {
        stage.reload(with(names, limits)).await.unwrap();
        gateway.clock.advance(Duration::from_secs(4));
        for (cookie, path, status) in [(&old, "/a", 200), (&old, "/strong/x", 403), (&new, "/strong/x", 200)] {
            assert_eq!(program(gateway, path, cookie).await.status, status, "{path}");
        }
    }
    gateway.clock.advance(Duration::from_secs(2));
    assert_eq!(program(gateway, "/a", &old).await.status, 401, "ten seconds, whatever the limits are now");
    assert_eq!(program(gateway, "/strong/x", &new).await.status, 200);
    socket.send(Message::text("still here")).await.unwrap();
    assert_eq!(patiently("the echo", socket.next()).await.unwrap().unwrap(), Message::text("still here"));
    assert_eq!(gateway.log.lines_with(&["session.ended"]), 1, "of the one that was left behind, at the step-up");
    // Its key goes, and with it the session and the WebSocket that it has taken over.
    stage.reload(with(&["b"], "")).await.unwrap();
    let end = patiently("the end of the WebSocket", socket.next()).await;
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
    assert_eq!(program(gateway, "/strong/x", &new).await.status, 401);
    assert_eq!(gateway.log.lines_with(&["session.ended", "key-removed"]), 1);
}

#[tokio::test]
async fn open_web_sockets_are_counted_on_under_another_key_and_another_limit() {
    let keys = Keys::new();
    let with = |names: &[&str], most: usize| {
        let session = keys.line(names);
        move |setup: &mut Setup| {
            setup.session = session;
            setup.listen = format!("limits = {{ websockets_per_session = {most} }}");
        }
    };
    let stage = Stage::with(with(&["a"], 2)).await;
    stage.log_in().await;
    let open = async || stage.browser.web_socket("/socket", None).await.map_err(|refused| refused.status().as_u16());
    let _first = open().await.unwrap();
    let _second = open().await.unwrap();
    stage.reload(with(&["b", "a"], 2)).await.unwrap();
    assert_eq!(open().await.unwrap_err(), 429);
    stage.reload(with(&["b", "a"], 3)).await.unwrap();
    let third = open().await.unwrap();
    assert_eq!(open().await.unwrap_err(), 429);
    // A place that was taken under one configuration is given back under another.
    drop(third);
    let again = patiently("a place", async {
        loop {
            match open().await {
                Ok(socket) => break socket,
                Err(status) => assert_eq!(status, 429),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let _again = again.await;
    assert_eq!(open().await.unwrap_err(), 429);
}
