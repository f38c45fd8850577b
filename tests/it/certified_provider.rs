//! The gateway in front of an OpenID-certified provider that nobody here wrote.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use vestibule::oidc::client_authentication::ClientAuthentication;

use crate::harness::certified_provider::{CertifiedProvider, filled_form};
use crate::harness::gateway::{CLIENT_ID, PUBLIC_URL, Setup};
use crate::harness::html::Form;
use crate::harness::login_steps::{SESSION_COOKIE, parameter};
use crate::harness::peer_stage::{PeerStage, relying_party, secret, spend};

/// All kinds of characters that it allows (RFC 6749 Appendix A): encoding matters.
const SECRET: &str = "%3A:+ /=&?#~";
/// A little more than an access token lives.
const LIFETIME: Duration = Duration::from_secs(61);

/// The person at the provider's forms.
fn alice(html: &str) -> Option<Form> {
    filled_form(html, "alice")
}

/// What the gateway is registered with; `more` wins.
fn metadata(more: &Value) -> Value {
    let mut metadata = json!({
        "client_id": CLIENT_ID,
        "client_secret": SECRET,
        "redirect_uris": [format!("{PUBLIC_URL}/oauth2/callback")],
        "post_logout_redirect_uris": [format!("{PUBLIC_URL}/oauth2/signed_out")],
    });
    for (name, value) in more.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    metadata.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    metadata
}

fn headers(setup: &mut Setup) {
    setup.upstream = "[upstream.headers]\nx-user = \"{claims.subject}\"\nx-name = \"{claims.username}\"\n\
                      x-email = \"{claims.email}\"\nx-groups = \"{claims.groups}\""
        .to_owned();
}

/// A provider with these settings, and in front of its upstream the gateway as a relying party that uses `method`.
async fn stage(settings: &Value, method: &str) -> (CertifiedProvider, PeerStage) {
    let mut provider = CertifiedProvider::start(settings).await;
    provider.register(metadata(&json!({ "token_endpoint_auth_method": method }))).await;
    let stage = PeerStage::set(provider.issuer(), headers, relying_party(CLIENT_ID, authentication(method))).await;
    (provider, stage)
}

fn authentication(method: &str) -> ClientAuthentication {
    match method {
        "client_secret_basic" => ClientAuthentication::SecretBasic(secret(SECRET)),
        "client_secret_post" => ClientAuthentication::SecretPost(secret(SECRET)),
        _ => ClientAuthentication::None,
    }
}

#[tokio::test]
async fn a_person_logs_in_through_its_forms_and_the_upstream_gets_an_opaque_token() {
    let (mut provider, stage) = stage(&json!({}), "client_secret_basic").await;
    let page = stage.visit("/deep/link?a=b&c=%2F", alice).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/deep/link?a=b&c=%2F").as_str()));
    let callback = &page.hop("/oauth2/callback").url;
    assert_eq!(parameter(callback, "iss").as_deref(), Some(provider.issuer()), "RFC 9207");
    let received = stage.upstream.last();
    for (name, value) in
        [("x-user", "alice"), ("x-name", "alice"), ("x-email", "alice@example.com"), ("x-groups", "staff,admins")]
    {
        assert_eq!(received.header(name), Some(value), "{name}");
    }
    let token = stage.access_token();
    assert!(!token.contains('.') && token.len() > 20, "not an opaque token: {token}");
    assert_eq!(provider.token_requests("authorization_code", 200).await, 1);
    for hop in page.hops.iter().filter(|hop| hop.url.as_str().starts_with(PUBLIC_URL)) {
        assert!(!format!("{hop:?}").contains(&token), "the browser has seen the access token");
    }
    // Somebody who is logged in makes no further request to the provider.
    let before = provider.requests().await.len();
    assert_eq!(stage.browser.click("/again").await.status, 200);
    assert_eq!(provider.requests().await.len(), before);
}

#[tokio::test]
async fn its_jwt_access_tokens_reach_the_upstream_and_are_refreshed() {
    let (mut provider, stage) =
        stage(&json!({ "accessTokenFormat": "jwt", "consentGiven": true }), "client_secret_basic").await;
    assert_eq!(stage.visit("/", alice).await.status, 200);
    let first = stage.access_token();
    let claims: Value =
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(first.split('.').nth(1).unwrap()).unwrap()).unwrap();
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!("https://upstream.example/"), &json!("alice")));
    assert_eq!(stage.upstream.last().header("x-groups"), Some("staff,admins"));
    stage.gateway.clock.advance(LIFETIME);
    assert_eq!(stage.browser.fetch("/").await.status, 200);
    assert_ne!(stage.access_token(), first);
    assert_eq!(provider.token_requests("refresh_token", 200).await, 1);
}

