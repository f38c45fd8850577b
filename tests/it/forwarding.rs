//! What goes through: methods, bodies, cookies, trailers, interim answers, and what of the answers is changed.

use crate::harness::behaviour::{Behaviour, response};
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::spelled_out::head;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = "public = [\"/public/**\"]".to_owned()).await
}

#[tokio::test]
async fn methods_queries_and_bodies_go_through_byte_for_byte() {
    let stage = stage().await;
    for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "PROPFIND", "REPORT", "X-OWN"] {
        let mut connection = stage.connect().await;
        let target = "/public/a?b=c&d=%2F+%20;'()*!@$,&&=";
        let fields = ["Content-Length: 5", "Content-Type: x/y", "X-Case-Kept: Yes", "Content-Encoding: gzip"];
        connection.send(head(&format!("{method} {target} HTTP/1.1"), &fields)).await;
        connection.send(b"\x00\xff\r\n.").await;
        assert_eq!(connection.response().await.unwrap().status, 200, "{method}");
        let received = stage.upstream.last();
        assert_eq!((received.method.as_str(), received.target.as_str()), (method, target));
        assert_eq!(received.body, b"\x00\xff\r\n.");
        assert!(received.headers.iter().any(|(name, _)| name == "X-Case-Kept"), "{:?}", received.headers);
        assert_eq!(received.header("content-encoding"), Some("gzip"));
    }
}

