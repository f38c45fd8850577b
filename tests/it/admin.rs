//! The admin listener: who is logged in, and the end of one session, of all of a person's, or of all.

use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::browser::Browser;
use crate::harness::by_hand::{pair, program, send, session_cookie};
use crate::harness::gateway::{ADMIN_TOKEN, Gateway, Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::raw::{self, RawResponse};
use crate::reload_sessions::Keys;

pub const LISTEN: &str = "admin_address = \"127.0.0.1:0\"\nadmin_token = { env = \"ADMIN_TOKEN\" }";

pub async fn stage() -> Stage {
    Stage::with(|setup| setup.listen = LISTEN.to_owned()).await
}

/// Asks with the token.
pub async fn ask(gateway: &Gateway, method: &str, target: &str, body: Option<&Value>) -> RawResponse {
    let bearer = format!("Authorization: Bearer {ADMIN_TOKEN}\r\n");
    ask_with(gateway, method, target, &bearer, body).await
}

async fn ask_with(gateway: &Gateway, method: &str, target: &str, fields: &str, body: Option<&Value>) -> RawResponse {
    let address = gateway.admin_address.unwrap();
    let body = body.map(Value::to_string).unwrap_or_default();
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {address}\r\n{fields}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw::ask(address, request).await.unwrap_or_else(|| panic!("no answer to {method} {target}"))
}

pub async fn listed(gateway: &Gateway, query: &str) -> Vec<Value> {
    let answer = ask(gateway, "GET", &format!("/sessions{query}"), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    json_of(&answer)["sessions"].as_array().unwrap().clone()
}

pub fn json_of(answer: &RawResponse) -> Value {
    serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("no JSON: {}", answer.text()))
}

async fn log_in(stage: &Stage, username: &str) -> Browser {
    let browser = stage.gateway.browser();
    assert_eq!(browser.log_in(&stage.url("/"), username).await.status, 200);
    browser
}

async fn is_live(stage: &Stage, browser: &Browser) -> bool {
    program(&stage.gateway, "/", &pair(&session_cookie(browser))).await.status == 200
}

#[tokio::test]
async fn everybody_who_is_logged_in_is_listed_without_any_token_or_address() {
    let stage = stage().await;
    assert_eq!(listed(&stage.gateway, "").await, [json!(null); 0]);
    let (alice, _bob) = (log_in(&stage, "alice").await, log_in(&stage, "bob").await);
    patiently("the first uses to be noted", async {
        while listed(&stage.gateway, "").await.iter().any(|one| one["upstreams"] == json!([])) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let all = listed(&stage.gateway, "").await;
    assert_eq!(all.len(), 2);
    let one = listed(&stage.gateway, "?user=alice").await;
    let [one] = one.as_slice() else { panic!("{one:?}") };
    let mut fields = one.as_object().unwrap().clone();
    assert_eq!(fields.remove("id").unwrap().as_str().unwrap().len(), 64);
    for time in ["begun", "last_used", "expires", "access_token_expires"] {
        let at = fields.remove(time).unwrap();
        at.as_str().unwrap().parse::<jiff::Timestamp>().unwrap_or_else(|_| panic!("{time}: {at}"));
    }
    let scopes = fields.remove("scopes").unwrap();
    assert!(scopes.as_array().unwrap().contains(&"openid".into()), "{scopes}");
    let expected = json!({
        "subject": "subject-of-alice", "user": "alice", "issuer": stage.provider.issuer(), "provider": "default",
        "host": "app.example", "renewable": true, "upstreams": ["app"],
    });
    assert_eq!(Value::Object(fields), expected);
    let path = format!("/sessions/{}", one["id"].as_str().unwrap());
    assert_eq!(json_of(&ask(&stage.gateway, "GET", &path, None).await), *one);
    let text = Value::from(all).to_string();
    for secret in [session_cookie(&alice).as_str(), "alice@", "email\":", "refresh"] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert_eq!(stage.upstream.hits(), 2);
}

#[tokio::test]
async fn ad_07_a_session_ends_once_and_ending_it_again_is_no_error() {
    let stage = stage().await;
    let (alice, bob) = (log_in(&stage, "alice").await, log_in(&stage, "bob").await);
    let id = listed(&stage.gateway, "?user=alice").await[0]["id"].as_str().unwrap().to_owned();
    let path = format!("/sessions/{id}");
    let answer = ask(&stage.gateway, "DELETE", &path, None).await;
    assert_eq!((answer.status, json_of(&answer)), (200, json!({ "ended": 1, "tokens_being_revoked": 1, "failed": 0 })));
    assert!(!is_live(&stage, &alice).await && is_live(&stage, &bob).await);
    let gone = json!({ "ended": 0, "tokens_being_revoked": 0, "failed": 0 });
    assert_eq!(json_of(&ask(&stage.gateway, "DELETE", &path, None).await), gone);
    assert_eq!(json_of(&ask(&stage.gateway, "POST", "/sessions/revoke", Some(&json!({ "id": id }))).await), gone);
    assert_eq!(ask(&stage.gateway, "GET", &path, None).await.status, 404);
    patiently("the tokens to be revoked", async {
        while stage.provider.hits(Endpoint::Revocation) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let log = &stage.gateway.log;
    let ended = ["\"session.ended\"", "\"reason\":\"administrator\"", "\"user\""];
    assert_eq!(log.lines_with(&ended), 1);
    let told = ["\"sessions.revoked\"", "\"by\":\"admin\"", "\"detail\":\"one\"", "request_id"];
    assert_eq!(log.lines_with(&[&told[..], &["\"ended\":1", "\"failed\":0"]].concat()), 1);
    assert_eq!(log.lines_with(&[&told[..], &["\"ended\":0"]].concat()), 2);
    // The line that tells of the end speaks of the session as the one that told of its beginning.
    let text = log.text();
    let reference = |event: &str, holds: &str| {
        let line = text.lines().find(|line| line.contains(event) && line.contains(holds)).unwrap();
        serde_json::from_str::<Value>(line).unwrap()["session"].clone()
    };
    let references = [reference("session.created", ""), reference("session.ended", "administrator")];
    assert_eq!(references[0], references[1]);
}

#[tokio::test]
async fn all_sessions_of_a_person_end_and_a_later_login_is_not_refused() {
    let stage = stage().await;
    let (one, two) = (log_in(&stage, "alice").await, log_in(&stage, "alice").await);
    let bob = log_in(&stage, "bob").await;
    let body = json!({ "subject": "subject-of-alice" });
    let answer = ask(&stage.gateway, "POST", "/sessions/revoke", Some(&body)).await;
    assert_eq!(json_of(&answer), json!({ "ended": 2, "tokens_being_revoked": 2, "failed": 0 }));
    assert!(!is_live(&stage, &one).await && !is_live(&stage, &two).await && is_live(&stage, &bob).await);
    assert_eq!(stage.gateway.log.lines_with(&["\"sessions.revoked\"", "\"detail\":\"subject\"", "\"ended\":2"]), 1);
    assert!(!stage.gateway.log.text().contains("subject-of-alice"), "the log knows people by their pseudonyms");
    stage.gateway.clock.advance(Duration::from_secs(2));
    let other = json!({ "subject": "subject-of-bob", "issuer": "https://other.example" });
    assert_eq!(json_of(&ask(&stage.gateway, "POST", "/sessions/revoke", Some(&other)).await)["ended"], 0);
    assert!(is_live(&stage, &bob).await);
}

#[tokio::test]
async fn every_session_ends_when_all_are_to() {
    let stage = stage().await;
    let (alice, bob) = (log_in(&stage, "alice").await, log_in(&stage, "bob").await);
    for wrong in [json!({ "all": false }), json!({}), json!({ "all": true, "id": "x" })] {
        assert_eq!(ask(&stage.gateway, "POST", "/sessions/revoke", Some(&wrong)).await.status, 400);
    }
    let answer = ask(&stage.gateway, "POST", "/sessions/revoke", Some(&json!({ "all": true }))).await;
    assert_eq!(json_of(&answer)["ended"], 2);
    assert!(!is_live(&stage, &alice).await && !is_live(&stage, &bob).await);
    assert!(listed(&stage.gateway, "").await.is_empty());
}

#[tokio::test]
async fn lo_04_what_the_store_does_not_take_is_said_to_live_on() {
    let stage = stage().await;
    let alice = log_in(&stage, "alice").await;
    let id = listed(&stage.gateway, "").await[0]["id"].as_str().unwrap().to_owned();
    stage.gateway.store.fail(&["remove"]);
    for body in [json!({ "id": id }), json!({ "subject": "subject-of-alice" }), json!({ "all": true })] {
        let answer = ask(&stage.gateway, "POST", "/sessions/revoke", Some(&body)).await;
        let told = json_of(&answer);
        assert_eq!((answer.status, &told["title"], &told["failed"]), (503, &"Not all have ended".into(), &1.into()));
    }
    assert_eq!(stage.gateway.log.lines_with(&["ERROR", "\"sessions.revoked\"", "\"failed\":1"]), 3);
    stage.gateway.store.fail(&["all"]);
    for (method, target, body) in [
        ("GET", "/sessions", None),
        ("GET", &*format!("/sessions/{id}"), None),
        ("POST", "/sessions/revoke", Some(json!({ "all": true }))),
        ("POST", "/sessions/revoke", Some(json!({ "subject": "subject-of-alice" }))),
    ] {
        assert_eq!(ask(&stage.gateway, method, target, body.as_ref()).await.status, 503, "{method} {target}");
    }
    stage.gateway.store.fail(&[]);
    assert!(is_live(&stage, &alice).await);
}

#[tokio::test]
async fn an_end_at_one_replica_is_an_end_at_the_other_and_cuts_what_is_open_there() {
    let keys = Keys::new();
    let line = keys.line(&["a"]);
    let stage = Stage::with(|setup| {
        setup.listen = LISTEN.to_owned();
        setup.session = line.clone();
    })
    .await;
    let other = Setup { session: line, ..Setup::default() };
    let settings = Gateway::settings(&other, stage.provider.issuer(), stage.upstream.address(), |_| {});
    let replica = stage.gateway.replica(settings).await;
    let alice = log_in(&stage, "alice").await;
    replica.introduce_to(&alice);
    stage.upstream.answer(|_| Behaviour::WebSocketEcho);
    let mut socket = alice.web_socket("/socket", None).await.unwrap();
    let id = listed(&stage.gateway, "").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(ask(&stage.gateway, "DELETE", &format!("/sessions/{id}"), None).await.status, 200);
    let end = tokio::time::timeout(Duration::from_secs(1), socket.next()).await.expect("within a second");
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
    assert_eq!(program(&replica, "/", &pair(&session_cookie(&alice))).await.status, 401);
}

#[tokio::test]
async fn ad_06_no_other_credential_opens_and_a_new_token_does_at_once() {
    let stage = stage().await;
    let alice = log_in(&stage, "alice").await;
    let cookie = format!("Cookie: {}\r\n", pair(&session_cookie(&alice)));
    for fields in ["", &cookie, "Authorization: Bearer mark-admin-token-0123456788\r\n"] {
        let answer = ask_with(&stage.gateway, "GET", "/sessions", fields, None).await;
        assert_eq!((answer.status, answer.all("www-authenticate").len()), (401, 2), "{fields}");
        assert!(!answer.text().contains("alice"));
    }
    assert_eq!(stage.gateway.log.lines_with(&["\"admin.denied\"", "\"reason\":\"token\""]), 3);
    let directory = tempfile::tempdir().unwrap();
    let file = crate::harness::program::write_private(directory.path(), "token", "another-token-0123456789");
    let listen = format!("admin_address = \"127.0.0.1:0\"\nadmin_token = {{ file = \"{}\" }}", file.display());
    stage.reload(|setup| setup.listen = listen).await.unwrap();
    assert_eq!(ask(&stage.gateway, "GET", "/sessions", None).await.status, 401);
    let bearer = "Authorization: Bearer another-token-0123456789\r\n";
    assert_eq!(ask_with(&stage.gateway, "GET", "/sessions", bearer, None).await.status, 200);
}

#[tokio::test]
async fn ad_02_the_listener_is_its_own_and_off_by_default() {
    let stage = stage().await;
    let alice = log_in(&stage, "alice").await;
    let before = stage.upstream.hits();
    let answer = program(&stage.gateway, "/sessions", &pair(&session_cookie(&alice))).await;
    assert_eq!((answer.text().as_str(), stage.upstream.hits()), ("upstream", before + 1), "an ordinary path");
    for target in ["/", "/livez", "/metrics", "/oauth2/sessions", "/oauth2/start"] {
        assert_eq!(ask(&stage.gateway, "GET", target, None).await.status, 404, "{target}");
    }
    let bearer = format!("Bearer {ADMIN_TOKEN}");
    let answer = send(&stage.gateway, "GET", "/oauth2/sessions", &[("Authorization", &bearer)]).await;
    assert_eq!(answer.status, 401, "the token opens nothing else");
    assert!(Stage::set().await.gateway.admin_address.is_none());
    let changed = stage.reload(|_| {}).await.unwrap_err().to_string();
    assert!(changed.contains("listen.admin_address"), "{changed}");
}

#[tokio::test]
async fn a_login_under_way_does_not_outlive_the_end_of_all_of_its_person() {
    let provider = TestProvider::start().await;
    let stage = Stage::with_provider(provider, |setup| setup.listen = LISTEN.to_owned()).await;
    let (opener, held) = gate();
    let mut held = Some(held);
    stage.provider.on(Endpoint::Token, move |_, response| Behaviour::Respond(response).held(held.take().unwrap()));
    let browser = stage.gateway.browser();
    let login = async { browser.log_in(&stage.url("/"), "alice").await };
    let revoke = async {
        patiently("the token call", async {
            while stage.provider.hits(Endpoint::Token) == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        stage.gateway.clock.advance(Duration::from_secs(1));
        let body = json!({ "subject": "subject-of-alice" });
        assert_eq!(json_of(&ask(&stage.gateway, "POST", "/sessions/revoke", Some(&body)).await)["ended"], 0);
        opener.open();
    };
    let (page, ()) = tokio::join!(login, revoke);
    assert_ne!(page.status, 200, "{}", page.text());
    assert!(listed(&stage.gateway, "").await.is_empty());
}