#[tokio::test]
async fn refresh_tokens_rotate_and_each_is_spent_once_by_many_requests() {
    let (mut provider, stage) = stage(&json!({ "consentGiven": true }), "client_secret_basic").await;
    assert_eq!(stage.visit("/", alice).await.status, 200);
    let (mut access, mut refresh) = (stage.access_token(), stage.refresh_token().await);
    for round in 1..=3 {
        stage.gateway.clock.advance(LIFETIME);
        let url = stage.url("/");
        let requests = (0..20).map(|_| stage.browser.fetch(&url));
        for answer in futures_util::future::join_all(requests).await {
            assert_eq!(answer.status, 200);
        }
        assert_eq!(provider.token_requests("refresh_token", 200).await, round);
        let (new_access, new_refresh) = (stage.access_token(), stage.refresh_token().await);
        assert_ne!((&new_access, &new_refresh), (&access, &refresh));
        assert_ne!(new_refresh, refresh, "the refresh token was not rotated");
        (access, refresh) = (new_access, new_refresh);
    }
    assert_eq!(provider.token_requests("refresh_token", 400).await, 0);
}

#[tokio::test]
async fn a_stolen_refresh_token_that_is_used_again_ends_the_session() {
    let (mut provider, stage) = stage(&json!({ "consentGiven": true }), "client_secret_post").await;
    assert_eq!(stage.visit("/", alice).await.status, 200);
    let stolen = stage.refresh_token().await;
    stage.gateway.clock.advance(LIFETIME);
    assert_eq!(stage.browser.fetch("/").await.status, 200);

    let (status, answer) = spend(&format!("{}/token", provider.issuer()), CLIENT_ID, SECRET, &stolen).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    // The access token still lives, and with it the session; its end comes with the next refresh.
    stage.gateway.clock.advance(LIFETIME);
    let refused = stage.browser.fetch("/").await;
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (401, &json!("unauthenticated")));
    assert_eq!(provider.token_requests("refresh_token", 200).await, 1);
    assert_eq!(stage.gateway.log.lines_with(&["session.ended", "refresh-rejected"]), 1);
    // The provider still knows the browser: the next navigation is a new session, silently.
    assert_eq!(stage.visit("/", alice).await.status, 200);
}

#[tokio::test]
async fn signing_out_revokes_the_refresh_token_and_ends_the_session_at_the_provider() {
    let (mut provider, stage) = stage(&json!({}), "client_secret_basic").await;
    assert_eq!(stage.visit("/", alice).await.status, 200);
    let page = stage.sign_out(alice).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/oauth2/signed_out"));
    assert!(page.text().contains("You are signed out"));
    assert!(stage.browser.jar().find("app.example", SESSION_COOKIE).is_none());
    provider
        .answers("/token/revocation", |request| {
            request["status"] == 200 && request["token_type_hint"] == "refresh_token"
        })
        .await;
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
    // The provider has forgotten the browser: it asks for the name again.
    let page = stage.browser.navigate(&stage.url("/")).await;
    assert!(page.url.as_str().starts_with(provider.issuer()), "{}", page.url);
    assert!(alice(&page.text()).unwrap().fields.iter().any(|(name, _)| name == "login"));
}

#[tokio::test]
async fn a_refresh_token_is_dead_after_signing_out() {
    let (mut provider, stage) = stage(&json!({ "consentGiven": true }), "client_secret_post").await;
    assert_eq!(stage.visit("/", alice).await.status, 200);
    let refresh_token = stage.refresh_token().await;
    stage.sign_out(alice).await;
    provider.answers("/token/revocation", |request| request["status"] == 200).await;
    let (status, answer) = spend(&format!("{}/token", provider.issuer()), CLIENT_ID, SECRET, &refresh_token).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
}

#[tokio::test]
async fn the_gateway_authenticates_by_every_method_that_is_registered() {
    let mut provider = CertifiedProvider::start(&json!({ "consentGiven": true })).await;
    for (index, method) in ["client_secret_basic", "client_secret_post", "none"].into_iter().enumerate() {
        let client_id = format!("by {method}: %2F+/&=");
        let mut registration = json!({ "client_id": client_id, "token_endpoint_auth_method": method });
        if method == "none" {
            registration["client_secret"] = Value::Null;
        }
        provider.register(metadata(&registration)).await;
        let stage = PeerStage::set(provider.issuer(), headers, relying_party(&client_id, authentication(method))).await;
        assert_eq!(stage.visit("/", alice).await.status, 200, "{method}");
        stage.gateway.clock.advance(LIFETIME);
        assert_eq!(stage.browser.fetch("/").await.status, 200, "{method}");
        assert_eq!(provider.token_requests("refresh_token", 200).await, index + 1, "{method}");
        stage.sign_out(alice).await;
        provider
            .answers("/token/revocation", |request| request["status"] == 200 && request["client_id"] == *client_id)
            .await;
    }
}

