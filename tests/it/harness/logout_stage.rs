//! What a provider's logout has to do with: sessions, their names at the provider, and tokens that name them.

use std::sync::Arc;

use serde_json::{Value, json};
use vestibule::origin::{Host, Scheme};
use vestibule::session::{Opened, OpenedSession};

use super::browser::Browser;
use super::by_hand::{SESSION, pair, post_logout_token, program, session_cookie};
use super::gateway::{CLIENT_ID, Gateway, Stage};
use super::provider::TestProvider;
use super::raw::RawResponse;

/// The header of a logout token as the standard has it.
pub fn logout_header(provider: &TestProvider) -> Value {
    let mut header = provider.header();
    header["typ"] = "logout+jwt".into();
    header
}

impl Stage {
    /// The cookie of a new browser in which somebody has just logged in.
    pub async fn cookie_of(&self, username: &str) -> String {
        let browser = self.gateway.browser();
        assert_eq!(browser.log_in(&self.url("/"), username).await.status, 200);
        pair(&session_cookie(&browser))
    }

    /// The claims of a logout token that names these sessions by `sid`, or a person by `sub`. It is a few seconds old, so
    /// that a login that comes next is younger than it, as times in whole seconds tell.
    pub fn logout_claims(&self, name: &str, value: &str, jti: &str) -> Value {
        let mut claims = self.provider.logout_claims(CLIENT_ID, "none", jti);
        claims.as_object_mut().unwrap().remove("sid");
        claims[name] = json!(value);
        claims["iat"] = json!(claims["iat"].as_u64().unwrap() - 5);
        claims
    }

    /// The provider mints a logout token with these claims.
    pub fn logout_token(&self, claims: &Value) -> String {
        self.provider.mint(&logout_header(&self.provider), claims)
    }

    /// The provider says that these sessions have ended.
    pub async fn end_by(&self, name: &str, value: &str, jti: &str) -> RawResponse {
        let token = self.logout_token(&self.logout_claims(name, value, jti));
        post_logout_token(&self.gateway, &token).await
    }
}

/// Whether a request with this cookie is served.
pub async fn is_live(gateway: &Gateway, cookie: &str) -> bool {
    match program(gateway, "/", cookie).await.status {
        200 => true,
        401 => false,
        other => panic!("neither live nor dead: {other}"),
    }
}

/// The session behind a cookie of the usual host.
pub async fn session_of(gateway: &Gateway, cookie: &str) -> Arc<OpenedSession> {
    let value = cookie.strip_prefix(&format!("{SESSION}=")).unwrap();
    let host = Host::parse("app.example", Scheme::Https).unwrap();
    match gateway.sessions().open(&host, value.as_bytes()).await.unwrap() {
        Opened::Live(session) => session,
        Opened::None(why) => panic!("no live session: {why:?}"),
    }
}

/// The provider's name for the session behind a cookie.
pub async fn sid_of(gateway: &Gateway, cookie: &str) -> String {
    session_of(gateway, cookie).await.sid().expect("the provider names its sessions").to_owned()
}

/// The value of the session cookie that this browser has for a host.
pub fn cookie_for(browser: &Browser, host: &str) -> String {
    pair(&browser.jar().find(host, SESSION).expect("no session cookie").value)
}
