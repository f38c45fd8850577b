//! What lies in a durable store after people have logged in, gone on and left: nothing of anybody, whoever looks and
//! whatever keys of the server they have.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use vestibule::origin::{Host, Scheme};
use vestibule::secret::SessionId;
use vestibule::session::StoreKey;

use crate::harness::behaviour::Behaviour;
use crate::harness::crowd::{Outcome, Person, ask};
use crate::harness::gateway::CLIENT_ID;
use crate::harness::heap::{Heap, spellings};
use crate::harness::logout_stage::logout_header;
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::redis_server::{PORT, RedisServer};
use crate::harness::replicas::{HOST, PUBLIC_URL, Replicas};
use crate::harness::signing::parts;
use crate::harness::watched_redis::{self, Watched};

/// Short, so that tokens are refreshed.
const MOMENT: Duration = Duration::from_secs(2);

/// What must not be found, and what it is.
type Hidden = Vec<(String, Vec<u8>)>;

/// Every text in a JSON, the claims of tokens too.
fn texts(value: &Value, name: &str, found: &mut Hidden) {
    match value {
        Value::String(text) if text.split('.').count() == 3 && name == "id_token" => {
            found.push((name.to_owned(), text.clone().into()));
            texts(&parts(text).1, "claims", found);
        }
        Value::String(text) => found.push((name.to_owned(), text.clone().into())),
        Value::Array(list) => list.iter().for_each(|value| texts(value, name, found)),
        Value::Object(members) => members.iter().for_each(|(name, value)| texts(value, name, found)),
        _ => {}
    }
}

/// Notes all that the provider says of people and to us.
fn listen_to(provider: &TestProvider) -> Arc<Mutex<Hidden>> {
    let heard = Arc::new(Mutex::new(Hidden::new()));
    for endpoint in [Endpoint::Token, Endpoint::Userinfo] {
        let heard = Arc::clone(&heard);
        provider.on(endpoint, move |received, response| {
            let mut heard = heard.lock().unwrap();
            if let Ok(answer) = serde_json::from_slice::<Value>(response.body()) {
                texts(&answer, "answer", &mut heard);
            }
            for name in ["code", "code_verifier", "refresh_token"] {
                heard.extend(received.form_value(name).map(|value| (name.to_owned(), value.into())));
            }
            Behaviour::Respond(response)
        });
    }
    heard
}

/// A cookie as it is, and the parts of it that are secret.
fn of_cookie(name: &str, value: &str, hidden: &mut Hidden) {
    let bytes = URL_SAFE_NO_PAD.decode(value).unwrap();
    hidden.push((name.to_owned(), value.into()));
    let parts = if bytes.len() == 51 { vec![&bytes[1..19], &bytes[19..]] } else { vec![&bytes[5..37], &bytes[46..]] };
    hidden.extend(parts.into_iter().map(|part| (format!("a part of the {name}"), part.to_vec())));
}

/// The name of a person's session in the store: what lies there for everybody to see.
fn store_key(person: &Person) -> StoreKey {
    let bytes = URL_SAFE_NO_PAD.decode(person.cookie.split_once('=').unwrap().1).unwrap();
    let host = Host::parse(HOST, Scheme::Http).unwrap();
    StoreKey::of(PUBLIC_URL, &host, &SessionId::new(bytes[1..19].try_into().unwrap()))
}

/// People log in, are refreshed, and all but the first leave, each in another way. Comes back with the first and with
/// all that was said and shown meanwhile.
async fn lead_a_life(replicas: &Replicas) -> (Person, Hidden) {
    let heard = listen_to(&replicas.provider);
    let mut hidden = Hidden::new();
    let mut people = Vec::new();
    for number in 0..4 {
        let browser = replicas.browser(0);
        people.push(replicas.log_in_with(&browser, number).await);
        for name in ["vestibule-dev-18099", "vestibule-dev-18099-login"] {
            of_cookie(name, &browser.jar().find("app.localhost", name).unwrap().value, &mut hidden);
        }
    }
    patiently("everybody's refresh", async {
        while replicas.refresh_tokens_spent().len() < people.len() {
            for person in &people {
                assert_eq!(ask(replicas.address(0), person).await, Outcome::Served);
            }
        }
    })
    .await;
    let sid = |person: &Person| {
        let heard = heard.lock().unwrap();
        let tokens = heard.iter().filter(|(name, _)| name == "id_token");
        let claims = tokens.map(|(_, token)| parts(std::str::from_utf8(token).unwrap()).1);
        let own = claims.into_iter().find(|claims| claims["sub"] == person.subject).unwrap();
        own["sid"].as_str().unwrap().to_owned()
    };
    assert_eq!(replicas.sign_out(0, &people[1]).await, 303);
    for (name, value, jti) in
        [("sid", sid(&people[2]), "name-of-the-first-token"), ("sub", people[3].subject.clone(), "name-of-the-second")]
    {
        let mut claims = replicas.provider.logout_claims(CLIENT_ID, "", jti);
        claims.as_object_mut().unwrap().remove("sid");
        claims[name] = value.into();
        let token = replicas.provider.mint(&logout_header(&replicas.provider), &claims);
        assert_eq!(replicas.post(0, "/oauth2/backchannel-logout", &format!("logout_token={token}")).await, 200);
        hidden.extend([("jti".to_owned(), jti.into()), ("logout token".to_owned(), token.into())]);
    }
    for (person, outcome) in people.iter().zip([Outcome::Served, Outcome::LoggedOut, Outcome::LoggedOut]) {
        assert_eq!(ask(replicas.address(0), person).await, outcome);
    }
    assert_eq!(ask(replicas.address(0), &people[3]).await, Outcome::LoggedOut);
    hidden.extend(heard.lock().unwrap().drain(..));
    (people.swap_remove(0), hidden)
}

