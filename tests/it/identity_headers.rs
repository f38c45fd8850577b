//! Who somebody is and where a request came from is said by the gateway alone.

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;
use crate::harness::received::Received;
use crate::harness::spelled_out::head;
use serde_json::json;
use vestibule::upstream::managed::{FIXED_NAMES, FIXED_PREFIXES};

const HEADERS: &str = "public = [\"/public/**\"]\n[upstream.headers]\nx-forwarded-user = \"{claims.sub}\"\n\
                       x-auth-email = \"{claims.email}\"\nx-team = \"{claims.department}\"\n\
                       x-request-host = \"{request.host}\"\nx-told-id = \"{request.id}\"";

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = HEADERS.to_owned()).await
}

/// Names under which the gateway itself tells the upstream something.
const OURS: [&str; 11] = [
    "authorization",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-user",
    "x-auth-email",
    "x-request-id",
    "x-request-host",
    "x-told-id",
];

/// No value of the upstream's head holds the mark.
fn unmarked(received: &Received, why: &str) {
    let head = String::from_utf8_lossy(&received.head).into_owned();
    assert!(!head.contains("mark-evil"), "{why}: {head}");
}

fn folded(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}

#[tokio::test]
async fn hd_01_and_hd_03_no_managed_name_comes_through_in_any_spelling() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let prefixed = FIXED_PREFIXES.iter().map(|prefix| format!("{prefix}user"));
    let configured = ["x-team", "x-auth-email", "x-forwarded-user"].map(str::to_owned);
    let names: Vec<String> =
        FIXED_NAMES.iter().map(|name| (*name).to_owned()).chain(prefixed).chain(configured).collect();
    for names in names.chunks(8) {
        let mut fields = vec![cookie.clone()];
        for name in names.iter().filter(|name| *name != "authorization") {
            let mixed: String =
                name.chars().enumerate().map(|(at, c)| if at % 2 == 0 { c.to_ascii_uppercase() } else { c }).collect();
            for spelled in [
                name.clone(),
                name.to_ascii_uppercase(),
                mixed,
                name.replace('-', "_"),
                name.replacen('-', "_", 1),
                name.replace('-', "."),
            ] {
                fields.push(format!("{spelled}: mark-evil"));
            }
        }
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        for target in ["/x", "/public/x"] {
            assert_eq!(stage.spelled(&format!("GET {target}"), &fields).await.status, 200, "{names:?}");
            unmarked(&stage.upstream.last(), target);
        }
    }
    let received = stage.upstream.requests().into_iter().rev().find(|received| received.target == "/x").unwrap();
    assert_eq!(received.header("x-forwarded-user"), Some("subject-of-alice"));
    assert_eq!(received.header("x-auth-email"), Some("alice@example.com"));
    assert!(received.header("authorization").unwrap().starts_with("Bearer "));
}

#[tokio::test]
async fn hd_02_nothing_that_survives_folds_to_a_managed_name() {
    let stage = stage().await;
    let managed: Vec<String> = FIXED_NAMES.iter().map(|name| folded(name)).collect();
    let mut fields = vec!["X-Ordinary: kept".to_owned(), "Accept-Language: de".to_owned()];
    for substitute in ["_", ".", "!", "~", "+", "^", "'"] {
        for name in ["X-Forwarded-For", "Authorization-", "X-Request-Id", "Remote-User", "X-Auth-User"] {
            fields.push(format!("{}: mark-evil", name.replace('-', substitute)));
        }
    }
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_eq!(stage.spelled("GET /public/x", &fields).await.status, 200);
    let received = stage.upstream.last();
    assert_eq!(received.header("x-ordinary"), Some("kept"));
    for (name, _) in &received.headers {
        let ours = OURS.contains(&name.to_ascii_lowercase().as_str());
        assert!(ours || !managed.contains(&folded(name)), "{name}");
    }
    unmarked(&received, "substitutes");
}

