//! Requests that another site makes with a person's cookie: refused, with the session kept.

use http::Method;

use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{pair, program, send, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;
use crate::harness::raw;

async fn logged_in() -> (Stage, String) {
    let stage = Stage::with(|setup| setup.upstream = "public = [\"/hooks/**\"]".to_owned()).await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    (stage, ours)
}

#[tokio::test]
async fn cs_01_a_form_of_another_site_is_refused_even_with_the_cookie() {
    let (stage, ours) = logged_in().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "FOO"] {
        let headers = [
            ("Cookie", &*ours),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
            ("Origin", "https://evil.example"),
        ];
        let answer = send(&stage.gateway, method, "/transfer", &headers).await;
        assert_eq!((answer.status, answer.all("set-cookie").len()), (403, 0), "{method}");
    }
    assert_eq!(stage.upstream.hits(), 1, "the page after the login alone");
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "csrf.denied", "fetch-metadata", "cross-site"]), 5);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200, "the session has been kept");
}

#[tokio::test]
async fn cs_01_a_browser_s_cross_site_form_carries_no_cookie_and_sends_nothing() {
    let (stage, _) = logged_in().await;
    let tab = stage.browser.clone();
    tab.navigate(&format!("{}/evil", stage.provider.issuer())).await;
    let page = tab.post_form(&stage.url("/transfer"), &[("to", "evil")]).await;
    assert_eq!(page.status, 401);
    assert!(!page.request_headers.contains_key("cookie"));
    assert!(!page.text().contains("value=\"evil\""), "the fields of a foreign form are not shown again");
    assert_eq!((stage.upstream.hits(), page.set_cookies().len()), (1, 0));
}

#[tokio::test]
async fn cs_02_a_sibling_host_is_another_site_for_what_changes_something() {
    let (stage, ours) = logged_in().await;
    let headers = [("Cookie", &*ours), ("Sec-Fetch-Site", "same-site"), ("Origin", "https://shop.example")];
    assert_eq!(send(&stage.gateway, "POST", "/cart", &headers).await.status, 403);
    assert_eq!(stage.upstream.hits(), 1);
    assert_eq!(send(&stage.gateway, "GET", "/cart", &headers).await.status, 200, "reading is not checked");
}

#[tokio::test]
async fn cs_04_a_script_with_a_cookie_says_that_it_is_no_form() {
    let (stage, ours) = logged_in().await;
    for (mark, status) in [(None, 403), (Some("0"), 403), (Some(""), 403), (Some("1, 1"), 403), (Some("1"), 200)] {
        let headers: Vec<_> =
            [("Cookie", &*ours)].into_iter().chain(mark.map(|mark| ("X-Vestibule-CSRF", mark))).collect();
        assert_eq!(send(&stage.gateway, "POST", "/", &headers).await.status, status, "{mark:?}");
    }
    assert_eq!(stage.upstream.hits(), 2);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "csrf.denied", "unmarked"]), 4);
}

#[tokio::test]
async fn cs_04_what_has_no_authority_of_a_cookie_is_not_checked() {
    let (stage, ours) = logged_in().await;
    // A webhook to a public path, even when a browser should add its cookie.
    for headers in
        [vec![], vec![("Sec-Fetch-Site", "cross-site")], vec![("Cookie", &*ours), ("Sec-Fetch-Site", "cross-site")]]
    {
        assert_eq!(send(&stage.gateway, "POST", "/hooks/x", &headers).await.status, 200);
        let received = stage.upstream.last();
        assert_eq!((received.header("authorization"), received.header("cookie")), (None, None));
    }
    // A program without a session learns that it has none, not that it is from elsewhere.
    let bearer = [("Authorization", "Bearer x"), ("Sec-Fetch-Site", "cross-site")];
    assert_eq!(send(&stage.gateway, "POST", "/", &bearer).await.status, 401);
    assert_eq!(stage.gateway.log.lines_with(&["csrf.denied"]), 0);
}

