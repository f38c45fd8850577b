//! Step-up: a rule wants a stronger or fresher login (RFC 9470). Who is let in, who is told what, and what an address can
//! do about it.

use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use crate::harness::browser::{Asked, Browser, Kind};
use crate::harness::by_hand::session_cookie;
use crate::harness::gateway::Stage;
use crate::harness::login_steps::{authorize, begin, parameter, start_link};
use crate::harness::provider::Endpoint;

/// Seconds since the epoch, at the provider.
fn now() -> u64 {
    use vestibule::clock::{Clock, SystemClock};
    SystemClock::default().now().as_seconds()
}

#[tokio::test]
async fn cf_12_acr_keeps_out_until_it_is_proved() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let first = session_cookie(&stage.browser);
    let hits = stage.upstream.hits();
    assert_eq!(stage.browser.fetch(&stage.url("/strong/x")).await.status, 403);
    let authorization = begin(&stage.browser, &stage.url("/strong/x?a=b")).await;
    assert_eq!(parameter(&authorization, "acr_values").as_deref(), Some("urn:strong"));
    assert_eq!(parameter(&authorization, "max_age"), None);
    assert_eq!(stage.upstream.hits(), hits, "nothing came through");
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let page = stage.browser.ask(callback.as_str(), Asked::new(Kind::Navigation)).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/strong/x?a=b").as_str()));
    assert_ne!(session_cookie(&stage.browser)[..26], first[..26], "a new id");
    assert_eq!(stage.browser.fetch(&stage.url("/strong/y")).await.status, 200);
    let log = &stage.gateway.log;
    assert_eq!(log.lines_with(&["login.started", "\"detail\":\"step-up\""]), 1);
    assert_eq!(log.lines_with(&["session.ended", "stepped-up"]), 1);
    assert_eq!(log.lines_with(&["login.ok"]), 2);
    assert_eq!(log.lines_with(&["authz.denied", "step-up-required", "/strong/**"]), 1);
    let metrics = stage.gateway.metrics_page().await;
    assert!(metrics.contains("vestibule_sessions_ended_total{reason=\"stepped-up\"} 1"), "{metrics}");
    assert!(metrics.contains("vestibule_login_total{reason=\"\",step=\"started\"} 2"), "{metrics}");
}

#[tokio::test]
async fn cf_12_max_age_keeps_out_whoever_logged_in_too_long_ago() {
    for auth_time in [json!(now() - 920), Value::Null] {
        let stage = Stage::with_step_up().await;
        stage.claim("auth_time", auth_time.clone());
        stage.log_in().await;
        stage.provider.restore(Endpoint::Token);
        // At first it counts as one of just now, as far as the leeway goes.
        stage.gateway.clock.advance(Duration::from_secs(61));
        assert_eq!(stage.browser.fetch(&stage.url("/fresh/x")).await.status, 403, "{auth_time}");
        let authorization = begin(&stage.browser, &stage.url("/fresh/x")).await;
        assert_eq!(parameter(&authorization, "max_age").as_deref(), Some("900"));
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        let page = stage.browser.ask(callback.as_str(), Asked::new(Kind::Navigation)).await;
        assert_eq!((page.status.as_u16(), page.url.path()), (200, "/fresh/x"));
    }
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    assert_eq!(stage.browser.fetch(&stage.url("/fresh/x")).await.status, 200, "this login is young enough");
}

#[tokio::test]
async fn both_must_be_proved_where_both_are_wanted() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    assert_eq!(stage.browser.fetch(&stage.url("/both/x")).await.status, 403);
    assert_eq!(stage.step_up("/both/x", "alice").await.status, 200);
    assert_eq!(stage.browser.fetch(&stage.url("/both/x")).await.status, 200);
}

#[tokio::test]
async fn a_program_is_told_what_is_wanted() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let navigation = ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", &cookie];
    let with_credentials = [&navigation[..], &["Authorization: Bearer of-its-own"]].concat();
    let challenge = "Bearer realm=\"app.example\", error=\"insufficient_user_authentication\", \
                     acr_values=\"urn:strong\", max_age=\"900\"";
    for (target, fields) in
        [("/api/x", &[cookie.as_str()][..]), ("/api/x", &navigation), ("/both/x", &with_credentials)]
    {
        let answer = stage.spelled(&format!("GET {target}"), fields).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (403, Some(challenge)), "{target}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        let login = format!("https://app.example{}", start_link(target));
        assert_eq!(
            (&problem["code"], &problem["login"], &problem["acr_values"], &problem["max_age"]),
            (&json!("step-up-required"), &json!(login), &json!("urn:strong"), &json!(900))
        );
    }
}

