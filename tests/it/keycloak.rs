//! The gateway in front of Keycloak, which many people run. It takes long to start, so one test walks through
//! everything, in the order of a person's day.

use std::time::Duration;

use serde_json::json;
use vestibule::oidc::client_authentication::ClientAuthentication;

use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::Setup;
use crate::harness::html::Form;
use crate::harness::keycloak::{CLIENT_ID, CLIENT_SECRET, Keycloak, filled_login_form};
use crate::harness::login_steps::parameter;
use crate::harness::peer_stage::{PeerStage, relying_party, secret, spend};
use crate::harness::upstream::RecordingUpstream;

/// A little more than an access token lives.
const LIFETIME: Duration = Duration::from_secs(61);

fn alice(html: &str) -> Option<Form> {
    filled_login_form(html, "alice")
}

fn bob(html: &str) -> Option<Form> {
    filled_login_form(html, "bob")
}

/// A gateway with two upstreams; the second is for admins.
async fn set_stage(keycloak: &Keycloak, for_admins: &RecordingUpstream) -> PeerStage {
    let configure = |setup: &mut Setup| {
        setup.public_url = "http://localhost:{port}".to_owned();
        setup.upstream = "[upstream.headers]\nx-name = \"{claims.username}\"\nx-email = \"{claims.email}\"\n\
                          x-groups = \"{claims.groups}\""
            .to_owned();
        setup.more = format!(
            "[[upstream]]\nname = \"admin\"\npath = \"/admin\"\ntarget = \"{}\"\n\
             access = {{ claim = \"groups\", contains = \"admins\" }}",
            for_admins.url(),
        );
    };
    let authentication = ClientAuthentication::SecretBasic(secret(CLIENT_SECRET));
    PeerStage::set(keycloak.issuer(), configure, relying_party(CLIENT_ID, authentication)).await
}

#[tokio::test]
async fn people_log_in_through_keycloak_with_their_groups_stay_logged_in_and_sign_out() {
    let keycloak = Keycloak::start().await;
    let for_admins = RecordingUpstream::start().await;

    // Alice logs in, comes back to where she was going, and the upstream learns who she is.
    let mut stage = set_stage(&keycloak, &for_admins).await;
    let page = stage.visit("/deep/link?a=b&c=%2F", alice).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/deep/link?a=b&c=%2F").as_str()));
    assert_eq!(parameter(&page.hop("/oauth2/callback").url, "iss").as_deref(), Some(keycloak.issuer()), "RFC 9207");
    let received = stage.upstream.last();
    assert_eq!(received.header("x-name"), Some("alice"));
    assert_eq!(received.header("x-email"), Some("alice@example.com"));
    let mut groups: Vec<_> = received.header("x-groups").unwrap().split(',').collect();
    groups.sort_unstable();
    assert_eq!(groups, ["admins", "staff"]);
    let first = stage.access_token();
    assert_eq!(first.split('.').count(), 3, "Keycloak's access tokens are JWTs");
    for hop in page.hops.iter().filter(|hop| hop.url.as_str().starts_with(&stage.url("/"))) {
        assert!(!format!("{hop:?}").contains(&first), "the browser has seen the access token");
    }

    // Her groups let her in where Bob's do not let him.
    assert_eq!(stage.browser.click("/admin/users").await.status, 200);
    assert_eq!(for_admins.hits(), 1);
    let browser_of_alice = std::mem::replace(&mut stage.browser, stage.gateway.browser());
    assert_eq!(stage.visit("/", bob).await.status, 200);
    let refused = stage.browser.click("/admin/users").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("bob"), "{}", refused.text());
    assert_eq!(for_admins.hits(), 1);
    stage.browser = browser_of_alice;

    // Refresh tokens rotate, and one reuse would end the grant: many requests at once spend a token once.
    let before = stage.refresh_token().await;
    stage.gateway.clock.advance(LIFETIME);
    let url = stage.url("/");
    let answers = futures_util::future::join_all((0..20).map(|_| stage.browser.fetch(&url))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(stage.gateway.log.lines_with(&["refresh.ok"]), 1);
    assert_ne!(stage.access_token(), first);
    assert_eq!(stage.upstream.last().header("x-name"), Some("alice"), "the identity stays after a refresh");
    assert_ne!(stage.refresh_token().await, before);
    // The new one is good: it is spent as soon as the page asks for it.
    stage.gateway.clock.advance(Duration::from_secs(7));
    let asked = stage.browser.ask("/oauth2/session/refresh", Asked::new(Kind::Fetch).method("POST")).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    assert_eq!(stage.gateway.log.lines_with(&["refresh.ok"]), 2);
    let refresh_token = stage.refresh_token().await;

    // Signing out ends the session here and there, and kills the refresh token.
    let token_endpoint = format!("{}/protocol/openid-connect/token", keycloak.issuer());
    let page = stage.sign_out(alice).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/oauth2/signed_out"), "{}", page.text());
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
    let (status, answer) = spend(&token_endpoint, CLIENT_ID, CLIENT_SECRET, &refresh_token).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    let page = stage.browser.navigate(&stage.url("/")).await;
    assert!(page.url.as_str().starts_with(keycloak.issuer()), "Keycloak still knows the browser: {}", page.url);

    // Keycloak's ID tokens live for a minute and its clock stands still: another gateway begins at its time.
    let another = set_stage(&keycloak, &for_admins).await;
    a_stolen_refresh_token_ends_the_session(another, &token_endpoint).await;
}

/// Somebody uses a refresh token that has been spent: Keycloak ends the grant, and the next refresh the session.
async fn a_stolen_refresh_token_ends_the_session(stage: PeerStage, token_endpoint: &str) {
    assert_eq!(stage.visit("/", alice).await.status, 200);
    let stolen = stage.refresh_token().await;
    stage.gateway.clock.advance(LIFETIME);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    let (status, answer) = spend(token_endpoint, CLIENT_ID, CLIENT_SECRET, &stolen).await;
    assert_eq!((status, &answer["error"]), (400, &json!("invalid_grant")));
    stage.gateway.clock.advance(LIFETIME);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
    assert_eq!(stage.gateway.log.lines_with(&["session.ended", "refresh-rejected"]), 1);
}
