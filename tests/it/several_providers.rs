//! Several providers, one for each host: answers of one are worth nothing at the callback of another.

use serde_json::{Value, json};
use vestibule::demo::provider::RegisteredClient;
use vestibule::secret::ClientSecret;

use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::post_form;
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Stage};
use crate::harness::login_steps::{Counts, LOGIN_COOKIE, authorize, begin, call_back, parameter};
use crate::harness::logout_stage::logout_header;
use crate::harness::provider::{Endpoint, TestProvider};

const BACK: &str = "/deep/link?a=b";

fn register(provider: &TestProvider, client_id: &str, redirect_uri: &str) {
    provider.register(RegisteredClient {
        id: client_id.into(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.into())),
        redirect_uris: vec![redirect_uri.into()],
        post_logout_redirect_uris: Vec::new(),
    });
}

/// `app.example` with the provider `corp`, `partner.example` with `partner`.
async fn stage() -> (Stage, TestProvider) {
    let (corp, partner) = (TestProvider::start().await, TestProvider::start().await);
    register(&corp, CLIENT_ID, "https://app.example/oauth2/callback/corp");
    register(&partner, "partner-client", "https://partner.example/oauth2/callback/partner");
    let issuer = partner.issuer().to_owned();
    let stage = Stage::with_settings(
        corp,
        |setup| {
            setup.provider_section = "providers.corp".into();
            setup.register = false;
            setup.more = "[providers.partner]\nissuer = \"https://partner.test\"\nclient_id = \"partner-client\"\n\
                          client_secret = { env = \"CLIENT_SECRET\" }\n[[upstream]]\nname = \"partner\"\n\
                          host = \"partner.example\"\nprovider = \"partner\"\ntarget = \"http://127.0.0.1:1\""
                .into();
        },
        |settings| {
            let partner = settings.providers.iter_mut().find(|known| known.name.as_deref() == Some("partner")).unwrap();
            partner.issuer = Some(issuer);
            partner.plain_http = true;
            let targets = settings.routes[0].upstream.targets.clone();
            settings.routes[1].upstream.targets = targets;
        },
    )
    .await;
    stage.browser.resolve("partner.example", stage.gateway.address);
    (stage, partner)
}

#[tokio::test]
async fn each_host_logs_in_at_its_own_provider_by_its_own_redirect_uri() {
    let (stage, partner) = stage().await;
    for (host, provider, name) in [("app.example", &stage.provider, "corp"), ("partner.example", &partner, "partner")] {
        let url = format!("https://{host}{BACK}");
        let authorization = begin(&stage.browser, &url).await;
        let redirect_uri = format!("https://{host}/oauth2/callback/{name}");
        assert_eq!(parameter(&authorization, "redirect_uri").as_deref(), Some(redirect_uri.as_str()));
        assert_eq!(authorization.origin().ascii_serialization(), provider.issuer());
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        let page = stage.browser.click(callback.as_str()).await;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, url.as_str()), "{}", page.text());
        assert_eq!(provider.hits(Endpoint::Token), 1, "{name}");
        assert_eq!(stage.gateway.log.lines_with(&["login.ok", &format!("\"provider\":\"{name}\"")]), 1);
    }
    assert_eq!((stage.provider.hits(Endpoint::Token), stage.upstream.hits()), (1, 2));
}

#[tokio::test]
async fn cf_13_an_answer_at_another_provider_s_callback_is_refused() {
    let (stage, partner) = stage().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    for path in [
        "/oauth2/callback/partner",
        "/oauth2/callback",
        "/oauth2/callback/",
        "/oauth2/callback/nobody",
        "/oauth2/callback/CORP",
    ] {
        let mut elsewhere = callback.clone();
        elsewhere.set_path(path);
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &elsewhere).await;
        counts.assert_refused(&stage, &page, "provider-mismatch", BACK, 0);
    }
    // At the other provider's host the attempt does not even open.
    let cookie = stage.browser.jar().find("app.example", LOGIN_COOKIE).unwrap().value.clone();
    for path in ["/oauth2/callback/partner", "/oauth2/callback/corp"] {
        let mut elsewhere = callback.clone();
        elsewhere.set_host(Some("partner.example")).unwrap();
        elsewhere.set_path(path);
        let counts = Counts::of(&stage);
        let asked = Asked::new(Kind::Navigation).header("cookie", &format!("{LOGIN_COOKIE}={cookie}")).once();
        let page = stage.browser.ask(elsewhere.as_str(), asked).await;
        counts.assert_refused(&stage, &page, "state-mismatch", "/", 0);
    }
    assert_eq!((stage.provider.hits(Endpoint::Token), partner.hits(Endpoint::Token)), (0, 0));
    assert_eq!(stage.browser.click(callback.as_str()).await.status, 200);
    assert_eq!((stage.provider.hits(Endpoint::Token), partner.hits(Endpoint::Token)), (1, 0));
}

