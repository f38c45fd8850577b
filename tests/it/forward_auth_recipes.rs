//! The recipes of `docs/forward-auth.md`, run by the real proxies: login, denied, expired, spoofed headers.

use std::time::Duration;

use crate::harness::asked::{Asked, Kind as Asking};
use crate::harness::browser::Browser;
use crate::harness::cookie_jar::Carriage;
use crate::harness::fronting_proxy::{FrontingProxy, Kind, recipe};
use crate::harness::gateway::Stage;
use crate::harness::loopback::free_address;
use crate::harness::raw::{self, RawResponse};
use crate::harness::spelled_out::head_for;

/// A gateway whose only way in for browsers is the proxy in front.
struct Scene {
    stage: Stage,
    front: FrontingProxy,
    url: String,
}

impl Scene {
    async fn set(kind: Kind) -> Self {
        let address = free_address();
        let url = format!("http://localhost:{}", address.port());
        let upstream = recipe("The gateway").split_once("[[upstream]]").unwrap().1;
        let stage = Stage::with(|setup| {
            setup.public_url = url.clone();
            setup.listen = "trusted_proxies = [\"127.0.0.0/8\"]".to_owned();
            // The stage's own upstream is out of the way; the one of the page is asked about.
            setup.upstream = "path = \"/proxied-by-the-gateway\"".to_owned();
            setup.more = format!("[[upstream]]{upstream}");
        })
        .await;
        let front = FrontingProxy::start(kind, address, stage.gateway.address, stage.upstream.address()).await;
        Self { stage, front, url }
    }

