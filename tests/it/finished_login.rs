//! What a login ends with: the session, the place it leads to, and what becomes of callbacks that come again.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use vestibule::clock::Clock;
use vestibule::session::Marker;

use crate::harness::browser::Browser;
use crate::harness::gateway::Stage;
use crate::harness::html::meta_refresh;
use crate::harness::login_steps::{
    Counts, LOGIN_COOKIE, SESSION_COOKIE, authorize, begin, call_back, parameter, start_link,
};
use crate::harness::provider::Endpoint;

const BACK: &str = "/deep/link?a=b&c=%2F";

fn cookie(browser: &Browser, name: &str) -> Option<String> {
    browser.jar().find("app.example", name).map(|cookie| cookie.value.clone())
}

/// The secret in a login cookie, and how many logins it counts.
fn browser_secret(login_cookie: &str) -> (Vec<u8>, u8) {
    let bytes = URL_SAFE_NO_PAD.decode(login_cookie).unwrap();
    (bytes[5..37].to_vec(), bytes[37])
}

#[tokio::test]
async fn cb_25_a_finished_login_is_a_redirect_with_a_new_session_and_nothing_of_the_code() {
    let stage = Stage::set().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let before = cookie(&stage.browser, LOGIN_COOKIE).unwrap();
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let code = parameter(&callback, "code").unwrap();
    let answer = call_back(&stage.browser, &callback).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(BACK)));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.body.is_empty());
    assert_eq!(answer.set_cookies().len(), 2, "{:?}", answer.set_cookies());
    let headers = format!("{:?}", answer.headers);
    assert!(!headers.contains(&code) && !headers.contains(&parameter(&callback, "state").unwrap()));

    let session = cookie(&stage.browser, SESSION_COOKIE).unwrap();
    assert_eq!(session.len(), 68);
    let after = cookie(&stage.browser, LOGIN_COOKIE).unwrap();
    let ((secret, count), (kept, moved)) = (browser_secret(&before), browser_secret(&after));
    assert_eq!((kept, count, moved), (secret, 0, 1));
    assert_eq!(stage.gateway.log.lines_with(&["login.started"]), 1);
    assert_eq!(stage.gateway.log.lines_with(&["login.ok"]), 1);
    assert_eq!(stage.gateway.log.lines_with(&["session.created"]), 1);
    assert_eq!((stage.provider.hits(Endpoint::Token), stage.upstream.hits()), (1, 0));
    let written = stage.gateway.everything_written();
    for secret in [&code, &session, &after, &parameter(&callback, "state").unwrap()] {
        assert!(!written.contains(secret.as_str()));
    }
}

#[tokio::test]
async fn cb_18_and_st_14_a_callback_that_comes_again_costs_no_token_call() {
    let stage = Stage::set().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    assert_eq!(call_back(&stage.browser, &callback).await.status, 303);
    let session = cookie(&stage.browser, SESSION_COOKIE).unwrap();

    // Logged in: on to where the attempt was going, with the same session.
    let again = call_back(&stage.browser, &callback).await;
    assert_eq!((again.status.as_u16(), again.header("location")), (303, Some(BACK)), "{}", again.text());
    assert_eq!(again.set_cookies(), Vec::<&str>::new());
    assert_eq!(cookie(&stage.browser, SESSION_COOKIE).as_ref(), Some(&session));

    // Without the session: a page with a way on.
    stage.browser.jar().remove("app.example", SESSION_COOKIE);
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &callback).await;
    counts.assert_refused(&stage, &page, "state-used", BACK, 0);
    let page = stage.browser.click(&start_link(BACK)).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(BACK).as_str()));
    assert_eq!(stage.provider.hits(Endpoint::Token), 2);
}

#[tokio::test]
async fn cb_18_two_callbacks_at_the_same_time_spend_the_code_once() {
    let stage = Stage::set().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let answers = join_all((0..8).map(|_| {
        let tab = stage.browser.clone();
        let callback = callback.clone();
        async move { call_back(&tab, &callback).await.status.as_u16() }
    }))
    .await;
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
    assert!(answers.contains(&303) && answers.iter().all(|status| matches!(status, 303 | 400)), "{answers:?}");
    assert_eq!(stage.gateway.sessions().live_sessions(), 1);
}

#[tokio::test]
async fn a_callback_that_cannot_be_used_leads_whoever_is_logged_in_to_their_page() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.gateway.clock.advance(Duration::from_secs(60));
    let authorization = begin(&stage.browser, &format!("{}{}", stage.url(""), start_link(BACK))).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let state = parameter(&callback, "state").unwrap();
    for (query, place) in [(format!("state={state}"), BACK), ("code=x&state=y".to_owned(), "/")] {
        let mut url = callback.clone();
        url.set_query(Some(&query));
        let answer = call_back(&stage.browser, &url).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(place)), "{query}");
        assert_eq!(answer.set_cookies(), Vec::<&str>::new());
    }
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected"]), 2);
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
}

