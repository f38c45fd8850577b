//! The logout token: one that breaks a rule ends nobody's session. The same forgeries as at the login, and its own.

use serde_json::{Value, json};
use vestibule::clock::{Clock, SystemClock};

use crate::forged_tokens::{Forgery, Material, of_the_claims, of_the_signature};
use crate::harness::by_hand::{comparable, post_logout_token};
use crate::harness::gateway::{CLIENT_ID, Stage};
use crate::harness::logout_stage::{is_live, logout_header, sid_of};
use crate::harness::patiently;
use crate::harness::provider::Endpoint;
use crate::harness::signing::TestKey;
use crate::harness::upstream::RecordingUpstream;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const ALICE: &str = "subject-of-alice";

/// The claims of a good token that would end alice's sessions.
fn claims(stage: &Stage) -> Value {
    stage.logout_claims("sub", ALICE, "one")
}

/// Posts a token that must fail by this check and touch nobody.
async fn refused(stage: &Stage, cookie: &str, what: &str, check: &str, token: &str) {
    let line = ["WARN", "\"bcl.rejected\"", &format!("\"detail\":\"{check}\"")];
    let lines = stage.gateway.log.lines_with(&line);
    let posting = async {
        loop {
            // There are more forgeries than tokens that are looked at in a second.
            let answer = post_logout_token(&stage.gateway, token).await;
            if answer.status != 429 {
                break answer;
            }
        }
    };
    let answer = patiently(what, posting).await;
    let log = stage.gateway.log.text();
    let last = log.lines().rfind(|line| line.contains("bcl.rejected"));
    assert_eq!((answer.status, answer.text().as_str()), (400, "{\"error\":\"invalid_request\"}"), "{what}: {last:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
    assert_eq!(stage.gateway.log.lines_with(&line), lines + 1, "{what}: {check}, but {last:?}");
    assert!(token.len() < 20 || !log.contains(token), "{what}: the token is in the log");
    assert!(is_live(&stage.gateway, cookie).await, "{what}");
}

async fn refuses(stage: &Stage, attacker: &str, forgeries: Vec<Forgery>) {
    let cookie = stage.cookie_of("alice").await;
    for forgery in forgeries {
        let material = Material {
            header: logout_header(&stage.provider),
            claims: claims(stage),
            key: stage.provider.key(),
            attacker: attacker.to_owned(),
        };
        // Spaces and signs that a form would change are escaped, as whoever sends them would.
        let token: String = url::form_urlencoded::byte_serialize(forgery.token(&material).as_bytes()).collect();
        refused(stage, &cookie, &forgery.to_string(), forgery.check, &token).await;
    }
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\""]), 0);
    assert_eq!(stage.end_by("sub", ALICE, "good").await.status, 200);
    assert!(!is_live(&stage.gateway, &cookie).await, "the good one works");
}

#[tokio::test]
async fn jw_01_to_jw_28_and_lo_07_a_token_that_is_not_rightly_signed_ends_nothing() {
    let (stage, attacker) = (Stage::set().await, RecordingUpstream::start().await);
    let mut forgeries = of_the_signature();
    // That one is right here.
    forgeries.retain(|forgery| forgery.what != "typ: \"logout+jwt\"");
    refuses(&stage, &attacker.url(), forgeries).await;
    assert_eq!(attacker.connections().value(), 0, "JW-08: nothing that a token points at is fetched");
    assert!(stage.provider.hits(Endpoint::Keys) <= 2, "JW-09: unknown keys do not make us ask again and again");
}

#[tokio::test]
async fn jw_14_to_jw_21_and_lo_09_a_token_whose_claims_are_wrong_ends_nothing() {
    let stage = Stage::set().await;
    refuses(&stage, "", of_the_claims(stage.provider.issuer(), CLIENT_ID)).await;
    assert!(stage.gateway.log.lines_with(&["provider.token-refused", "\"check\":\"iss\"", "\"key_hash\":"]) >= 1);
}

/// Changes a good token's claims; `null` as a whole takes a claim out.
async fn with_claims(changes: Vec<(&'static str, &'static str, Option<Value>)>) {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    for (check, name, value) in changes {
        let mut claims = claims(&stage);
        let what = format!("{name} = {value:?}");
        match value {
            Some(value) => claims[name] = value,
            None => drop(claims.as_object_mut().unwrap().remove(name)),
        }
        refused(&stage, &cookie, &what, check, &stage.logout_token(&claims)).await;
    }
}

#[tokio::test]
async fn lo_12_and_jw_23_a_token_names_somebody() {
    with_claims(vec![
        ("sub-or-sid", "sub", None),
        ("sub", "sub", Some(json!(""))),
        ("sub", "sub", Some(json!("x".repeat(256)))),
        ("sub", "sub", Some(json!("a\u{0}b"))),
        ("sub", "sub", Some(json!(7))),
        ("sub", "sub", Some(json!(null))),
        ("sid", "sid", Some(json!(""))),
        ("sid", "sid", Some(json!(7))),
        ("sid", "sid", Some(json!(["s"]))),
    ])
    .await;
}

#[tokio::test]
async fn lo_13_a_token_is_of_now_and_has_a_name() {
    let now = SystemClock::default().now().as_seconds();
    with_claims(vec![
        ("iat", "iat", None),
        ("exp", "exp", None),
        ("jti", "jti", None),
        ("iat", "iat", Some(json!(now - 370))),
        ("iat", "iat", Some(json!(now + 70))),
        ("exp", "exp", Some(json!(now - 70))),
        ("exp", "exp", Some(json!(now + 31_536_000))),
        ("jti", "jti", Some(json!(""))),
        ("jti", "jti", Some(json!(1))),
        ("jti", "jti", Some(json!("j".repeat(256)))),
    ])
    .await;
}

