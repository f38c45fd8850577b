//! Public paths, paths of an API, and the three ways to treat who is not logged in.

use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;
use crate::harness::spelled_out::NAVIGATION;

async fn stage(upstream: &str) -> Stage {
    let upstream = format!("{upstream}\n[upstream.headers]\nx-user = \"{{claims.sub}}\"");
    Stage::with(|setup| setup.upstream = upstream).await
}

#[tokio::test]
async fn a_public_path_is_forwarded_without_identity_even_with_a_session() {
    let stage = stage("public = [\"GET /healthz\", \"/assets/**\", \"/users/*/photo\"]").await;
    for target in ["/healthz", "/assets", "/assets/a/b.css", "/users/7/photo"] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 200, "{target}");
    }
    for target in ["/", "/healthz/x", "/users/7/8/photo", "/users/photo", "/assetsx"] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &[]).await.status, 401, "{target}");
    }
    stage.log_in().await;
    let response = stage.spelled("GET /assets/a", &[&stage.cookie_line()]).await;
    assert_eq!((response.status, response.header("set-cookie")), (200, None));
    let received = stage.upstream.last();
    for name in ["x-user", "authorization", "cookie"] {
        assert_eq!(received.header(name), None, "{name}");
    }
    // Whatever the cookie is worth, nobody looks at it.
    let broken = stage.spelled("GET /assets/a", &["Cookie: __Host-Http-vestibule=broken"]).await;
    assert_eq!(broken.status, 200);
    assert_eq!(stage.gateway.log.lines_with(&["session.cookie-invalid"]), 0);
}

#[tokio::test]
async fn cs_09_a_preflight_passes_on_public_paths_alone() {
    let stage = stage("public = [\"/assets/**\"]").await;
    let preflight = ["Origin: https://other.example", "Access-Control-Request-Method: POST"];
    let protected = stage.spelled("OPTIONS /x", &preflight).await;
    assert_eq!(protected.status, 401);
    let public = stage.spelled("OPTIONS /assets/a", &preflight).await;
    assert_eq!(public.status, 200);
    for response in [protected, public] {
        assert!(response.headers.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control-")));
    }
    assert_eq!(stage.upstream.last().header("origin"), Some("https://other.example"));
}

#[tokio::test]
async fn a_webhook_posts_to_a_public_path_without_any_mark_of_a_browser() {
    let stage = stage("public = [\"POST /hooks/**\"]").await;
    assert_eq!(stage.spelled("POST /hooks/a", &["Content-Length: 0"]).await.status, 200);
    let foreign = ["Content-Length: 0", "Sec-Fetch-Site: cross-site", "Origin: https://idp.example"];
    assert_eq!(stage.spelled("POST /hooks/a", &foreign).await.status, 200);
    assert_eq!(stage.spelled("GET /hooks/a", &[]).await.status, 401);
}

#[tokio::test]
async fn the_paths_of_an_api_are_never_redirected() {
    let stage = stage("api = [\"/api/**\"]").await;
    let page = stage.browser.navigate_once(&stage.url("/api/things")).await;
    assert_eq!(page.status, 401);
    assert_eq!(page.header("content-type"), Some("application/problem+json"));
    assert_eq!((page.json()["code"].as_str(), page.set_cookies().len()), (Some("unauthenticated"), 0));
    assert_eq!(stage.browser.navigate_once(&stage.url("/page")).await.status, 303);
    stage.log_in().await;
    assert_eq!(stage.browser.fetch(&stage.url("/api/things")).await.status, 200);
    assert_eq!(stage.upstream.last().header("x-user"), Some("subject-of-alice"));
}

#[tokio::test]
async fn anonymous_login_sends_a_navigation_to_the_login() {
    let stage = stage("anonymous = \"login\"").await;
    assert_eq!(stage.spelled("GET /x", &NAVIGATION).await.status, 303);
    assert_eq!(stage.spelled("GET /x", &[]).await.status, 401);
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn anonymous_forward_gives_identity_where_there_is_one() {
    let stage = stage("anonymous = \"forward\"").await;
    for fields in [&NAVIGATION[..], &[], &["X-User: evil"], &["Cookie: __Host-Http-vestibule=broken"]] {
        assert_eq!(stage.spelled("GET /x", fields).await.status, 200, "{fields:?}");
        assert_eq!(stage.upstream.last().header("x-user"), None, "{fields:?}");
    }
    stage.browser.log_in(&stage.url("/oauth2/start?rd=/x"), "alice").await;
    assert_eq!(stage.upstream.last().header("x-user"), Some("subject-of-alice"));
    assert!(stage.upstream.last().header("authorization").unwrap().starts_with("Bearer "));
}

#[tokio::test]
async fn anonymous_deny_begins_no_login() {
    let stage = stage("anonymous = \"deny\"").await;
    let page = stage.browser.navigate_once(&stage.url("/x")).await;
    assert_eq!((page.status.as_u16(), page.set_cookies().len()), (401, 0));
    assert!(!page.text().contains("/oauth2/start"), "{}", page.text());
    let program = stage.browser.fetch(&stage.url("/x")).await;
    assert_eq!(program.json()["code"], "anonymous-denied");
    assert_eq!(program.json().get("login"), None);
    assert_eq!((stage.upstream.hits(), stage.provider.hits(Endpoint::Authorization)), (0, 0));
    // Whoever has logged in elsewhere on this host may pass.
    stage.browser.log_in(&stage.url("/oauth2/start?rd=/x"), "alice").await;
    assert_eq!(stage.upstream.last().header("x-user"), Some("subject-of-alice"));
}
