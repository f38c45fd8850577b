//! HTTP/2 from the browser's side: sessions, cookies in pieces, bodies and trailers, WebSockets, gRPC, and the end.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::gateway::{Setup, Stage};
use crate::harness::http2_client::{Http2Client, empty, full};
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use vestibule::gateway::settings::Settings;

const HOST: &str = "app.example";

async fn stage_with(adjust: impl FnOnce(&mut Setup)) -> Stage {
    Stage::with(|setup| {
        setup.listen = "h2c = true".to_owned();
        setup.upstream = "public = [\"/public/**\"]\n[upstream.headers]\nx-user = \"{claims.sub}\"".to_owned();
        adjust(setup);
    })
    .await
}

async fn stage() -> Stage {
    stage_with(|_| {}).await
}

async fn client(stage: &Stage) -> Http2Client {
    Http2Client::over(TcpStream::connect(stage.gateway.address).await.unwrap()).await
}

fn cookies(stage: &Stage) -> String {
    stage.cookie_line().strip_prefix("Cookie: ").unwrap().to_owned()
}

fn to(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(format!("https://{HOST}{path}"))
}

#[tokio::test]
async fn h2_14_a_session_holds_over_http2_and_cookies_in_pieces_are_one() {
    let stage = stage().await;
    stage.log_in().await;
    let client = client(&stage).await;
    let mut request = to(Method::GET, "/page?q=1").header("cookie", "first=1");
    for piece in cookies(&stage).split("; ") {
        request = request.header("cookie", piece);
    }
    let response = client.send(request.header("cookie", "last=2").body(empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "upstream");
    let received = stage.upstream.last();
    assert_eq!(received.target, "/page?q=1");
    assert_eq!(received.all("host"), [HOST]);
    assert_eq!(received.all("cookie"), ["first=1; last=2"]);
    assert_eq!(received.all("x-user").len(), 1);
    // Without it, no other request of the same connection has anything of it.
    assert_eq!(client.get(HOST, "/page", &[("accept", "*/*")]).await.0, 401);
    assert_eq!(client.get(HOST, "/public/page", &[]).await.0, 200);
    assert!(stage.upstream.last().all("x-user").is_empty());
    assert_eq!(client.get("other.example", "/", &[]).await.0, 421);
}

#[tokio::test]
async fn hundreds_of_requests_share_a_connection_and_http1_is_spoken_beside_it() {
    let stage = stage().await;
    let client = client(&stage).await;
    let all = (0..300).map(|number| {
        let path = format!("/public/{number}");
        let client = &client;
        async move { client.get(HOST, &path, &[]).await }
    });
    let answers = futures_util::future::join_all(all).await;
    assert!(answers.iter().all(|answer| *answer == (200, "upstream".to_owned())));
    let mut targets: Vec<_> = stage.upstream.requests().into_iter().map(|received| received.target).collect();
    targets.sort();
    targets.dedup();
    assert_eq!(targets.len(), 300);
    assert_eq!(stage.spelled("GET /public/x", &[]).await.status, 200);
    let upgrade = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"];
    assert_eq!(stage.spelled("GET /public/x", &upgrade).await.status, 400, "h2_12");
}

#[tokio::test]
async fn h2_12_without_the_key_http2_in_clear_is_not_spoken() {
    let stage = Stage::set().await;
    let mut connection = stage.connect().await;
    connection.send(crate::harness::frames::PREFACE).await;
    let answer = connection.rest().await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400") || answer.starts_with(b"HTTP/1.1 505"));
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn bodies_and_trailers_go_up_and_down() {
    let stage = stage().await;
    stage.upstream.answer(|received| {
        let text = format!("{} {:?}", received.body.len(), received.trailer("x-sum"));
        Behaviour::text(200, &text)
    });
    let client = client(&stage).await;
    let parts = (0..64).map(|_| Frame::data(Bytes::from(vec![7; 16 << 10])));
    let trailers = HeaderMap::from_iter([
        (http::HeaderName::from_static("x-sum"), HeaderValue::from_static("abc")),
        (http::HeaderName::from_static("x-forwarded-user"), HeaderValue::from_static("root")),
    ]);
    let frames = parts.chain([Frame::trailers(trailers)]).map(Ok::<_, std::io::Error>);
    let body = StreamBody::new(futures_util::stream::iter(frames)).boxed();
    let request = to(Method::POST, "/public/up").header("trailer", "x-sum").body(body).unwrap();
    let response = client.send(request).await.unwrap();
    let text = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(text, format!("{} {:?}", 64 << 14, Some("abc")));
    assert_eq!(stage.upstream.last().trailer("x-forwarded-user"), None);
}

#[tokio::test]
async fn a_web_socket_is_a_stream_with_the_persons_identity_and_ends_with_the_session() {
    let stage = stage().await;
    stage.log_in().await;
    let client = client(&stage).await;
    let ask = |origin: Option<&str>, cookies: Option<&str>| {
        let mut request = to(Method::CONNECT, "/socket")
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        for (name, value) in [("origin", origin), ("cookie", cookies)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        client.send(request.body(empty()).unwrap())
    };
    let cookies = cookies(&stage);
    // As over HTTP/1: no session, a foreign page, no page at all.
    assert_eq!(ask(Some("https://app.example"), None).await.unwrap().status(), 401);
    assert_eq!(ask(Some("https://evil.example"), Some(&cookies)).await.unwrap().status(), 403);
    assert_eq!(ask(None, Some(&cookies)).await.unwrap().status(), 403);
    let hits = stage.upstream.hits();
    let mut response = ask(Some("https://app.example"), Some(&cookies)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    assert_eq!(stage.upstream.hits(), hits + 1);
    let received = stage.upstream.last();
    assert_eq!((received.method.as_str(), received.target.as_str()), ("GET", "/socket"));
    assert_eq!(received.all("upgrade"), ["websocket"]);
    assert_eq!(received.all("x-user").len(), 1);
    let upgraded = patiently("the stream", hyper::upgrade::on(&mut response)).await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Client, None).await;
    use futures_util::{SinkExt as _, StreamExt as _};
    for text in ["hello", "again"] {
        socket.send(Message::text(text)).await.unwrap();
        assert_eq!(patiently("the echo", socket.next()).await.unwrap().unwrap(), Message::text(text));
    }
    // Others go on beside it.
    assert_eq!(client.get(HOST, "/public/page", &[]).await.0, 200);
    stage.browser.post_form(&stage.url("/oauth2/sign_out"), &[]).await;
    let end = patiently("the end of the WebSocket", socket.next()).await;
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
    assert_eq!(client.get(HOST, "/public/page", &[]).await.0, 200, "the connection has not ended with it");
}

#[tokio::test]
async fn h2_10_what_is_no_web_socket_is_not_connected() {
    let stage = stage().await;
    stage.log_in().await;
    let (client, cookies, hits) = (client(&stage).await, cookies(&stage), stage.upstream.hits());
    for protocol in ["connect-udp", "WebSocket", "tcp"] {
        let request = to(Method::CONNECT, "/public/x").extension(hyper::ext::Protocol::from_static(protocol));
        let response = client.send(request.body(empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 405, "{protocol}");
    }
    let plain = Request::builder().method(Method::CONNECT).uri("app.example:443").body(empty()).unwrap();
    assert!(client.send(plain).await.is_ok_and(|response| response.status().is_client_error()));
    assert_eq!(stage.upstream.hits(), hits);
    let socket = |path: &str| {
        to(Method::CONNECT, path)
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .header("origin", "https://app.example")
            .header("cookie", &cookies)
            .body(empty())
            .unwrap()
    };
    // A success of ours would open a tunnel to nobody.
    assert_eq!(client.send(socket("/oauth2/sign_out")).await.unwrap().status(), 400);
    stage.upstream.answer(|_| Behaviour::text(200, "no socket here"));
    assert_eq!(client.send(socket("/socket")).await.unwrap().status(), 502);
    stage.upstream.answer(|_| Behaviour::status(404));
    assert_eq!(client.send(socket("/socket")).await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_caller_of_grpc_is_refused_in_its_own_words() {
    let stage = stage_with(|setup| setup.more = "[[upstream]]\nname = \"dead\"\npath = \"/dead\"\ntarget = \"http://127.0.0.1:1\"\npublic = [\"/dead/**\"]\n".to_owned()).await;
    let client = client(&stage).await;
    for (path, status, message) in [
        ("/svc.Echo/Call", "16", "unauthenticated"),
        ("/dead/svc.Echo/Call", "14", "upstream-unreachable"),
        ("/%2e%2e/x", "3", "malformed-path"),
    ] {
        let request = to(Method::POST, path).header("content-type", "application/grpc+proto").header("te", "trailers");
        let response = client.send(request.body(full("\0\0\0\0\0")).unwrap()).await.unwrap();
        let headers = response.headers();
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(headers["content-type"], "application/grpc");
        assert_eq!(
            (headers["grpc-status"].to_str().unwrap(), headers["grpc-message"].to_str().unwrap()),
            (status, message)
        );
        assert!(headers.contains_key("x-request-id"));
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
    // Others read the status of HTTP.
    let request = to(Method::POST, "/svc").header("content-type", "application/grpc-web");
    assert_eq!(client.send(request.body(full("x")).unwrap()).await.unwrap().status(), 401);
}

#[tokio::test]
async fn at_the_end_streams_in_flight_are_finished_and_new_ones_go_elsewhere() {
    let mut stage =
        stage_with(|setup| setup.listen = "h2c = true\n[listen.limits]\ndrain_delay = \"0s\"".to_owned()).await;
    let (open, held) = gate();
    stage.upstream.answer_once(Behaviour::text(200, "late").held(held));
    let client = client(&stage).await;
    let running = stage.gateway.running.take().unwrap();
    let asked = async {
        let answer = client.get(HOST, "/public/slow", &[]).await;
        assert_eq!(answer, (200, "late".to_owned()));
    };
    let ending = async {
        stage.upstream.hits_reach(1).await;
        let ended = tokio::spawn(running.shut_down(true));
        // The peer hears of it while its request is still going on.
        patiently("no more requests", async {
            while client.send(to(Method::GET, "/public/new").body(empty()).unwrap()).await.is_ok() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        open.open();
        patiently("the end", ended).await.unwrap();
    };
    tokio::join!(asked, ending);
    drop(client);
}

#[tokio::test]
async fn an_idle_connection_is_told_before_it_is_closed_and_a_tunnel_is_not_idle() {
    let adjust = |setup: &mut Setup| setup.listen = "h2c = true".to_owned();
    let short = Duration::from_millis(200);
    let change = |settings: &mut Settings| settings.listen.limits.keep_alive = short;
    let stage = Stage::with_settings(TestProvider::start().await, adjust, change).await;
    let idle = client(&stage).await;
    assert_eq!(idle.get(HOST, "/x", &[]).await.0, 401);
    let ended = patiently("the end of an idle connection", idle.connection).await.unwrap();
    assert!(ended.is_ok(), "{ended:?}");
    stage.log_in().await;
    let (client, cookies) = (client(&stage).await, cookies(&stage));
    let request = to(Method::CONNECT, "/socket")
        .extension(hyper::ext::Protocol::from_static("websocket"))
        .header("origin", "https://app.example")
        .header("cookie", cookies);
    let mut response = client.send(request.body(empty()).unwrap()).await.unwrap();
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut response).await.unwrap());
    tokio::time::sleep(Duration::from_millis(900)).await;
    // A masked text frame of one letter, and its echo.
    tunnel.write_all(&[0x81, 0x81, 0, 0, 0, 0, b'x']).await.unwrap();
    let mut echo = [0; 3];
    patiently("the echo", tunnel.read_exact(&mut echo)).await.unwrap();
    assert_eq!(echo, [0x81, 1, b'x']);
}
