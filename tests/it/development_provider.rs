//! The development provider over the wire, the way a relying party and a browser use it.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::harness::browser::{Asked, Browser, Kind, Page};
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::signing::{base64, parts};

const SECRET: &str = "a secret with % and :";
const VERIFIER: &str = "0123456789-0123456789-0123456789-0123456789";
/// Nobody listens there: the browser stops before it.
const GATEWAY: &str = "http://localhost:1";

/// A relying party played by hand.
struct RelyingParty {
    provider: TestProvider,
    browser: Browser,
    /// Server to server: no cookies of the person.
    transport: Browser,
    metadata: Value,
}

impl RelyingParty {
    async fn start() -> Self {
        let provider = TestProvider::start().await;
        provider.register_gateway("wiki", SECRET, GATEWAY);
        let transport = Browser::old();
        let metadata =
            transport.navigate(&format!("{}/.well-known/openid-configuration", provider.issuer())).await.json();
        Self { provider, browser: Browser::new(), transport, metadata }
    }

    fn endpoint(&self, name: &str) -> &str {
        self.metadata[name].as_str().unwrap()
    }

    fn authorization_url(&self) -> String {
        let challenge = base64(Sha256::digest(VERIFIER));
        let mut url = Url::parse(self.endpoint("authorization_endpoint")).unwrap();
        url.query_pairs_mut().extend_pairs([
            ("client_id", "wiki"),
            ("redirect_uri", &format!("{GATEWAY}/oauth2/callback")),
            ("response_type", "code"),
            ("scope", "openid profile email"),
            ("state", "the state"),
            ("nonce", "the nonce"),
            ("code_challenge_method", "S256"),
            ("code_challenge", &challenge),
        ]);
        url.into()
    }

    /// Logs in at the form and stops at the redirect to the relying party.
    async fn log_in(&self, username: &str) -> Url {
        let page = self.browser.navigate(&self.authorization_url()).await;
        let form = &page.forms()[0];
        let asked = Asked::new(Kind::Navigation).form(&[("account", username)]).once();
        let answer = self.browser.ask(form.action.as_ref().unwrap(), asked).await;
        assert_eq!(answer.status, 303);
        answer.location().unwrap()
    }

    async fn post(&self, endpoint: &str, form: &[(&str, &str)]) -> Page {
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let credentials = base64::engine::general_purpose::STANDARD;
        let credentials = base64::Engine::encode(&credentials, format!("wiki:{}", encode(SECRET)));
        let asked = Asked::new(Kind::Fetch).form(form).header("authorization", &format!("Basic {credentials}"));
        self.transport.ask(self.endpoint(endpoint), asked).await
    }

    async fn exchange(&self, code: &str) -> Page {
        let redirect_uri = format!("{GATEWAY}/oauth2/callback");
        let form = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", VERIFIER),
        ];
        self.post("token_endpoint", &form).await
    }

    async fn refresh(&self, tokens: &Value) -> Page {
        let token = tokens["refresh_token"].as_str().unwrap();
        self.post("token_endpoint", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    async fn tokens(&self) -> Value {
        let callback = self.log_in("alice").await;
        let answer = self.exchange(&parameter(&callback, "code").unwrap()).await;
        assert_eq!(answer.status, 200);
        answer.json()
    }
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

#[tokio::test]
async fn discovery_names_the_issuer_and_what_is_supported() {
    let relying_party = RelyingParty::start().await;
    let metadata = &relying_party.metadata;
    assert_eq!(metadata["issuer"], relying_party.provider.issuer());
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(metadata["authorization_response_iss_parameter_supported"], true);
    let keys = relying_party.transport.navigate(relying_party.endpoint("jwks_uri")).await.json();
    assert_eq!(keys["keys"][0]["kid"], relying_party.provider.key().id());
}

#[tokio::test]
async fn the_code_flow_ends_with_tokens_for_who_logged_in() {
    let relying_party = RelyingParty::start().await;
    let callback = relying_party.log_in("carol").await;
    assert_eq!(parameter(&callback, "state").as_deref(), Some("the state"));
    assert_eq!(parameter(&callback, "iss").as_deref(), Some(relying_party.provider.issuer()));
    let answer = relying_party.exchange(&parameter(&callback, "code").unwrap()).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, Some("no-store")));
    let (header, claims) = parts(answer.json()["id_token"].as_str().unwrap());
    assert_eq!((&header["alg"], &claims["nonce"]), (&json!("ES256"), &json!("the nonce")));
    assert_eq!((&claims["email_verified"], &claims["groups"]), (&json!(false), &json!(["guests"])));
    let (header, _) = parts(answer.json()["access_token"].as_str().unwrap());
    assert_eq!(header["typ"], "at+jwt");
    let userinfo = Asked::new(Kind::Fetch)
        .header("authorization", &format!("Bearer {}", answer.json()["access_token"].as_str().unwrap()));
    let userinfo = relying_party.transport.ask(relying_party.endpoint("userinfo_endpoint"), userinfo).await.json();
    assert_eq!(userinfo["sub"], claims["sub"]);
}

#[tokio::test]
async fn the_second_login_of_a_browser_is_silent() {
    let relying_party = RelyingParty::start().await;
    relying_party.log_in("bob").await;
    let silent = format!("{}&prompt=none", relying_party.authorization_url());
    let answer = relying_party.browser.navigate_once(&silent).await;
    assert!(parameter(&answer.location().unwrap(), "code").is_some());
    let stranger = Browser::new().navigate_once(&silent).await;
    assert_eq!(parameter(&stranger.location().unwrap(), "error").as_deref(), Some("login_required"));
}

