//! The ID token of a login: one that breaks a rule brings nobody in, and nothing of the answer is used.

use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::forged_tokens::{Forgery, Material, of_the_claims, of_the_signature};
use crate::harness::browser::Browser;
use crate::harness::gateway::{CLIENT_ID, Stage};
use crate::harness::provider::Endpoint;
use crate::harness::upstream::RecordingUpstream;

/// Every forgery is a login of a new browser at one gateway; each must fail by its own check and touch nothing else.
async fn refuses(stage: &Stage, attacker: &str, forgeries: Vec<Forgery>) {
    let forged = Arc::new(Mutex::new(String::new()));
    for forgery in forgeries {
        let (key, attacker) = (stage.provider.key(), attacker.to_owned());
        let (making, written) = (forgery.clone(), Arc::clone(&forged));
        stage.provider.replace_id_token(move |header, claims| {
            let material = Material { header, claims, key: Arc::clone(&key), attacker: attacker.clone() };
            let token = making.token(&material);
            written.lock().unwrap().clone_from(&token);
            token
        });
        refused(stage, &forgery.to_string(), forgery.check).await;
        assert!(!stage.gateway.log.text().contains(&*forged.lock().unwrap()), "{forgery}: the token is in the log");
        stage.provider.restore(Endpoint::Token);
    }
}

/// A login of a new browser that ends on the page for a token that is refused, by this check.
async fn refused(stage: &Stage, what: &str, check: &str) {
    let counts = || {
        let hits = |endpoint| stage.provider.hits(endpoint);
        (hits(Endpoint::Token), hits(Endpoint::Userinfo), stage.upstream.hits())
    };
    let line = ["login.rejected", "\"reason\":\"token-invalid\"", &format!("\"detail\":\"{check}\"")];
    let (before, lines) = (counts(), stage.gateway.log.lines_with(&line));
    let browser = stage.gateway.browser();
    let page = browser.log_in(&stage.url("/deep"), "alice").await;
    assert_eq!(page.status, 400, "{what}: {}", page.text());
    assert_eq!(counts(), (before.0 + 1, before.1, before.2), "{what}: token, userinfo and upstream calls");
    let log = stage.gateway.log.text();
    let last = log.lines().rfind(|line| line.contains("login.rejected"));
    assert_eq!(stage.gateway.log.lines_with(&line), lines + 1, "{what}: {check}, but {last:?}");
    assert_eq!(stage.gateway.sessions().live_sessions(), 0, "{what}");
    assert!(page.set_cookies().is_empty() && session_cookies(&browser) == 0, "{what}");
    let headers = (page.header("cache-control"), page.header("referrer-policy"));
    assert_eq!(headers, (Some("no-store"), Some("no-referrer")), "{what}");
    assert!(
        page.links().iter().any(|(href, _)| href == "/oauth2/start?rd=%2Fdeep"),
        "{what}: no way to start again: {}",
        page.text()
    );
}

fn session_cookies(browser: &Browser) -> usize {
    let jar = browser.jar();
    let ours = jar.beginning("app.example", "__Host-Http-vestibule");
    ours.iter().filter(|cookie| !cookie.name.ends_with("-login")).count()
}

#[tokio::test]
async fn jw_01_to_jw_13_and_jw_28_a_token_that_is_not_rightly_signed_is_rejected() {
    let (stage, attacker) = (Stage::set().await, RecordingUpstream::start().await);
    refuses(&stage, &attacker.url(), of_the_signature()).await;
    assert_eq!(attacker.connections().value(), 0, "JW-08: nothing that a token points at is fetched");
    assert!(stage.provider.hits(Endpoint::Keys) <= 2, "JW-09: unknown keys do not make us ask again and again");
    stage.log_in().await;
}

#[tokio::test]
async fn jw_14_to_jw_21_a_token_whose_claims_are_wrong_is_rejected() {
    let stage = Stage::set().await;
    refuses(&stage, "", of_the_claims(stage.provider.issuer(), CLIENT_ID)).await;
    assert_eq!(stage.provider.hits(Endpoint::Keys), 1);
    // Which issuer it was and which key is what an operator needs to know; the key's own name may be anything.
    let refused = ["provider.token-refused", "\"check\":\"iss\"", "\"issuer_host\":\"127.0.0.1\"", "\"key_hash\":"];
    assert!(stage.gateway.log.lines_with(&refused) >= 1, "{}", stage.gateway.log.text());
    assert!(!stage.gateway.log.text().contains(stage.provider.key().id()));
    stage.log_in().await;
}

#[tokio::test]
async fn jw_23_to_jw_25_subject_hashes_and_nonce_are_checked() {
    let stage = Stage::set().await;
    let claim = Forgery::claim;
    let forgeries = vec![
        claim("JW-23", "sub", "sub", json!("")),
        claim("JW-23", "sub", "sub", json!("s".repeat(256))),
        claim("JW-23", "sub", "sub", json!("a\nb")),
        claim("JW-23", "sub", "sub", json!(42)),
        claim("JW-23", "sub", "sub", json!(null)),
        claim("JW-24", "at-hash", "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("JW-24", "at-hash", "at_hash", json!("")),
        claim("JW-24", "at-hash", "at_hash", json!(null)),
        claim("JW-25", "c-hash", "c_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("JW-25", "s-hash", "s_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("nonce", "nonce", "nonce", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("nonce", "nonce", "nonce", json!(null)),
        claim("LO-14", "typ", "events", json!({ "http://schemas.openid.net/event/backchannel-logout": {} })),
        claim("size", "token-size", "x", json!("x".repeat(16 << 10))),
    ];
    refuses(&stage, "", forgeries).await;
    stage.provider.alter_claims(|claims| {
        for absent in ["at_hash", "auth_time", "acr", "sid"] {
            claims.as_object_mut().unwrap().remove(absent);
        }
        claims["aud"] = json!([CLIENT_ID]);
        claims["azp"] = CLIENT_ID.into();
    });
    stage.log_in().await;
}

#[tokio::test]
async fn jw_29_and_jw_30_an_answer_without_id_token_or_with_another_type_of_token_is_rejected() {
    let stage = Stage::set().await;
    for value in [None, Some(json!(null)), Some(json!("")), Some(json!(7)), Some(json!(["a"]))] {
        let what = format!("JW-29: {value:?}");
        match value {
            None => stage.provider.omit(Endpoint::Token, "id_token"),
            Some(value) => stage.provider.put(Endpoint::Token, "id_token", value),
        }
        refused(&stage, &what, "id-token-missing").await;
        stage.provider.restore(Endpoint::Token);
    }
    for value in [None, Some(json!(null)), Some(json!("mac")), Some(json!("N_A")), Some(json!(["Bearer"]))] {
        let what = format!("JW-30: {value:?}");
        match value {
            None => stage.provider.omit(Endpoint::Token, "token_type"),
            Some(value) => stage.provider.put(Endpoint::Token, "token_type", value),
        }
        refused(&stage, &what, "token-type").await;
        stage.provider.restore(Endpoint::Token);
    }
    stage.provider.put(Endpoint::Token, "access_token", json!("x".repeat(65_536)));
    refused(&stage, "JW-33", "token-size").await;
    stage.provider.restore(Endpoint::Token);
    for accepted in ["BEARER", "bearer"] {
        stage.provider.put(Endpoint::Token, "token_type", json!(accepted));
        let page = stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
        assert_eq!(page.status, 200, "JW-30: {accepted}");
        stage.provider.restore(Endpoint::Token);
    }
}