#[tokio::test]
async fn lo_14_a_token_of_another_kind_ends_nothing() {
    with_claims(vec![
        ("events", "events", None),
        ("events", "events", Some(json!({}))),
        ("events", "events", Some(json!([EVENT]))),
        ("events", "events", Some(json!({ EVENT: [] }))),
        ("events", "events", Some(json!({ EVENT: null }))),
        ("events", "events", Some(json!({ "http://schemas.openid.net/event/other": {} }))),
        ("nonce", "nonce", Some(json!("n"))),
        ("nonce", "nonce", Some(json!(null))),
    ])
    .await;
}

#[tokio::test]
async fn lo_14_an_id_token_and_an_access_token_are_no_logout_tokens() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    stage.log_in().await;
    let session = crate::harness::logout_stage::session_of(
        &stage.gateway,
        &crate::harness::logout_stage::cookie_for(&stage.browser, "app.example"),
    )
    .await;
    let tokens = &session.login_grant().unwrap().tokens;
    let id_token = tokens.id_token.as_ref().unwrap().expose();
    refused(&stage, &cookie, "an ID token", "events", id_token).await;
    let access_token = tokens.access_token.expose();
    let check = if access_token.contains('.') { "typ" } else { "segments" };
    refused(&stage, &cookie, "an access token", check, access_token).await;
}

#[tokio::test]
async fn lo_14_a_logout_token_is_no_id_token() {
    let stage = Stage::set().await;
    for typ in ["logout+jwt", "JWT"] {
        // Everything an ID token has, the nonce too.
        stage.provider.alter_id_token(move |header, claims| {
            header["typ"] = typ.into();
            claims["events"] = json!({ EVENT: {} });
            claims["jti"] = "one".into();
        });
        let page = stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
        assert_eq!(page.status, 400, "{typ}: {}", page.text());
        stage.provider.restore(Endpoint::Token);
    }
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "token-invalid", "\"detail\":\"typ\""]), 2);
    assert_eq!(stage.gateway.sessions().live_sessions(), 0);
}

#[tokio::test]
async fn jw_09_two_keys_of_one_name_are_told_apart_by_type_and_algorithm() {
    for key in [TestKey::rs256, TestKey::ps256, TestKey::es384, TestKey::ed25519, TestKey::es256] {
        let (stage, signing) = (Stage::set().await, key());
        let other = if signing.algorithm() == "RS256" { TestKey::es256() } else { TestKey::rs256() };
        let mut own = signing.public_jwk("same");
        own.as_object_mut().unwrap().remove("alg");
        // That of the ID tokens is there as well: people log in.
        stage.provider.publish_keys(vec![other.public_jwk("same"), own, stage.provider.key().public_jwk()]);
        let cookie = stage.cookie_of("alice").await;
        let header = |algorithm: &str| json!({ "alg": algorithm, "kid": "same", "typ": "logout+jwt" });
        let what = format!("{} under the name of {}", signing.algorithm(), other.algorithm());
        let mixed = signing.sign(&header(other.algorithm()), &claims(&stage));
        refused(&stage, &cookie, &what, "signature", &mixed).await;
        let good = signing.sign(&header(signing.algorithm()), &claims(&stage));
        assert_eq!(post_logout_token(&stage.gateway, &good).await.status, 200, "{what}");
        assert!(!is_live(&stage.gateway, &cookie).await, "{what}");
        assert_eq!(stage.provider.hits(Endpoint::Keys), 1, "{what}");
    }
}

#[tokio::test]
async fn mm_03_only_a_token_that_has_been_verified_leaves_a_mark() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    // Whoever wants to leave a mark is told that it cannot be done.
    stage.gateway.store.fail(&["put_once"]);
    let material = |stage: &Stage| Material {
        header: logout_header(&stage.provider),
        claims: claims(stage),
        key: stage.provider.key(),
        attacker: String::new(),
    };
    let mut forgeries = of_the_signature();
    forgeries.retain(|forgery| ["JW-01", "JW-06", "JW-07"].contains(&forgery.id));
    forgeries.extend(of_the_claims(stage.provider.issuer(), CLIENT_ID).into_iter().take(10));
    for forgery in forgeries {
        refused(&stage, &cookie, &forgery.to_string(), forgery.check, &forgery.token(&material(&stage))).await;
    }
    let good = stage.logout_token(&claims(&stage));
    assert_eq!(post_logout_token(&stage.gateway, &good).await.status, 503, "this one would have");
}

#[tokio::test]
async fn lo_18_and_tm_04_the_answer_does_not_tell_whether_anybody_was_logged_in() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let sid = sid_of(&stage.gateway, &cookie).await;
    let of_nobody = comparable(&stage.end_by("sid", "nobody's", "one").await);
    let of_alice = comparable(&stage.end_by("sid", &sid, "two").await);
    assert_eq!(of_nobody, of_alice);
    assert!(of_alice.0 == 200 && !is_live(&stage.gateway, &cookie).await);
    assert_eq!(comparable(&stage.end_by("sid", &sid, "three").await), of_alice, "nor whether it has ended before");
}