#[tokio::test]
async fn hd_05_what_a_peer_says_about_the_way_is_not_believed() {
    let stage = stage().await;
    let names = [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Uri",
        "X-Forwarded-Method",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
        "X-Forwarded-User",
        "X-Forwarded-Email",
        "X-Forwarded-Groups",
        "X-Forwarded-Client-Cert",
        "X-Original-URI",
        "X-Original-URL",
        "X-Original-Host",
        "X-Rewrite-URL",
        "X-Envoy-External-Address",
        "X-Envoy-Original-Path",
        "CF-Connecting-IP",
        "CF-IPCountry",
        "True-Client-IP",
        "X-Real-IP",
        "X-HTTP-Method-Override",
        "Forwarded",
    ];
    let fields: Vec<String> = names.iter().map(|name| format!("{name}: mark-evil")).collect();
    let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
    assert_eq!(stage.spelled("GET /public/x", &fields).await.status, 200);
    let received = stage.upstream.last();
    unmarked(&received, "the way");
    assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(received.header("x-forwarded-host"), Some("app.example"));
    assert_eq!(received.header("x-forwarded-proto"), Some("https"));
    assert_eq!(received.header("x-forwarded-port"), Some("443"));
    assert_eq!(received.header("forwarded"), Some("for=127.0.0.1;host=app.example;proto=https"));
    for name in ["x-forwarded-prefix", "x-forwarded-uri", "x-original-url", "x-real-ip", "x-forwarded-user"] {
        assert_eq!(received.header(name), None, "{name}");
    }
}

#[tokio::test]
async fn hd_06_connection_takes_nothing_of_ours_off() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for connection in [
        &["Connection: x-forwarded-user, authorization, cookie, x-forwarded-for, host"][..],
        &["Connection: X-Forwarded-User ,\tAUTHORIZATION", "connection: X-Forwarded-For,,x-auth-email"],
        &["Connection: keep-alive, x-forwarded-user,x-request-id,forwarded,via"],
    ] {
        let mut fields = vec![cookie.as_str(), "X-Forwarded-User: mark-evil", "X-Hop: gone"];
        fields.extend(connection);
        assert_eq!(stage.spelled("GET /x", &fields).await.status, 200, "{connection:?}");
        let received = stage.upstream.last();
        assert_eq!(received.header("x-forwarded-user"), Some("subject-of-alice"), "{connection:?}");
        assert!(received.header("authorization").unwrap().starts_with("Bearer "));
        assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
        assert_eq!(received.header("host"), Some("app.example"));
        assert!(received.header("x-request-id").is_some());
    }
    let named = stage.spelled("GET /x", &[&cookie, "Connection: x-hop", "X-Hop: gone"]).await;
    assert_eq!((named.status, stage.upstream.last().header("x-hop")), (200, None));
}

#[tokio::test]
async fn hd_06_bytes_outside_ascii_in_connection_change_nothing() {
    let stage = stage().await;
    stage.log_in().await;
    for connection in
        [&b"x-forwarded-user\xff, x-forwarded-for"[..], b"\xe2\x80\xa8authorization", b"x-forwarded-user,\xa0cookie"]
    {
        let before = stage.upstream.hits();
        let mut request =
            format!("GET /x HTTP/1.1\r\nHost: app.example\r\n{}\r\nConnection: ", stage.cookie_line()).into_bytes();
        request.extend_from_slice(connection);
        request.extend_from_slice(b"\r\nX-Forwarded-User: mark-evil\r\n\r\n");
        match stage.status_of_bytes(request).await {
            Some(200) => {
                let received = stage.upstream.last();
                unmarked(&received, "obs-text");
                assert_eq!(received.header("x-forwarded-user"), Some("subject-of-alice"));
                assert!(received.header("authorization").unwrap().starts_with("Bearer "));
                assert_eq!(received.header("x-forwarded-for"), Some("127.0.0.1"));
            }
            status => assert_eq!((status, stage.upstream.hits()), (Some(400), before), "{connection:?}"),
        }
    }
}

#[tokio::test]
async fn hd_07_whatever_a_stranger_says_in_x_forwarded_for_the_peer_is_the_peer() {
    let stage = stage().await;
    let many = vec!["10.0.0.1"; 1_000].join(",");
    for said in ["a", "::ffff:1.2.3.4", "1.2.3.4:80", "[::1%25lo]", "127.0.0.1", ", ,", "unknown", many.as_str()] {
        let field = format!("X-Forwarded-For: {said}");
        assert_eq!(
            stage.spelled("GET /public/x", &[&field, &field]).await.status,
            if said == many { 431 } else { 200 }
        );
        assert_eq!(stage.upstream.last().header("x-forwarded-for"), Some("127.0.0.1"), "{said}");
        assert_eq!(stage.upstream.last().header("forwarded"), Some("for=127.0.0.1;host=app.example;proto=https"));
    }
    let endless = vec!["10.0.0.1"; 10_000].join(",");
    let hits = stage.upstream.hits();
    assert_eq!(stage.spelled("GET /public/x", &[&format!("X-Forwarded-For: {endless}")]).await.status, 431);
    assert_eq!(stage.upstream.hits(), hits);
}

