//! How a login begins: by opening a page, or at the endpoints for it.

use std::time::Duration;

use vestibule::demo::provider::RegisteredClient;
use vestibule::secret::ClientSecret;

use crate::harness::browser::{Asked, Browser, Kind};
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Stage};
use crate::harness::login_steps::{LOGIN_COOKIE, SESSION_COOKIE, authorize, begin, call_back, encoded, parameter};
use crate::harness::provider::Endpoint;

#[tokio::test]
async fn a_navigation_without_a_session_is_one_redirect_with_one_cookie() {
    let stage = Stage::set().await;
    let page = stage.browser.navigate_once(&stage.url("/deep?a=b")).await;
    assert_eq!(page.status, 303);
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), (Some("no-store"), Some("no-referrer")));
    assert!(page.body.is_empty());
    let [cookie] = page.set_cookies()[..] else { panic!("{:?}", page.set_cookies()) };
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    assert!(pair.starts_with(&format!("{LOGIN_COOKIE}=")) && cookie.len() < 200, "{cookie}");
    let mut attributes: Vec<_> = attributes.split("; ").collect();
    attributes.sort_unstable();
    assert_eq!(attributes, ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Lax", "Secure"]);
    let authorization = page.location().unwrap();
    let mut names: Vec<_> = authorization.query_pairs().map(|(name, _)| name.into_owned()).collect();
    names.sort();
    let expected = ["client_id", "code_challenge", "code_challenge_method", "nonce", "redirect_uri", "response_type"];
    assert_eq!(names, [&expected[..], &["scope", "state"]].concat());
    assert_eq!((stage.upstream.hits(), stage.provider.hits(Endpoint::Authorization)), (0, 0));

    // The second one keeps the browser's secret.
    let first = stage.browser.jar().find("app.example", LOGIN_COOKIE).unwrap().value.clone();
    stage.browser.navigate_once(&stage.url("/other")).await;
    assert_eq!(stage.browser.jar().find("app.example", LOGIN_COOKIE).unwrap().value, first);
}

#[tokio::test]
async fn every_name_of_the_start_endpoint_begins_a_login_to_a_path() {
    for (query, back) in [
        ("/oauth2/start?rd=%2Fdeep%3Fa%3Db", "/deep?a=b"),
        ("/oauth2/sign_in?rd=%2Fdeep%3Fa%3Db", "/deep?a=b"),
        ("/oauth2/login?redirect=%2Fdeep%3Fa%3Db", "/deep?a=b"),
        ("/oauth2/start?redirect=/deep", "/deep"),
        ("/oauth2/start", "/"),
        ("/oauth2/start?rd=", "/"),
        ("/oauth2/start?unknown=1&rd=/deep", "/deep"),
    ] {
        let stage = Stage::set().await;
        let page = stage.browser.log_in(&stage.url(query), "alice").await;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(back).as_str()), "{query}");
    }
}

#[tokio::test]
async fn only_a_navigation_begins_a_login_at_the_start_endpoint() {
    let stage = Stage::set().await;
    let url = stage.url("/oauth2/start?rd=/deep");
    for kind in [Kind::Fetch, Kind::Image, Kind::Prefetch, Kind::Frame] {
        let page = stage.browser.ask(&url, Asked::new(kind).typed()).await;
        assert_eq!((page.status.as_u16(), page.set_cookies().len(), page.location()), (401, 0, None), "{kind:?}");
    }
    let posted = stage.browser.post_form(&url, &[("rd", "/deep")]).await;
    assert_eq!((posted.status.as_u16(), posted.header("allow")), (405, Some("GET, HEAD")));
    assert_eq!((posted.set_cookies().len(), posted.location()), (0, None));
    assert_eq!(stage.gateway.log.lines_with(&["login.started"]), 0);
}

