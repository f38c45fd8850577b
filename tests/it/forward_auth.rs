//! A proxy asks for a decision at `/oauth2/auth`: it gets the one of the proxied path.

use crate::harness::asking_proxy::{NGINX, SECTION, TRAEFIK, ask, stage, with};
use crate::harness::by_hand;
use crate::harness::gateway::Stage;
use crate::harness::provider::TestProvider;
use crate::harness::spelled_out::NAVIGATION;

#[tokio::test]
async fn fa_07_allowed_is_200_with_every_header_that_says_who_somebody_is() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for described in [NGINX, TRAEFIK] {
        for method in ["GET", "HEAD", "POST"] {
            let fields = with(&described, &[&cookie, "X-Forwarded-User: mallory", "Content-Length: 0"]);
            let answer = match method {
                "HEAD" => stage.spelled("HEAD /oauth2/auth", &fields).await,
                _ => ask(&stage.gateway, &format!("{method} /oauth2/auth"), &fields).await,
            };
            assert_eq!(answer.status, 200, "{method} {described:?} {}", answer.text());
            assert_eq!(answer.all("x-forwarded-user"), ["alice"]);
            assert!(answer.header("authorization").is_some_and(|value| value.starts_with("Bearer ")));
            // Nothing is known about these, and yet the proxy has to overwrite what the user agent may have sent.
            for name in ["x-team", "x-auth-email", "remote-user", "x-forwarded-groups"] {
                assert_eq!(answer.all(name), [""], "{name}");
            }
            assert_eq!(answer.header("cache-control"), Some("no-store"));
            assert!(answer.all("set-cookie").is_empty());
        }
    }
    assert_eq!(stage.upstream.hits(), 1, "the login's own");
}

#[tokio::test]
async fn envoy_asks_with_the_path_behind_the_endpoint() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let at = |target: &str| format!("GET /oauth2/auth{target}");
    assert_eq!(stage.spelled(&at("/wiki/page?x=1"), &[&cookie]).await.status, 200);
    assert_eq!(stage.spelled(&at("/wiki/page?x=1"), &[]).await.status, 401);
    assert_eq!(stage.spelled(&at("/wiki/public/a"), &[]).await.status, 200);
    assert_eq!(stage.spelled("POST /oauth2/auth/wiki/public/a", &["Content-Length: 0"]).await.status, 401);
    // The query is that of the request which is asked about: it decides nothing.
    let answer = stage.spelled(&at("/wiki/page?on_401=redirect"), &NAVIGATION).await;
    assert_eq!(answer.status, 401);
    let fields = with(&NAVIGATION, &["X-Vestibule-On-401: redirect"]);
    assert_eq!(stage.spelled(&at("/wiki/page?x=1"), &fields).await.status, 303);
    assert_eq!(stage.spelled(&at("/wiki/page"), &with(&TRAEFIK, &[&cookie])).await.status, 400, "two descriptions");
}

#[tokio::test]
async fn fa_06_a_store_that_is_away_is_503() {
    let stage = stage().await;
    stage.log_in().await;
    let other = format!("Cookie: {}", by_hand::pair(&"A".repeat(68)));
    let cookie = format!("Cookie: {}", by_hand::pair(&format!("AQ{}", "A".repeat(66))));
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&other])).await.status, 401);
    stage.gateway.store.fail(&["load"]);
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&cookie])).await.status, 503);
    let public = [NGINX[0], "X-Original-URI: /wiki/public/a"];
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &public).await.status, 200);
}

#[tokio::test]
async fn fa_07_only_navigations_are_redirected_and_only_if_the_proxy_wants_it() {
    let stage = stage().await;
    let redirecting = "GET /oauth2/auth?on_401=redirect";
    let plain = ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &NAVIGATION)).await;
    assert_eq!((plain.status, plain.header("location")), (401, None));
    assert!(plain.all("set-cookie").is_empty());
    assert_eq!(plain.header("x-vestibule-login"), Some("/oauth2/start?rd=%2Fwiki%2Fpage%3Fx%3D1"));
    let sent = ask(&stage.gateway, redirecting, &with(&NGINX, &NAVIGATION)).await;
    assert_eq!(sent.status, 303);
    assert!(sent.header("location").unwrap().starts_with(&stage.provider.issuer().to_owned()));
    for fields in [
        vec!["X-Original-Method: POST", NGINX[1], NAVIGATION[0], NAVIGATION[1]],
        vec![NGINX[0], NGINX[1], "Sec-Fetch-Mode: cors"],
        vec![NGINX[0], "X-Original-URI: /wiki/api/a", NAVIGATION[0], NAVIGATION[1]],
        vec![NGINX[0], NGINX[1], "Sec-WebSocket-Key: x", NAVIGATION[0], NAVIGATION[1]],
    ] {
        let answer = ask(&stage.gateway, redirecting, &fields).await;
        assert_eq!((answer.status, answer.header("location")), (401, None), "{fields:?}");
        assert_eq!(answer.header("x-vestibule-login"), None, "{fields:?}");
    }
    // The login leads back to the page that was asked for.
    let page = stage.browser.log_in(&stage.url("/oauth2/start?rd=/wiki/page?x=1"), "alice").await;
    assert!(page.url.as_str().ends_with("/wiki/page?x=1"), "{}", page.url);
}

