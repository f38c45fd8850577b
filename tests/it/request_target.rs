//! Whom a request is for and what it asks for, said in two ways or in none: refused before anything is decided
//! (RFC 9112 §3.2).
//!
//! The upstream here is open to everybody, so that whatever is not refused reaches it.

use crate::harness::gateway::Stage;
use crate::harness::spelled_out::head;

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = "anonymous = \"forward\"".to_owned()).await
}

/// Each is answered with one of `statuses` or with nothing, the connection is closed, and the upstream hears nothing.
async fn refused(stage: &Stage, requests: impl IntoIterator<Item = Vec<u8>>, statuses: &[u16]) {
    for request in requests {
        let shown = request.escape_ascii().to_string();
        let mut connection = stage.connect().await;
        connection.send(request).await;
        let status = connection.response().await.map(|response| response.status);
        assert!(status.is_some_and(|status| statuses.contains(&status)), "{status:?} to {shown}");
        assert!(connection.is_closed().await, "open after {shown}");
        assert_eq!(stage.upstream.hits(), 0, "forwarded: {shown}");
    }
}

fn with_line(line: &str) -> Vec<u8> {
    head(&format!("{line} HTTP/1.1"), &[]).into_bytes()
}

fn with_host_lines(lines: &str) -> Vec<u8> {
    format!("GET /public/x HTTP/1.1\r\n{lines}\r\n").into_bytes()
}

#[tokio::test]
async fn pa_16_a_target_that_names_somebody_else_is_refused() {
    let stage = stage().await;
    let lines = [
        "GET http://other.example/public/x",
        "GET http://app.example.evil/public/x",
        "GET http://app.example:8443/public/x",
        "GET http://app.example:/public/x",
        "GET http://app.example:0/public/x",
        "GET http://a@app.example/public/x",
        "GET http://a:b@app.example/public/x",
        "GET http://@app.example/public/x",
        "GET http://app.example@evil.example/public/x",
        "GET http://evil.example\\@app.example/public/x",
        "GET http://app.example,evil.example/public/x",
        "GET http://app.example%2eevil/public/x",
        "GET ftp://app.example/public/x",
        "GET javascript://app.example/public/x",
        "GET http://",
        "GET http:///public/x",
        "GET http:/public/x",
        "GET http:public/x",
    ];
    refused(&stage, lines.map(with_line), &[400]).await;
}

#[tokio::test]
async fn pa_16_other_forms_of_target_are_for_other_methods() {
    let stage = stage().await;
    let lines = [
        "GET app.example",
        "GET app.example:443",
        "GET a@app.example",
        "GET app.example/public/x",
        "GET public/x",
        "GET ?/public/x",
        "GET #/public/x",
        "GET *",
        "GET */public/x",
        "OPTIONS *",
        "POST app.example:443",
    ];
    refused(&stage, lines.map(with_line), &[400]).await;
}

#[tokio::test]
async fn pa_16_an_absolute_target_of_our_own_is_as_good_as_its_path() {
    let stage = stage().await;
    for (target, forwarded) in [
        ("http://app.example/public/x?y", "/public/x?y"),
        ("https://app.example/public/x", "/public/x"),
        ("HTTP://APP.EXAMPLE:443/public/%78", "/public/x"),
        ("http://app.example", "/"),
        ("http://app.example?y", "/?y"),
    ] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 200, "{target}");
        let received = stage.upstream.last();
        assert_eq!((received.target.as_str(), received.all("host")), (forwarded, vec!["app.example"]), "{target}");
    }
    // The path within is held to the same rules.
    let before = stage.upstream.hits();
    for path in ["/public/../x", "/public//x", "/a%2fb", "/public/%2e%2e/x"] {
        assert_eq!(stage.spelled(&format!("GET http://app.example{path}"), &[]).await.status, 400, "{path}");
    }
    assert_eq!(stage.upstream.hits(), before);
}

