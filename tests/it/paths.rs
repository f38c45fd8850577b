//! The path that is matched is the path that is forwarded; what two servers could read differently goes nowhere.
//!
//! Everywhere here `/public/**` is public and all else needs a session.

use crate::harness::gateway::Stage;
use crate::harness::raw::ask;
use crate::harness::spelled_out::{NAVIGATION, head};

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = "public = [\"/public/**\", \"GET /once\"]".to_owned()).await
}

/// Each target is refused with 400, the connection closed, and nothing reaches the upstream.
async fn refused(targets: &[&str]) {
    let stage = stage().await;
    for target in targets {
        let mut connection = stage.connect().await;
        connection.send(head(&format!("GET {target} HTTP/1.1"), &[])).await;
        let response = connection.response().await.unwrap_or_else(|| panic!("no answer to {target}"));
        assert_eq!(response.status, 400, "{target}");
        assert!(connection.is_closed().await, "{target}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

/// Each target needs a session; with one it reaches the upstream as `forwarded`.
async fn protected(targets: &[(&str, &str)]) {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for (target, forwarded) in targets {
        let before = stage.upstream.hits();
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 401, "{target}");
        assert_eq!(stage.upstream.hits(), before, "{target}");
        assert_eq!(stage.spelled(&format!("GET {target}"), &[&cookie]).await.status, 200, "{target}");
        assert_eq!(stage.upstream.last().target, *forwarded, "{target}");
    }
}

#[tokio::test]
async fn pa_01_and_pa_03_dot_segments_are_refused_in_every_spelling() {
    refused(&[
        "/public/../admin",
        "/public/./../admin",
        "/./admin",
        "/public/%2e%2e/admin",
        "/public/%2E./admin",
        "/public/.%2e/admin",
        "/public/..%2fadmin",
        "/public/%5cadmin",
        "/public/a%2fb",
        "/a%2Fb",
        "//admin",
        "/public//a",
    ])
    .await;
    let stage = stage().await;
    assert_eq!(stage.spelled("GET /public/../admin", &[]).await.status, 400);
    assert_eq!(stage.gateway.log.lines_with(&["http.malformed", "path"]), 1);
}

#[tokio::test]
async fn pa_04_a_public_path_in_the_query_opens_nothing() {
    protected(&[
        ("/admin?x=/public/", "/admin?x=/public/"),
        ("/admin?/public/a", "/admin?/public/a"),
        ("/admin%3f/public/", "/admin%3F/public/"),
        ("/admin?/../public/", "/admin?/../public/"),
    ])
    .await;
}

#[tokio::test]
async fn pa_05_a_fragment_is_never_public() {
    protected(&[("/admin%23/public/", "/admin%23/public/")]).await;
    let stage = stage().await;
    // A raw `#` is either refused or ends the target, for the decision and for the upstream alike.
    for target in ["/admin#/public/", "/admin/x#/public/a"] {
        let status = stage.spelled(&format!("GET {target}"), &[]).await.status;
        assert!([400, 401].contains(&status), "{target}: {status}");
    }
    assert_eq!(stage.upstream.hits(), 0);
    let status = stage.spelled("GET /public/x#/../admin", &[]).await.status;
    match stage.upstream.requests().pop() {
        Some(received) => assert_eq!((status, received.target.as_str()), (200, "/public/x")),
        None => assert_eq!(status, 400),
    }
}

#[tokio::test]
async fn pa_06_backslashes_are_refused() {
    refused(&["/public\\..\\admin", "/public/..\\admin", "/public/%5C..%5Cadmin"]).await;
}

#[tokio::test]
async fn pa_07_and_pa_08_parameters_of_segments_are_refused() {
    refused(&[
        "/public/..;/admin",
        "/public;a=b/../admin",
        "/admin;x",
        "/public/..%3b/admin",
        "/public%3ba=b/../admin",
        "/admin%3Bx",
        "/public/a;b",
    ])
    .await;
}

#[tokio::test]
async fn pa_10_what_is_encoded_twice_is_never_decoded_again() {
    protected(&[("/%252e%252e%252fpublic/x", "/%252e%252e%252fpublic/x"), ("/%2570ublic/x", "/%2570ublic/x")]).await;
    let stage = stage().await;
    assert_eq!(stage.spelled("GET /public/%252e%252e%252fadmin", &[]).await.status, 200);
    assert_eq!(stage.upstream.last().target, "/public/%252e%252e%252fadmin");
}

#[tokio::test]
async fn pa_11_and_pa_13_borders_and_case_count() {
    protected(&[
        ("/publicX", "/publicX"),
        ("/public.admin", "/public.admin"),
        ("/PUBLIC/a", "/PUBLIC/a"),
        ("/Public", "/Public"),
        ("/admin/public/a", "/admin/public/a"),
    ])
    .await;
    refused(&["/public%2fx"]).await;
}

#[tokio::test]
async fn pa_15_one_form_is_matched_and_forwarded() {
    let stage = stage().await;
    for (target, forwarded) in [
        ("/public/%7Euser", "/public/~user"),
        ("/public/~user", "/public/~user"),
        ("/public/%c3%a9", "/public/%C3%A9"),
        ("/public/%C3%A9", "/public/%C3%A9"),
        ("/%70ublic/x?%7E=%c3", "/public/x?%7E=%c3"),
    ] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 200, "{target}");
        assert_eq!(stage.upstream.last().target, forwarded);
    }
}

