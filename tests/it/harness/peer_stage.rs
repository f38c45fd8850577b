//! The gateway between an upstream and a real provider, which has login forms of its own.

use serde_json::Value;
use url::{Url, form_urlencoded};
use vestibule::gateway::settings::Settings;
use vestibule::oidc::client_authentication::ClientAuthentication;
use vestibule::origin::{Host, Scheme};
use vestibule::secret::ClientSecret;
use vestibule::session::{Opened, OpenedSession};

use super::browser::Browser;
use super::gateway::{Gateway, Setup};
use super::html::Form;
use super::page::Page;
use super::upstream::RecordingUpstream;
use super::{patiently, raw};

/// More forms than any provider shows between an address and its page.
const FORMS: usize = 5;

pub struct PeerStage {
    pub upstream: RecordingUpstream,
    pub gateway: Gateway,
    pub browser: Browser,
}

impl PeerStage {
    /// `change` says who the gateway is at the provider: see [`relying_party`].
    pub async fn set(issuer: &str, adjust: impl FnOnce(&mut Setup), change: impl FnOnce(&mut Settings)) -> Self {
        let upstream = RecordingUpstream::start().await;
        let mut setup = Setup::default();
        adjust(&mut setup);
        let gateway = Gateway::start(&setup, issuer, upstream.address(), change).await;
        let browser = gateway.browser();
        Self { upstream, gateway, browser }
    }

    pub fn url(&self, path: &str) -> String {
        self.gateway.url(path)
    }

    /// Goes to a path and through the provider's forms, each filled by `fill`.
    pub async fn visit(&self, path: &str, fill: impl Fn(&str) -> Option<Form>) -> Page {
        let page = self.browser.navigate(&self.url(path)).await;
        self.fill_forms(page, fill).await
    }

    /// Presses "sign out" on a page of the application and goes through the provider's forms.
    pub async fn sign_out(&self, fill: impl Fn(&str) -> Option<Form>) -> Page {
        let page = self.browser.click("/oauth2/sign_out").await;
        self.fill_forms(page, fill).await
    }

    /// The page where the browser is back from the provider; all hops on the way stay in it.
    async fn fill_forms(&self, mut page: Page, fill: impl Fn(&str) -> Option<Form>) -> Page {
        let gateway = Url::parse(&self.gateway.public_url).unwrap();
        let mut hops = Vec::new();
        for _ in 0..FORMS {
            hops.append(&mut page.hops);
            if hops.last().unwrap().url.origin() == gateway.origin() {
                return Page { hops };
            }
            let html = hops.last().unwrap().text();
            let form = fill(&html).unwrap_or_else(|| panic!("no form at {}: {html}", hops.last().unwrap().url));
            page = self.browser.submit(&form, None).await;
        }
        panic!("form after form, the last at {}", page.url);
    }

    /// The access token that came with the last request of the upstream.
    pub fn access_token(&self) -> String {
        let received = self.upstream.last();
        let authorization = received.header("authorization").expect("no Authorization came to the upstream");
        authorization.strip_prefix("Bearer ").expect("not a bearer token").to_owned()
    }

    /// The session of the browser, as the gateway would open it.
    pub async fn session(&self) -> std::sync::Arc<OpenedSession> {
        let url = Url::parse(&self.gateway.public_url).unwrap();
        let scheme = if url.scheme() == "https" { Scheme::Https } else { Scheme::Http };
        let host = Host::parse(&url[url::Position::BeforeHost..url::Position::AfterPort], scheme).unwrap();
        let cookie = {
            let jar = self.browser.jar();
            let cookies = jar.of(url.host_str().unwrap());
            let found =
                cookies.iter().find(|cookie| cookie.name.contains("vestibule") && !cookie.name.contains("-login"));
            found.expect("the browser has no session cookie").value.clone()
        };
        match self.gateway.sessions().open(&host, cookie.as_bytes()).await.unwrap() {
            Opened::Live(session) => session,
            Opened::None(why) => panic!("no live session: {why:?}"),
        }
    }

    /// The refresh token of the session, which only the store and the provider know.
    pub async fn refresh_token(&self) -> String {
        let session = self.session().await;
        session.login_grant().unwrap().tokens.refresh_token.as_ref().expect("no refresh token").expose().to_owned()
    }
}

/// Changes who the gateway is at its provider.
pub fn relying_party(client_id: &str, authentication: ClientAuthentication) -> impl FnOnce(&mut Settings) {
    move |settings| {
        settings.providers[0].client_id = client_id.to_owned();
        settings.providers[0].client_authentication = authentication;
    }
}

/// Spends a refresh token as somebody would who has stolen it together with the client secret (`client_secret_post`).
pub async fn spend(token_endpoint: &str, client_id: &str, secret: &str, refresh_token: &str) -> (u16, Value) {
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "refresh_token")
        .append_pair("refresh_token", refresh_token)
        .append_pair("client_id", client_id)
        .append_pair("client_secret", secret)
        .finish();
    let url = Url::parse(token_endpoint).unwrap();
    let address = url.socket_addrs(|| None).unwrap()[0];
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n",
        url.path(),
        body.len(),
    );
    // No browser: providers refuse the `Origin` that a script's request would carry.
    let answer = patiently("a token answer", raw::ask(address, head + &body)).await.unwrap();
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

pub fn secret(text: &str) -> ClientSecret {
    ClientSecret::new(text.to_owned())
}
