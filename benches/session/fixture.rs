//! Sessions as a provider of a company makes them: tokens of about a kilobyte, a dozen claims.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use vestibule::claims::{Claims, Identity};
use vestibule::clock::{Clock, SystemClock, Timestamp};
use vestibule::entropy::SystemEntropy;
use vestibule::origin::{Host, Scheme};
use vestibule::secret::{AccessToken, RawIdToken, RefreshToken, SealingKey};
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::session::store::SessionStore;
use vestibule::session::store::memory::MemoryStore;
use vestibule::session::{Grant, GrantKey, GrantTokens, NewSession, RegisteredClient, Sessions};

pub const LIFETIME: Duration = Duration::from_secs(10 * 3600);
const ISSUER: &str = "https://id.example.com/realms/corp";
const CLIENT_ID: &str = "wiki";

pub fn host() -> Host {
    Host::parse("wiki.example.com", Scheme::Https).unwrap()
}

pub fn system_clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::default())
}

pub fn store(clock: &Arc<dyn Clock>) -> Arc<dyn SessionStore> {
    Arc::new(MemoryStore::new(4_000_000, Arc::clone(clock)))
}

/// Sessions over a store, with nothing in their cache, under the key that is made of this byte.
pub fn sessions(store: &Arc<dyn SessionStore>, clock: &Arc<dyn Clock>, key: u8) -> Arc<Sessions> {
    let mut settings = SessionSettings {
        store: StoreSettings::Memory { max_sessions: 4_000_000 },
        lifetime: LIFETIME,
        idle_timeout: Duration::from_secs(3600),
        outage_grace: Duration::from_secs(60),
        keys: vec![SealingKey::new([key; 32])],
        max_sessions_per_subject: 20,
        cache: vestibule::session::settings::DEFAULT_CACHE,
    };
    let client = RegisteredClient { issuer: ISSUER.into(), client_id: CLIENT_ID.into() };
    let (namespace, clients) = ("https://wiki.example.com".to_owned(), [(host(), client)].into());
    Sessions::new(&mut settings, namespace, clients, Arc::clone(clock), Arc::new(SystemEntropy), Arc::clone(store))
        .unwrap()
}

/// The login of one person more.
pub fn login(number: usize, now: Timestamp) -> NewSession<'static> {
    NewSession {
        host: host(),
        identity: identity(number),
        client_id: CLIENT_ID.into(),
        sub: identity(number).subject,
        sid: Some(sid(number)),
        auth_time: Some(now),
        acr: Some("urn:example:mfa".into()),
        login_issued: now,
        browser: [7; 32],
        upstream: Some("wiki".into()),
        grants: vec![Arc::new(grant(now))],
        replaces: None,
        steps_up: false,
    }
}

pub fn issuer() -> &'static str {
    ISSUER
}

pub fn sid(number: usize) -> String {
    format!("sid-{number:036}")
}

fn identity(number: usize) -> Identity {
    let subject = format!("subject-{number:028}");
    let Value::Object(claims) = json!({
        "sub": subject, "name": "Alice Example", "given_name": "Alice", "family_name": "Example",
        "preferred_username": "alice", "email": "alice@example.com", "email_verified": true, "locale": "en-GB",
        "zoneinfo": "Europe/London", "groups": ["staff", "wiki-readers", "wiki-editors", "on-call"],
        "realm_access": {"roles": ["default", "offline_access"]}, "department": "Engineering",
    }) else {
        unreachable!()
    };
    Identity {
        issuer: ISSUER.into(),
        subject,
        username: Some("alice".into()),
        groups: Some(["staff", "wiki-readers", "wiki-editors", "on-call"].map(String::from).into()),
        email: Some("alice@example.com".into()),
        email_verified: true,
        claims: Claims::new(claims),
    }
}

fn grant(now: Timestamp) -> Grant {
    let scopes: Vec<String> = ["openid", "profile", "email", "offline_access"].map(String::from).into();
    let tokens = GrantTokens {
        access_token: AccessToken::new("a".repeat(1_200)),
        access_expires: Some(now.plus(LIFETIME)),
        refresh_token: Some(RefreshToken::new("r".repeat(700))),
        id_token: Some(RawIdToken::new("i".repeat(1_100))),
        scopes: scopes.clone(),
    };
    Grant::new(GrantKey { provider: "default".into(), scopes, resource: None }, tokens, now)
}