#[tokio::test]
async fn the_form_of_names_and_passwords_works_without_scripts() {
    let relying_party = RelyingParty::start().await;
    let page = relying_party.browser.navigate(&relying_party.authorization_url()).await;
    let mut form = page.forms().remove(1);
    form.fill("username", "alice").fill("password", "wrong");
    let again = relying_party.browser.submit(&form, None).await;
    assert_eq!(again.status, 400);
    assert!(again.text().contains("role=\"alert\""), "{}", again.text());
    let mut form = again.forms().remove(1);
    form.fill("password", "demo");
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let asked = Asked::new(Kind::Navigation).form(&fields).once();
    let answer = relying_party.browser.ask(form.action.as_ref().unwrap(), asked).await;
    assert!(parameter(&answer.location().unwrap(), "code").is_some());
}

#[tokio::test]
async fn a_login_form_from_another_site_is_refused() {
    let relying_party = RelyingParty::start().await;
    let page = relying_party.browser.navigate(&relying_party.authorization_url()).await;
    let action = page.url.join(page.forms()[0].action.as_ref().unwrap()).unwrap();
    let asked = Asked::new(Kind::Navigation).form(&[("account", "bob")]).header("origin", "http://evil.example");
    let answer = relying_party.browser.ask(action.as_str(), asked.once()).await;
    assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (400, 0));
}

#[tokio::test]
async fn a_replayed_code_ends_what_came_of_it() {
    let relying_party = RelyingParty::start().await;
    let code = parameter(&relying_party.log_in("alice").await, "code").unwrap();
    let tokens = relying_party.exchange(&code).await.json();
    let replayed = relying_party.exchange(&code).await;
    assert_eq!((replayed.status.as_u16(), &replayed.json()["error"]), (400, &json!("invalid_grant")));
    assert_eq!(relying_party.refresh(&tokens).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_refresh_token_works_once_and_its_reuse_ends_the_grant() {
    let relying_party = RelyingParty::start().await;
    let first = relying_party.tokens().await;
    let second = relying_party.refresh(&first).await.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!(relying_party.refresh(&first).await.json()["error"], "invalid_grant");
    assert_eq!(relying_party.refresh(&second).await.json()["error"], "invalid_grant");
    assert_eq!(relying_party.provider.hits(Endpoint::Token), 4);
}

#[tokio::test]
async fn a_revoked_token_is_worth_nothing() {
    let relying_party = RelyingParty::start().await;
    let tokens = relying_party.tokens().await;
    let token = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(relying_party.post("revocation_endpoint", &[("token", token)]).await.status, 200);
    assert_eq!(relying_party.refresh(&tokens).await.json()["error"], "invalid_grant");
}

#[tokio::test]
async fn a_logout_ends_the_provider_s_own_session() {
    let relying_party = RelyingParty::start().await;
    let tokens = relying_party.tokens().await;
    let mut url = Url::parse(relying_party.endpoint("end_session_endpoint")).unwrap();
    url.query_pairs_mut()
        .append_pair("id_token_hint", tokens["id_token"].as_str().unwrap())
        .append_pair("post_logout_redirect_uri", &format!("{GATEWAY}/oauth2/signed_out"))
        .append_pair("state", "back");
    let answer = relying_party.browser.navigate_once(url.as_str()).await;
    assert_eq!(answer.location().unwrap().as_str(), format!("{GATEWAY}/oauth2/signed_out?state=back"));
    let form = relying_party.browser.navigate(&relying_party.authorization_url()).await;
    assert_eq!((form.status.as_u16(), form.forms().len()), (200, 2));
}

#[tokio::test]
async fn a_logout_without_a_hint_asks_the_person() {
    let relying_party = RelyingParty::start().await;
    relying_party.log_in("alice").await;
    let page = relying_party.browser.navigate(relying_party.endpoint("end_session_endpoint")).await;
    let form = page.forms().remove(0);
    let answer = relying_party.browser.submit(&form, form.buttons.first()).await;
    assert_eq!((answer.status.as_u16(), answer.set_cookies().len()), (200, 1));
    assert!(relying_party.browser.jar().of("127.0.0.1").is_empty());
}

#[tokio::test]
async fn the_wrapper_signs_altered_claims_with_the_published_key() {
    let relying_party = RelyingParty::start().await;
    let key = relying_party.provider.rotate_keys();
    relying_party.provider.alter_claims(|claims| claims["sub"] = "somebody else".into());
    relying_party.provider.omit(Endpoint::Token, "refresh_token");
    let tokens = relying_party.tokens().await;
    let token = tokens["id_token"].as_str().unwrap();
    let (header, claims) = parts(token);
    assert_eq!((&header["kid"], &claims["sub"]), (&json!(key.id()), &json!("somebody else")));
    assert_eq!(tokens.get("refresh_token"), None);
    let exchange = relying_party.provider.token_requests("authorization_code").remove(0);
    assert_eq!(exchange.form_value("code_verifier").as_deref(), Some(VERIFIER));
    assert!(exchange.header("authorization").unwrap().starts_with("Basic "));
    let keys = relying_party.transport.navigate(relying_party.endpoint("jwks_uri")).await.json();
    let coordinate = |name: &str| decode(keys["keys"][0][name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED, point);
    public.verify(signed.as_bytes(), &decode(signature)).unwrap();
}

fn decode(text: &str) -> Vec<u8> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap()
}