#[tokio::test]
async fn ck_10_the_application_gets_its_own_cookies_alone() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = format!("{}; a=\"1\"; __Host-Http-vestibule-other=x; b", stage.cookie_line());
    let answer = ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&cookie, "Cookie: c=2"])).await;
    assert_eq!((answer.status, answer.all("cookie")), (200, vec!["a=\"1\"; b; c=2"]));
    let bare = ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&stage.cookie_line()])).await;
    assert_eq!((bare.status, bare.all("cookie")), (200, vec![""]));
}

#[tokio::test]
async fn fa_09_fa_10_the_body_of_the_question_is_not_waited_for() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    for body in ["Content-Length: 1000000", "Transfer-Encoding: chunked"] {
        let mut connection = stage.connect().await;
        let head = ["POST /oauth2/auth HTTP/1.1\r\nHost: app.example", NGINX[0], NGINX[1], &cookie, body].join("\r\n");
        connection.send(head + "\r\n\r\n").await;
        assert_eq!(connection.response().await.unwrap().status, 200, "{body}");
        assert!(connection.is_closed().await, "{body}");
    }
}

#[tokio::test]
async fn the_rules_are_those_of_the_proxied_path() {
    let stage = stage().await;
    stage.log_in_as("bob").await;
    let cookie = stage.cookie_line();
    let denied = ask(
        &stage.gateway,
        "GET /oauth2/auth?on_401=redirect",
        &with(&NGINX, &[&cookie, NAVIGATION[0], NAVIGATION[1]]),
    )
    .await;
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert_eq!(denied.header("x-forwarded-user"), None);
    let stage = self::stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let post = ["X-Original-Method: POST", "X-Original-URI: /wiki/page", &cookie];
    let ours = with(&post, &["Sec-Fetch-Site: same-origin"]);
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &ours).await.status, 200);
    for foreign in ["Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example"] {
        let answer = ask(&stage.gateway, "GET /oauth2/auth", &with(&post, &[foreign])).await;
        assert_eq!(answer.status, 403, "{foreign}");
        assert!(answer.text().contains("cross-site"));
    }
    let handshake = with(&NGINX, &[&cookie, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]);
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &handshake).await.status, 403, "a handshake needs our Origin");
    let ours = with(&handshake, &["Origin: https://app.example"]);
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &ours).await.status, 200);
    // Over HTTP/2 there is no key.
    let sibling = with(&NGINX, &[&cookie, "Sec-WebSocket-Version: 13", "Origin: https://shop.example"]);
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &sibling).await.status, 403);
}

#[tokio::test]
async fn jw_27_a_page_that_wants_a_stronger_login_leads_there() {
    let stage = Stage::with(|setup| {
        setup.listen = "trusted_proxies = [\"127.0.0.1\"]".to_owned();
        let rule = "[[upstream.rule]]\npath = \"/wiki/admin/**\"\nstep_up = { acr = \"mfa\" }";
        setup.more = format!("[[upstream]]\nname = \"wiki\"\npath = \"/wiki\"\nforward_auth = true\n{rule}");
    })
    .await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let described = ["X-Original-Method: GET", "X-Original-URI: /wiki/admin/users?x=1", &cookie];
    let program = ask(&stage.gateway, "GET /oauth2/auth?on_401=redirect", &described).await;
    assert_eq!((program.status, program.header("x-vestibule-login")), (403, None));
    let navigation = with(&described, &NAVIGATION);
    let told = ask(&stage.gateway, "GET /oauth2/auth", &navigation).await;
    assert_eq!(told.status, 403);
    assert_eq!(told.header("x-vestibule-login"), Some("/oauth2/start?rd=%2Fwiki%2Fadmin%2Fusers%3Fx%3D1"));
    let sent = ask(&stage.gateway, "GET /oauth2/auth?on_401=redirect", &navigation).await;
    assert_eq!(sent.status, 303);
    let there = url::Url::parse(sent.header("location").unwrap()).unwrap();
    assert!(there.query_pairs().any(|(name, value)| name == "acr_values" && value == "mfa"), "{there}");
    // And the link of the first answer asks for the same.
    let begun = stage.browser.navigate_once(&stage.url(told.header("x-vestibule-login").unwrap())).await;
    let there = begun.hops.last().unwrap().location().unwrap();
    assert!(there.query_pairs().any(|(name, value)| name == "acr_values" && value == "mfa"), "{there}");
    let outside = ["X-Original-Method: GET", "X-Original-URI: /wiki/page", &cookie];
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &outside).await.status, 200);
}