#[tokio::test]
async fn hd_08_a_claim_that_is_missing_leaves_no_header_for_the_client_to_fill() {
    let stage = stage().await;
    stage.provider.omit(Endpoint::Userinfo, "email");
    stage.provider.alter_claims(|claims| {
        claims.as_object_mut().unwrap().remove("email");
    });
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let fields = [cookie.as_str(), "X-Auth-Email: mark-evil@example.com", "X-Team: mark-evil"];
    assert_eq!(stage.spelled("GET /x", &fields).await.status, 200);
    let received = stage.upstream.last();
    assert_eq!((received.header("x-auth-email"), received.header("x-team")), (None, None));
    unmarked(&received, "missing claims");
}

#[tokio::test]
async fn hd_09_every_kind_of_request_is_stripped_alike() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let evil = ["X-Forwarded-User: mark-evil", "X_Auth_User: mark-evil", "X-Forwarded-For: mark-evil"];
    for status in [200, 404, 500] {
        stage.upstream.answer(move |_| Behaviour::text(status, "as told"));
        for request in ["GET /public/x", "OPTIONS /public/x", "HEAD /public/x", "POST /public/x", "GET /public/healthz"]
        {
            let mut fields = evil.to_vec();
            fields.push("Content-Length: 0");
            assert_eq!(stage.spelled(request, &fields).await.status, status, "{request}");
            unmarked(&stage.upstream.last(), request);
            assert_eq!(stage.upstream.last().header("x-forwarded-user"), None);
        }
        for request in ["GET /x", "OPTIONS /x", "HEAD /x", "POST /x"] {
            let mut fields = evil.to_vec();
            fields.extend([cookie.as_str(), "Content-Length: 0", "Origin: https://app.example"]);
            assert_eq!(stage.spelled(request, &fields).await.status, status, "{request}");
            unmarked(&stage.upstream.last(), request);
            assert_eq!(stage.upstream.last().header("x-forwarded-user"), Some("subject-of-alice"));
        }
    }
}

