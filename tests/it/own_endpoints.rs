//! The gateway's own endpoints: what a page may learn about its session, and what is no endpoint.

use serde_json::{Value, json};

use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{NAVIGATION, pair, send, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::provider::{Endpoint, TestProvider};

const FORM: &str = "application/x-www-form-urlencoded";
const TOLD: [&str; 3] = ["/oauth2/userinfo", "/oauth2/session", "/oauth2/session/refresh"];

fn method_of(path: &str) -> &'static str {
    if path.ends_with("/refresh") { "POST" } else { "GET" }
}

#[tokio::test]
async fn ad_04_userinfo_says_who_is_logged_in_and_nothing_else() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let page = stage.browser.fetch(&stage.url("/oauth2/userinfo")).await;
    let expected = json!({
        "user": "subject-of-alice", "email": "alice@example.com", "groups": ["staff", "admins"],
        "preferredUsername": "alice",
    });
    assert_eq!((page.status.as_u16(), page.json()), (200, expected));
}

#[tokio::test]
async fn ad_04_what_the_provider_does_not_say_is_null() {
    let provider = TestProvider::start().await;
    provider.alter_claims(|claims| {
        for name in ["email", "email_verified", "groups", "preferred_username"] {
            claims.as_object_mut().unwrap().remove(name);
        }
    });
    provider.alter_json(Endpoint::Userinfo, |claims| *claims = json!({ "sub": claims["sub"] }));
    let stage = Stage::with_provider(provider, |_| {}).await;
    stage.log_in().await;
    let told = stage.browser.fetch(&stage.url("/oauth2/userinfo")).await.json();
    assert_eq!(told["user"], "subject-of-alice");
    assert_eq!((&told["email"], &told["preferredUsername"]), (&Value::Null, &Value::Null));
    assert_eq!(told["groups"], Value::Null);
}

#[tokio::test]
async fn ad_04_the_answers_hold_no_token_and_no_cache_keeps_them() {
    let stage = Stage::with(|setup| setup.provider = "scopes = [\"openid\", \"email\", \"far\"]".to_owned()).await;
    stage.log_in().await;
    let cookie = session_cookie(&stage.browser);
    let received = stage.upstream.last();
    let token = received.header("authorization").unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    for path in TOLD {
        let page = stage.browser.ask(&stage.url(path), Asked::new(Kind::Fetch).method(method_of(path))).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text());
        assert_eq!(page.header("content-type"), Some("application/json"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
        assert!(page.header("x-request-id").is_some() && page.set_cookies().is_empty());
        let text = page.text();
        assert!(!text.contains(&token) && !text.contains("eyJ") && !text.contains(&cookie[..10]), "{text}");
        let allowed: &[&str] = if path == TOLD[0] {
            &["user", "email", "groups", "preferredUsername"]
        } else {
            &[
                "created",
                "session_expires",
                "idle_expires",
                "access_token_expires",
                "next_refresh",
                "refreshable",
                "scopes_granted",
                "scopes_missing",
            ]
        };
        let members: Vec<_> = page.json().as_object().unwrap().keys().cloned().collect();
        assert_eq!(members.len(), allowed.len());
        assert!(members.iter().all(|member| allowed.contains(&member.as_str())), "{members:?}");
    }
}

#[tokio::test]
async fn the_session_s_times_are_those_of_its_limits_and_tokens() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let told = stage.browser.fetch(&stage.url("/oauth2/session")).await.json();
    let number = |name: &str| told[name].as_u64().unwrap_or_else(|| panic!("{name} in {told}"));
    assert_eq!(number("session_expires"), number("created") + 36_000);
    assert_eq!(number("idle_expires"), number("created") + 3_600);
    assert!(number("access_token_expires") > number("next_refresh"));
    assert!(number("next_refresh") > number("created"));
    assert_eq!((&told["refreshable"], &told["scopes_missing"]), (&json!(true), &json!([])));
    assert_eq!(told["scopes_granted"], json!(["openid", "profile", "email"]));
}

#[tokio::test]
async fn a_refresh_on_request_reaches_the_provider_once_and_a_loop_does_not() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let url = stage.url("/oauth2/session/refresh");
    let refresh = || stage.browser.ask(&url, Asked::new(Kind::Fetch).method("POST"));
    let before = refresh().await.json();
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 0, "the login's token is young");
    stage.gateway.clock.advance(std::time::Duration::from_secs(10));
    let after = refresh().await.json();
    for _ in 0..5 {
        assert_eq!(refresh().await.status, 200);
    }
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
    assert!(after["access_token_expires"].as_u64() > before["access_token_expires"].as_u64());
    assert_eq!(after["created"], before["created"]);
    assert_eq!(stage.gateway.log.lines_with(&["INFO", "refresh.ok"]), 1);
}

#[tokio::test]
async fn ad_04_without_a_session_or_from_elsewhere_nothing_is_told() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    for path in TOLD {
        let method = method_of(path);
        let [mode, destination] = NAVIGATION;
        let nobody = send(&stage.gateway, method, path, &[mode, destination, ("Sec-Fetch-Site", "none")]).await;
        assert_eq!((nobody.status, nobody.header("content-type")), (401, Some("application/problem+json")));
        let told: Value = serde_json::from_slice(&nobody.body).unwrap();
        assert_eq!(
            (&told["code"], &told["login"]),
            (&json!("unauthenticated"), &json!(stage.url("/oauth2/start?rd=%2F")))
        );
        for site in ["cross-site", "same-site", "", "SAME-ORIGIN"] {
            let answer = send(&stage.gateway, method, path, &[("Cookie", &ours), ("Sec-Fetch-Site", site)]).await;
            assert_eq!(answer.status, 403, "{path} {site}");
            assert!(answer.text().contains("cross-site") && !answer.text().contains("alice"), "{}", answer.text());
        }
        let twice = [("Cookie", &*ours), ("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")];
        assert_eq!(send(&stage.gateway, method, path, &twice).await.status, 403, "{path}");
    }
    let unmarked = send(&stage.gateway, "POST", TOLD[2], &[("Cookie", &ours)]).await;
    assert_eq!(unmarked.status, 403);
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 0);
    assert_eq!(stage.upstream.hits(), 1);
}

