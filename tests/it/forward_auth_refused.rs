//! Questions at `/oauth2/auth` that get no yes: of strangers, in several or ambiguous words, about what is not to be asked.

use crate::harness::asking_proxy::{NGINX, SECTION, TRAEFIK, ask, stage, with};
use crate::harness::by_hand;
use crate::harness::gateway::Stage;

#[tokio::test]
async fn fa_01_a_stranger_may_not_ask() {
    let stage = Stage::with(|setup| {
        setup.listen = "trusted_proxies = [\"10.0.0.0/8\"]".to_owned();
        setup.more = SECTION.to_owned();
    })
    .await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for described in [NGINX, TRAEFIK] {
        let answer =
            stage.spelled("GET /oauth2/auth", &with(&described, &[&cookie, "X-Forwarded-For: 10.0.0.1"])).await;
        assert_eq!(answer.status, 403);
        assert!(answer.text().contains("forward-auth-untrusted"));
        assert_eq!((answer.header("x-forwarded-user"), answer.header("authorization")), (None, None));
        // The host that a stranger asks about is nobody's business: the wire's counts.
        assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &with(&described, &[&cookie])).await.status, 421);
    }
    assert_eq!(stage.spelled("GET /oauth2/auth/wiki/page", &[&cookie]).await.status, 403);
    stage.gateway.log_reaches(&["fwdauth.denied", "forward-auth-untrusted"], 3).await;
}

#[tokio::test]
async fn fa_02_anything_but_one_whole_description_is_refused() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for fields in [
        vec![],
        vec![NGINX[0]],
        vec![NGINX[1]],
        vec![TRAEFIK[1], NGINX[0]],
        vec![TRAEFIK[0], TRAEFIK[1], NGINX[0], NGINX[1]],
        vec![TRAEFIK[0], TRAEFIK[1], NGINX[1]],
        vec![NGINX[0], NGINX[1], NGINX[1]],
        vec![NGINX[0], NGINX[0], NGINX[1]],
        vec![NGINX[0], "X-Original-URI: https://app.example/wiki/page"],
        vec![NGINX[0], "X-Original-URI: //app.example/wiki"],
        vec![NGINX[0], "X-Original-URI: "],
        vec!["X-Original-Method: G@T", NGINX[1]],
        vec!["X-Original-Method: CONNECT", NGINX[1]],
        vec!["X-Original-Method: TRACE", NGINX[1]],
    ] {
        let answer = ask(&stage.gateway, "GET /oauth2/auth", &with(&fields, &[&cookie])).await;
        assert_eq!(answer.status, 400, "{fields:?} {}", answer.text());
        assert_eq!(answer.header("x-forwarded-user"), None);
    }
    let doubled =
        ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&cookie, "X-Forwarded-Host: app.example"])).await;
    assert_eq!(doubled.status, 400);
}

#[tokio::test]
async fn fa_02_what_is_ours_or_proxied_by_us_is_never_allowed() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for target in ["/oauth2/callback", "/oauth2/auth", "/oauth2/start", "/", "/other"] {
        let uri = format!("X-Original-URI: {target}");
        let answer = ask(&stage.gateway, "GET /oauth2/auth", &[NGINX[0], &uri, &cookie]).await;
        assert_eq!(answer.status, 403, "{target}");
        assert!(answer.text().contains("forward-auth-no-upstream"));
    }
    // And what is only asked about is not carried by us.
    assert_eq!(stage.spelled("GET /wiki/page", &[&cookie]).await.status, 404);
}

#[tokio::test]
async fn ck_05_fa_04_a_malformed_or_doubled_cookie_is_none() {
    let stage = stage().await;
    stage.log_in().await;
    let good = by_hand::session_cookie(&stage.browser);
    let none = ask(&stage.gateway, "GET /oauth2/auth", &NGINX).await;
    assert_eq!(none.status, 401);
    let doubled = format!("{}; {}", by_hand::pair(&good), by_hand::pair(&good));
    let long = by_hand::pair(&"A".repeat(12 << 10));
    let chopped = by_hand::pair(&good[1..]);
    for value in [doubled.as_str(), &long, &chopped, &by_hand::pair(""), &by_hand::pair("A"), &by_hand::pair("%00")] {
        let cookie = format!("Cookie: {value}");
        let answer = ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&cookie])).await;
        assert_eq!(by_hand::comparable(&answer), by_hand::comparable(&none), "{value:.90}");
    }
}

#[tokio::test]
async fn fa_05_a_malformed_target_is_never_allowed() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for target in [
        "/wiki/%",
        "/wiki/%zz",
        "/wiki/%00",
        "/wiki//a",
        "/wiki/a b",
        "/wiki/../wiki/a",
        "/wiki/%2e%2e/a",
        "/wiki/a;b",
        "/wiki/a%2Fb",
        "/wiki/\\a",
        "/wiki/a#/../b",
        "/wiki/é",
        "wiki",
        "*",
        "?x",
        "/wiki/a?b#c",
        "/wiki/a?b c",
    ] {
        let uri = format!("X-Original-URI: {target}");
        let answer = ask(&stage.gateway, "GET /oauth2/auth", &[NGINX[0], &uri, &cookie]).await;
        assert_eq!(answer.status, 400, "{target} {}", answer.text());
    }
    let long = format!("X-Original-URI: /wiki/{}", "a".repeat(9 << 10));
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &[NGINX[0], &long, &cookie]).await.status, 400);
}

#[tokio::test]
async fn fa_08_a_refusal_tells_only_our_own_checked_login() {
    let stage = stage().await;
    for uri in ["/wiki/page?rd=https://evil.example", "/wiki/x?next=//evil.example"] {
        let fields = [NGINX[0], &format!("X-Original-URI: {uri}"), "Location: https://evil.example"];
        let answer = ask(&stage.gateway, "GET /oauth2/auth?rd=https://evil.example", &fields).await;
        assert_eq!((answer.status, answer.header("location")), (401, None));
        let login =
            serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap()["login"].as_str().unwrap().to_owned();
        let login = url::Url::parse(&login).unwrap();
        assert_eq!(login.origin().ascii_serialization(), "https://app.example");
        assert_eq!(login.query_pairs().next().unwrap().1, uri, "the path that was asked about");
        assert!(!answer.text().contains(stage.provider.issuer()));
    }
}