#[tokio::test]
async fn cs_05_an_origin_is_compared_as_a_whole() {
    let (stage, ours) = logged_in().await;
    for origin in [
        "http://app.example",
        "https://APP.example",
        "HTTPS://app.example",
        "https://app.example.",
        "https://app.example:443",
        "https://app.example:8443",
        "https://app.example/",
        "https://app.example.evil",
        "https://evil.example",
        "https://app.example https://evil.example",
        "null",
        "",
    ] {
        let headers = [("Cookie", &*ours), ("Origin", origin)];
        assert_eq!(send(&stage.gateway, "POST", "/", &headers).await.status, 403, "{origin}");
    }
    let twice = [("Cookie", &*ours), ("Origin", "https://app.example"), ("Origin", "https://app.example")];
    assert_eq!(send(&stage.gateway, "POST", "/", &twice).await.status, 403);
    assert_eq!(stage.upstream.hits(), 1);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "csrf.denied", "\"origin\""]), 13);
    let ours = [("Cookie", &*ours), ("Origin", "https://app.example")];
    assert_eq!(send(&stage.gateway, "POST", "/", &ours).await.status, 200);
}

#[tokio::test]
async fn cs_05_fetch_metadata_wins_over_an_origin_that_fits() {
    let (stage, ours) = logged_in().await;
    for site in ["cross-site", "same-site", "", "none, none"] {
        let headers = [("Cookie", &*ours), ("Origin", "https://app.example"), ("Sec-Fetch-Site", site)];
        assert_eq!(send(&stage.gateway, "POST", "/", &headers).await.status, 403, "{site}");
    }
    let twice = [("Cookie", &*ours), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(send(&stage.gateway, "POST", "/", &twice).await.status, 403);
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn our_own_pages_send_forms_and_scripts() {
    let (stage, _) = logged_in().await;
    let posted = stage.browser.post_form(&stage.url("/save"), &[("a", "b c")]).await;
    assert_eq!((posted.status.as_u16(), stage.upstream.last().text().as_str()), (200, "a=b+c"));
    let asked = Asked::new(Kind::Fetch).method("DELETE");
    assert_eq!(stage.browser.ask("/thing", asked).await.status, 200);
    assert_eq!(stage.upstream.last().method, "DELETE");
}

#[tokio::test]
async fn cs_07_pictures_and_scripts_of_other_sites_begin_no_login() {
    let (stage, _) = logged_in().await;
    let tab = stage.browser.clone();
    tab.navigate(&format!("{}/evil", stage.provider.issuer())).await;
    let started = stage.gateway.log.lines_with(&["login.started"]);
    for kind in [Kind::Image, Kind::Fetch, Kind::Frame, Kind::Prefetch] {
        let page = tab.ask(&stage.url("/private"), Asked::new(kind).include_credentials()).await;
        if kind == Kind::Prefetch {
            assert_eq!(page.status, 200, "a navigation ahead of time carries the Lax cookie");
            continue;
        }
        assert_eq!((page.status.as_u16(), page.set_cookies().len()), (401, 0), "{kind:?}");
    }
    assert_eq!(stage.gateway.log.lines_with(&["login.started"]), started);
    assert_eq!(stage.provider.hits(Endpoint::Authorization), 1);
}

#[tokio::test]
async fn cs_09_a_preflight_has_no_identity_and_no_answer_of_ours() {
    let (stage, _) = logged_in().await;
    let headers = [("Origin", "https://evil.example"), ("Access-Control-Request-Method", "POST")];
    let protected = send(&stage.gateway, "OPTIONS", "/private", &headers).await;
    assert_eq!((protected.status, stage.upstream.hits()), (401, 1));
    let public = send(&stage.gateway, "OPTIONS", "/hooks/x", &headers).await;
    assert_eq!((public.status, stage.upstream.last().header("authorization")), (200, None));
    for answer in [&protected, &public] {
        assert!(answer.headers.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control-")));
    }
}

#[tokio::test]
async fn cs_06_headers_that_tunnel_a_method_are_removed() {
    let (stage, ours) = logged_in().await;
    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let headers = [("Cookie", &*ours), (name, "DELETE")];
        assert_eq!(send(&stage.gateway, "GET", "/?_method=DELETE", &headers).await.status, 200);
        let received = stage.upstream.last();
        assert_eq!((received.header(name), received.target.as_str()), (None, "/?_method=DELETE"));
        assert_eq!(received.method, Method::GET.as_str());
    }
}

#[tokio::test]
async fn a_web_socket_of_another_site_gets_nothing() {
    let (stage, ours) = logged_in().await;
    let hits = stage.upstream.hits();
    for origin in ["Origin: https://evil.example\r\n", "Origin: null\r\n", ""] {
        let request = format!(
            "GET /socket HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: {ours}\r\n{origin}\r\n"
        );
        assert_eq!(raw::ask(stage.gateway.address, request).await.unwrap().status, 403, "{origin}");
    }
    assert_eq!(stage.upstream.hits(), hits);
}
