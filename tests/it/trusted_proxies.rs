//! Where a request comes from: trusted proxies are believed about the address and the scheme, and about nothing else.

use crate::harness::gateway::Stage;
use crate::harness::spelled_out::NAVIGATION;

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]";

async fn stage(listen: &str) -> Stage {
    let listen = listen.to_owned();
    Stage::with(|setup| {
        setup.listen = listen;
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    })
    .await
}

#[tokio::test]
async fn hd_05_a_trusted_proxy_tells_the_address_and_nothing_else() {
    let stage = stage(TRUSTED).await;
    let answer = stage
        .spelled(
            "GET /public/a",
            &[
                "X-Forwarded-For: 203.0.113.66, 198.51.100.7, 10.9.9.9",
                "X-Forwarded-Host: evil.example",
                "X-Forwarded-Port: 8443",
                "X-Forwarded-Prefix: /evil",
                "X-Forwarded-Proto: https",
                "X-Forwarded-Uri: /evil",
                "X-Original-URL: /evil",
                "X-Real-IP: 203.0.113.66",
                "X-Request-Id: from-the-ingress.1",
            ],
        )
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-request-id"), Some("from-the-ingress.1"));
    let received = stage.upstream.last();
    assert_eq!(received.all("x-forwarded-for"), ["198.51.100.7, 10.9.9.9, 127.0.0.1"]);
    assert_eq!(
        received.all("forwarded"),
        ["for=198.51.100.7;host=app.example;proto=https, for=10.9.9.9, for=127.0.0.1"]
    );
    assert_eq!(received.header("x-forwarded-host"), Some("app.example"));
    assert_eq!(received.header("x-forwarded-port"), Some("443"));
    assert_eq!(received.header("x-request-id"), Some("from-the-ingress.1"));
    for name in ["x-forwarded-prefix", "x-forwarded-uri", "x-original-url", "x-real-ip"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    stage.gateway.everything_written();
    assert_eq!(stage.gateway.access_log.lines_with(&["\"peer\":\"198.51.100.7\"", "from-the-ingress.1"]), 1);
}

#[tokio::test]
async fn hd_05_a_stranger_tells_nothing() {
    for listen in ["", "trusted_proxies = [\"10.0.0.0/8\", \"unix\"]"] {
        let stage = stage(listen).await;
        let fields = ["X-Forwarded-For: 198.51.100.7", "Forwarded: for=198.51.100.7", "X-Request-Id: mine"];
        let answer = stage.spelled("GET /public/a", &fields).await;
        assert_ne!(answer.header("x-request-id"), Some("mine"));
        let received = stage.upstream.last();
        assert_eq!(received.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(received.all("forwarded"), ["for=127.0.0.1;host=app.example;proto=https"]);
    }
}

#[tokio::test]
async fn hd_07_an_address_that_is_none_leaves_that_of_the_proxy() {
    let stage = stage(TRUSTED).await;
    for list in ["a", "1.2.3.4:port", "[::1%25lo]", "198.51.100.7,", "unknown"] {
        let field = format!("X-Forwarded-For: {list}");
        assert_eq!(stage.spelled("GET /public/a", &[&field]).await.status, 200, "{list}");
        assert_eq!(stage.upstream.last().all("x-forwarded-for"), ["127.0.0.1"], "{list}");
        // And the path that needs a login needs it still.
        assert_eq!(stage.spelled("GET /private", &[&field]).await.status, 401, "{list}");
    }
    let field = format!("X-Forwarded-For: {}", vec!["10.0.0.1"; 10_000].join(","));
    assert_eq!(stage.spelled("GET /public/a", &[&field]).await.status, 431);
}

#[tokio::test]
async fn a_request_id_is_kept_only_if_it_is_harmless() {
    let stage = stage(TRUSTED).await;
    let long = "x".repeat(65);
    for id in ["a b", "\"", "é", &long, ""] {
        let answer = stage.spelled("GET /public/a", &[&format!("X-Request-Id: {id}")]).await;
        assert_eq!(answer.header("x-request-id").map(str::len), Some(32), "{id:?}");
    }
    let answer = stage.spelled("GET /public/a", &["X-Request-Id: one", "X-Request-Id: two"]).await;
    assert_eq!(answer.header("x-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn cb_21_plain_http_that_a_trusted_proxy_tells_of_is_sent_to_https() {
    let stage = stage(TRUSTED).await;
    for told in ["X-Forwarded-Proto: http", "Forwarded: for=198.51.100.7;proto=http"] {
        let hits = stage.upstream.hits();
        for method in ["GET", "HEAD"] {
            for target in ["/public/a?x=%2F", "/private", "/oauth2/start?rd=/a"] {
                let answer = stage.spelled(&format!("{method} {target}"), &[told, NAVIGATION[0], NAVIGATION[1]]).await;
                assert_eq!(answer.status, 308, "{method} {target}");
                let there = format!("https://app.example{target}");
                assert_eq!(answer.header("location"), Some(there.as_str()));
                assert!(answer.all("set-cookie").is_empty());
            }
        }
        let answer = stage.spelled("POST /public/a", &[told, "Content-Length: 0"]).await;
        assert_eq!((answer.status, answer.header("location")), (400, None));
        assert!(answer.text().contains("insecure-transport"), "{}", answer.text());
        assert_eq!(stage.upstream.hits(), hits);
    }
}

#[tokio::test]
async fn cb_21_plain_http_on_the_wire_logs_in_whatever_a_stranger_says() {
    let stage = stage("").await;
    for told in ["X-Forwarded-Proto: http", "Forwarded: proto=http", "X-Forwarded-Proto: https"] {
        let answer = stage.spelled("GET /private", &[told, NAVIGATION[0], NAVIGATION[1]]).await;
        assert_eq!(answer.status, 303, "{told}");
        assert!(answer.all("set-cookie")[0].contains("; Secure"));
    }
    stage.log_in().await;
}

#[tokio::test]
async fn a_trusted_proxy_that_says_https_changes_nothing() {
    let stage = stage(TRUSTED).await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let answer = stage.spelled("GET /private", &[&cookie, "X-Forwarded-Proto: https"]).await;
    assert_eq!(answer.status, 200);
}
