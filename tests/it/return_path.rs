//! Where a login or a logout leads: to a path of this site, whatever was asked for.

use url::Url;

use crate::harness::gateway::Stage;
use crate::harness::html::meta_refresh;
use crate::harness::login_steps::{LOGIN_COOKIE, SESSION_COOKIE, authorize, begin, call_back, encoded, parameter};

/// Return addresses of other places, with the rule that tells.
const ELSEWHERE: &[(&str, &str)] = &[
    // RU-01
    ("https://evil.example", "not-a-local-path"),
    ("http:evil.example", "not-a-local-path"),
    ("https:/evil.example", "not-a-local-path"),
    ("https:///evil.example", "not-a-local-path"),
    // RU-02
    ("//evil.example", "not-a-local-path"),
    ("///evil.example", "not-a-local-path"),
    ("/\\evil.example", "not-a-local-path"),
    ("\\/evil.example", "not-a-local-path"),
    ("\\\\evil.example", "not-a-local-path"),
    ("/.//evil.example", "dot-segment"),
    ("/..//evil.example", "dot-segment"),
    ("/%2e%2e//evil.example", "dot-segment"),
    ("/a/..%5cevil.example", "dot-segment"),
    ("/\t/evil.example", "character"),
    ("/\r\nLocation: https://evil.example", "character"),
    ("/a\\@evil.example", "character"),
    (" https://evil.example", "not-a-local-path"),
    // RU-06
    ("javascript:alert(1)", "not-a-local-path"),
    ("data:text/html,x", "not-a-local-path"),
    ("vbscript:x", "not-a-local-path"),
    ("JaVaScRiPt:alert(1)", "not-a-local-path"),
    ("java\tscript:alert(1)", "not-a-local-path"),
    // RU-07
    ("https://app.example@evil.example", "not-a-local-path"),
    ("app.example.evil.example", "not-a-local-path"),
    ("https://evilapp.example/", "not-a-local-path"),
    ("a@b@app.example", "not-a-local-path"),
    ("https://app.example%2eevil.example", "not-a-local-path"),
    ("https://appxexample/", "not-a-local-path"),
    ("https://[::1]/", "not-a-local-path"),
    ("https://app.example:8443/", "not-a-local-path"),
    // RU-09
    ("/\u{ff0f}evil.example", "character"),
    ("\u{ff0f}\u{ff0f}evil.example", "not-a-local-path"),
    ("/a\u{3002}b", "character"),
    ("https://\u{e4}pp.example/", "not-a-local-path"),
    // RU-16
    ("https://app.example/", "not-a-local-path"),
    ("https://sibling.example/", "not-a-local-path"),
    ("https://second.example/", "not-a-local-path"),
    // An endpoint would act, or lead in a circle.
    ("/oauth2/sign_out", "own-endpoint"),
    ("/%6fauth2/start", "own-endpoint"),
];

async fn stage() -> Stage {
    Stage::with(|setup| {
        setup.more =
            "[[upstream]]\nname = \"second\"\nhost = \"second.example\"\ntarget = \"http://127.0.0.1:1\"".into();
    })
    .await
}

/// Forgets the session and the count of logins; the provider goes on knowing the person.
fn forget(stage: &Stage) {
    for name in [SESSION_COOKIE, LOGIN_COOKIE] {
        stage.browser.jar().remove("app.example", name);
    }
}

