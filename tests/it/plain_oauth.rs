//! A provider without OpenID Connect: endpoints by hand, identity from its user resource, the address from a list.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{Setup, Stage};
use crate::harness::login_steps::{authorize, begin, call_back, parameter, with_parameter};
use crate::harness::provider::{Endpoint, TestProvider};

const PUBLIC_URL: &str = "http://localhost:4180";

/// A provider in the manner of GitHub: a number for a subject, the addresses at an endpoint of their own.
async fn provider(emails: Value) -> TestProvider {
    let provider = TestProvider::start().await;
    provider
        .instead(Endpoint::Userinfo, |_| Behaviour::json(200, &json!({ "id": 12345, "login": "octo", "email": null })));
    provider.instead(Endpoint::Other, move |_| Behaviour::json(200, &emails));
    provider
}

async fn stage(provider: TestProvider, adjust: impl FnOnce(&mut Setup)) -> Stage {
    let base = provider.issuer().to_owned();
    Stage::with_provider(provider, |setup| {
        setup.public_url = PUBLIC_URL.into();
        setup.issuer = format!(
            "authorization_endpoint = \"{base}/authorize\"\ntoken_endpoint = \"{base}/token\"\n\
             userinfo_endpoint = \"{base}/userinfo\"\nemail_endpoint = \"{base}/emails\"\n\
             scopes = [\"read:user\", \"user:email\"]\nclaims = {{ subject = \"id\", username = \"login\" }}"
        );
        setup.upstream = "access = { email_domain = \"example.com\" }\n\
             headers = { x-subject = \"{claims.subject}\", x-user = \"{claims.username}\", x-email = \"{claims.email}\" }"
            .into();
        adjust(setup);
    })
    .await
}

fn verified() -> Value {
    json!([
        { "email": "other@evil.example", "primary": false, "verified": true },
        { "email": "octo@example.com", "primary": true, "verified": true },
    ])
}

#[tokio::test]
async fn a_person_logs_in_at_a_provider_without_openid_connect() {
    let stage = stage(provider(verified()).await, |_| {}).await;
    let authorization = begin(&stage.browser, &stage.url("/deep?a=b")).await;
    assert_eq!(parameter(&authorization, "scope").as_deref(), Some("read:user user:email"));
    assert_eq!(parameter(&authorization, "nonce"), None);
    assert_eq!(parameter(&authorization, "code_challenge_method").as_deref(), Some("S256"));
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let page = stage.browser.click(callback.as_str()).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/deep?a=b").as_str()), "{}", page.text());
    let seen = stage.upstream.last();
    assert_eq!(seen.header("x-subject"), Some("12345"));
    assert_eq!((seen.header("x-user"), seen.header("x-email")), (Some("octo"), Some("octo@example.com")));
    assert!(seen.header("authorization").unwrap().starts_with("Bearer "));
    for (endpoint, calls) in [(Endpoint::Token, 1), (Endpoint::Userinfo, 1), (Endpoint::Other, 1)] {
        assert_eq!(stage.provider.hits(endpoint), calls, "{endpoint:?}");
    }
    assert_eq!((stage.provider.hits(Endpoint::Metadata), stage.provider.hits(Endpoint::Keys)), (0, 0));
    let emails = &stage.provider.requests(Endpoint::Other)[0];
    assert_eq!((emails.path(), emails.header("accept")), ("/emails", Some("application/json")));
    assert!(emails.header("user-agent").is_some() && emails.header("authorization").is_some());
}

#[tokio::test]
async fn only_the_primary_verified_address_counts() {
    for emails in [
        json!([]),
        json!([{ "email": "octo@example.com", "primary": true, "verified": false }]),
        json!([{ "email": "octo@example.com", "primary": false, "verified": true }]),
        json!([{ "email": "octo@example.com", "primary": "true", "verified": "true" }]),
        json!([{ "email": "octo@example.com" }, { "primary": true, "verified": true }]),
        json!([{ "email": "octo@evil.example", "primary": true, "verified": true }]),
    ] {
        let stage = stage(provider(emails.clone()).await, |_| {}).await;
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        assert_eq!(page.status, 403, "{emails}: {}", page.text());
        assert_eq!(stage.upstream.hits(), 0, "{emails}");
    }
}