#[tokio::test]
async fn hd_10_and_hd_18_proxy_goes_and_te_is_trailers_or_nothing() {
    let stage = stage().await;
    let fields = [
        "Proxy: evil",
        "TE: trailers, gzip;q=0.5",
        "Connection: TE",
        "Proxy-Connection: keep-alive",
        "Keep-Alive: timeout=5",
    ];
    assert_eq!(stage.spelled("GET /public/x", &fields).await.status, 200);
    let received = stage.upstream.last();
    for name in ["proxy", "proxy-connection", "keep-alive", "proxy-authorization"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    assert_eq!(received.header("te"), Some("trailers"));
    assert_eq!(stage.spelled("GET /public/x", &["TE: gzip", "Connection: TE"]).await.status, 200);
    assert_eq!(stage.upstream.last().header("te"), None);
}

#[tokio::test]
async fn hd_11_a_claim_that_cannot_be_a_header_is_502_and_never_split() {
    let long = "x".repeat(9 << 10);
    for value in ["a\r\nX-Admin: 1", "a\nb", "nul\u{0}", "Zoë", " admin", long.as_str()] {
        let stage = stage().await;
        let value = value.to_owned();
        stage.provider.alter_claims(move |claims| claims["department"] = json!(value));
        stage.browser.log_in(&stage.url("/"), "alice").await;
        let response = stage.spelled("GET /x", &[&stage.cookie_line()]).await;
        assert_eq!(response.status, 502);
        assert!(response.text().contains("claim-not-a-header"), "{}", response.text());
        assert_eq!(stage.upstream.hits(), 0);
    }
}

#[tokio::test]
async fn hd_13_hd_14_and_hd_15_the_callers_own_authorization_does_not_count() {
    let stage = stage().await;
    let own = "Authorization: Bearer mark-evil";
    assert_eq!(stage.spelled("GET /x", &[own]).await.status, 401);
    // Who brings credentials is a program: no login is begun for it.
    let response = stage.spelled("GET /x", &[own, "Accept: text/html"]).await;
    assert_eq!((response.status, response.header("set-cookie")), (401, None));
    assert_eq!(stage.upstream.hits(), 0);
    assert_eq!(stage.spelled("GET /public/x", &[own]).await.status, 200);
    assert_eq!(stage.upstream.last().header("authorization"), None);
    stage.log_in().await;
    let cookie = stage.cookie_line();
    assert_eq!(stage.spelled("GET /x", &[&cookie, own]).await.status, 200);
    unmarked(&stage.upstream.last(), "authorization");
    assert!(stage.upstream.last().header("authorization").unwrap().starts_with("Bearer "));
    let hits = stage.upstream.hits();
    for fields in
        [&["Authorization: bearer\tX"][..], &[own, own], &["Authorization: Basic a", "authorization: Bearer b"]]
    {
        for target in ["/x", "/public/x"] {
            let mut fields = fields.to_vec();
            fields.push(&cookie);
            assert_eq!(stage.spelled(&format!("GET {target}"), &fields).await.status, 400, "{fields:?}");
        }
    }
    assert_eq!(stage.upstream.hits(), hits);
}

#[tokio::test]
async fn hd_16_managed_names_do_not_come_by_trailers() {
    let stage = stage().await;
    let mut connection = stage.connect().await;
    let fields = ["Transfer-Encoding: chunked", "Trailer: X-Sum, X-Forwarded-User, X_Auth_User"];
    connection.send(head("POST /public/x HTTP/1.1", &fields)).await;
    let trailers = "X-Sum: 7\r\nX-Forwarded-User: mark-evil\r\nX_Auth_User: mark-evil\r\nCookie: mark-evil\r\n";
    connection.send(format!("3\r\nabc\r\n0\r\n{trailers}\r\n")).await;
    assert_eq!(connection.response().await.unwrap().status, 200);
    let received = stage.upstream.last();
    assert_eq!(received.body, b"abc");
    assert_eq!(received.trailer("x-sum"), Some("7"));
    assert_eq!(received.trailers.len(), 1, "{:?}", received.trailers);
}

#[tokio::test]
async fn hd_20_a_request_that_comes_back_is_508() {
    let stage = stage().await;
    assert_eq!(stage.spelled("GET /public/x", &["Via: 1.1 somebody"]).await.status, 200);
    let via = stage.upstream.last().all("via").join(", ");
    assert!(via.starts_with("1.1 somebody, 1.1 vestibule-"), "{via}");
    let response = stage.spelled("GET /public/x", &[&format!("Via: {via}")]).await;
    assert_eq!(response.status, 508);
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn hd_24_a_head_too_large_for_the_upstream_is_502() {
    let stage = stage().await;
    stage.log_in().await;
    stage.upstream.answer(|_| Behaviour::status(431));
    let response = stage.spelled("GET /x", &[&stage.cookie_line()]).await;
    assert_eq!(response.status, 502);
    assert!(response.text().contains("upstream-headers-too-large"), "{}", response.text());
    assert_eq!(stage.upstream.hits(), 2, "the login's and this one: nothing is tried again");
    let metrics = stage.gateway.metrics_page().await;
    assert!(metrics.contains("vestibule_refusals_total{code=\"upstream-headers-too-large\"} 1"), "{metrics}");
    // Without identity nothing was added, so the upstream's own answer stands.
    assert_eq!(stage.spelled("GET /public/x", &[]).await.status, 431);
}

#[tokio::test]
async fn templates_say_what_they_are_told() {
    let stage = stage().await;
    stage.log_in().await;
    let response = stage.spelled("GET /x", &[&stage.cookie_line()]).await;
    let received = stage.upstream.last();
    assert_eq!(received.header("x-request-host"), Some("app.example"));
    assert_eq!(received.header("x-told-id"), response.header("x-request-id"));
    assert_eq!(received.header("x-request-id"), response.header("x-request-id"));
    assert_eq!(received.header("x-team"), None);
}
