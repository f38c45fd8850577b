//! The session store fails: nobody is logged out by it, and nothing is forwarded on a guess.

use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{SESSION, cookie, navigation, pair, program, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;

async fn stage() -> Stage {
    Stage::with(|setup| setup.upstream = "public = [\"/public/**\"]".to_owned()).await
}

/// Of the right form; the gateway has not opened it and has to ask.
fn cold() -> String {
    pair(&format!("AQ{}", "e".repeat(66)))
}

#[tokio::test]
async fn ss_01_what_cannot_be_known_is_503_and_neither_a_login_nor_a_pass() {
    let stage = stage().await;
    stage.log_in().await;
    let warm = pair(&session_cookie(&stage.browser));
    let hits = stage.upstream.hits();
    stage.gateway.store.fail(&["all"]);
    for path in ["/", "/oauth2/userinfo", "/oauth2/session"] {
        for answer in [program(&stage.gateway, path, &cold()).await, navigation(&stage.gateway, path, &cold()).await] {
            assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{path}");
            assert!(answer.all("set-cookie").is_empty() && answer.header("location").is_none());
        }
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert!(stage.gateway.log.lines_with(&["ERROR", "store.error", "load"]) >= 1);
    assert!(stage.gateway.metrics.encode().contains("vestibule_store_errors_total{operation=\"load\"} 6"));
    assert_eq!(program(&stage.gateway, "/", &warm).await.status, 200, "an opened session goes on");
    assert_eq!(program(&stage.gateway, "/public/x", &cold()).await.status, 200, "public paths do not ask");
    assert_eq!(program(&stage.gateway, "/", "a=b").await.status, 401, "without a cookie there is nothing to ask");
    stage.gateway.store.fail(&[]);
    assert_eq!(program(&stage.gateway, "/", &cold()).await.status, 401);
}

#[tokio::test]
async fn ss_01_a_form_is_kept_until_the_store_is_back() {
    let stage = stage().await;
    stage.log_in().await;
    stage.browser.jar().plant("app.example", SESSION, cold().split_once('=').unwrap().1);
    stage.gateway.store.fail(&["all"]);
    let page = stage.browser.post_form("/comments", &[("text", "kept")]).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("5")));
    let form = page.forms().remove(0);
    assert_eq!(
        (form.action.as_deref(), form.fields.as_slice()),
        (Some("/comments"), &[("text".into(), "kept".into())][..])
    );
    stage.gateway.store.fail(&[]);
    assert_eq!(stage.browser.submit(&form, None).await.status, 401, "it is asked about the session, not believed");
}

#[tokio::test]
async fn ss_02_a_login_that_cannot_be_written_leaves_no_cookie_and_no_tokens() {
    for (operation, label, token_calls) in
        [("insert", "insert", 1), ("index_add", "insert", 1), ("put_once", "put-once", 0)]
    {
        let stage = stage().await;
        stage.browser.navigate(&stage.url("/")).await;
        stage.gateway.store.fail(&[operation]);
        let page = stage.browser.login_as("alice").await;
        assert_eq!(page.status, 503, "{operation}");
        assert_eq!(cookie(&stage.browser, SESSION), None);
        assert_eq!(stage.provider.hits(Endpoint::Token), token_calls);
        stage.provider.hits_reach(Endpoint::Revocation, token_calls).await;
        assert_eq!(stage.gateway.log.lines_with(&["ERROR", "store.error", label]), 1, "{operation}");
        assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "store-unavailable"]), 1);
        stage.gateway.store.fail(&[]);
        assert_eq!(stage.gateway.sessions().live_sessions(), 0);
        // The page's link begins again.
        let again = stage.browser.navigate(&stage.url("/")).await;
        assert_eq!(again.status, 200, "{}", again.text());
    }
}

#[tokio::test]
async fn lo_04_a_logout_that_cannot_be_written_says_so() {
    let stage = stage().await;
    stage.log_in().await;
    let ours = session_cookie(&stage.browser);
    stage.gateway.store.fail(&["remove"]);
    let page = stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("5")));
    assert!(page.text().contains("You are not signed out") && page.set_cookies().is_empty(), "{}", page.text());
    assert_eq!(session_cookie(&stage.browser), ours);
    assert_eq!(stage.gateway.log.lines_with(&["ERROR", "logout.failed"]), 1);
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\""]), 0);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    assert_eq!((stage.provider.hits(Endpoint::EndSession), stage.provider.hits(Endpoint::Revocation)), (0, 0));
    stage.gateway.store.fail(&[]);
    // The link tries the same again.
    let (link, _) = page.links().remove(0);
    assert!(link.starts_with("/oauth2/sign_out"), "{link}");
    assert_eq!(stage.browser.click(&stage.url(&link)).await.hops[0].status, 303);
    assert_eq!(program(&stage.gateway, "/", &pair(&ours)).await.status, 401);
}

#[tokio::test]
async fn lo_04_a_logout_of_a_session_that_cannot_be_read_says_so_too() {
    let stage = stage().await;
    stage.gateway.store.fail(&["load"]);
    let asked = [
        ("Cookie", &*cold()),
        ("Sec-Fetch-Site", "none"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    let answer = crate::harness::by_hand::send(&stage.gateway, "GET", "/oauth2/sign_out", &asked).await;
    assert_eq!((answer.status, answer.all("set-cookie").len()), (503, 0));
    assert!(answer.text().contains("You are not signed out"), "{}", answer.text());
}

#[tokio::test]
async fn rf_12_without_a_lease_nothing_is_spent() {
    let stage = stage().await;
    stage.log_in().await;
    stage.gateway.store.fail(&["take_lease"]);
    stage.gateway.clock.advance(std::time::Duration::from_secs(45));
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200, "the access token still serves");
    stage.gateway.clock.advance(std::time::Duration::from_secs(45));
    let away = stage.browser.ask(&stage.url("/"), Asked::new(Kind::Fetch)).await;
    assert_eq!(away.status, 503);
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 0);
}
