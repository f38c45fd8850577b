//! Requests that another site makes with a person's cookie: refused, with the session kept.

use http::Method;

use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{pair, program, send, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;
use crate::harness::raw;
use crate::harness::spelled_out::{HANDSHAKE, head};

async fn logged_in() -> (Stage, String) {
    logged_in_with("").await
}

async fn logged_in_with(keys: &str) -> (Stage, String) {
    let stage = Stage::with(|setup| setup.upstream = format!("public = [\"/hooks/**\"]\n{keys}")).await;
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

/// An upstream whose shop, on a sibling host, may fill the cart and listen to it.
const EXCEPTIONS: &str = "cross_site = { origins = [\"https://shop.example\"], paths = [\"/cart\", \"POST /order\"] }";
type Fields = [(&'static str, &'static str)];
const SHOP: (&str, &str) = ("Origin", "https://shop.example");

#[tokio::test]
async fn cs_02_a_listed_origin_passes_on_the_listed_paths_with_the_session() {
    let (stage, ours) = logged_in_with(EXCEPTIONS).await;
    let cookie = ("Cookie", ours.as_str());
    let near = ("Sec-Fetch-Site", "same-site");
    let mut hits = stage.upstream.hits();
    for (method, target) in [("POST", "/cart"), ("DELETE", "/cart?item=7"), ("POST", "/order"), ("POST", "/c%61rt")] {
        for headers in [vec![cookie, SHOP, near], vec![cookie, SHOP]] {
            assert_eq!(send(&stage.gateway, method, target, &headers).await.status, 200, "{method} {target}");
            hits += 1;
            let received = stage.upstream.last();
            assert!(received.header("authorization").is_some_and(|value| value.starts_with("Bearer ")), "{target}");
            assert_eq!(received.header("origin"), Some("https://shop.example"), "the application sees who asks");
        }
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(stage.gateway.log.lines_with(&["csrf.denied"]), 0);
    // Our own pages need no exception, and neither does a script.
    for own in [("Sec-Fetch-Site", "same-origin"), ("Origin", "https://app.example"), ("X-Vestibule-CSRF", "1")] {
        assert_eq!(send(&stage.gateway, "POST", "/cart", &[cookie, own]).await.status, 200, "{own:?}");
    }
}

#[tokio::test]
async fn cs_02_an_exception_is_no_wider_than_it_is_written() {
    let (stage, ours) = logged_in_with(EXCEPTIONS).await;
    let cookie = ("Cookie", ours.as_str());
    let (near, far) = (("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Site", "cross-site"));
    let hits = stage.upstream.hits();
    let cases: &[(&str, &str, &Fields)] = &[
        ("POST", "/cart/", &[SHOP, near]),
        ("POST", "/cart/x", &[SHOP, near]),
        ("POST", "/Cart", &[SHOP]),
        ("POST", "/", &[SHOP]),
        ("PUT", "/order", &[SHOP, near]),
        ("POST", "/cart", &[SHOP, far]),
        ("POST", "/cart", &[SHOP, near, near]),
        ("POST", "/cart", &[SHOP, near, ("Sec-Fetch-Site", "same-origin")]),
        ("POST", "/cart", &[near]),
        ("POST", "/cart", &[SHOP, SHOP]),
        ("POST", "/cart", &[SHOP, ("Origin", "https://app.example"), near]),
        ("POST", "/cart", &[("Origin", "http://shop.example"), near]),
        ("POST", "/cart", &[("Origin", "https://shop.example:8443"), near]),
        ("POST", "/cart", &[("Origin", "https://shop.example.evil"), near]),
        ("POST", "/cart", &[("Origin", "https://SHOP.example"), near]),
        ("POST", "/cart", &[("Origin", "null"), near]),
        ("POST", "/oauth2/sign_out", &[SHOP, near]),
        ("POST", "/oauth2/session/refresh", &[SHOP, near]),
    ];
    for (number, (method, target, headers)) in cases.iter().enumerate() {
        let headers: Vec<_> = [cookie].into_iter().chain(headers.iter().copied()).collect();
        let answer = send(&stage.gateway, method, target, &headers).await;
        assert_eq!((answer.status, answer.all("set-cookie").len()), (403, 0), "{method} {target} {headers:?}");
        assert_eq!(stage.gateway.log.lines_with(&["WARN", "csrf.denied"]), number + 1, "{method} {target} {headers:?}");
    }
    assert_eq!(stage.upstream.hits(), hits);
    let counted = format!("vestibule_refusals_total{{code=\"cross-site\"}} {}", cases.len());
    assert!(stage.gateway.metrics_page().await.contains(&counted), "{counted}");
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200, "the session has been kept");
}

#[tokio::test]
async fn cs_02_an_exception_gives_nobody_a_session_and_no_cross_origin_answer() {
    let (stage, ours) = logged_in_with(EXCEPTIONS).await;
    let hits = stage.upstream.hits();
    let without = [SHOP, ("Sec-Fetch-Site", "same-site")];
    assert_eq!(send(&stage.gateway, "POST", "/cart", &without).await.status, 401);
    let preflight = [SHOP, ("Access-Control-Request-Method", "POST")];
    assert_eq!(send(&stage.gateway, "OPTIONS", "/cart", &preflight).await.status, 401);
    assert_eq!(stage.upstream.hits(), hits);
    let with = [("Cookie", &*ours), SHOP, ("Sec-Fetch-Site", "same-site")];
    let answer = send(&stage.gateway, "POST", "/cart", &with).await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control-")));
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
async fn cs_09_with_a_session_options_is_a_request_like_any_other() {
    let (stage, ours) = logged_in().await;
    let headers = [
        ("Cookie", &*ours),
        ("Origin", "https://evil.example"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Access-Control-Request-Method", "DELETE"),
    ];
    let answer = send(&stage.gateway, "OPTIONS", "/private", &headers).await;
    assert_eq!((answer.status, stage.upstream.hits()), (200, 2));
    assert!(answer.headers.iter().all(|(name, _)| !name.to_ascii_lowercase().starts_with("access-control-")));
    let received = stage.upstream.last();
    assert_eq!((received.method.as_str(), received.header("cookie")), ("OPTIONS", None));
    assert!(received.header("authorization").is_some());
    // What a preflight allows is asked for again when the request itself comes, and refused.
    assert_eq!(send(&stage.gateway, "DELETE", "/private", &headers).await.status, 403);
    assert_eq!(stage.upstream.hits(), 2);
    for own in ["/oauth2/sign_out", "/oauth2/session/refresh", "/oauth2/callback"] {
        let answer = send(&stage.gateway, "OPTIONS", own, &headers).await;
        assert_eq!(answer.status, 405, "{own}");
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
        // On public paths too: an application may read them before it looks at who asks.
        let folded = name.replace('-', "_");
        let headers = [(name, "DELETE"), (&*folded, "DELETE")];
        assert_eq!(send(&stage.gateway, "POST", "/hooks/x", &headers).await.status, 200);
        let head = String::from_utf8_lossy(&stage.upstream.last().head).to_ascii_lowercase();
        assert!(!head.contains("delete"), "{head}");
    }
}

#[tokio::test]
async fn a_web_socket_of_another_site_gets_nothing() {
    let (stage, ours) = logged_in_with(EXCEPTIONS).await;
    let hits = stage.upstream.hits();
    let refused = [
        ("/cart", "Origin: https://evil.example\r\n"),
        ("/cart", "Origin: null\r\n"),
        ("/cart", ""),
        ("/cart", "X-Vestibule-CSRF: 1\r\n"),
        ("/cart", "Sec-Fetch-Site: same-origin\r\n"),
        ("/cart", "Origin: https://shop.example\r\nSec-Fetch-Site: cross-site\r\n"),
        ("/cart", "Origin: https://shop.example\r\nOrigin: https://app.example\r\n"),
        ("/socket", "Origin: https://shop.example\r\n"),
        ("/order", "Origin: https://shop.example\r\n"),
    ];
    for (target, lines) in refused {
        let answer = raw::ask(stage.gateway.address, handshake(target, &ours, lines)).await.unwrap();
        assert_eq!(answer.status, 403, "{target} {lines}");
    }
    assert_eq!(stage.upstream.hits(), hits);
    let log = &stage.gateway.log;
    assert_eq!(log.lines_with(&["csrf.denied", "\"origin\""]), refused.len());
    assert_eq!(log.lines_with(&["ws.denied", "\"origin\""]), refused.len());
}

#[tokio::test]
async fn a_web_socket_of_a_listed_origin_opens_on_a_listed_path() {
    let (stage, ours) = logged_in_with(EXCEPTIONS).await;
    for lines in ["Origin: https://shop.example\r\n", "Origin: https://shop.example\r\nSec-Fetch-Site: same-site\r\n"] {
        let mut connection = raw::RawConnection::open(stage.gateway.address).await;
        connection.send(handshake("/cart", &ours, lines)).await;
        assert_eq!(connection.response_head().await.unwrap().status, 101, "{lines}");
        assert!(stage.upstream.last().header("authorization").is_some());
    }
}

fn handshake(target: &str, cookie: &str, lines: &str) -> String {
    let cookie = format!("Cookie: {cookie}");
    // Whose page it is, the lines say.
    let mut fields = HANDSHAKE[..4].to_vec();
    fields.push(&cookie);
    fields.extend(lines.lines());
    head(&format!("GET {target} HTTP/1.1"), &fields)
}