/// Looks for all of that in what has been stored and in what the server knows besides, its keys among it.
fn nothing_is_found(stored: &Heap, server: &Heap, hidden: &Hidden) {
    let kinds: std::collections::BTreeSet<_> = hidden.iter().map(|(name, _)| name.as_str()).collect();
    for kind in ["access_token", "refresh_token", "id_token", "email", "sub", "sid", "jti", "code", "logout token"] {
        assert!(kinds.contains(kind), "{kind} is not among {kinds:?}");
    }
    let mut looked_for = 0;
    for (what, value) in hidden {
        // The configuration names them itself: that is no person's secret.
        let configured = ["iss", "aud", "client_id", "token_type", "scope"].contains(&what.as_str());
        for spelling in spellings(value) {
            looked_for += 1;
            assert!(!stored.holds(&spelling), "{what} {:?} is stored", String::from_utf8_lossy(value));
            assert!(configured || !server.holds(&spelling), "{what} is in the files of the server");
        }
    }
    assert!(looked_for > 500, "{looked_for}");
    for (name, key) in server.named() {
        if name == "key" {
            let key = URL_SAFE_NO_PAD.decode(String::from_utf8_lossy(key).trim()).unwrap();
            assert!(spellings(&key).iter().all(|spelling| !stored.holds(spelling)), "the key is stored");
        }
    }
}

#[tokio::test]
async fn ss_05_the_files_of_a_gateway_hold_nothing_of_anybody() {
    let directory = tempfile::tempdir().unwrap();
    let files = directory.path().join("sessions");
    let store = format!("store = \"file:{}\"", files.display());
    let mut replicas = Replicas::start(1, MOMENT, move |_| store.clone()).await;
    let (alice, hidden) = lead_a_life(&replicas).await;
    let mut stored = Heap::of_files(&files);
    replicas.stop(0).await;
    stored.add_files(&files);
    assert!(stored.holds_bytes(store_key(&alice).as_bytes()), "these are the files that were written");
    nothing_is_found(&stored, &Heap::of_files(replicas.folder(0)), &hidden);
    replicas.start_one(0).await;
    assert_eq!(ask(replicas.address(0), &alice).await, Outcome::Served, "all that it takes is there");
}

#[tokio::test]
async fn ss_05_and_rd_09_redis_is_told_nothing_of_anybody_and_forgets_it_all() {
    let server = RedisServer::start();
    let watched = Watched::begin(&server.host).await;
    let store = format!("store = \"redis://{}:{PORT}\"", server.host);
    let replicas = Replicas::start(1, MOMENT, move |_| store.clone()).await;
    let (alice, hidden) = lead_a_life(&replicas).await;
    let mut stored = Heap::default();
    // All that it was ever told, what is gone and what was only announced included, and all that it holds.
    stored.add("told", watched.end(&server).await);
    stored.add("held", watched_redis::held(&server));
    let key = store_key(&alice);
    assert!(stored.holds_bytes(URL_SAFE_NO_PAD.encode(key.as_bytes()).as_bytes()), "this is the server that was told");
    nothing_is_found(&stored, &Heap::of_files(replicas.folder(0)), &hidden);
    let keys = server.keys();
    assert!(keys.len() > 8, "{keys:?}");
    for name in keys {
        assert!(server.cli(&["PTTL", &name]).parse::<i64>().unwrap() > 0, "{name}");
    }
}

#[tokio::test]
async fn ss_03_records_that_change_places_or_grow_in_redis_open_nothing_and_harm_nobody_else() {
    let server = RedisServer::start();
    let store = format!("store = \"redis://{}:{PORT}\"", server.host);
    let replicas = Replicas::start(2, Duration::from_secs(3_600), move |_| store.clone()).await;
    let people = replicas.log_in(3).await;
    let place_of =
        |person: &Person| format!("vestibule:{{{}}}:session", URL_SAFE_NO_PAD.encode(store_key(person).as_bytes()));
    let (first, second) = (place_of(&people[0]), place_of(&people[1]));
    // Whole sessions change places: each lies where the other's cookie leads.
    for (from, to) in [(first.as_str(), "aside"), (&second, &first), ("aside", &second)] {
        assert_eq!(server.cli(&["RENAME", from, to]), "OK");
    }
    // Each gateway has only those open that have logged in there.
    assert_eq!(ask(replicas.address(1), &people[0]).await, Outcome::LoggedOut);
    assert_eq!(ask(replicas.address(0), &people[1]).await, Outcome::LoggedOut);
    assert_eq!(ask(replicas.address(1), &people[2]).await, Outcome::Served);
    server.cli(&["EVAL", "return redis.call('HSET', KEYS[1], 'r', string.rep('x', 10 * 1024 * 1024))", "1", &first]);
    assert_eq!(ask(replicas.address(1), &people[0]).await, Outcome::LoggedOut);
    assert_eq!(ask(replicas.address(1), &people[2]).await, Outcome::Served);
    // What lies in somebody's place is no way to keep them out for good.
    let again = replicas.log_in_one(0, 1).await;
    assert_eq!(ask(replicas.address(0), &again).await, Outcome::Served);
}
