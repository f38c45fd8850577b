//! What is too much is refused at once, before anything is decided or forwarded.

use crate::harness::gateway::Stage;
use crate::harness::spelled_out::{NAVIGATION, head};

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = "public = [\"/public/**\"]".to_owned()).await
}

#[tokio::test]
async fn a_target_over_the_limit_is_414() {
    let stage = stage().await;
    for target in [format!("/public/{}", "a".repeat(8 << 10)), format!("/public/x?{}", "a".repeat(8 << 10))] {
        let mut connection = stage.connect().await;
        connection.send(head(&format!("GET {target} HTTP/1.1"), &NAVIGATION)).await;
        let response = connection.response().await.unwrap();
        assert_eq!((response.status, response.header("connection")), (414, Some("close")));
        assert!(connection.is_closed().await);
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn a_method_longer_than_any_is_405_and_not_told_in_full() {
    let stage = stage().await;
    for (length, status) in [(32, 200), (33, 405), (60_000, 405)] {
        let method = "A".repeat(length);
        assert_eq!(stage.spelled(&format!("{method} /public/x"), &[]).await.status, status, "{length}");
        assert_eq!(stage.spelled(&format!("{method} /public/x"), &["Host: twice.example"]).await.status, 400);
    }
    assert_eq!(stage.upstream.hits(), 1);
    stage.gateway.everything_written();
    assert_eq!(stage.gateway.access_log.lines_with(&[&format!("\"{}\"", "A".repeat(32))]), 6);
}

#[tokio::test]
async fn hd_23_too_many_or_too_large_headers_are_431() {
    let stage = stage().await;
    let many: Vec<String> = (0..200).map(|number| format!("X-N{number}: a")).collect();
    let large = vec![format!("X-Large: {}", "a".repeat(17 << 10))];
    let spread: Vec<String> = (0..80).map(|number| format!("X-N{number}: {}", "a".repeat(800))).collect();
    let cookies = vec![format!("Cookie: a={}", "a".repeat(17 << 10))];
    for fields in [many, large, spread, cookies] {
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        let status = stage.status_of_bytes(head("GET /public/x HTTP/1.1", &fields)).await;
        assert_eq!(status, Some(431), "{} fields from {:.20}", fields.len(), fields[0]);
    }
    assert_eq!(stage.upstream.hits(), 0);
    let cookies = format!("Cookie: a={}", "a".repeat(15 << 10));
    assert_eq!(stage.spelled("GET /public/x", &[&cookies]).await.status, 200);
}

#[tokio::test]
async fn ck_07_a_strange_cookie_header_is_read_once_or_refused() {
    let stage = stage().await;
    let pairs = "a=b; ".repeat(3000);
    let strange =
        [pairs.as_str(), ";;;;;;;;", "novalue", "=", "\u{e9}\u{2028}", "a\tb=c", "__Host-Http-vestibule", ";"];
    for cookie in strange {
        let line = format!("Cookie: {cookie}");
        assert_eq!(stage.spelled("GET /x", &[&line]).await.status, 401, "{cookie:.20}");
        assert_eq!(stage.spelled("GET /public/x", &[&line]).await.status, 200, "{cookie:.20}");
    }
}

#[tokio::test]
async fn hp_11_what_is_no_http_1_1_is_refused_and_closed() {
    let stage = stage().await;
    for bytes in [
        "GET /public/x\r\n\r\n",
        "GET /public/x HTTP/1.2\r\nHost: app.example\r\n\r\n",
        "GET /public/x HTTP/2.0\r\nHost: app.example\r\n\r\n",
        "GET /public/x HTTP/1.1 \r\nHost: app.example\r\n\r\n",
        "GET  /public/x HTTP/1.1\r\nHost: app.example\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let status = stage.status_of_bytes(bytes).await;
        assert!(matches!(status, None | Some(400 | 405 | 505)), "{bytes:?}: {status:?}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}
