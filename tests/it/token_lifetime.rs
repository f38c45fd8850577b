//! What happens when an access token runs out and nothing can renew it, and when nobody says how long it lives.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{Setup, Stage};
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::upstream::RecordingUpstream;

const RUN_OUT: Duration = Duration::from_secs(61);

async fn stage(adjust: impl FnOnce(&mut Setup)) -> Stage {
    let stage = Stage::with(adjust).await;
    stage.provider.omit(Endpoint::Token, "refresh_token");
    stage
}

async fn access_token_expires_in(stage: &Stage) -> Option<u64> {
    let told = stage.browser.fetch(&stage.url("/oauth2/session")).await.json();
    Some(told["access_token_expires"].as_u64()? - told["created"].as_u64()?)
}

fn warnings(stage: &Stage) -> (usize, bool) {
    let line = stage.gateway.log.lines_with(&["login.no-refresh-token", "offline_access"]);
    let metrics = stage.gateway.metrics.encode();
    let counted = format!("vestibule_logins_without_refresh_token_total{{provider=\"default\"}} {line}");
    (line, metrics.lines().any(|served| served == counted))
}

#[tokio::test]
async fn without_a_refresh_token_an_upstream_that_needs_the_token_asks_for_a_login() {
    let stage = stage(|_| {}).await;
    stage.log_in().await;
    assert_eq!(warnings(&stage), (1, true), "one warning and the metric");
    assert_eq!(stage.browser.fetch(&stage.url("/oauth2/session")).await.json()["refreshable"], false);
    stage.gateway.clock.advance(RUN_OUT);
    let hits = stage.upstream.hits();
    let page = stage.browser.fetch(&stage.url("/")).await;
    assert_eq!((page.status.as_u16(), &page.json()["code"]), (401, &json!("access-token-expired")));
    assert!(page.set_cookies().is_empty(), "the session is not touched");
    assert_eq!((stage.upstream.hits(), stage.gateway.sessions().live_sessions()), (hits, 1));
    // The provider still knows the browser: the login shows nothing to the person.
    let page = stage.browser.navigate(&stage.url("/deep?link")).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/deep?link").as_str()));
    assert_eq!(stage.provider.hits(Endpoint::Login), 1);
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 0);
    assert_eq!(stage.gateway.sessions().live_sessions(), 1, "the new one has replaced the old one");
}

#[tokio::test]
async fn without_a_refresh_token_an_upstream_that_gets_only_claims_goes_on() {
    let provider = TestProvider::start().await;
    let claims = RecordingUpstream::start().await;
    let target = claims.address();
    let stage = Stage::with_provider(provider, |setup| {
        setup.more = format!(
            "[[upstream]]\nname = \"claims\"\npath = \"/claims\"\ntarget = \"http://{target}\"\n\
             [upstream.headers]\nauthorization = false\nx-sub = \"{{claims.sub}}\"\n"
        );
    })
    .await;
    stage.provider.omit(Endpoint::Token, "refresh_token");
    stage.log_in().await;
    stage.gateway.clock.advance(RUN_OUT);
    let page = stage.browser.fetch(&stage.url("/claims")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    let received = claims.last();
    assert_eq!((received.header("authorization"), received.header("x-sub")), (None, Some("subject-of-alice")));
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
}

#[tokio::test]
async fn there_is_no_warning_where_nothing_is_wrong() {
    let stage_with_refresh_token = Stage::set().await;
    stage_with_refresh_token.log_in().await;
    assert_eq!(warnings(&stage_with_refresh_token), (0, true));
    drop(stage_with_refresh_token);

    let no_upstream_uses_it = stage(|setup| setup.upstream = "[upstream.headers]\nauthorization = false".into()).await;
    no_upstream_uses_it.log_in().await;
    assert_eq!(warnings(&no_upstream_uses_it), (0, true));
    drop(no_upstream_uses_it);

    let the_token_outlives_the_session = stage(|_| {}).await;
    the_token_outlives_the_session.provider.put(Endpoint::Token, "expires_in", json!(36_060));
    the_token_outlives_the_session.log_in().await;
    assert_eq!(warnings(&the_token_outlives_the_session), (0, true));
}

#[tokio::test]
async fn jw_31_without_expires_in_the_exp_of_a_jwt_counts() {
    let stage = stage(|_| {}).await;
    stage.provider.omit(Endpoint::Token, "expires_in");
    stage.log_in().await;
    let lifetime = access_token_expires_in(&stage).await.unwrap();
    assert!((59..=60).contains(&lifetime), "{lifetime}");
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
}

#[tokio::test]
async fn jw_31_when_nobody_says_how_long_it_lives_it_serves_as_long_as_the_session() {
    let stage = stage(|_| {}).await;
    stage.provider.alter_json(Endpoint::Token, |tokens| {
        tokens.as_object_mut().unwrap().remove("expires_in");
        tokens["access_token"] = "opaque".into();
    });
    stage.provider.alter_claims(|claims| drop(claims.as_object_mut().unwrap().remove("at_hash")));
    stage.provider.instead(Endpoint::Userinfo, |_| Behaviour::json(200, &json!({ "sub": "subject-of-alice" })));
    stage.log_in().await;
    assert_eq!(access_token_expires_in(&stage).await, None);
    assert_eq!(warnings(&stage), (0, true));
    // Eleven steps within the idle limit of an hour end just before the absolute limit of ten hours.
    for _ in 0..11 {
        stage.gateway.clock.advance(Duration::from_secs(54 * 60));
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    }
    stage.gateway.clock.advance(Duration::from_secs(6 * 60));
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.json()["code"], "unauthenticated");
    assert_eq!(stage.upstream.last().header("authorization"), Some("Bearer opaque"));
}

#[tokio::test]
async fn jw_31_lifetimes_that_make_no_sense_are_bounded_or_refused() {
    let year = 366 * 24 * 3600;
    let cases: [(&str, Value, Option<u64>); 8] = [
        ("empty", json!(""), None),
        ("a text", json!("3600"), None),
        ("negative", json!(-1), None),
        ("zero", json!(0), None),
        ("below one", json!(0.5), None),
        ("a fraction", json!(90.5), Some(90)),
        ("huge", json!(1e18), Some(year)),
        ("the largest", json!(u64::MAX), Some(year)),
    ];
    for (name, value, lifetime) in cases {
        let stage = stage(|_| {}).await;
        stage.provider.put(Endpoint::Token, "expires_in", value);
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        match lifetime {
            Some(expected) => {
                assert_eq!(page.status, 200, "{name}");
                let lifetime = access_token_expires_in(&stage).await.unwrap();
                assert!((expected - 2..=expected).contains(&lifetime), "{name}: {lifetime}");
            }
            None => {
                assert_eq!(page.status, 400, "{name}");
                assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "token-invalid", "expires-in"]), 1);
                assert_eq!((stage.gateway.sessions().live_sessions(), stage.upstream.hits()), (0, 0));
            }
        }
    }
}

#[tokio::test]
async fn a_login_that_fails_over_a_token_that_has_run_out_ends_on_a_page_and_goes_round_no_circle() {
    let stage = stage(|_| {}).await;
    stage.log_in().await;
    stage.gateway.clock.advance(RUN_OUT);
    stage.provider.alter_claims(|claims| claims["aud"] = "somebody-else".into());
    let page = stage.browser.navigate(&stage.url("/deep")).await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert_eq!(page.url.path(), "/oauth2/callback");
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "token-invalid"]), 1);
}