#[tokio::test]
async fn hp_10_a_host_is_one_field_with_one_name() {
    let stage = stage().await;
    let lines = [
        "",
        "Host:\r\n",
        "Host: \t\r\n",
        "Host: app.example\r\nHost: app.example\r\n",
        "Host: app.example\r\nHost: evil.example\r\n",
        "Host: evil.example\r\nHost: app.example\r\n",
        "Host: app.example\r\nHost:\r\n",
        "Host: app.example\r\nhOST: app.example\r\n",
        "Host: app.example, evil.example\r\n",
        "Host: app.example,\r\n",
        "Host: app.example evil.example\r\n",
        "Host: app.example\tevil.example\r\n",
        "Host: a@app.example\r\n",
        "Host: app.example@evil.example\r\n",
        "Host: a:b@app.example\r\n",
        "Host: http://app.example\r\n",
        "Host: //app.example\r\n",
        "Host: app.example/\r\n",
        "Host: app.example/x\r\n",
        "Host: app.example\\x\r\n",
        "Host: app.example?x\r\n",
        "Host: app.example#x\r\n",
        "Host: app.example;x\r\n",
        "Host: app.example:\r\n",
        "Host: app.example:0\r\n",
        "Host: app.example:x\r\n",
        "Host: app.example:+443\r\n",
        "Host: app.example:443:443\r\n",
        "Host: app.example:65979\r\n",
        "Host: app.example..\r\n",
        "Host: .app.example\r\n",
        "Host: app..example\r\n",
        "Host: app.exam%70le\r\n",
        "Host: \u{e4}pp.example\r\n",
        "Host: \"app.example\"\r\n",
        "Host: [::1\r\n",
        "Host: [app.example]\r\n",
        "Host: *\r\n",
    ];
    refused(&stage, lines.map(with_host_lines), &[400]).await;
    // Each is looked for where it could be found, too: in a target that says the same.
    for lines in ["", "Host:\r\n", "Host: app.example\r\nHost: app.example\r\n", "Host: a@app.example\r\n"] {
        let bytes = format!("GET http://app.example/public/x HTTP/1.1\r\n{lines}\r\n");
        refused(&stage, [bytes.into_bytes()], &[400]).await;
    }
    for host in ["app.example:80", "app.example:8443", "127.0.0.1", "[::1]"] {
        let mut connection = stage.connect().await;
        connection.send(with_host_lines(&format!("Host: {host}\r\n"))).await;
        assert_eq!(connection.response().await.unwrap().status, 421, "{host}");
    }
    assert_eq!(stage.upstream.hits(), 0);
    let same = [
        "Host:app.example",
        "Host: APP.Example",
        "Host: app.example.",
        "Host: app.example.:443",
        "host:\tapp.example \t",
    ];
    for line in same {
        assert_eq!(stage.status_of_bytes(with_host_lines(&format!("{line}\r\n"))).await, Some(200), "{line}");
        assert_eq!(stage.upstream.last().all("host"), ["app.example"], "{line}");
    }
}

#[tokio::test]
async fn hp_14_and_hp_15_a_tunnel_is_nobodys() {
    let stage = stage().await;
    let targets = ["app.example:443", "app.example", "*", "/", "/public/x", "http://app.example/", "evil.example:443"];
    let lines = targets.iter().map(|target| with_line(&format!("CONNECT {target}")));
    refused(&stage, lines, &[400, 405]).await;
    let with_body = b"CONNECT app.example:443 HTTP/1.1\r\nHost: app.example\r\nContent-Length: 32\r\n\r\nGET /public/x HTTP/1.1\r\nHost: b\r\n".to_vec();
    refused(&stage, [with_body], &[400, 405]).await;
    for method in ["TRACE", "TRACK"] {
        refused(
            &stage,
            ["/public/x", "*", "http://app.example/"].map(|to| with_line(&format!("{method} {to}"))),
            &[400, 405],
        )
        .await;
    }
}