/// The place that a login begun with this return address leads to.
async fn after_login(stage: &Stage, start: &str) -> String {
    forget(stage);
    let authorization = begin(&stage.browser, &stage.url(start)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let answer = call_back(&stage.browser, &callback).await;
    assert_eq!(answer.status, 303, "{start}: {}", answer.text());
    let location = answer.header("location").unwrap().to_owned();
    let base = Url::parse(&stage.url("/oauth2/callback")).unwrap();
    assert_eq!(base.join(&location).unwrap().origin(), base.origin(), "{start} leads to {location}");
    location
}

#[tokio::test]
async fn ru_01_to_ru_16_a_login_never_leads_elsewhere_and_does_not_fail_on_it() {
    let stage = stage().await;
    for (at, (elsewhere, rule)) in ELSEWHERE.iter().enumerate() {
        let told = stage.gateway.log.lines_with(&["return-url.rejected", rule]);
        let (name, parameter) = [("start", "rd"), ("login", "redirect"), ("sign_in", "rd")][at % 3];
        let location = after_login(&stage, &format!("/oauth2/{name}?{parameter}={}", encoded(elsewhere))).await;
        assert_eq!(location, "/", "{elsewhere:?}");
        assert_eq!(stage.gateway.log.lines_with(&["return-url.rejected", rule, "WARN"]), told + 1, "{elsewhere:?}");
    }
    assert_eq!(stage.gateway.log.lines_with(&["return-url.rejected"]), ELSEWHERE.len());
    assert!(!stage.gateway.everything_written().contains("evil"), "the value is in the log");
}

#[tokio::test]
async fn ru_08_what_is_encoded_twice_stays_a_path() {
    let stage = stage().await;
    for path in
        ["/%252f%252fevil.example", "/a?next=https://evil.example", "/a//b", "/oauth2x", "/@evil.example", "/a:b"]
    {
        let location = after_login(&stage, &format!("/oauth2/start?rd={}", encoded(path))).await;
        assert_eq!(location, path);
    }
    assert_eq!(stage.gateway.log.lines_with(&["return-url.rejected"]), 0);
}

#[tokio::test]
async fn ru_18_signing_out_never_leads_elsewhere() {
    let stage = stage().await;
    for (elsewhere, rule) in ELSEWHERE {
        let told = stage.gateway.log.lines_with(&["return-url.rejected", rule]);
        let page = stage.browser.navigate(&stage.url(&format!("/oauth2/sign_out?rd={}", encoded(elsewhere)))).await;
        // Without a session to end it goes by our own endpoint straight to the place.
        let places: Vec<_> = page.hops.iter().filter_map(|hop| hop.header("location")).collect();
        assert!(places[0].starts_with("/oauth2/signed_out?state=") && places[1] == "/", "{elsewhere:?}: {places:?}");
        assert_eq!(stage.gateway.log.lines_with(&["return-url.rejected", rule]), told + 1, "{elsewhere:?}");
    }
    stage.browser.jar().clear();
    // From another site a page asks first; its links are held to the same rule.
    for (elsewhere, _) in ELSEWHERE {
        let tab = stage.gateway.browser();
        tab.resolve("evil.example", stage.upstream.address());
        tab.navigate("https://evil.example/").await;
        let url = stage.url(&format!("/oauth2/sign_out?rd={}", encoded(elsewhere)));
        let page = tab.click(&url).await;
        assert_eq!(page.status, 200, "{elsewhere:?}");
        assert_eq!(page.links().into_iter().map(|(address, _)| address).collect::<Vec<_>>(), ["/"], "{elsewhere:?}");
        let form = &page.forms()[0];
        assert_eq!(form.action.as_deref(), Some("/oauth2/sign_out"), "{elsewhere:?}");
        assert!(form.fields.iter().all(|(name, value)| name == "rd" && value == "/"), "{:?}", form.fields);
        assert!(!page.text().contains("evil"), "{elsewhere:?}");
    }
}

#[tokio::test]
async fn ru_18_where_the_provider_sends_the_browser_back_only_our_own_state_leads_on() {
    let stage = stage().await;
    for query in ["", "?state=x", "?rd=https://evil.example", "?rd=/deep", "?state=&rd=//evil.example"] {
        let page = stage.browser.navigate_once(&stage.url(&format!("/oauth2/signed_out{query}"))).await;
        assert_eq!((page.status.as_u16(), page.location()), (200, None), "{query}");
        assert_eq!(page.links()[0].0, "/", "{query}");
    }
}

#[tokio::test]
async fn ru_15_a_return_path_is_escaped_on_every_page() {
    let stage = Stage::with(|setup| setup.session = "cookie = { same_site = \"strict\" }".into()).await;
    let start = format!("/oauth2/start?rd={}", encoded("/a'b\"><script>alert(1)</script>?c='\"><img/src=x>"));
    // The page that cannot use a callback.
    let authorization = begin(&stage.browser, &stage.url(&start)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let mut cut = callback.clone();
    cut.set_query(Some(&format!("state={}", parameter(&callback, "state").unwrap())));
    let refused = call_back(&stage.browser, &cut).await;
    // The page that leads on, and the one that stops a loop.
    let mut pages = vec![refused, call_back(&stage.browser, &callback).await];
    for _ in 0..2 {
        stage.browser.jar().remove("app.example", SESSION_COOKIE);
        let authorization = begin(&stage.browser, &stage.url(&start)).await;
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        pages.push(call_back(&stage.browser, &callback).await);
    }
    let statuses: Vec<_> = pages.iter().map(|page| page.status.as_u16()).collect();
    assert_eq!(statuses, [400, 200, 200, 200]);
    for page in &pages {
        let text = page.text();
        assert!(!text.contains("<script") && !text.contains("<img") && !text.contains("b\">"), "{text}");
        assert!(!text.contains(">alert"), "{text}");
        assert!(page.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        for (link, _) in page.links() {
            assert!(link.starts_with("/a'b%22") || link.starts_with("/oauth2/start?rd=%2Fa%27b%2522"), "{link}");
        }
    }
    let onward = meta_refresh(&pages[1].text()).unwrap();
    assert!(onward.starts_with("/a'b%22%3E%3Cscript%3Ealert(1)%3C/script%3E?c=%27%22%3E%3Cimg"), "{onward}");
}
