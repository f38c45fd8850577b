//! The form of a refusal: a redirect, a page or a problem, for whoever waits, and what every answer carries.

use std::time::Duration;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::Stage;
use crate::harness::page::Page;
use crate::harness::patiently;
use crate::harness::provider::Endpoint;
use crate::harness::spelled_out::{NAVIGATION, head};

const LOGIN: &str = "https://app.example/oauth2/start?rd=%2Fdeep%3Fa%3Db";

fn is_page(page: &Page) {
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'"));
    assert!(page.text().contains(page.header("x-request-id").unwrap()), "{}", page.text());
    assert!(!page.text().contains("<script"), "{}", page.text());
}

#[tokio::test]
async fn a_navigation_is_sent_to_the_login_by_303() {
    let stage = Stage::set().await;
    for method in ["GET", "HEAD"] {
        let asked = Asked::new(Kind::Navigation).typed().once().method(method);
        let page = stage.gateway.browser().ask(&stage.url("/deep?a=b"), asked).await;
        assert_eq!(page.status, 303, "{method}");
        assert!(page.header("location").unwrap().starts_with(stage.provider.issuer()));
        assert_eq!(page.set_cookies().len(), 1);
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    }
    assert_eq!(stage.spelled("GET /x", &["Accept: text/html,*/*;q=0.8"]).await.status, 303);
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn a_frame_gets_a_page_with_a_link_for_the_whole_window() {
    let stage = Stage::set().await;
    let page = stage.browser.frame(&stage.url("/deep?a=b")).await;
    assert_eq!((page.status.as_u16(), page.set_cookies().len()), (401, 0));
    is_page(&page);
    assert!(page.text().contains("target=\"_top\""), "{}", page.text());
    assert!(page.links().iter().any(|(href, _)| href == "/oauth2/start?rd=%2Fdeep%3Fa%3Db"), "{:?}", page.links());
}

#[tokio::test]
async fn ru_19_a_form_is_told_that_it_was_not_sent() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let hits = stage.upstream.hits();
    stage.browser.jar().plant("app.example", "__Host-Http-vestibule", "gone");
    let page = stage.browser.post_form("/comments?on=7", &[("text", "<b>hello</b> & more"), ("tag", "a'b\"c")]).await;
    assert_eq!((page.status.as_u16(), page.set_cookies().len(), page.header("location")), (401, 0, None));
    is_page(&page);
    assert_eq!(stage.upstream.hits(), hits);
    assert!(!page.text().contains("<b>hello"), "{}", page.text());
    // "Send again" posts what was entered, once the person has logged in in another tab.
    let form = page.forms().into_iter().next().unwrap();
    assert_eq!((form.method.as_str(), form.action.as_deref()), ("post", Some("/comments?on=7")));
    stage.browser.clone().navigate(&stage.url("/")).await;
    assert_eq!(stage.browser.submit(&form, None).await.status, 200);
    let received = stage.upstream.last();
    assert_eq!((received.method.as_str(), received.target.as_str()), ("POST", "/comments?on=7"));
    assert_eq!(received.form_value("text").as_deref(), Some("<b>hello</b> & more"));
    assert_eq!(received.form_value("tag").as_deref(), Some("a'b\"c"));
    // Nothing of a form that another site has made, that is no urlencoded form, or that is too long.
    let stranger = ["Accept: text/html", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document"];
    let urlencoded = "Content-Type: application/x-www-form-urlencoded";
    let long = format!("text=mark-kept{}", "x".repeat(65 << 10));
    for (site, content_type, body) in [
        ("cross-site", urlencoded, "text=mark-kept"),
        ("same-site", urlencoded, "text=mark-kept"),
        ("same-origin", "Content-Type: text/plain", "text=mark-kept"),
        ("same-origin", urlencoded, long.as_str()),
    ] {
        let (site, length) = (format!("Sec-Fetch-Site: {site}"), format!("Content-Length: {}", body.len()));
        let mut fields = stranger.to_vec();
        fields.extend([site.as_str(), content_type, &length]);
        let mut connection = stage.connect().await;
        connection.send(head("POST /comments HTTP/1.1", &fields) + body).await;
        let response = connection.response().await.unwrap();
        assert_eq!(response.status, 401, "{site} {content_type}");
        assert!(!response.text().contains("mark-kept"), "{site} {content_type}");
    }
}

#[tokio::test]
async fn ru_19_a_kept_form_goes_back_to_the_very_address_it_was_posted_to() {
    let stage = Stage::with(|setup| setup.upstream = "path = \"/wiki\"".to_owned()).await;
    stage.browser.navigate(&stage.url("/wiki/edit")).await;
    let post = async |target: &str, body: &str| {
        let length = format!("Content-Length: {}", body.len());
        let fields = [
            "Content-Type: application/x-www-form-urlencoded; charset=UTF-8",
            "Sec-Fetch-Site: same-origin",
            "Sec-Fetch-Mode: navigate",
            "Sec-Fetch-Dest: document",
            &length,
        ];
        let mut connection = stage.connect().await;
        connection.send(head(&format!("POST {target} HTTP/1.1"), &fields) + body).await;
        connection.response().await.unwrap().text()
    };
    let page = post("/wiki/a?b=1&c='d'&e=%22", "text=kept").await;
    assert!(page.contains("action=\"/wiki/a?b=1&#38;c=&#39;d&#39;&#38;e=%22\"") && page.contains("kept"), "{page}");
    // The login comes back to the application: nothing lies at `/` here.
    assert!(page.contains("/oauth2/start?rd=%2Fwiki\""), "{page}");
    let page = post("/wiki/a?b=\\c", "text=kept").await;
    assert!(page.contains("action=\"/wiki/a?b=%5Cc\"") && page.contains("kept"), "{page}");
    // What no page can hold is not kept half.
    for body in ["text=kept&more=a%00b", "text=kept&more=%E9", "text=kept&%FF=a"] {
        let page = post("/wiki/a", body).await;
        assert!(!page.contains("<form") && !page.contains("kept"), "{body}: {page}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn a_form_is_kept_while_a_login_cannot_be_renewed_or_checked() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.provider.instead(Endpoint::Token, |_| Behaviour::status(503));
    stage.gateway.clock.advance(Duration::from_secs(61));
    let page = stage.browser.post_form("/comments", &[("text", "<b>kept</b>")]).await;
    assert_eq!((page.status.as_u16(), page.header("referrer-policy")), (503, Some("same-origin")));
    is_page(&page);
    assert!(page.header("retry-after").is_some() && !page.text().contains("/oauth2/start"), "{}", page.text());
    let form = page.forms().into_iter().next().unwrap();
    stage.provider.restore(Endpoint::Token);
    // The gateway asks the provider again once its pause is over.
    stage.gateway.clock.advance(Duration::from_secs(31));
    patiently("the renewed login", async {
        while stage.browser.fetch("/").await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(stage.browser.submit(&form, None).await.status, 200);
    assert_eq!(stage.upstream.last().form_value("text").as_deref(), Some("<b>kept</b>"));
}

#[tokio::test]
async fn everything_else_gets_a_problem_that_says_where_the_login_is() {
    let stage = Stage::set().await;
    let url = stage.url("/deep?a=b");
    let fetched = stage.browser.fetch(&url).await;
    let image = stage.browser.image(&url).await;
    let prefetched = stage.browser.prefetch(&url).await;
    for page in [&fetched, &image, &prefetched] {
        assert_eq!((page.status.as_u16(), page.set_cookies().len()), (401, 0));
        assert_eq!(page.header("content-type"), Some("application/problem+json"));
        assert_eq!(page.header("www-authenticate"), Some("Bearer realm=\"app.example\""));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let problem = page.json();
        assert_eq!((problem["status"].as_u64(), problem["code"].as_str()), (Some(401), Some("unauthenticated")));
        assert_eq!(problem["login"], LOGIN);
        assert_eq!(problem["request_id"].as_str(), page.header("x-request-id"));
        assert!(problem["title"].is_string());
    }
    for fields in [&["Accept: text/html", "X-Requested-With: XMLHttpRequest"][..], &["Accept: */*"], &[]] {
        assert_eq!(stage.spelled("GET /x", fields).await.status, 401, "{fields:?}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn st_12_a_page_full_of_requests_begins_no_login() {
    let stage = Stage::set().await;
    for number in 0..50 {
        for request in ["GET /api", "GET /favicon.ico", "OPTIONS /api", "POST /api"] {
            let response =
                stage.spelled(&format!("{request}?{number}"), &["Content-Length: 0", "Sec-Fetch-Mode: cors"]).await;
            assert_eq!((response.status, response.header("set-cookie")), (401, None), "{request}");
        }
    }
    assert_eq!(stage.gateway.log.lines_with(&["login.started"]), 0);
}

#[tokio::test]
async fn a_403_names_the_account_and_offers_another() {
    let stage =
        Stage::with(|setup| setup.upstream = "access = { claim = \"groups\", contains = \"admins\" }".to_owned()).await;
    let page = stage.browser.log_in(&stage.url("/deep?a=b"), "bob").await;
    assert_eq!(page.status, 403);
    is_page(&page);
    assert!(page.text().contains("bob"), "{}", page.text());
    let sign_out = page.links().into_iter().map(|(href, _)| href).find(|href| href.starts_with("/oauth2/sign_out"));
    assert_eq!(sign_out.as_deref(), Some("/oauth2/sign_out?rd=%2Fdeep%3Fa%3Db"));
    let problem = stage.browser.fetch("/deep").await;
    assert_eq!((problem.status.as_u16(), problem.json()["code"].as_str()), (403, Some("forbidden")));
    assert!(!problem.text().contains("bob"), "a program need not know: {}", problem.text());
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn every_answer_has_a_request_id_and_no_refusal_to_head_has_a_body() {
    let stage = Stage::set().await;
    let mut ids = Vec::new();
    for (request, fields, status) in [
        ("GET /x", &[][..], 401),
        ("GET /x", &NAVIGATION, 303),
        ("GET /../x", &[], 400),
        ("TRACE /x", &[], 405),
        ("GET /oauth2/nothing", &[], 404),
        ("PUT /oauth2/start", &["Content-Length: 0"], 405),
        ("GET /x", &["Upgrade: h2c", "Connection: Upgrade"], 400),
        ("GET /oauth2/signed_out", &[], 200),
    ] {
        let mut own = fields.to_vec();
        own.push("X-Request-Id: mark-of-the-caller");
        let response = stage.spelled(request, &own).await;
        assert_eq!(response.status, status, "{request}");
        let all = response.all("x-request-id");
        assert_eq!(all.len(), 1, "{request}");
        assert!((1..=64).contains(&all[0].len()) && all[0] != "mark-of-the-caller", "{request}: {}", all[0]);
        ids.push(all[0].to_owned());
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count, "ids are all different");
    // Two on one connection: had the first a body, the second would be out of step.
    let mut connection = stage.connect().await;
    for fields in [&[][..], &NAVIGATION] {
        connection.send(head("HEAD /x HTTP/1.1", fields)).await;
        assert!(connection.response_to_head().await.is_some());
    }
    connection.send(head("GET /x HTTP/1.1", &["Connection: close"])).await;
    assert_eq!(connection.response().await.unwrap().status, 401);
}

#[tokio::test]
async fn lg_08_an_access_line_has_no_query() {
    let stage = Stage::with(|setup| setup.upstream = "public = [\"/public/**\"]".to_owned()).await;
    for target in
        ["/public/x?token=mark-query", "/x?code=mark-query", "/oauth2/start?rd=/mark-query", "/../x?mark-query"]
    {
        stage.spelled(&format!("GET {target}"), &[]).await;
    }
    stage.spelled("GET /x?mark-query", &NAVIGATION).await;
    let written = stage.gateway.everything_written();
    assert!(!written.contains("mark-query"), "{written}");
    let lines = &stage.gateway.access_log;
    assert_eq!(lines.text().lines().count(), 5, "{}", lines.text());
    assert_eq!(lines.lines_with(&["\"path\":\"/public/x\"", "\"status\":200", "\"upstream\":\"app\""]), 1);
    assert_eq!(lines.lines_with(&["\"path\":\"/x\"", "\"status\":401", "\"code\":\"unauthenticated\""]), 1);
}