#[tokio::test]
async fn ad_05_claims_with_markup_are_only_text() {
    let hostile = "</script><img src=x onerror=alert(1)>\"'&";
    let provider = TestProvider::start().await;
    provider.alter_claims(move |claims| claims["preferred_username"] = hostile.into());
    provider.put(Endpoint::Userinfo, "preferred_username", hostile.into());
    let stage = Stage::with_provider(provider, |setup| {
        setup.upstream = "access = { claim = \"groups\", contains = \"nobody\" }".to_owned();
    })
    .await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!((page.status.as_u16(), stage.upstream.hits()), (403, 0));
    assert!(!page.text().contains("<img") && !page.text().contains("</script>"), "{}", page.text());
    assert!(page.text().contains("&#60;img") || page.text().contains("&lt;img"), "{}", page.text());
    let told = stage.browser.fetch(&stage.url("/oauth2/userinfo")).await;
    assert_eq!(told.json()["preferredUsername"], hostile);
    assert_eq!(told.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_method_that_an_endpoint_does_not_know_is_405_with_those_it_does() {
    let stage = Stage::set().await;
    let reading = "GET, HEAD";
    for (path, allowed) in [
        ("/oauth2/start", reading),
        ("/oauth2/sign_in", reading),
        ("/oauth2/login", reading),
        ("/oauth2/callback", "GET"),
        ("/oauth2/signed_out", reading),
        ("/oauth2/userinfo", reading),
        ("/oauth2/session", reading),
        ("/oauth2/session/refresh", "POST"),
        ("/oauth2/jwks.json", reading),
        ("/oauth2/sign_out", "GET, HEAD, POST"),
        ("/oauth2/logout", "GET, HEAD, POST"),
    ] {
        for method in ["PUT", "DELETE", "OPTIONS", "PATCH", "FOO", if allowed == "POST" { "GET" } else { "TRACE" }] {
            let answer = send(&stage.gateway, method, path, &[]).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.header("x-request-id").is_some());
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            if method != "TRACE" {
                assert_eq!(answer.header("allow"), Some(allowed), "{method} {path}");
            }
            assert!(answer.all("set-cookie").is_empty());
        }
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn what_is_no_endpoint_is_404_and_never_reaches_an_application() {
    let stage = Stage::with(|setup| setup.upstream = "public = [\"/oauth2x/**\"]".to_owned()).await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let hits = stage.upstream.hits();
    for path in
        ["/oauth2", "/oauth2/", "/oauth2/authx", "/oauth2/userinfo/", "/oauth2/Start", "/oauth2/jwks", "/oauth2/x"]
    {
        for method in ["GET", "POST"] {
            let headers = [("Cookie", &*ours), ("Sec-Fetch-Site", "same-origin")];
            let answer = send(&stage.gateway, method, path, &headers).await;
            assert_eq!(answer.status, 404, "{method} {path}");
            assert!(answer.text().contains("not-found"), "{}", answer.text());
        }
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(send(&stage.gateway, "GET", "/oauth2x/a", &[]).await.status, 200, "the prefix ends at a segment");
}

#[tokio::test]
async fn cs_12_no_browser_can_use_the_logout_of_the_provider_by_a_post() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let hits = stage.upstream.hits();
    for site in ["cross-site", "same-origin", "none"] {
        for (path, status) in [("/oauth2/backchannel-logout", 400), ("/oauth2/frontchannel-logout", 405)] {
            let headers = [("Cookie", &*ours), ("Sec-Fetch-Site", site), ("Content-Type", FORM)];
            let answer = send(&stage.gateway, "POST", path, &headers).await;
            assert_eq!((answer.status, answer.all("set-cookie").len()), (status, 0), "{path} {site}");
        }
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(send(&stage.gateway, "GET", "/", &[("Cookie", &ours)]).await.status, 200, "the session lives");
}

#[tokio::test]
async fn head_is_answered_like_get() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let headers = [("Cookie", &*pair(&session_cookie(&stage.browser)))];
    let get = send(&stage.gateway, "GET", "/oauth2/userinfo", &headers).await;
    let head = send(&stage.gateway, "HEAD", "/oauth2/userinfo", &headers).await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    assert_eq!(head.header("content-length"), get.header("content-length"));
}

#[tokio::test]
async fn ad_01_names_of_other_listeners_are_ordinary_paths_here() {
    let stage = Stage::set().await;
    let paths =
        ["/metrics", "/livez", "/readyz", "/healthz", "/debug/pprof", "/admin", "/sessions", "/server-status", "/ping"];
    for path in paths {
        for agent in ["curl/8", "GoogleHC/1.0", "kube-probe/1.31"] {
            let answer = send(&stage.gateway, "GET", path, &[("User-Agent", agent)]).await;
            assert_eq!((answer.status, stage.upstream.hits()), (401, 0), "{path}");
        }
    }
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    for path in paths {
        let answer = send(&stage.gateway, "GET", path, &[("Cookie", &ours)]).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "upstream"));
        assert_eq!(stage.upstream.last().target, path);
    }
}