#[tokio::test]
async fn pa_17_a_method_is_an_upper_case_word() {
    let stage = stage().await;
    let methods = ["get", "Get", "gET", "connect", "trace", "post", "G\u{e9}T", "G(T", "G\0T", "[GET"];
    let requests = methods.map(|method| with_line(&format!("{method} /public/x")));
    refused(&stage, requests, &[400, 405]).await;
    for method in ["PROPFIND", "FOO", "M-SEARCH", "VERSION-CONTROL"] {
        assert_eq!(stage.spelled(&format!("{method} /public/x"), &["Content-Length: 0"]).await.status, 200, "{method}");
    }
}

#[tokio::test]
async fn hp_08_a_head_of_doubtful_form_is_refused() {
    let stage = stage().await;
    let fields: [&[u8]; 12] = [
        b" X-Folded: a",
        b"X: a\r\n folded",
        b"X: a\r\n\tfolded",
        b"X : a",
        b"X\t: a",
        b": a",
        b":",
        b"X",
        b"X: a\0b",
        b"X: a\rb",
        b"X: a\x0bb",
        b"X Y: a",
    ];
    for field in fields {
        for place in ["GET /public/x HTTP/1.1\r\nHost: app.example\r\n", "GET /public/x HTTP/1.1\r\n"] {
            let bytes = [place.as_bytes(), field, b"\r\nHost: app.example\r\n\r\n"].concat();
            let bytes = if place.contains("Host") { [place.as_bytes(), field, b"\r\n\r\n"].concat() } else { bytes };
            refused(&stage, [bytes], &[400]).await;
        }
    }
}

#[tokio::test]
async fn hp_09_bare_line_feeds_are_one_request_written_anew_or_none() {
    let stage = stage().await;
    let bytes = "GET /public/x HTTP/1.1\nHost: app.example\nX-A: b\n\n";
    if stage.status_of_bytes(bytes).await == Some(200) {
        assert_eq!(stage.upstream.hits(), 1);
        assert_eq!(stage.upstream.last().header("x-a"), Some("b"));
    } else {
        assert_eq!(stage.upstream.hits(), 0);
    }
}

#[tokio::test]
async fn hp_11_versions_and_request_lines_that_are_not_ours() {
    let stage = stage().await;
    for line in [
        "GET /public/x HTTP/1.1\t",
        "GET /public/x HTTP/1.10",
        "GET /public/x HTTP/01.1",
        "GET /public/x http/1.1",
        "GET /public/x HTTP/1.1 HTTP/1.1",
        "GET /public/x HTTP/0.9",
        "GET /public/x HTTP/3.0",
        "GET /public/x",
        "GET\t/public/x HTTP/1.1",
        " GET /public/x HTTP/1.1",
        "/public/x HTTP/1.1",
    ] {
        let status = stage.status_of_bytes(head(line, &[])).await;
        assert!(matches!(status, None | Some(400 | 505)), "{line:?}: {status:?}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn hp_16_connection_takes_no_framing_off() {
    let stage = stage().await;
    for option in ["host, content-length, transfer-encoding", "Content-Length", "close, keep-alive, host", "\u{ff}"] {
        let fields = format!("Connection: {option}\r\nContent-Length: 5\r\n");
        let bytes = format!("POST /public/x HTTP/1.1\r\nHost: app.example\r\n{fields}\r\nhello");
        assert_eq!(stage.status_of_bytes(bytes).await, Some(200), "{option}");
        let received = stage.upstream.last();
        assert_eq!((received.all("host"), &received.body[..]), (vec!["app.example"], &b"hello"[..]), "{option}");
        assert_eq!(received.all("content-length"), ["5"], "{option}");
    }
    let chunked = "POST /public/x HTTP/1.1\r\nHost: app.example\r\nConnection: transfer-encoding, x\r\n\
                   Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    assert_eq!(stage.status_of_bytes(chunked).await, Some(200));
    assert_eq!(&stage.upstream.last().body[..], b"hello");
    let before = stage.upstream.hits();
    let tokens = format!("Connection: {}", "a,".repeat(10_000));
    let status = stage.status_of_bytes(head("GET /public/x HTTP/1.1", &[&tokens])).await;
    assert_eq!((status, stage.upstream.hits()), (Some(431), before));
}