#[tokio::test]
async fn the_third_login_within_half_a_minute_ends_on_a_page_with_its_session() {
    let stage = Stage::set().await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        let authorization = begin(&stage.browser, &stage.url(BACK)).await;
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        answers.push(call_back(&stage.browser, &callback).await);
        // As if the session's cookie never came back.
        stage.browser.jar().remove("app.example", SESSION_COOKIE);
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses, [303, 303, 200]);
    let page = &answers[2];
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert!(page.set_cookies().iter().any(|line| line.starts_with(SESSION_COOKIE)));
    assert!(page.text().contains("cookie") && page.text().contains(page.header("x-request-id").unwrap()));
    assert_eq!(page.links(), [(BACK.to_owned(), "Continue".to_owned())]);
    assert_eq!(meta_refresh(&page.text()), None);
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "\"login-loop\""]), 1);

    // Half a minute later a login is a login again.
    stage.gateway.clock.advance(Duration::from_secs(31));
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    assert_eq!(call_back(&stage.browser, &callback).await.status, 303);
}

#[tokio::test]
async fn with_strict_cookies_a_page_of_this_site_leads_on_so_that_the_cookie_goes_along() {
    let stage = Stage::with(|setup| setup.session = "cookie = { same_site = \"strict\" }".into()).await;
    let path = "/deep/it's?a=b&amp;c";
    let authorization = begin(&stage.browser, &stage.url(path)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let page = call_back(&stage.browser, &callback).await;
    assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, Some("no-store")), "{}", page.text());
    assert!(page.set_cookies().iter().any(|line| line.starts_with(SESSION_COOKIE) && line.contains("SameSite=Strict")));
    assert_eq!(meta_refresh(&page.text()).as_deref(), Some(path));
    assert_eq!(page.links(), [(path.to_owned(), "Continue".to_owned())]);
    let page = stage.browser.click(&meta_refresh(&page.text()).unwrap()).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(path).as_str()));
    assert_eq!(stage.upstream.last().target, path);
}

#[tokio::test]
async fn st_11_twenty_tabs_finished_in_any_order_end_on_their_own_page_with_one_session() {
    let stage = Stage::set().await;
    let mut tabs = Vec::new();
    let mut lengths = Vec::new();
    for number in 0..20 {
        let tab = stage.browser.clone();
        let path = format!("/page/{number}?tab={number}");
        let authorization = begin(&tab, &stage.url(&path)).await;
        lengths.push(cookie(&tab, LOGIN_COOKIE).unwrap().len());
        tabs.push((tab, path, authorization));
    }
    assert_eq!(lengths, [104; 20]);
    assert_eq!(stage.browser.jar().beginning("app.example", "__Host-Http-vestibule").len(), 1);
    // The person types the password in one tab; the others are let through by the provider.
    for step in 0..20 {
        let (tab, path, authorization) = &tabs[(step * 7 + 13) % 20];
        let callback = authorize(tab, authorization, "alice").await;
        let page = tab.click(callback.as_str()).await;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(path).as_str()), "{}", page.text());
    }
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
    assert_eq!(stage.gateway.sessions().live_sessions(), 1);
    assert_eq!(stage.upstream.hits(), 20);
}

#[tokio::test]
async fn st_11_tabs_begun_at_once_without_a_cookie_end_well_for_all_once_one_is_logged_in() {
    let stage = Stage::set().await;
    // Each is begun before any answer has come: every tab gets a login cookie of its own, and the last one stays.
    let mut tabs = Vec::new();
    for number in 0..4 {
        let alone = stage.gateway.browser();
        let path = format!("/page/{number}");
        let authorization = begin(&alone, &stage.url(&path)).await;
        let value = cookie(&alone, LOGIN_COOKIE).unwrap();
        stage.browser.jar().plant("app.example", LOGIN_COOKIE, &value);
        tabs.push((path, authorization));
    }
    let mut callbacks = Vec::new();
    for (path, authorization) in &tabs {
        callbacks.push((path.clone(), authorize(&stage.browser, authorization, "alice").await));
    }
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &callbacks[0].1).await;
    counts.assert_refused(&stage, &page, "state-mismatch", "/page/0", 0);
    let (last, fitting) = &callbacks[3];
    let answer = call_back(&stage.browser, fitting).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(last.as_str())));
    for (path, callback) in &callbacks[..3] {
        let answer = call_back(&stage.browser, callback).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(path.as_str())), "{path}");
    }
    assert_eq!((stage.provider.hits(Endpoint::Token), stage.gateway.sessions().live_sessions()), (1, 1));
}

#[tokio::test]
async fn st_14_where_an_attempt_cannot_be_marked_as_used_its_code_is_not_spent() {
    let stage = Stage::set().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    // The store takes no more markers.
    let (sessions, until) = (stage.gateway.sessions(), stage.gateway.clock.now().plus(Duration::from_secs(600)));
    let mut number = 0_u128;
    while sessions.put_once(Marker::Attempt(&number.to_be_bytes()), until).await.is_ok() {
        number += 1;
    }
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &callback).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after").is_some()), (503, true), "{}", page.text());
    assert_eq!(page.set_cookies(), Vec::<&str>::new());
    counts.assert_no_userinfo(&stage);
    assert_eq!((stage.provider.hits(Endpoint::Token), sessions.live_sessions()), (0, 0));

    // Once there is room again the same callback is still good.
    stage.gateway.clock.advance(Duration::from_secs(601));
    let answer = call_back(&stage.browser, &callback).await;
    assert_eq!(stage.provider.hits(Endpoint::Token), 1, "{}", answer.text());
}