#[tokio::test]
async fn pa_16_and_hp_10_a_target_and_its_host_agree() {
    let stage = stage().await;
    assert_eq!(stage.spelled("GET http://other.example/public/x", &[]).await.status, 400);
    assert_eq!(stage.spelled("GET http://app.example@evil/public/x", &[]).await.status, 400);
    for hosts in
        ["", "Host: app.example\r\nHost: app.example\r\n", "Host:\r\n", "Host: a b\r\n", "Host: app.example/\r\n"]
    {
        let status = stage.status_of_bytes(format!("GET /public/x HTTP/1.1\r\n{hosts}\r\n")).await;
        assert_eq!(status, Some(400), "{hosts:?}");
    }
    assert_eq!(stage.upstream.hits(), 0);
    assert_eq!(stage.spelled("GET http://app.example/public/x", &[]).await.status, 200);
    assert_eq!(stage.upstream.last().target, "/public/x");
    assert_eq!(stage.upstream.last().header("host"), Some("app.example"));
}

#[tokio::test]
async fn pa_17_a_public_rule_for_get_is_for_get_alone() {
    let stage = stage().await;
    assert_eq!(stage.spelled("GET /once", &[]).await.status, 200);
    for method in ["POST", "HEAD", "get", "PATCH", "FOO", "OPTIONS", "DELETE"] {
        let status = stage.spelled(&format!("{method} /once"), &["Content-Length: 0"]).await.status;
        assert!([401, 405].contains(&status), "{method}: {status}");
    }
    for target in ["/once/", "/once/x", "/Once"] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 401, "{target}");
    }
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn pa_20_probes_and_their_user_agents_are_nobody() {
    let stage = stage().await;
    for agent in ["GoogleHC/1.0", "kube-probe/1.30", "ELB-HealthChecker/2.0"] {
        for target in ["/admin", "/livez", "/readyz", "/healthz", "/metrics", "/ping"] {
            let agent = format!("User-Agent: {agent}");
            assert_eq!(stage.spelled(&format!("GET {target}"), &[&agent]).await.status, 401, "{target}");
        }
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn pa_21_our_own_paths_inside_a_request_have_no_effect() {
    let stage = stage().await;
    for target in [
        "/admin?rd=/oauth2/callback",
        "/admin/oauth2/start",
        "/admin?/oauth2/signed_out",
        "/oauth2x/start",
        "/OAUTH2/start",
        "/admin?error=access_denied",
    ] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 401, "{target}");
    }
    for target in ["/oauth2/public/x", "/oauth2/../public/x", "/oauth2/nothing", "/oauth2"] {
        let status = stage.spelled(&format!("GET {target}"), &NAVIGATION).await.status;
        assert!([400, 404].contains(&status), "{target}: {status}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn pa_22_long_paths_are_refused_at_once() {
    let stage = stage().await;
    let response = stage.spelled(&format!("GET /public/{}", "a".repeat(9 << 10)), &[]).await;
    assert_eq!(response.status, 414);
    let longest = (8 << 10) - "/public/".len();
    assert_eq!(stage.spelled(&format!("GET /public/{}", "a".repeat(longest)), &[]).await.status, 200);
    // Past the parser's own buffer there is no page.
    let endless = ask(stage.gateway.address, format!("GET /public/{}", "a".repeat(256 << 10))).await;
    assert!(endless.is_none_or(|response| matches!(response.status, 414 | 431)));
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn hp_14_hp_15_and_hd_19_connect_and_trace_go_nowhere() {
    let stage = stage().await;
    for request in ["CONNECT app.example:443", "TRACE /public/x", "TRACK /public/x", "CONNECT /public/x", "TRACE *"] {
        let mut connection = stage.connect().await;
        connection.send(head(&format!("{request} HTTP/1.1"), &["Max-Forwards: 0"])).await;
        let response = connection.response().await;
        let status = response.map(|response| response.status);
        assert!(matches!(status, Some(405 | 400)), "{request}: {status:?}");
        assert!(connection.is_closed().await, "{request}");
    }
    assert_eq!(stage.spelled("TRACE /public/x", &[]).await.status, 405);
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn hp_12_pipelined_requests_are_judged_one_by_one() {
    let stage = stage().await;
    stage.log_in().await;
    let before = stage.upstream.hits();
    let cookie = stage.cookie_line();
    let mut connection = stage.connect().await;
    let mut bytes = String::new();
    for number in 0..33 {
        bytes += &head(&format!("GET /admin/{number} HTTP/1.1"), &[]);
        bytes += &head(&format!("GET /public/{number} HTTP/1.1"), &[&cookie]);
        bytes += &head(&format!("GET /admin/{number} HTTP/1.1"), &[&cookie]);
    }
    connection.send(bytes).await;
    for number in 0..33 {
        let statuses = [
            connection.response().await.unwrap().status,
            connection.response().await.unwrap().status,
            connection.response().await.unwrap().status,
        ];
        assert_eq!(statuses, [401, 200, 200], "{number}");
    }
    let received = stage.upstream.requests();
    assert_eq!(stage.upstream.hits() - before, 66);
    for received in received.iter().skip(before) {
        let with_identity = received.header("authorization").is_some();
        assert_eq!(with_identity, received.target.starts_with("/admin/"), "{}", received.target);
    }
}
