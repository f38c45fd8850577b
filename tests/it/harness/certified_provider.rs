//! The OpenID-certified provider of npm (`oidc-provider`), started by `tests/node/oidc_provider.mjs`.
//!
//! What to know about it: any password is right; JWT access tokens can be neither revoked nor introspected (400
//! `unsupported_token_type`), and with them there is no userinfo endpoint; a logout leaves refresh tokens alive, so one
//! that is dead afterwards has been revoked.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use url::Url;

use super::html::{Form, forms};
use super::peer_process::{PeerProcess, project};

const START_LIMIT: Duration = Duration::from_secs(60);

/// The provider, until it is dropped.
#[derive(Debug)]
pub struct CertifiedProvider {
    process: PeerProcess,
    issuer: String,
}

impl CertifiedProvider {
    /// Starts it on a free loopback port. `settings` are those at the top of `tests/node/oidc_provider.mjs`, for example
    /// `{"accessTokenFormat": "jwt", "accessTokenLifetime": 5, "consentGiven": true}`.
    pub async fn start(settings: &Value) -> Self {
        assert!(
            project().join("tests/node/node_modules/oidc-provider").exists(),
            "the npm packages are not there; run tests/run, or: npm ci --prefix tests/node"
        );
        let mut command = Command::new("node");
        command.arg("tests/node/oidc_provider.mjs").arg(settings.to_string());
        let (process, line) = PeerProcess::start("oidc-provider", command, START_LIMIT).await;
        let issuer = line["issuer"].as_str().unwrap().to_owned();
        Self { process, issuer }
    }

    /// Ends it and starts it again at the same address. Everything was in its memory: it has forgotten its relying
    /// parties, sessions and tokens, and has new keys.
    pub async fn restarted(self, settings: &Value) -> Self {
        let mut settings = settings.clone();
        settings["port"] = Url::parse(&self.issuer).unwrap().port().into();
        self.process.end().await;
        Self::start(&settings).await
    }

    /// The issuer identifier, `http://127.0.0.1:PORT`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Registers a relying party: client metadata (OpenID Connect Dynamic Client Registration §2). With a
    /// `client_secret` the default for `token_endpoint_auth_method` is `client_secret_basic`, without one `none`.
    pub async fn register(&mut self, metadata: Value) {
        self.process.ask(&json!({ "register": metadata })).await;
    }

    /// The requests it has answered, oldest first: `method`, `path`, `status`, and where there is one `grant_type`,
    /// `token_type_hint`, `client_id`, `error`.
    pub async fn requests(&mut self) -> Vec<Value> {
        let mut answer = self.process.ask(&json!({ "requests": true })).await;
        match answer["requests"].take() {
            Value::Array(requests) => requests,
            other => panic!("not a list of requests: {other}"),
        }
    }

    /// Waits until it has answered a request to `path` that `matches`.
    pub async fn answers(&mut self, path: &str, matches: impl Fn(&Value) -> bool) {
        super::patiently(path, async {
            while !self.requests().await.iter().any(|request| request["path"] == path && matches(request)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// How many token requests of this grant type got this status.
    pub async fn token_requests(&mut self, grant_type: &str, status: u16) -> usize {
        let matches = |request: &&Value| request["grant_type"] == grant_type && request["status"] == status;
        self.requests().await.iter().filter(matches).count()
    }
}

/// The form of the page, filled as a person would who wants to go on: the login with this name, the consent and the
/// question about logging out with yes. `None`: the page has no form.
pub fn filled_form(html: &str, login: &str) -> Option<Form> {
    let mut form = forms(html).into_iter().next()?;
    let has = |form: &Form, name: &str| form.fields.iter().any(|(known, _)| known == name);
    if has(&form, "login") {
        form.fill("login", login).fill("password", "any password is right");
    } else if has(&form, "xsrf") && !has(&form, "logout") {
        // Its button stands outside of the form and belongs to it by the attribute `form`.
        form.fields.push(("logout".into(), "yes".into()));
    }
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_certified_provider_are_filled() {
        let login = r#"<form action="http://127.0.0.1:1/interaction/x" method="post">
            <input type="hidden" name="prompt" value="login"/><input required type="text" name="login" >
            <input required type="password" name="password" ><button type="submit">Sign-in</button></form>"#;
        let form = filled_form(login, "alice").unwrap();
        assert_eq!(form.action.as_deref(), Some("http://127.0.0.1:1/interaction/x"));
        assert_eq!(form.fields[0], ("prompt".into(), "login".into()));
        assert_eq!(form.fields[1], ("login".into(), "alice".into()));

        let consent = r#"<form action="/x" method="post"><input type="hidden" name="prompt" value="consent"/></form>"#;
        assert_eq!(filled_form(consent, "alice").unwrap().fields, [("prompt".into(), "consent".into())]);

        let logout = r#"<form id="op.logoutForm" method="post" action="/session/end/confirm"><input type="hidden"
            name="xsrf" value="abc"/></form><button type="submit" form="op.logoutForm" value="yes" name="logout">"#;
        let form = filled_form(logout, "alice").unwrap();
        assert_eq!(form.fields, [("xsrf".into(), "abc".into()), ("logout".into(), "yes".into())]);
        assert_eq!(filled_form("<h1>Sign-out Success</h1>", "alice"), None);
    }

    #[tokio::test]
    async fn the_certified_provider_starts_and_knows_the_relying_parties_it_is_told() {
        let mut provider = CertifiedProvider::start(&json!({ "accessTokenFormat": "jwt" })).await;
        assert!(provider.issuer().starts_with("http://127.0.0.1:"));
        let redirect_uri = "http://localhost:1/oauth2/callback";
        provider.register(json!({ "client_id": "wiki", "client_secret": "s", "redirect_uris": [redirect_uri] })).await;
        assert_eq!(provider.token_requests("refresh_token", 200).await, 0);
    }
}