#[tokio::test]
async fn only_parameters_of_the_list_are_passed_on_to_the_provider() {
    let stage = Stage::with(|setup| {
        setup.provider = "authorization_parameters = { prompt = \"select_account\", audience = \"api\" }".into();
    })
    .await;
    let passed = "login_hint=bob%40example.com&ui_locales=de%20en&domain_hint=example.com&prompt=login";
    let refused = "scope=admin&client_id=evil&redirect_uri=https%3A%2F%2Fevil.example&state=x&nonce=x&response_mode=fragment\
                   &code_challenge=x&code_challenge_method=plain&max_age=0&acr_values=low&resource=x&claims=x\
                   &request_uri=https%3A%2F%2Fevil.example&audience=evil";
    let authorization = begin(&stage.browser, &stage.url(&format!("/oauth2/start?{passed}&{refused}"))).await;
    let value = |name: &str| parameter(&authorization, name);
    assert_eq!(value("login_hint").as_deref(), Some("bob@example.com"));
    assert_eq!(value("ui_locales").as_deref(), Some("de en"));
    assert_eq!(value("domain_hint").as_deref(), Some("example.com"));
    // What the operator has fixed stands.
    assert_eq!((value("prompt").as_deref(), value("audience").as_deref()), (Some("select_account"), Some("api")));
    assert!(!authorization.as_str().contains("evil") && !authorization.as_str().contains("admin"), "{authorization}");
    for name in ["response_mode", "max_age", "acr_values", "resource", "claims", "request_uri"] {
        assert_eq!(value(name), None, "{name}");
    }
    assert_eq!(value("code_challenge_method").as_deref(), Some("S256"));
    // A hint on an ordinary page is the application's own.
    let authorization = begin(&stage.browser, &stage.url("/page?login_hint=eve&prompt=none")).await;
    assert_eq!(parameter(&authorization, "login_hint"), None);
}

#[tokio::test]
async fn ru_14_a_parameter_that_comes_twice_is_refused() {
    let stage = Stage::set().await;
    for query in [
        "rd=/a&rd=/a",
        "rd=/a&rd=%2F%2Fevil",
        "redirect=/a&redirect=/b",
        "login_hint=a&login_hint=b",
        "prompt=a&prompt=b",
    ] {
        let page = stage.browser.navigate_once(&stage.url(&format!("/oauth2/start?{query}"))).await;
        assert_eq!((page.status.as_u16(), page.set_cookies().len(), page.location()), (400, 0, None), "{query}");
        let page = stage.browser.navigate_once(&stage.url(&format!("/oauth2/login?{query}"))).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, None), "{query}");
    }
    let page = stage.browser.navigate_once(&stage.url("/oauth2/sign_out?rd=/a&rd=/a")).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None));
}

#[tokio::test]
async fn a_long_return_path_loses_its_query_and_then_becomes_the_start_page() {
    let (long, path) = ("x".repeat(1500), "y".repeat(900));
    for (asked, back) in [
        (format!("/{path}?q={long}"), format!("/{path}")),
        (format!("/{long}"), "/".into()),
        (format!("/{path}"), format!("/{path}")),
    ] {
        let stage = Stage::set().await;
        let authorization = begin(&stage.browser, &stage.url(&asked)).await;
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        assert_eq!(call_back(&stage.browser, &callback).await.header("location"), Some(back.as_str()));
    }
}

#[tokio::test]
async fn an_attempt_lives_one_hour() {
    for (waited, status) in [(3590, 303), (3601, 400)] {
        let stage = Stage::set().await;
        let authorization = begin(&stage.browser, &stage.url("/deep")).await;
        stage.gateway.clock.advance(Duration::from_secs(waited));
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        // Expired before anything is asked of the provider; in time, its tokens are too old for this clock.
        let page = call_back(&stage.browser, &callback).await;
        if status == 400 {
            assert_eq!((page.status.as_u16(), stage.provider.hits(Endpoint::Token)), (400, 0));
            assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "state-expired"]), 1);
            assert_eq!(page.links()[0].0, format!("/oauth2/start?rd={}", encoded("/deep")));
        } else {
            assert_eq!(stage.provider.hits(Endpoint::Token), 1, "{}", page.text());
        }
    }
}

