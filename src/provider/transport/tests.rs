use super::*;
use crate::provider::test_server::{Reply, TestServer};

mod addresses;

fn transport(server: &TestServer) -> Transport {
    Transport::new(&server.settings(), &server.parts()).unwrap()
}

async fn get(server: &TestServer, path: &str) -> Result<Answer, CallOutcome> {
    transport(server).get(EndpointKind::Keys, &server.url(path), None).await
}

#[tokio::test]
async fn a_request_says_what_it_accepts_and_who_it_is_and_nothing_else() {
    let server = TestServer::openid().await;
    server.on("/x", |_| Reply::with_headers(200, "content-type: application/json\r\nset-cookie: a=b\r\n", "{}"));
    let transport = transport(&server);
    let token = AccessToken::new("at".into());
    for _ in 0..2 {
        let answer = transport.get(EndpointKind::Userinfo, &server.url("/x"), Some(&token)).await.unwrap();
        assert_eq!((answer.content_type, &answer.body[..]), (ContentType::Json, &b"{}"[..]));
    }
    for request in server.requests("/x") {
        assert!(request.contains("accept: application/json\r\n"), "{request}");
        assert!(request.contains(concat!("user-agent: vestibule/", env!("CARGO_PKG_VERSION"), "\r\n")), "{request}");
        assert!(request.contains("authorization: Bearer at\r\n"), "{request}");
        assert!(!request.contains("cookie") && !request.contains("accept-encoding"), "{request}");
    }
}

#[tokio::test]
async fn jk_05_and_di_04_redirects_are_not_followed() {
    let server = TestServer::openid().await;
    let target = server.url("/target");
    server.on("/x", move |_| Reply::with_headers(302, &format!("location: {target}\r\n"), ""));
    server.on("/target", |_| Reply::json(200, "{}"));
    for location in [301, 302, 303, 307, 308] {
        let target = server.url("/target");
        server.on("/x", move |_| Reply::with_headers(location, &format!("location: {target}\r\n"), ""));
        assert_eq!(get(&server, "/x").await.unwrap().outcome(), CallOutcome::UnexpectedStatus);
    }
    assert_eq!(server.hits("/target"), 0);
}

#[tokio::test]
async fn if_05_and_jk_05_a_body_is_read_up_to_the_cap() {
    let server = TestServer::openid().await;
    server.on("/exact", |_| Reply::json(200, vec![b' '; MAX_BODY]));
    assert_eq!(get(&server, "/exact").await.unwrap().body.len(), MAX_BODY);
    server.on("/announced", |_| {
        Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 104857600\r\n\r\n".to_vec())
    });
    server.on("/endless", |_| Reply::Endless);
    server.on("/gzip", |_| {
        Reply::with_headers(200, "content-type: application/json\r\ncontent-encoding: gzip\r\n", b"\x1f\x8b")
    });
    for path in ["/announced", "/endless", "/gzip"] {
        assert_eq!(get(&server, path).await.unwrap_err(), CallOutcome::UnusableBody, "{path}");
    }
}

#[tokio::test]
async fn jk_05_a_slow_answer_meets_the_deadline() {
    let server = TestServer::openid().await;
    server.on("/silent", |_| Reply::Stall(Vec::new()));
    server.on("/slow", |_| Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n{".to_vec()));
    let settings = ProviderSettings { total_timeout: Duration::from_millis(200), ..server.settings() };
    let transport = Transport::new(&settings, &server.parts()).unwrap();
    for path in ["/silent", "/slow"] {
        let called = transport.get(EndpointKind::Keys, &server.url(path), None).await;
        assert_eq!(called.unwrap_err(), CallOutcome::Timeout, "{path}");
    }
}

#[tokio::test]
async fn if_08_a_lost_connection_is_not_tried_again() {
    let server = TestServer::openid().await;
    server.on("/x", |_| Reply::Reset);
    let form = AuthenticatedForm { body: Zeroizing::new("code=c".into()), authorization: None };
    let called = transport(&server).post(EndpointKind::Code, &server.url("/x"), form).await;
    assert_eq!(called.unwrap_err(), CallOutcome::Interrupted);
    assert_eq!(server.hits("/x"), 1);
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let server = TestServer::openid().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let called = transport(&server).get(EndpointKind::Keys, &url, None).await;
    assert_eq!(called.unwrap_err(), CallOutcome::Unreachable);
}

#[tokio::test]
async fn di_02_without_the_development_setting_http_is_not_spoken() {
    let server = TestServer::openid().await;
    let settings = ProviderSettings { plain_http: false, ..server.settings() };
    let transport = Transport::new(&settings, &server.parts()).unwrap();
    assert!(transport.get(EndpointKind::Keys, &server.url("/keys"), None).await.is_err());
    assert_eq!(server.hits("/keys"), 0);
}

#[tokio::test]
async fn the_number_of_calls_at_once_is_bounded() {
    let server = TestServer::openid().await;
    let settings =
        ProviderSettings { concurrent_calls: 5, total_timeout: Duration::from_millis(200), ..server.settings() };
    let transport = Transport::new(&settings, &server.parts()).unwrap();
    let all = transport.permits.acquire_many(5).await.unwrap();
    let url = server.url("/keys");
    // Who has waited for as long as a call may take gives up; nothing has been sent, and the breaker counts nothing.
    for _ in 0..6 {
        let called = transport.get(EndpointKind::Keys, &url, None).await;
        assert_eq!(called.unwrap_err(), CallOutcome::Busy);
    }
    assert_eq!(server.hits("/keys"), 0);
    // A code is not kept waiting.
    assert_eq!(post(&transport, EndpointKind::Code, &url).await, CallOutcome::Busy);
    let waiting = transport.get(EndpointKind::Keys, &url, None);
    let (called, ()) = tokio::join!(waiting, async { drop(all) });
    assert!(called.is_ok(), "it waits for its turn");
    assert!(transport.get(EndpointKind::Keys, &server.url("/keys"), None).await.is_ok());
}

#[tokio::test]
async fn if_03_an_endpoint_that_fails_is_left_alone_and_then_probed() {
    let server = TestServer::openid().await;
    server.on("/x", |_| Reply::with_headers(429, "retry-after: 20\r\n", ""));
    let transport = transport(&server);
    let url = server.url("/x");
    let call = || transport.get(EndpointKind::Keys, &url, None);
    for _ in 0..5 {
        assert_eq!(call().await.unwrap().outcome(), CallOutcome::Unavailable);
    }
    assert_eq!(call().await.unwrap_err(), CallOutcome::CircuitOpen);
    server.clock.advance(Duration::from_secs(19));
    assert_eq!(call().await.unwrap_err(), CallOutcome::CircuitOpen);
    assert_eq!(server.hits("/x"), 5);
    server.on("/x", |_| Reply::json(200, "{}"));
    server.clock.advance(Duration::from_secs(1));
    assert_eq!(call().await.unwrap().outcome(), CallOutcome::Ok);
    assert_eq!(call().await.unwrap().outcome(), CallOutcome::Ok);
    // Another endpoint has a breaker of its own, and discovery has none.
    server.on("/y", |_| Reply::status(503, ""));
    for _ in 0..7 {
        let called = transport.get(EndpointKind::Discovery, &server.url("/y"), None).await;
        assert_eq!(called.unwrap().outcome(), CallOutcome::Unavailable);
    }
    let outcomes: Vec<_> = server.observer.calls.lock().unwrap().iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == CallOutcome::CircuitOpen).count(), 2);
}