    fn browser(&self) -> Browser {
        let browser = Browser::new();
        browser.resolve("localhost", self.front.address);
        browser
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    async fn logged_in(&self, username: &str) -> Browser {
        let browser = self.browser();
        browser.log_in(&self.at("/page?x=1&y=%2F"), username).await;
        browser
    }

    /// Sends bytes to the proxy with this browser's cookies.
    async fn spelled(&self, browser: &Browser, request: &str, fields: &[&str]) -> RawResponse {
        let carriage = Carriage { same_site: true, safe_navigation: true };
        let cookies = browser.jar().header(&url::Url::parse(&self.url).unwrap(), carriage).unwrap_or_default();
        let (host, cookies) = (format!("localhost:{}", self.front.address.port()), format!("Cookie: {cookies}; own=1"));
        let fields: Vec<&str> = fields.iter().copied().chain([cookies.as_str(), "Connection: close"]).collect();
        raw::ask(self.front.address, head_for(&host, &format!("{request} HTTP/1.1"), &fields)).await.unwrap()
    }

    async fn login(&self) {
        let browser = self.logged_in("alice").await;
        let page = browser.page();
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, self.at("/page?x=1&y=%2F").as_str()));
        let received = self.stage.upstream.last();
        assert_eq!(received.target, "/page?x=1&y=%2F");
        assert_eq!(received.all("x-forwarded-user"), ["alice"]);
        assert!(received.header("authorization").unwrap().starts_with("Bearer "));
        let hits = self.stage.upstream.hits();
        assert_eq!(self.spelled(&browser, "GET /again", &[]).await.status, 200);
        let cookies = self.stage.upstream.last().all("cookie").join("; ");
        assert_eq!(cookies, "own=1", "the gateway's cookies stay away from the application");
        assert_eq!(self.stage.upstream.hits(), hits + 1);
        let fetched = self.browser().fetch(&self.at("/page")).await;
        assert_eq!(fetched.status, 401, "a program is not sent anywhere");
        assert_eq!(self.stage.upstream.hits(), hits + 1);
    }

    async fn denied(&self) {
        let hits = self.stage.upstream.hits();
        let browser = self.logged_in("carol").await;
        assert_eq!(browser.page().status, 403);
        assert_eq!(self.stage.upstream.hits(), hits);
        let page = browser.post_form(&self.at("/page"), &[("a", "1")]).await;
        assert_eq!(page.status, 403);
        assert_eq!(self.stage.upstream.hits(), hits);
    }

    async fn other_sites(&self) {
        let browser = self.logged_in("bob").await;
        let hits = self.stage.upstream.hits();
        for foreign in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"] {
            let answer = self.spelled(&browser, "POST /change", &[foreign, "Content-Length: 0"]).await;
            assert_eq!(answer.status, 403, "{foreign}");
        }
        assert_eq!(self.stage.upstream.hits(), hits);
        let ours = ["Sec-Fetch-Site: same-origin", "Content-Length: 0"];
        assert_eq!(self.spelled(&browser, "POST /change", &ours).await.status, 200);
        assert_eq!(self.stage.upstream.last().method, "POST");
    }

    async fn spoofed_headers(&self) {
        let browser = self.logged_in("alice").await;
        for field in [
            "X-Forwarded-User: mallory",
            "x-forwarded-user: mallory",
            "X_Forwarded_User: mallory",
            "X-Forwarded_User: mallory",
            "X.Forwarded.User: mallory",
            "X-Forwarded.User: mallory",
            "x_forwarded-User: mallory",
            "Authorization: Bearer mallory",
            "X-Forwarded-Uri: /public",
            "X-Forwarded-Method: OPTIONS",
            "X-Original-URI: /public",
            "X-Original-Method: OPTIONS",
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-Proto: https",
            "X-Forwarded-For: 127.0.0.1",
            "Forwarded: for=127.0.0.1;proto=https;host=evil.example",
            "X-Vestibule-On-401: redirect",
            "X-Request-Id: mallory",
            "Connection: x-forwarded-user, authorization, x-original-uri",
        ] {
            let hits = self.stage.upstream.hits();
            let answer = self.spelled(&browser, "GET /page", &[field]).await;
            if answer.status < 400 {
                let received = self.stage.upstream.last();
                assert_eq!(received.all("x-forwarded-user"), ["alice"], "{field}");
                let head = String::from_utf8_lossy(&received.head).into_owned();
                assert!(!head.contains("mallory"), "{field}: {head}");
                assert_eq!(received.header("forwarded"), None, "{field}");
            } else {
                assert_eq!(self.stage.upstream.hits(), hits, "{field}");
            }
            self.stage.gateway.everything_written();
            assert_eq!(self.stage.gateway.access_log.lines_with(&["mallory"]), 0, "{field}");
            // Nobody becomes somebody.
            let hits = self.stage.upstream.hits();
            let answer = self.spelled(&self.browser(), "GET /page", &[field]).await;
            assert!(answer.status >= 300, "{field}: {}", answer.status);
            assert_eq!(self.stage.upstream.hits(), hits, "{field}");
        }
    }

    /// A target that is a whole URL says by which host the proxy chooses the application; `Host` says another one.
    async fn the_host_that_is_asked_about_is_the_one_that_is_served(&self) {
        let browser = self.logged_in("alice").await;
        let hits = self.stage.upstream.hits();
        self.spelled(&browser, "GET http://admin.example/page", &[]).await;
        assert_eq!(self.stage.upstream.hits(), hits);
    }

    async fn the_endpoint_is_closed_to_browsers(&self) {
        let browser = self.logged_in("alice").await;
        let described = ["X-Original-Method: GET", "X-Original-URI: /page"];
        let forwarded = ["X-Forwarded-Method: GET", "X-Forwarded-Uri: /page"];
        for target in [
            "/oauth2/auth",
            "/oauth2/auth?on_401=redirect",
            "/oauth2/auth/page",
            "/oauth2/%61uth",
            "/oauth2/%61uth/page",
            "/oauth2//auth",
            "//oauth2/auth",
            "/oauth2/./auth",
            "/oauth2/x/../auth",
            "/oauth2/AUTH",
            "/oauth2%2Fauth",
        ] {
            for fields in [&[][..], &described, &forwarded] {
                let answer = self.spelled(&browser, &format!("GET {target}"), fields).await;
                assert_eq!(answer.header("x-forwarded-user"), None, "{target} {fields:?}");
                assert_eq!(answer.header("authorization"), None, "{target} {fields:?}");
            }
        }
    }

    async fn expired(&self) {
        let browser = self.logged_in("alice").await;
        self.stage.gateway.clock.advance(Duration::from_secs(11 * 3600));
        let hits = self.stage.upstream.hits();
        assert_eq!(browser.fetch(&self.at("/page")).await.status, 401);
        let first = browser.ask(&self.at("/page"), Asked::new(Asking::Navigation).typed().once()).await;
        assert_eq!(first.status, 303);
        assert_eq!(self.stage.upstream.hits(), hits);
    }

    async fn play(&self) {
        self.login().await;
        self.denied().await;
        self.other_sites().await;
        self.spoofed_headers().await;
        self.the_host_that_is_asked_about_is_the_one_that_is_served().await;
        self.the_endpoint_is_closed_to_browsers().await;
        self.expired().await;
    }
}

#[tokio::test]
async fn nginx_asks_by_its_recipe() {
    Scene::set(Kind::Nginx).await.play().await;
}

#[tokio::test]
async fn caddy_asks_by_its_recipe() {
    Scene::set(Kind::Caddy).await.play().await;
}

#[tokio::test]
async fn envoy_asks_by_its_recipe() {
    Scene::set(Kind::Envoy).await.play().await;
}