#[tokio::test]
async fn cf_13_the_issuer_of_the_other_provider_is_no_issuer_here() {
    let (stage, partner) = stage().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    let mixed = crate::harness::login_steps::with_parameter(&callback, "iss", partner.issuer());
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &mixed).await;
    counts.assert_refused(&stage, &page, "iss-mismatch", BACK, 0);
    assert_eq!(partner.hits(Endpoint::Token), 0);
}

#[tokio::test]
async fn cf_13_a_single_provider_without_a_name_has_no_callback_with_one() {
    let stage = Stage::set().await;
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    let callback = authorize(&stage.browser, &authorization, "alice").await;
    for path in ["/oauth2/callback/default", "/oauth2/callback/"] {
        let mut elsewhere = callback.clone();
        elsewhere.set_path(path);
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &elsewhere).await;
        counts.assert_refused(&stage, &page, "provider-mismatch", BACK, 0);
    }
    assert_eq!(stage.browser.click(callback.as_str()).await.status, 200);
}

#[tokio::test]
async fn lo_16_and_jw_43_a_logout_token_of_one_provider_ends_nothing_of_another() {
    let (stage, partner) = stage().await;
    // Both call their sessions and their people the same.
    for provider in [&stage.provider, &partner] {
        provider.alter_claims(|claims| claims["sid"] = json!("the same"));
    }
    stage.log_in().await;
    let at_partner = stage.gateway.browser();
    at_partner.resolve("partner.example", stage.gateway.address);
    assert_eq!(at_partner.log_in("https://partner.example/", "alice").await.status, 200);
    let post = async |host: &str, token: String| {
        let form = [("Content-Type", "application/x-www-form-urlencoded")];
        let body = format!("logout_token={token}");
        post_form(&stage.gateway, host, "/oauth2/backchannel-logout", &body, &form).await.status
    };
    let live = async || {
        let app = stage.browser.fetch("https://app.example/").await.status.as_u16();
        (app, at_partner.fetch("https://partner.example/").await.status.as_u16())
    };
    let mut named = 0;
    let mut claims = |provider: &TestProvider, client: &str, name: &str, value: &str| -> Value {
        named += 1;
        let mut claims = provider.logout_claims(client, "the same", &format!("token {named}"));
        claims.as_object_mut().unwrap().remove("sid");
        claims[name] = value.into();
        claims
    };
    let signed = |provider: &TestProvider, claims: &Value| provider.mint(&logout_header(provider), claims);
    // A good one at another provider's host, one provider's words with another's key, and one for another client.
    let good = signed(&partner, &claims(&partner, "partner-client", "sid", "the same"));
    assert_eq!(post("app.example", good).await, 400);
    for kid in [stage.provider.key().id().to_owned(), partner.key().id().to_owned()] {
        let mut header = logout_header(&stage.provider);
        header["kid"] = kid.into();
        let forged = stage.provider.mint(&header, &claims(&partner, "partner-client", "sid", "the same"));
        assert_eq!(post("partner.example", forged).await, 400);
    }
    let of_another = signed(&partner, &claims(&partner, CLIENT_ID, "sid", "the same"));
    assert_eq!(post("partner.example", of_another).await, 400);
    assert_eq!(live().await, (200, 200));
    // What each says of its own counts for its own.
    let own = signed(&stage.provider, &claims(&stage.provider, CLIENT_ID, "sub", "subject-of-alice"));
    assert_eq!(post("app.example", own).await, 200);
    assert_eq!(live().await, (401, 200));
    let own = signed(&partner, &claims(&partner, "partner-client", "sid", "the same"));
    assert_eq!(post("partner.example", own).await, 200);
    assert_eq!(live().await, (401, 401));
}
