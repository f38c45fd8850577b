//! The development identity provider: an OpenID provider for made-up people, as a state machine without I/O.
//!
//! It keeps to the standards strictly, so that what works here works elsewhere: exact redirect URIs, PKCE with S256
//! always, single-use codes, rotation of refresh tokens with reuse detection, `iss` in every authorization response.

mod answer;
mod authorization_request;
mod authorize;
mod client_authentication;
mod end_session;
mod metadata;
mod pages;
mod parameters;
mod revocation;
mod settings;
mod signing_key;
mod state;
mod token;
mod token_response;
mod userinfo;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_TYPE, HOST};
use http::request::Parts;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use serde_json::json;

pub use answer::Answer;
pub use settings::{Account, DevelopmentProviderSettings, RegisteredClient};
pub use signing_key::{SigningFailed, SigningKey};

use crate::clock::{Clock, Timestamp};
use crate::entropy::{self, Entropy, NoEntropy};
use parameters::Parameters;
use state::State;

/// The longest form that is read.
const FORM_LIMIT: usize = 64 * 1024;

/// The provider: settings, a signing key, and what it remembers.
pub struct DevelopmentProvider {
    settings: DevelopmentProviderSettings,
    key: Arc<SigningKey>,
    entropy: Arc<dyn Entropy>,
    state: Mutex<State>,
}

impl std::fmt::Debug for DevelopmentProvider {
    /// What it remembers is not shown: codes and tokens are in it.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("DevelopmentProvider").field("issuer", &self.settings.issuer).finish_non_exhaustive()
    }
}

impl DevelopmentProvider {
    /// A provider that remembers nobody yet.
    #[must_use]
    pub fn new(mut settings: DevelopmentProviderSettings, key: Arc<SigningKey>, entropy: Arc<dyn Entropy>) -> Self {
        let clients = std::mem::take(&mut settings.clients);
        Self { settings, key, entropy, state: Mutex::new(State::knowing(clients)) }
    }

    /// Registers a relying party, or replaces the one of the same `client_id`.
    pub fn register(&self, client: RegisteredClient) {
        let mut state = self.state();
        state.clients.retain(|known| known.id != client.id);
        state.clients.push(client);
    }

    /// The issuer identifier.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.settings.issuer
    }

    /// Who can log in.
    #[must_use]
    pub fn accounts(&self) -> &[Account] {
        &self.settings.accounts
    }

    /// Answers one request; `body` is the whole of its body.
    #[must_use]
    pub fn respond(&self, head: &Parts, body: &[u8], now: Timestamp) -> Answer {
        if !self.is_meant(head) {
            return answer::empty(StatusCode::MISDIRECTED_REQUEST);
        }
        self.state().forget(now, self.settings.session_lifetime, self.settings.refresh_token_lifetime);
        let reads = head.method == Method::GET || head.method == Method::HEAD;
        let posts = head.method == Method::POST;
        match head.uri.path() {
            "/" if reads => pages::start(),
            metadata::DISCOVERY if reads => answer::json(StatusCode::OK, &metadata::document(self.issuer())),
            metadata::KEYS if reads => answer::json(StatusCode::OK, &json!({ "keys": [self.key.public_jwk()] })),
            metadata::AUTHORIZATION if reads || posts => self.authorize(head, body, now),
            metadata::LOGIN if posts => self.log_in(head, body, now),
            metadata::TOKEN if posts => self.token(head, body, now),
            metadata::USERINFO if reads || posts => self.userinfo(head, now),
            metadata::REVOCATION if posts => self.revoke(head, body),
            metadata::END_SESSION if reads || posts => self.end_session(head, body),
            "/" | metadata::DISCOVERY | metadata::KEYS => answer::method_not_allowed("GET, HEAD"),
            metadata::AUTHORIZATION | metadata::USERINFO | metadata::END_SESSION => {
                answer::method_not_allowed("GET, HEAD, POST")
            }
            metadata::LOGIN | metadata::TOKEN | metadata::REVOCATION => answer::method_not_allowed("POST"),
            _ => pages::not_found(),
        }
    }

    /// Whether the request names this provider as its host. A page elsewhere could otherwise reach it under a name of
    /// its own that it has pointed at loopback.
    fn is_meant(&self, head: &Parts) -> bool {
        let authority = self.settings.issuer.strip_prefix("http://").unwrap_or(&self.settings.issuer);
        let mut hosts = head.headers.get_all(HOST).iter();
        hosts.next().is_some_and(|host| host.as_bytes() == authority.as_bytes()) && hosts.next().is_none()
    }

    /// A panic elsewhere cannot leave this state half-changed in a way that matters to a demonstration.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An unguessable value of 256 bits.
    fn random(&self) -> Result<String, NoEntropy> {
        Ok(URL_SAFE_NO_PAD.encode(entropy::draw::<32>(self.entropy.as_ref())?))
    }

    fn account(&self, subject: &str) -> Option<&Account> {
        self.settings.accounts.iter().find(|account| account.subject == subject)
    }

    /// The name of the cookie by which the provider knows a browser again. Cookies ignore ports, so the port is in it.
    fn cookie_name(&self) -> String {
        let port = self.settings.issuer.rsplit(':').next().unwrap_or_default();
        format!("development-provider-{port}")
    }
}

/// The parameters of a form; `None` when it is no form or a parameter is repeated.
fn form(head: &Parts, body: &[u8]) -> Option<Parameters> {
    let content_type = head.headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    Parameters::parse(body).ok()
}

/// The parameters of a GET from its query, of a POST from its form.
fn query_or_form(head: &Parts, body: &[u8]) -> Option<Parameters> {
    if head.method == Method::POST {
        form(head, body)
    } else {
        Parameters::parse(head.uri.query().unwrap_or_default().as_bytes()).ok()
    }
}

/// Reads a request from the network and answers it.
pub(super) async fn serve(provider: &DevelopmentProvider, request: Request<Incoming>, clock: &dyn Clock) -> Answer {
    let (head, body) = request.into_parts();
    match Limited::new(body, FORM_LIMIT).collect().await {
        Ok(body) => provider.respond(&head, &body.to_bytes(), clock.now()),
        Err(_) => answer::empty(StatusCode::PAYLOAD_TOO_LARGE),
    }
}

#[cfg(test)]
mod tests;
