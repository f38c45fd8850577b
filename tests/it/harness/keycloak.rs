//! Keycloak, started by `tests/keycloak/run` with the realm `tests/keycloak/realm.json`.
//!
//! What to know about it: its cookies are `Secure` although it speaks plain http, and browsers send them on loopback all
//! the same; the issuer follows the Host header, so there is one name for it everywhere; it compares redirect URIs on
//! `localhost` and `127.0.0.1` without the port (RFC 8252 §7.3), so those in the realm have none; a second use of a
//! refresh token, even of the newest one after that, is `invalid_grant`.

use std::time::Duration;

use tokio::process::Command;

use super::html::{Form, forms};
use super::peer_process::{PeerProcess, project};

/// Java, a database and a realm from nothing: 13 seconds on two free cores, more when tests run beside it.
const START_LIMIT: Duration = Duration::from_secs(180);

/// `client_id` in the realm. Redirect URIs: `/oauth2/callback` on `localhost` and `127.0.0.1`, any port; after a logout
/// `/oauth2/signed_out` there.
pub const CLIENT_ID: &str = "gateway";
/// `client_secret` in the realm.
pub const CLIENT_SECRET: &str = "the-secret-of-the-gateway";
/// The password of `alice` (groups `staff` and `admins`) and `bob` (`staff`).
pub const PASSWORD: &str = "demo";

/// Keycloak, until it is dropped.
#[derive(Debug)]
pub struct Keycloak {
    _process: PeerProcess,
    issuer: String,
}

impl Keycloak {
    /// Starts it on a free loopback port and waits until it can log people in.
    pub async fn start() -> Self {
        let command = Command::new(project().join("tests/keycloak/run"));
        let (process, line) = PeerProcess::start("Keycloak", command, START_LIMIT).await;
        let issuer = line["issuer"].as_str().unwrap().to_owned();
        Self { _process: process, issuer }
    }

    /// The issuer identifier, `http://127.0.0.1:PORT/realms/vestibule`.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

/// The login form of the page, filled. `None`: the page has none.
pub fn filled_login_form(html: &str, username: &str) -> Option<Form> {
    let has_username = |form: &Form| form.fields.iter().any(|(name, _)| name == "username");
    let mut form = forms(html).into_iter().find(has_username)?;
    form.fill("username", username).fill("password", PASSWORD);
    Some(form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_form_of_keycloak_is_filled() {
        let page = r#"<form id="kc-form-login" onsubmit="login.disabled = true; return true;"
            action="http://127.0.0.1:1/realms/vestibule/login-actions/authenticate?session_code=a&amp;tab_id=b"
            method="post"><input id="username" name="username" value="" type="text" dir="ltr" />
            <input id="password" name="password" value="" type="password" />
            <input type="hidden" id="id-hidden-input" name="credentialId" />
            <button name="login" id="kc-login" type="submit">Sign In</button></form>"#;
        let form = filled_login_form(page, "bob").unwrap();
        assert!(form.action.unwrap().ends_with("?session_code=a&tab_id=b"));
        assert_eq!(form.fields[0], ("username".into(), "bob".into()));
        assert_eq!(form.fields[1], ("password".into(), PASSWORD.into()));
        assert_eq!(filled_login_form("<form></form>", "bob"), None);
    }
}
