//! What was sealed here opens as it was, and nothing else opens at all.
//!
//! Bytes at random would never pass the first check, so they say how to change what is genuine: see [`changed`].

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use serde_json::Map;
use vestibule::claims::{Claims, Identity};
use vestibule::clock::{Clock, ManualClock, Timestamp};
use vestibule::origin::{Host, PublicUrl, Scheme};
use vestibule::return_to::ReturnTo;
use vestibule::secret::{AccessToken, SealingKey};
use vestibule::session::key_ring::KeyRing;
use vestibule::session::login_attempt::{self, Flow, UnverifiedAttempt};
use vestibule::session::login_cookie::{LoginCookie, LoginPlace};
use vestibule::session::logout_state::LogoutState;
use vestibule::session::settings::{SessionSettings, StoreSettings};
use vestibule::session::store::memory::MemoryStore;
use vestibule::session::store::{LastUse, SealedSession, SessionStore};
use vestibule::session::{Grant, GrantKey, GrantTokens, NewSession, Opened, RegisteredClient, Sessions, StoreKey};

use super::configuration::Fixed;

const NAMESPACE: &str = "https://good.example";
const ISSUER: &str = "https://id.example";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const HOUR: Duration = Duration::from_secs(3600);

fn keys() -> Vec<SealingKey> {
    vec![SealingKey::new([1; 32]), SealingKey::new([2; 32])]
}

fn the_host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::parse("good.example", Scheme::Https).unwrap())
}

pub fn place() -> LoginPlace<'static> {
    static RING: OnceLock<KeyRing> = OnceLock::new();
    LoginPlace { ring: RING.get_or_init(|| KeyRing::new(keys()).unwrap()), namespace: NAMESPACE, host: the_host() }
}

/// Changes `genuine` as `bytes` say. The first one: 0 takes the rest as it is, 1 cuts off as many bytes as the next one
/// says, 2 adds the rest, anything else writes over single bytes, each given by two for the place and one for the value.
pub fn changed(genuine: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut changed = genuine.to_vec();
    match bytes {
        [0, rest @ ..] => changed = rest.to_vec(),
        [1, length, ..] => changed.truncate(changed.len().saturating_sub(usize::from(*length))),
        [2, rest @ ..] => changed.extend_from_slice(rest),
        [_, edits @ ..] if !changed.is_empty() => {
            for edit in edits.chunks_exact(3) {
                let at = usize::from(edit[0]) << 8 | usize::from(edit[1]);
                let length = changed.len();
                changed[at % length] = edit[2];
            }
        }
        _ => {}
    }
    changed
}

fn return_to(path: &str) -> ReturnTo {
    let public_url = PublicUrl::parse(NAMESPACE).unwrap();
    ReturnTo::parse(path, &public_url, the_host(), "/oauth2").unwrap()
}

pub fn login_state(bytes: &[u8]) {
    static GENUINE: OnceLock<String> = OnceLock::new();
    let genuine = GENUINE.get_or_init(|| {
        let cookie = LoginCookie::draw(&Fixed).unwrap();
        let flow = Flow::Login { interactive: false };
        login_attempt::start(place(), &cookie, "corp", flow, &return_to("/deep?a=b"), NOW, &Fixed).unwrap().state
    });
    let state = changed(genuine.as_bytes(), bytes);
    let opened = UnverifiedAttempt::open(place(), &state);
    assert_eq!(opened.is_ok(), state == genuine.as_bytes());
    if let Ok(attempt) = opened {
        assert_eq!((attempt.return_path(), attempt.created()), ("/deep?a=b", NOW));
    }
    assert!(LogoutState::open(place(), &state, NOW).is_err(), "a login's state passes for a logout's");
}

pub fn logout_state(bytes: &[u8]) {
    static GENUINE: OnceLock<String> = OnceLock::new();
    let genuine = GENUINE.get_or_init(|| LogoutState::seal(place(), &return_to("/bye"), NOW, &Fixed).unwrap());
    let state = changed(genuine.as_bytes(), bytes);
    let opened = LogoutState::open(place(), &state, NOW);
    assert_eq!(opened.is_ok(), state == genuine.as_bytes());
    if let Ok(state) = opened {
        assert_eq!(state.unwrap().return_path(), "/bye");
    }
    assert!(UnverifiedAttempt::open(place(), &state).is_err(), "a logout's state passes for a login's");
}

/// A session as a store holds it.
struct Kept {
    cookie: String,
    key: StoreKey,
    sealed: SealedSession,
}