#[tokio::test]
async fn an_address_list_that_is_refused_leaves_somebody_without_address_and_one_that_is_none_ends_the_login() {
    for (behaviour, status) in [
        (Behaviour::status(404), 403),
        (Behaviour::status(403), 403),
        (Behaviour::json(200, &json!({ "email": "octo@example.com", "primary": true, "verified": true })), 400),
        (Behaviour::html(200, "[]"), 400),
        (Behaviour::status(500), 503),
    ] {
        let name = format!("{behaviour:?}");
        let provider = provider(verified()).await;
        provider.restore(Endpoint::Other);
        provider.once(Endpoint::Other, behaviour);
        let stage = stage(provider, |_| {}).await;
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        assert_eq!((page.status.as_u16(), stage.upstream.hits()), (status, 0), "{name}: {}", page.text());
    }
}

#[tokio::test]
async fn a_user_resource_that_is_no_identity_logs_nobody_in() {
    for (behaviour, status) in [
        (Behaviour::json(200, &json!({ "login": "octo" })), 400),
        (Behaviour::json(200, &json!({ "id": "", "login": "octo" })), 400),
        (Behaviour::json(200, &json!({ "id": 1.5 })), 400),
        (Behaviour::json(200, &json!({ "id": [1] })), 400),
        (Behaviour::json(200, &json!([{ "id": 1 }])), 400),
        (Behaviour::json_text(200, "{\"id\":1,\"id\":2}"), 400),
        (Behaviour::html(200, "{\"id\":1}"), 400),
        (Behaviour::status(401), 502),
        (Behaviour::status(503), 503),
    ] {
        let name = format!("{behaviour:?}");
        let provider = provider(verified()).await;
        provider.restore(Endpoint::Userinfo);
        provider.once(Endpoint::Userinfo, behaviour);
        let stage = stage(provider, |_| {}).await;
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        assert_eq!((page.status.as_u16(), stage.upstream.hits()), (status, 0), "{name}: {}", page.text());
        assert_eq!(stage.gateway.sessions().live_sessions(), 0, "{name}");
    }
}

#[tokio::test]
async fn an_id_token_that_nobody_verified_is_neither_needed_nor_used() {
    let provider = provider(verified()).await;
    provider.put(Endpoint::Token, "id_token", json!("not.a.token"));
    let stage = stage(provider, |setup| {
        setup.upstream = "access = \"anyone\"\nheaders = { x-id-token = \"{id_token}\" }".into();
    })
    .await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(stage.upstream.last().header("x-id-token"), None);
}

#[tokio::test]
async fn st_07_pkce_alone_binds_a_code_to_its_attempt_where_there_is_no_nonce() {
    let stage = stage(provider(verified()).await, |_| {}).await;
    let mut callbacks = Vec::new();
    for _ in 0..2 {
        let authorization = begin(&stage.browser, &stage.url("/")).await;
        callbacks.push(authorize(&stage.browser, &authorization, "alice").await);
    }
    let mixed = with_parameter(&callbacks[0], "state", &parameter(&callbacks[1], "state").unwrap());
    let page = call_back(&stage.browser, &mixed).await;
    assert_eq!((page.status.as_u16(), stage.provider.hits(Endpoint::Token)), (400, 1));
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "code-rejected"]), 1);
}

#[tokio::test]
async fn an_error_with_200_in_the_manner_of_github_starts_again() {
    let provider = provider(verified()).await;
    let bodies = Arc::new(Mutex::new(vec![json!({ "error": "bad_verification_code", "error_description": "mark" })]));
    provider.instead_if(Endpoint::Token, move |_| Some(Behaviour::json(200, &bodies.lock().unwrap().pop()?)));
    let stage = stage(provider, |_| {}).await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!(page.status, 400, "{}", page.text());
    let page = stage.browser.click(&page.links()[0].0).await;
    assert_eq!((page.status.as_u16(), stage.provider.hits(Endpoint::Token)), (200, 2), "{}", page.text());
    assert!(!stage.gateway.everything_written().contains("mark"));
    assert_eq!(stage.provider.requests(Endpoint::Token)[0].header("accept"), Some("application/json"));
}