#[tokio::test]
async fn a_frame_gets_a_link_for_the_whole_window() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let page = stage.browser.frame(&stage.url("/strong/x")).await;
    assert_eq!((page.status.as_u16(), page.set_cookies().len()), (403, 0));
    assert!(page.text().contains("target=\"_top\""), "{}", page.text());
    assert_eq!(page.links().first().unwrap().0, start_link("/strong/x"));
    let authorization = begin(&stage.browser, &stage.url(&page.links().first().unwrap().0)).await;
    assert_eq!(parameter(&authorization, "acr_values").as_deref(), Some("urn:strong"));
}

#[tokio::test]
async fn a_form_keeps_its_fields_and_its_link_leads_to_the_step_up_it_needs() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    let hits = stage.upstream.hits();
    let page = stage.browser.post_form("/notes?on=7", &[("text", "<b>hello</b>")]).await;
    assert_eq!((page.status.as_u16(), page.set_cookies().len(), page.location()), (403, 0, None), "{}", page.text());
    assert_eq!(stage.upstream.hits(), hits);
    let form = page.forms().into_iter().next().unwrap();
    let (link, _) = page.links().into_iter().next().unwrap();
    let tab = stage.browser.clone();
    let authorization = begin(&tab, &stage.url(&link)).await;
    assert_eq!(parameter(&authorization, "acr_values").as_deref(), Some("urn:strong"));
    let callback = authorize(&tab, &authorization, "alice").await;
    assert_eq!(tab.ask(callback.as_str(), Asked::new(Kind::Navigation)).await.url.path(), "/");
    // Pressed once more, the link does not take away what has been proved.
    let proved = session_cookie(&tab);
    assert_eq!(tab.navigate(&stage.url(&link)).await.url.path(), "/");
    assert_eq!(session_cookie(&tab), proved);
    assert_eq!(stage.browser.submit(&form, None).await.status, 200);
    let received = stage.upstream.last();
    assert_eq!(
        (received.target.as_str(), received.form_value("text").as_deref()),
        ("/notes?on=7", Some("<b>hello</b>"))
    );
}

#[tokio::test]
async fn whoever_may_not_in_is_not_told_what_it_would_take() {
    let stage = Stage::with_step_up().await;
    stage.log_in_as("bob").await;
    let started = stage.gateway.log.lines_with(&["step-up"]);
    let answer = stage.browser.fetch(&stage.url("/admins/x")).await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (403, Some("forbidden")));
    assert_eq!((answer.header("www-authenticate"), answer.json().get("acr_values")), (None, None));
    assert_eq!(stage.browser.navigate(&stage.url("/admins/x")).await.status, 403);
    let login = begin(&stage.browser, &stage.url(&start_link("/admins/x"))).await;
    assert_eq!(parameter(&login, "acr_values"), None);
    assert_eq!(stage.gateway.log.lines_with(&["step-up"]), started);
}

#[tokio::test]
async fn an_address_cannot_choose_what_is_proved() {
    let stage = Stage::with_step_up().await;
    stage.log_in().await;
    for (query, acr) in [
        ("rd=%2Fplain&acr_values=urn:weak&max_age=0&acr=urn:weak", None),
        ("rd=%2Fstrong%2Fx&acr_values=urn:weak&prompt=none", Some("urn:strong")),
        ("rd=%2Fplain&step_up=GET+%2Fstrong%2Fx&acr_values=urn:weak", Some("urn:strong")),
        ("rd=%2Fplain&step_up=POST+%2Fnotes", Some("urn:strong")),
        ("rd=%2Fplain&step_up=GET+%2Fnotes", None),
        ("rd=%2Fplain&step_up=urn:weak", None),
        ("rd=%2Fplain&step_up=GET+https://evil.example/strong/x", None),
        ("rd=https://evil.example/strong/x", None),
    ] {
        let authorization = begin(&stage.browser, &stage.url(&format!("/oauth2/start?{query}"))).await;
        assert_eq!(authorization.origin(), Url::parse(stage.provider.issuer()).unwrap().origin());
        assert_eq!(parameter(&authorization, "acr_values").as_deref(), acr, "{query}");
        assert_eq!(
            (parameter(&authorization, "max_age"), parameter(&authorization, "prompt")),
            (None, None),
            "{query}"
        );
    }
    let nobody: Browser = stage.gateway.browser();
    let authorization = begin(&nobody, &stage.url(&start_link("/strong/x"))).await;
    assert_eq!(parameter(&authorization, "acr_values"), None, "first somebody logs in");
}
