//! Front-channel logout: the provider's page opens a frame, and the session it names ends, with or without its cookie.

use crate::harness::by_hand::{NAVIGATION, post_logout_token, send};
use crate::harness::gateway::Stage;
use crate::harness::logout_stage::{is_live, sid_of};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::raw::RawResponse;

const ENDPOINT: &str = "/oauth2/frontchannel-logout";
const FRAME: [(&str, &str); 3] =
    [("Sec-Fetch-Mode", "navigate"), ("Sec-Fetch-Dest", "iframe"), ("Sec-Fetch-Site", "cross-site")];

fn query(pairs: &[(&str, &str)]) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{ENDPOINT}?{query}")
}

async fn frame(stage: &Stage, pairs: &[(&str, &str)], cookie: Option<&str>) -> RawResponse {
    let cookie = cookie.map(|cookie| ("Cookie", cookie));
    let headers: Vec<_> = FRAME.into_iter().chain(cookie).collect();
    send(&stage.gateway, "GET", &query(pairs), &headers).await
}

#[tokio::test]
async fn the_named_session_ends_without_its_cookie_and_without_a_call_to_the_provider() {
    let stage = Stage::set().await;
    let (first, second) = (stage.cookie_of("alice").await, stage.cookie_of("alice").await);
    let sid = sid_of(&stage.gateway, &first).await;
    let calls = stage.provider.requests(Endpoint::Token).len();
    let answer = frame(&stage, &[("iss", stage.provider.issuer()), ("sid", &sid)], None).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let policy = answer.header("content-security-policy").unwrap();
    let ancestors = format!("frame-ancestors {};", stage.provider.issuer());
    assert!(policy.contains(&ancestors) && policy.starts_with("default-src 'none';"), "{policy}");
    assert_eq!((answer.header("x-frame-options"), answer.all("set-cookie").len()), (None, 0));
    assert!(!is_live(&stage.gateway, &first).await && is_live(&stage.gateway, &second).await);
    assert_eq!(stage.gateway.log.lines_with(&["INFO", "\"fcl.accepted\"", "\"ended\":1"]), 1);
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\"", "\"front-channel-logout\""]), 1);
    // The other one with its own cookie: nothing more happens.
    let sid = sid_of(&stage.gateway, &second).await;
    let answer = frame(&stage, &[("iss", stage.provider.issuer()), ("sid", &sid)], Some(&second)).await;
    assert_eq!((answer.status, answer.all("set-cookie").len()), (200, 0));
    assert!(!is_live(&stage.gateway, &second).await);
    assert_eq!(stage.provider.hits(Endpoint::Revocation), 0, "a bare sid is no leave to revoke");
    assert_eq!(stage.provider.requests(Endpoint::Token).len(), calls);
    assert!(!stage.gateway.everything_written().contains(&sid));
}

#[tokio::test]
async fn lo_16_only_issuer_and_session_together_end_anything() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let (issuer, sid) = (stage.provider.issuer().to_owned(), sid_of(&stage.gateway, &cookie).await);
    let slash = format!("{issuer}/");
    for pairs in [
        vec![],
        vec![("iss", issuer.as_str())],
        vec![("sid", sid.as_str())],
        vec![("iss", &issuer), ("sid", "")],
        vec![("iss", ""), ("sid", &sid)],
        vec![("iss", &slash), ("sid", &sid)],
        vec![("iss", "https://evil.example"), ("sid", &sid)],
        vec![("iss", &issuer), ("iss", &issuer), ("sid", &sid)],
        vec![("iss", &issuer), ("sid", &sid), ("sid", "other")],
        vec![("Iss", &issuer), ("Sid", &sid)],
    ] {
        let answer = frame(&stage, &pairs, Some(&cookie)).await;
        assert_eq!((answer.status, answer.header("cache-control")), (400, Some("no-store")), "{pairs:?}");
        assert!(is_live(&stage.gateway, &cookie).await, "{pairs:?}");
    }
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "\"fcl.rejected\"", "\"logout-malformed\""]), 10);
    // Somebody else's, or nobody's.
    assert_eq!(frame(&stage, &[("iss", &issuer), ("sid", "subject-of-alice")], None).await.status, 200);
    let target = query(&[("iss", &issuer), ("sid", &sid)]);
    for method in ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"] {
        let answer = send(&stage.gateway, method, &target, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{method}");
    }
    assert!(is_live(&stage.gateway, &cookie).await);
}

#[tokio::test]
async fn lo_04_a_store_that_is_away_is_503_and_ends_nothing() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let (issuer, sid) = (stage.provider.issuer().to_owned(), sid_of(&stage.gateway, &cookie).await);
    stage.gateway.store.fail(&["remove"]);
    let answer = frame(&stage, &[("iss", &issuer), ("sid", &sid)], None).await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    stage.gateway.store.fail(&[]);
    assert!(is_live(&stage.gateway, &cookie).await);
    assert_eq!(frame(&stage, &[("iss", &issuer), ("sid", &sid)], None).await.status, 200);
    assert!(!is_live(&stage.gateway, &cookie).await);
}

#[tokio::test]
async fn what_any_page_can_send_does_not_keep_the_providers_word_out() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let issuer = stage.provider.issuer().to_owned();
    let flood = async { while frame(&stage, &[("iss", &issuer), ("sid", "guess")], None).await.status != 429 {} };
    patiently("the limit", flood).await;
    let metrics = stage.gateway.metrics.encode();
    assert!(metrics.contains("vestibule_limit_reached_total{limit=\"front-channel-logouts\"} 1"));
    let token = stage.logout_token(&stage.logout_claims("sub", "subject-of-alice", "one"));
    assert_eq!(post_logout_token(&stage.gateway, &token).await.status, 200);
    assert!(!is_live(&stage.gateway, &cookie).await);
}

#[tokio::test]
async fn a_server_without_openid_connect_ends_nobodys_session() {
    let provider = TestProvider::start().await;
    let issuer = provider.issuer().to_owned();
    let stage = Stage::with_settings(
        provider,
        |setup| {
            setup.issuer = "authorization_endpoint = \"https://id.test/authorize\"\ntoken_endpoint = \
                            \"https://id.test/token\"\nuserinfo_endpoint = \"https://id.test/userinfo\""
                .to_owned();
            setup.upstream = "access = \"anyone\"".to_owned();
        },
        |_| {},
    )
    .await;
    assert_eq!(frame(&stage, &[("iss", &issuer), ("sid", "one")], None).await.status, 404);
    assert_eq!(post_logout_token(&stage.gateway, "a.b.c").await.status, 404);
    assert_eq!(send(&stage.gateway, "GET", ENDPOINT, &NAVIGATION).await.status, 404);
}
