//! `/oauth2/session` and `/oauth2/session/refresh`: what a page may know and do about its own session.

use std::time::Duration;

use serde_json::Value;
use vestibule::session::store::ChangeKind;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Kind, Page};
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::provider::Endpoint;

const REFRESH: &str = "/oauth2/session/refresh";

async fn refresh(stage: &Stage) -> Page {
    stage.browser.ask(&stage.url(REFRESH), Asked::new(Kind::Fetch).method("POST")).await
}

fn number(json: &Value, name: &str) -> u64 {
    json[name].as_u64().unwrap_or_else(|| panic!("{name} in {json}"))
}

#[tokio::test]
async fn the_page_learns_times_and_scopes_and_no_token() {
    let stage = Stage::with(|setup| setup.provider = "scopes = [\"openid\", \"profile\", \"calendar\"]".into()).await;
    stage.provider.put(Endpoint::Token, "scope", "openid profile".into());
    stage.log_in().await;
    let page = stage.browser.fetch(&stage.url("/oauth2/session")).await;
    assert_eq!((page.status.as_u16(), page.header("cache-control")), (200, Some("no-store")));
    let told = page.json();
    let created = number(&told, "created");
    assert_eq!(number(&told, "session_expires"), created + 36_000);
    assert!((59..=61).contains(&(number(&told, "access_token_expires") - created)), "{told}");
    assert!((26..=36).contains(&(number(&told, "next_refresh") - created)), "{told}");
    assert_eq!(told["scopes_granted"], serde_json::json!(["openid", "profile"]));
    assert_eq!(told["scopes_missing"], serde_json::json!(["calendar"]));
    assert_eq!(told["refreshable"], true);
    let bearer = stage.upstream.last().header("authorization").unwrap().to_owned();
    assert!(!page.text().contains(&bearer["Bearer ".len()..]));
}

#[tokio::test]
async fn a_page_may_ask_for_a_refresh_but_not_wear_the_provider_out() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let before = stage.upstream.last().header("authorization").unwrap().to_owned();
    for _ in 0..5 {
        assert_eq!(refresh(&stage).await.status, 200, "a token that is young is fresh enough");
    }
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
    stage.gateway.clock.advance(Duration::from_secs(10));
    let first = refresh(&stage).await;
    assert_eq!(first.status, 200, "{}", first.text());
    assert_eq!(refresh(&stage).await.json()["access_token_expires"], first.json()["access_token_expires"]);
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
    stage.browser.fetch(&stage.url("/")).await;
    assert_ne!(stage.upstream.last().header("authorization").unwrap(), before);
}

#[tokio::test]
async fn only_this_very_site_may_ask_for_a_refresh() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.gateway.clock.advance(Duration::from_secs(20));
    let post = || Asked::new(Kind::Fetch).method("POST");
    let stranger = stage.gateway.browser();
    assert_eq!(stranger.ask(&stage.url(REFRESH), post()).await.status, 401);
    for site in ["same-site", "cross-site"] {
        let page = stage.browser.ask(&stage.url(REFRESH), post().header("sec-fetch-site", site)).await;
        assert_eq!(page.status, 403, "{site}");
    }
    assert_eq!(stage.browser.fetch(&stage.url(REFRESH)).await.status, 405, "a GET changes nothing");
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
    assert_eq!(stage.gateway.log.lines_with(&["csrf.denied"]), 2);
    assert_eq!(refresh(&stage).await.status, 200);
    assert_eq!(stage.provider.hits(Endpoint::Token), 2);
}

#[tokio::test]
async fn a_refresh_that_is_asked_for_and_fails_says_so() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.gateway.clock.advance(Duration::from_secs(20));
    stage.provider.once(Endpoint::Token, Behaviour::status(503));
    let page = refresh(&stage).await;
    assert_eq!((page.status.as_u16(), &page.json()["code"]), (503, &"refresh-unavailable".into()));
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200, "the old token serves");
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.gateway.clock.advance(Duration::from_secs(20));
    let refused = serde_json::json!({ "error": "invalid_grant" });
    stage.provider.once(Endpoint::Token, Behaviour::json(400, &refused));
    assert_eq!(refresh(&stage).await.status, 401);
    assert_eq!(stage.gateway.sessions().live_sessions(), 0);
}

#[tokio::test]
async fn the_first_use_of_another_upstream_is_noted_once_and_never_waited_for() {
    let stage = Stage::with(|setup| {
        setup.more = "[[upstream]]\nname = \"wiki\"\npath = \"/wiki\"\ntarget = \"http://127.0.0.1:1\"".to_owned();
    })
    .await;
    stage.log_in().await;
    let upstreams = || async {
        let listed = stage.gateway.sessions().list().await.unwrap();
        (listed[0].card.upstreams.clone(), listed.len())
    };
    // The one that the login was for needs no write of its own.
    assert_eq!(upstreams().await, (vec!["app".to_owned()], 1));
    let mut changes = stage.gateway.sessions().changes();
    // Not while the store takes no writes, and the requests go on all the same.
    stage.gateway.store.fail(&["replace"]);
    assert_eq!(stage.browser.fetch(&stage.url("/wiki/a")).await.status, 502);
    stage.gateway.log_reaches(&["session.upstream-not-noted"], 1).await;
    stage.gateway.store.fail(&[]);
    let url = stage.url("/wiki/b");
    let many = futures_util::future::join_all((0..10).map(|_| stage.browser.fetch(&url))).await;
    assert!(many.iter().all(|answer| answer.status == 502));
    patiently("the note", async {
        while upstreams().await.0 != ["app", "wiki"] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    for path in ["/wiki/c", "/", "/wiki"] {
        stage.browser.fetch(&stage.url(path)).await;
    }
    let mut written = 0;
    while let Ok(change) = changes.try_recv() {
        written += usize::from(matches!(change.kind, ChangeKind::Changed { .. }));
    }
    assert_eq!(written, 1, "ten requests and three more make one write");
}