#[tokio::test]
async fn hd_14_credentials_are_kept_on_public_paths_unless_the_configuration_says_others() {
    for (configured, said) in [("", "Basic dGhlaXJzOm93bg=="), ("authorization = \"Bearer ours\"", "Bearer ours")] {
        let stage = Stage::with(|setup| {
            setup.listen = "trusted_proxies = [\"127.0.0.1\"]".to_owned();
            setup.more = SECTION
                .replace("forward_auth = true", "forward_auth = true\nkeep_authorization = true")
                .replace("[upstream.headers]", &format!("[upstream.headers]\n{configured}"));
        })
        .await;
        let public =
            ["X-Original-Method: GET", "X-Original-URI: /wiki/public/a", "Authorization: Basic dGhlaXJzOm93bg=="];
        let answer = ask(&stage.gateway, "GET /oauth2/auth", &public).await;
        assert_eq!((answer.status, answer.all("authorization")), (200, vec![said]));
    }
}

#[tokio::test]
async fn cb_21_a_request_that_came_in_clear_is_not_allowed() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let answer = ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&cookie, "X-Forwarded-Proto: http"])).await;
    assert_eq!(answer.status, 308);
    assert_eq!(answer.header("location"), Some("https://app.example/wiki/page?x=1"));
    let post = ["X-Original-Method: POST", NGINX[1], &cookie, "X-Forwarded-Proto: http", "Sec-Fetch-Site: same-origin"];
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &post).await.status, 400);
}

#[tokio::test]
async fn lg_01_what_a_proxy_is_told_is_in_no_log() {
    let provider = TestProvider::start().await;
    provider.alter_claims(|claims| claims["department"] = "mark-person".into());
    let stage = Stage::with_provider(provider, |setup| {
        setup.listen = "trusted_proxies = [\"127.0.0.1\"]".to_owned();
        setup.more = SECTION.to_owned();
        setup.log_level = tracing::Level::TRACE;
    })
    .await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    let answer = ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&cookie, "Cookie: b=mark-cookie"])).await;
    assert_eq!((answer.status, answer.header("x-team")), (200, Some("mark-person")));
    let token = answer.header("authorization").unwrap().strip_prefix("Bearer ").unwrap();
    let uri = "X-Original-URI: /wiki//mark-path?code=mark-query";
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth", &[NGINX[0], uri, &cookie]).await.status, 400);
    let told = [NGINX[0], "X-Original-URI: /wiki/b?code=mark-query"];
    assert_eq!(ask(&stage.gateway, "GET /oauth2/auth?on_401=redirect", &with(&told, &NAVIGATION)).await.status, 303);
    let written = stage.gateway.everything_written() + &stage.gateway.metrics_page().await;
    for secret in [token, &by_hand::session_cookie(&stage.browser), "mark-", "alice"] {
        assert!(!written.contains(secret), "{secret} is in {written}");
    }
}

#[tokio::test]
async fn the_line_in_the_log_is_about_the_request_that_was_asked_about() {
    let stage = stage().await;
    stage.log_in().await;
    let cookie = stage.cookie_line();
    ask(&stage.gateway, "GET /oauth2/auth", &with(&NGINX, &[&cookie, "X-Forwarded-For: 198.51.100.7"])).await;
    let metrics = stage.gateway.metrics_page().await;
    assert!(metrics.contains("requests_total{outcome=\"allowed\",upstream=\"wiki\"} 1"), "{metrics}");
    stage.gateway.everything_written();
    let parts =
        ["\"path\":\"/wiki/page\"", "\"host\":\"app.example\"", "\"upstream\":\"wiki\"", "\"peer\":\"198.51.100.7\""];
    assert_eq!(stage.gateway.access_log.lines_with(&parts), 1, "{}", stage.gateway.access_log.text());
}