fn kept() -> &'static Kept {
    static KEPT: OnceLock<Kept> = OnceLock::new();
    KEPT.get_or_init(|| {
        let (sessions, store) = sessions();
        let cookie = ready(sessions.begin(new_session())).unwrap().cookie;
        let key = ready(sessions.list()).unwrap()[0].store_key;
        let sealed = ready(store.load(key)).unwrap().unwrap().sealed;
        Kept { cookie, key, sealed }
    })
}

fn new_session() -> NewSession<'static> {
    let claims = Claims::new(Map::new());
    let identity = Identity {
        issuer: ISSUER.to_owned(),
        subject: "alice".to_owned(),
        username: None,
        groups: Some(vec!["staff".to_owned()]),
        email: None,
        email_verified: false,
        claims,
    };
    let tokens = GrantTokens {
        access_token: AccessToken::new("an-access-token".to_owned()),
        access_expires: Some(NOW.plus(HOUR)),
        refresh_token: None,
        id_token: None,
        scopes: vec!["openid".to_owned()],
    };
    let key = GrantKey { provider: "corp".to_owned(), scopes: vec!["openid".to_owned()], resource: None };
    NewSession {
        steps_up: false,
        host: the_host().clone(),
        identity,
        sub: "alice".to_owned(),
        client_id: "gateway".to_owned(),
        sid: None,
        auth_time: None,
        acr: None,
        login_issued: NOW,
        browser: [3; 32],
        upstream: None,
        grants: vec![Arc::new(Grant::new(key, tokens, NOW))],
        replaces: None,
    }
}

/// A process with an empty store.
fn sessions() -> (Arc<Sessions>, Arc<MemoryStore>) {
    let clock = Arc::new(ManualClock::at(NOW)) as Arc<dyn Clock>;
    let store = Arc::new(MemoryStore::new(8, Arc::clone(&clock)));
    let mut settings = SessionSettings {
        store: StoreSettings::Memory { max_sessions: 8 },
        lifetime: 10 * HOUR,
        idle_timeout: HOUR,
        outage_grace: Duration::from_secs(60),
        keys: keys(),
        max_sessions_per_subject: 8,
        cache: 1_000,
    };
    let client = RegisteredClient { issuer: ISSUER.to_owned(), client_id: "gateway".to_owned() };
    let clients = HashMap::from([(the_host().clone(), client)]);
    let shared = Arc::clone(&store) as Arc<dyn SessionStore>;
    (Sessions::new(&mut settings, NAMESPACE.to_owned(), clients, clock, Arc::new(Fixed), shared).unwrap(), store)
}

/// A process that finds `sealed` in its store.
fn sessions_with(sealed: SealedSession) -> Arc<Sessions> {
    let (sessions, store) = sessions();
    let last_use = LastUse { at: NOW, expires: NOW.plus(HOUR) };
    ready(store.insert(kept().key, sealed, last_use)).unwrap();
    sessions
}

fn opens(sessions: &Sessions, cookie: &[u8]) -> bool {
    match ready(sessions.open(the_host(), cookie)).unwrap() {
        Opened::Live(session) => {
            assert_eq!(session.store_key(), kept().key);
            true
        }
        Opened::None(_) => false,
    }
}

/// Only the very cookie opens its session, from the store and from the cache.
pub fn session_cookie(bytes: &[u8]) {
    let cookie = changed(kept().cookie.as_bytes(), bytes);
    let genuine = cookie == kept().cookie.as_bytes();
    let sessions = sessions_with(kept().sealed.clone());
    assert_eq!(opens(&sessions, &cookie), genuine);
    assert!(opens(&sessions, kept().cookie.as_bytes()));
    assert_eq!(opens(&sessions, &cookie), genuine);
}

/// Only the very record opens with its cookie.
pub fn record(bytes: &[u8]) {
    let record = changed(&kept().sealed.record, bytes);
    let genuine = *record == *kept().sealed.record;
    let sessions = sessions_with(SealedSession { record: record.into(), ..kept().sealed.clone() });
    assert_eq!(opens(&sessions, kept().cookie.as_bytes()), genuine);
}

/// Only the very card is read.
pub fn card(bytes: &[u8]) {
    let card = changed(&kept().sealed.card, bytes);
    let genuine = *card == *kept().sealed.card;
    let sessions = sessions_with(SealedSession { card: card.into(), ..kept().sealed.clone() });
    let listed = ready(sessions.list()).unwrap();
    assert_eq!(listed.len(), usize::from(genuine));
    assert!(listed.iter().all(|one| one.card.subject == "alice"));
}

/// What a store in memory answers is there at once.
fn ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a store in memory has to wait"),
    }
}