#[tokio::test]
async fn st_12_two_hundred_requests_of_scripts_get_401_and_no_cookie() {
    let stage = Stage::set().await;
    stage.browser.navigate_once(&stage.url("/")).await;
    stage.browser.jar().clear();
    let started = stage.gateway.log.lines_with(&["login.started"]);
    let asked = [
        Asked::new(Kind::Fetch),
        Asked::new(Kind::Image),
        Asked::new(Kind::Prefetch),
        Asked::new(Kind::Fetch).method("OPTIONS"),
        Asked::new(Kind::Fetch).method("POST").body("application/json", "{}"),
        Asked::new(Kind::Fetch).header("x-requested-with", "XMLHttpRequest"),
        Asked::new(Kind::Fetch).header("accept", "text/html"),
        Asked::new(Kind::Fetch).method("HEAD"),
    ];
    let from_elsewhere = stage.gateway.browser();
    from_elsewhere.navigate_once(&stage.url("/")).await;
    from_elsewhere.jar().clear();
    for number in 0..200 {
        let asked = asked[number % asked.len()].clone().once();
        let page = from_elsewhere.ask(&stage.url(&format!("/favicon.ico?{number}")), asked).await;
        assert_eq!((page.status.as_u16(), page.set_cookies().len(), page.location()), (401, 0, None), "{number}");
        assert_eq!(page.header("content-type"), Some("application/problem+json"), "{number}");
        assert!(page.header("www-authenticate").is_some(), "{number}");
    }
    assert_eq!(from_elsewhere.jar().of("app.example"), Vec::<&_>::new());
    assert_eq!(stage.gateway.log.lines_with(&["login.started"]), started + 1);
    assert_eq!((stage.upstream.hits(), stage.provider.hits(Endpoint::Authorization)), (0, 0));
}

#[tokio::test]
async fn st_17_a_thousand_logins_begun_from_one_address_cost_nobody_anything() {
    let stage = Stage::set().await;
    let calls = || {
        [Endpoint::Metadata, Endpoint::Keys, Endpoint::Authorization, Endpoint::Token].map(|e| stage.provider.hits(e))
    };
    let before = calls();
    for number in 0..1000 {
        let browser = stage.gateway.browser();
        assert_eq!(browser.navigate_once(&stage.url(&format!("/{number}"))).await.status, 303, "{number}");
    }
    assert_eq!(calls(), before);
    assert_eq!((stage.gateway.sessions().live_sessions(), stage.upstream.hits()), (0, 0));
    assert_eq!(stage.gateway.log.lines_with(&["login.started"]), 1000);
    stage.log_in().await;
}

#[tokio::test]
async fn a_browser_from_before_fetch_metadata_logs_in_too() {
    let stage = Stage::set().await;
    let browser = Browser::old();
    stage.gateway.introduce_to(&browser);
    let page = browser.log_in(&stage.url("/deep?a=b"), "alice").await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/deep?a=b").as_str()), "{}", page.text());
    let script = Asked::new(Kind::Navigation).typed().header("x-requested-with", "XMLHttpRequest").once();
    let stranger = Browser::old();
    stage.gateway.introduce_to(&stranger);
    assert_eq!(stranger.ask(&stage.url("/"), script).await.status, 401);
}

#[tokio::test]
async fn every_host_is_a_login_of_its_own_and_the_second_one_asks_nothing() {
    let stage = Stage::with(|setup| {
        setup.more =
            "[[upstream]]\nname = \"second\"\nhost = \"second.example\"\ntarget = \"http://127.0.0.1:1\"".into();
        setup.register = false;
    })
    .await;
    stage.provider.register(RegisteredClient {
        id: CLIENT_ID.into(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.into())),
        redirect_uris: ["app", "second"].map(|name| format!("https://{name}.example/oauth2/callback")).into(),
        post_logout_redirect_uris: Vec::new(),
    });
    stage.browser.resolve("second.example", stage.gateway.address);
    stage.log_in().await;
    let authorization = begin(&stage.browser, "https://second.example/deep").await;
    let redirect_uri = "https://second.example/oauth2/callback";
    assert_eq!(parameter(&authorization, "redirect_uri").as_deref(), Some(redirect_uri));
    let logins = stage.provider.hits(Endpoint::Login);
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let answer = call_back(&stage.browser, &callback).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some("/deep")), "{}", answer.text());
    assert_eq!(stage.provider.hits(Endpoint::Login), logins);
    let jar = stage.browser.jar().clone();
    let session = |host: &str| jar.find(host, SESSION_COOKIE).unwrap().value.clone();
    assert_ne!(session("app.example"), session("second.example"));
    // The session of one host is none at the other.
    stage.browser.jar().plant("second.example", SESSION_COOKIE, &session("app.example"));
    assert_eq!(stage.browser.fetch("https://second.example/deep").await.status, 401);
}