#[tokio::test]
async fn exchanges_at_once_leave_room_for_everything_else() {
    let server = TestServer::openid().await;
    server.on("/token", |_| Reply::Stall(Vec::new()));
    let (transport, url) = (transport(&server), server.url("/token"));
    let all = futures_util::future::join_all((0..64).map(|_| post(&transport, EndpointKind::Code, &url)));
    let others = async {
        while server.hits("/token") < 48 {
            tokio::task::yield_now().await;
        }
        assert!(transport.get(EndpointKind::Keys, &server.url("/keys"), None).await.is_ok());
        let refreshed = post(&transport, EndpointKind::Refresh, &server.url("/keys")).await;
        assert_eq!(refreshed, CallOutcome::Ok);
    };
    tokio::select! {
        _ = all => panic!("the provider does not answer"),
        () = others => {}
    }
    let calls = server.observer.calls.lock().unwrap();
    let busy = calls.iter().filter(|call| **call == (EndpointKind::Code, CallOutcome::Busy)).count();
    assert_eq!((busy, server.hits("/token")), (16, 48));
}

async fn post(transport: &Transport, endpoint: EndpointKind, url: &Url) -> CallOutcome {
    let form = AuthenticatedForm { body: Zeroizing::new("a=b".into()), authorization: None };
    let called = transport.post(endpoint, url, form).await;
    called.as_ref().map_or_else(|outcome| *outcome, Answer::outcome)
}

#[tokio::test]
async fn if_03_codes_that_upset_the_provider_stop_neither_refreshes_nor_other_codes() {
    let server = TestServer::openid().await;
    let (transport, url) = (transport(&server), server.url("/token"));
    for status in [500, 503, 429] {
        server.on("/token", move |_| Reply::with_headers(status, "retry-after: 20\r\n", ""));
        for _ in 0..8 {
            assert_eq!(post(&transport, EndpointKind::Code, &url).await, CallOutcome::Unavailable);
        }
    }
    // A provider that cannot be spoken with is left alone, and its exchanges only.
    server.on("/token", |_| Reply::Reset);
    for _ in 0..5 {
        assert_eq!(post(&transport, EndpointKind::Code, &url).await, CallOutcome::Interrupted);
    }
    assert_eq!(post(&transport, EndpointKind::Code, &url).await, CallOutcome::CircuitOpen);
    server.on("/token", |_| Reply::status(503, ""));
    for _ in 0..5 {
        assert_eq!(post(&transport, EndpointKind::Refresh, &url).await, CallOutcome::Unavailable);
    }
    assert_eq!(post(&transport, EndpointKind::Refresh, &url).await, CallOutcome::CircuitOpen);
    assert_eq!(server.hits("/token"), 3 * 8 + 5 + 5);
}

#[test]
fn if_06_content_types_are_compared_by_their_essence() {
    for (value, expected) in [
        ("application/json", ContentType::Json),
        ("Application/JSON; charset=utf-8", ContentType::Json),
        ("application/jwk-set+json", ContentType::JwkSet),
        ("application/jwt", ContentType::Jwt),
        ("text/html", ContentType::Other),
        ("application/jsonx", ContentType::Other),
        ("text/html, application/json", ContentType::Other),
        ("", ContentType::Other),
    ] {
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
        assert_eq!(content_type(&headers), expected, "{value}");
    }
    let mut twice = HeaderMap::new();
    twice.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    twice.append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    assert_eq!(content_type(&twice), ContentType::Other);
    assert_eq!(content_type(&HeaderMap::new()), ContentType::Other);
}