#[tokio::test]
async fn a_chunked_body_is_framed_anew_and_says_the_same() {
    let stage = stage().await;
    let mut connection = stage.connect().await;
    connection.send(head("POST /public/x HTTP/1.1", &["Transfer-Encoding: chunked"])).await;
    connection.send("3;ext=1\r\nabc\r\n2 \r\nde\r\n0\r\n\r\n").await;
    assert_eq!(connection.response().await.unwrap().status, 200);
    let received = stage.upstream.last();
    assert_eq!((received.body.as_slice(), received.complete), (&b"abcde"[..], true));
    assert_eq!(received.header("content-length"), None);
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn a_body_is_asked_for_only_when_the_upstream_wants_it() {
    let stage = stage().await;
    let mut connection = stage.connect().await;
    let fields = ["Content-Length: 5", "Expect: 100-continue"];
    connection.send(head("POST /public/x HTTP/1.1", &fields)).await;
    assert_eq!(connection.response().await.unwrap().status, 100);
    connection.send("hello").await;
    assert_eq!(connection.response().await.unwrap().status, 200);
    assert_eq!(stage.upstream.last().body, b"hello");
}

#[tokio::test]
async fn hd_17_a_refusal_does_not_wait_for_the_body_and_closes() {
    let stage = stage().await;
    for expect in [&["Expect: 100-continue"][..], &[]] {
        let mut connection = stage.connect().await;
        let mut fields = vec!["Content-Length: 100000"];
        fields.extend(expect);
        connection.send(head("POST /x HTTP/1.1", &fields)).await;
        let response = connection.response().await.unwrap();
        assert_eq!(response.status, 401);
        assert_eq!(response.header("connection"), Some("close"));
        assert!(connection.is_closed().await);
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn a_refused_upload_is_never_read_as_the_next_request() {
    let stage = stage().await;
    let smuggled = head("GET /public/smuggled HTTP/1.1", &[]);
    let length = format!("Content-Length: {}", smuggled.len());
    for fields in [&[length.as_str()][..], &[&length, "Expect: 100-continue"]] {
        let mut connection = stage.connect().await;
        connection.send(head("POST /x HTTP/1.1", fields)).await;
        connection.send(&smuggled).await;
        connection.send(head("GET /public/next HTTP/1.1", &["Connection: close"])).await;
        assert_eq!(connection.response().await.unwrap().status, 401);
        connection.rest().await;
    }
    assert!(stage.upstream.requests().iter().all(|received| received.target != "/public/smuggled"));
}

#[tokio::test]
async fn an_upload_is_not_reset_before_its_sender_has_read_the_refusal() {
    let stage = stage().await;
    let mut stream = TcpStream::connect(stage.gateway.address).await.unwrap();
    stream.write_all(head("POST /x HTTP/1.1", &["Content-Length: 8388608"]).as_bytes()).await.unwrap();
    stream.write_all(&[b'x'; 64 << 10]).await.unwrap();
    let mut answer = Vec::new();
    patiently("the refusal", stream.read_to_end(&mut answer)).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 401 "));
    // It has not looked yet, and goes on sending.
    for _ in 0..16 {
        patiently("sending", stream.write_all(&[b'x'; 16 << 10])).await.unwrap();
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn announced_trailers_go_both_ways() {
    let stage = stage().await;
    let announced = response(200, &[("trailer", "x-sum, set-cookie")], Bytes::new()).map(|_| ());
    let trailers = vec![("x-sum".to_owned(), "9".to_owned()), ("set-cookie".to_owned(), "a=b".to_owned())];
    stage.upstream.answer_once(Behaviour::Chunks(announced, vec![Bytes::from("down")], trailers));
    let mut connection = stage.connect().await;
    let fields = ["Transfer-Encoding: chunked", "Trailer: x-up", "TE: trailers", "Connection: TE, close"];
    connection.send(head("POST /public/x HTTP/1.1", &fields)).await;
    connection.send("2\r\nup\r\n0\r\nx-up: 7\r\n\r\n").await;
    let answer = String::from_utf8(connection.rest().await).unwrap();
    assert!(answer.contains("\r\ndown\r\n0\r\n") && answer.to_ascii_lowercase().contains("x-sum: 9\r\n"), "{answer}");
    assert!(!answer.contains("a=b"), "{answer}");
    let received = stage.upstream.last();
    assert_eq!((received.trailer("x-up"), received.header("te")), (Some("7"), Some("trailers")));
}

#[tokio::test]
async fn interim_answers_end_at_the_gateway() {
    let stage = stage().await;
    let hints =
        b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec();
    stage.upstream.answer_once(Behaviour::RawAndGoOn(hints));
    let response = stage.spelled("GET /public/x", &[]).await;
    assert_eq!((response.status, response.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn ck_09_an_upstream_cannot_set_a_cookie_of_the_gateway() {
    let stage = stage().await;
    let own = [
        "__Host-Http-vestibule=evil; Path=/; Secure; HttpOnly",
        "__host-http-VESTIBULE=evil",
        " __Host-Http-vestibule-login =evil; Path=/",
        "\t__Host-Http-vestibule=evil",
        "__Host-Http-vestibule-0a1b2c3d=evil",
        "vestibule-dev-8080=evil",
        "=__Host-Http-vestibule=evil",
        "\"__Host-Http-vestibule\"=evil",
    ];
    for cookie in own {
        let kept = [("set-cookie", "theirs=1; Path=/"), ("set-cookie", cookie), ("set-cookie", "Other=\"2\"")];
        stage.upstream.answer_once(Behaviour::with_headers(200, &kept, "ok"));
        let response = stage.spelled("GET /public/x", &[]).await;
        assert_eq!(response.all("set-cookie"), ["theirs=1; Path=/", "Other=\"2\""], "{cookie}");
    }
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "set a cookie of the gateway"]), own.len());
    assert!(!stage.gateway.log.text().contains("evil"));
}

#[tokio::test]
async fn ck_10_the_gateways_cookies_stay_here_and_others_keep_their_bytes() {
    let stage = stage().await;
    stage.log_in().await;
    let session = stage.cookie_line().split_once(": ").unwrap().1.to_owned();
    let value = session.split_once('=').unwrap().1.split(';').next().unwrap().to_owned();
    for target in ["/x", "/public/x"] {
        let cookies = format!(
            "Cookie: b=\"2 ;=\"; a==1,; {session}; empty=; vestibule-dev-8080=x; __Host-Http-vestibule-0a1b2c3d=y; flag; a=3"
        );
        assert_eq!(stage.spelled(&format!("GET {target}"), &[&cookies]).await.status, 200);
        let received = stage.upstream.last();
        assert_eq!(received.header("cookie"), Some("b=\"2 ;=\"; a==1,; empty=; flag; a=3"), "{target}");
        assert!(!String::from_utf8_lossy(&received.head).contains(&value));
    }
    assert_eq!(stage.spelled("GET /x", &[&format!("Cookie: {session}")]).await.status, 200);
    assert_eq!(stage.upstream.last().header("cookie"), None);
    let odd = "Cookie: x=1;y=2;  z=3; \u{e9}=\u{fc}";
    assert_eq!(stage.spelled("GET /public/x", &[odd]).await.status, 200);
    assert_eq!(stage.upstream.last().header("cookie"), Some("x=1;y=2;  z=3; \u{e9}=\u{fc}"));
}

#[tokio::test]
async fn ur_02_what_is_somebodys_own_is_not_kept_by_shared_caches() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let own = stage.spelled("GET /x", &[&cookie]).await;
    assert_eq!((own.header("cache-control"), own.header("vary")), (Some("private"), Some("Cookie")));
    let public = stage.spelled("GET /public/x", &[&cookie]).await;
    assert_eq!((public.header("cache-control"), public.header("vary")), (None, None));
    stage.upstream.answer(|_| {
        let headers = [("cache-control", "max-age=60"), ("strict-transport-security", "max-age=1"), ("vary", "Accept")];
        Behaviour::with_headers(200, &headers, "ok")
    });
    let told = stage.spelled("GET /x", &[&cookie]).await;
    assert_eq!((told.header("cache-control"), told.all("vary")), (Some("max-age=60"), vec!["Accept"]));
    assert_eq!(told.header("strict-transport-security"), Some("max-age=1"));
}

#[tokio::test]
async fn hop_by_hop_fields_of_answers_end_here() {
    let stage = stage().await;
    let headers = [
        ("connection", "x-hop, keep-alive"),
        ("x-hop", "gone"),
        ("keep-alive", "timeout=5"),
        ("proxy-authenticate", "Basic"),
        ("alt-svc", "h3=\":443\""),
        ("upgrade", "h2c"),
        ("x-kept", "yes"),
    ];
    stage.upstream.answer_once(Behaviour::with_headers(200, &headers, "ok"));
    let response = stage.spelled("GET /public/x", &[]).await;
    for name in ["x-hop", "keep-alive", "alt-svc", "upgrade"] {
        assert_eq!(response.header(name), None, "{name}");
    }
    assert_eq!(response.header("x-kept"), Some("yes"));
}

#[tokio::test]
async fn hd_21_conditions_and_ranges_do_not_change_a_refusal() {
    let stage = stage().await;
    let fields = [
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: document",
        "Range: bytes=0-1",
        "If-None-Match: *",
        "If-Modified-Since: Sat, 01 Jan 2028 00:00:00 GMT",
        "Content-Encoding: gzip",
    ];
    assert_eq!(stage.spelled("GET /x", &fields).await.status, 303);
    assert_eq!(stage.spelled("GET /x", &fields[2..]).await.status, 401);
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn answers_without_a_body_have_none() {
    let stage = stage().await;
    stage.upstream.answer_once(Behaviour::RawAndGoOn(
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\nETag: \"a\"\r\n\r\n".to_vec(),
    ));
    let mut connection = stage.connect().await;
    connection.send(head("GET /public/x HTTP/1.1", &[])).await;
    let response = connection.response().await.unwrap();
    assert_eq!((response.status, response.header("etag")), (304, Some("\"a\"")));
    // The connection is still in step.
    stage.upstream.answer_once(Behaviour::with_headers(200, &[("content-length", "4")], "body"));
    connection.send(head("HEAD /public/x HTTP/1.1", &[])).await;
    let response = connection.response_to_head().await.unwrap();
    assert_eq!((response.status, response.header("content-length")), (200, Some("4")));
    connection.send(head("GET /public/x HTTP/1.1", &[])).await;
    assert_eq!(connection.response().await.unwrap().text(), "upstream");
}