#[tokio::test]
async fn id_tokens_of_every_algorithm_are_verified() {
    let mut provider = CertifiedProvider::start(&json!({ "consentGiven": true })).await;
    for algorithm in ["RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519"] {
        let registration = json!({ "client_id": algorithm, "id_token_signed_response_alg": algorithm });
        provider.register(metadata(&registration)).await;
        let authentication = authentication("client_secret_basic");
        let stage = PeerStage::set(provider.issuer(), headers, relying_party(algorithm, authentication)).await;
        assert_eq!(stage.visit("/", alice).await.status, 200, "{algorithm}");
        let session = stage.session().await;
        let id_token = session.login_grant().unwrap().tokens.id_token.as_ref().unwrap().expose().to_owned();
        let header = URL_SAFE_NO_PAD.decode(id_token.split('.').next().unwrap()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&header).unwrap()["alg"], algorithm);
        // A refresh brings another ID token, which is verified like the first.
        stage.gateway.clock.advance(LIFETIME);
        assert_eq!(stage.browser.fetch("/").await.status, 200, "{algorithm}");
        assert_eq!(stage.gateway.log.lines_with(&["refresh.ok"]), 1, "{algorithm}");
    }
}

#[tokio::test]
async fn a_provider_that_has_forgotten_everything_costs_one_clean_login() {
    let settings = json!({ "consentGiven": true });
    let (provider, stage) = stage(&settings, "client_secret_basic").await;
    assert_eq!(stage.visit("/", alice).await.status, 200);
    let mut provider = provider.restarted(&settings).await;
    provider.register(metadata(&json!({}))).await;
    // Nobody needs the provider while the access token lives.
    assert_eq!(stage.browser.click("/before").await.status, 200);
    stage.gateway.clock.advance(LIFETIME);
    let page = stage.visit("/after?deep=link", alice).await;
    assert_eq!(
        (page.status.as_u16(), page.url.as_str()),
        (200, stage.url("/after?deep=link").as_str()),
        "{}",
        page.text()
    );
    assert_eq!(provider.token_requests("refresh_token", 400).await, 1);
    assert_eq!(provider.token_requests("authorization_code", 200).await, 1);
    assert_eq!(stage.gateway.log.lines_with(&["session.ended", "refresh-rejected"]), 1);
}

#[tokio::test]
async fn it_proves_a_fresh_login_and_not_an_acr_that_it_does_not_have() {
    let mut provider = CertifiedProvider::start(&json!({ "consentGiven": true })).await;
    provider.register(metadata(&json!({}))).await;
    let rules = |setup: &mut Setup| {
        setup.upstream = "[[upstream.rule]]\npath = \"/fresh\"\nstep_up = { max_age = \"15m\" }\n\
                          [[upstream.rule]]\npath = \"/now\"\nstep_up = { max_age = \"0s\" }\n\
                          [[upstream.rule]]\npath = \"/strong\"\nstep_up = { acr = \"urn:strong\" }"
            .to_owned();
    };
    let stage =
        PeerStage::set(provider.issuer(), rules, relying_party(CLIENT_ID, authentication("client_secret_basic"))).await;
    assert_eq!(stage.visit("/", alice).await.status, 200);
    // It says when somebody logged in only if it is asked.
    assert_eq!(stage.session().await.auth_time(), None);
    let page = stage.visit("/now", alice).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/now"), "{}", page.text());
    assert!(page.hops.iter().any(|hop| hop.url.path().starts_with("/interaction/")));
    let before = stage.session().await;
    let page = stage.visit("/fresh", |html| panic!("asked again: {html}")).await;
    assert_eq!((page.status.as_u16(), page.hops.len()), (200, 1));
    let page = stage.visit("/strong", alice).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (403, "/oauth2/callback"), "{}", page.text());
    assert_eq!(stage.session().await.store_key(), before.store_key());
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "step-up-required"]), 1);
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_here_by_its_back_channel() {
    let mut provider = CertifiedProvider::start(&json!({ "consentGiven": true })).await;
    for by_sid in [true, false] {
        let local = |setup: &mut Setup| setup.public_url = "http://localhost:{port}".to_owned();
        let who = relying_party(CLIENT_ID, authentication("client_secret_basic"));
        let stage = PeerStage::set(provider.issuer(), local, who).await;
        let registration = json!({
            "application_type": "native",
            "redirect_uris": [stage.url("/oauth2/callback")],
            "post_logout_redirect_uris": [stage.url("/oauth2/signed_out")],
            "backchannel_logout_uri": stage.url("/oauth2/backchannel-logout"),
            "backchannel_logout_session_required": by_sid,
        });
        provider.register(metadata(&registration)).await;
        assert_eq!(stage.visit("/", alice).await.status, 200);
        assert_eq!(stage.session().await.sid().is_some(), by_sid);

        // The person signs out at the provider itself, in another window, and comes back to no application of ours.
        let window = stage.browser.clone();
        window.navigate(&format!("{}/session/end", provider.issuer())).await;
        let form = alice(&window.page().text()).unwrap();
        window.submit(&form, None).await;
        let by = if by_sid { "\"reason\":\"sid\"" } else { "\"reason\":\"sub\"" };
        stage.gateway.log_reaches(&["\"bcl.accepted\"", by, "\"ended\":1", "\"revoked\":1"], 1).await;
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
        assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\"", "\"back-channel-logout\""]), 1);
    }
}
