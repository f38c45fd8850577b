//! The userinfo answer, plain or signed: it is about the same person and rightly made, or the login fails.

use std::sync::Arc;

use http::Response;
use serde_json::{Value, json};

use crate::forged_tokens::{Forgery, Material, of_the_claims, of_the_signature};
use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{CLIENT_ID, Stage};
use crate::harness::provider::Endpoint;
use crate::harness::upstream::RecordingUpstream;

/// Makes userinfo answer with what `make` makes of the good claims, as a JWT.
fn sign_userinfo(stage: &Stage, make: impl Fn(Material) -> String + Send + 'static) {
    let (issuer, key, header) = (stage.provider.issuer().to_owned(), stage.provider.key(), stage.provider.header());
    stage.provider.on(Endpoint::Userinfo, move |_, response: Response<bytes::Bytes>| {
        let mut claims: Value = serde_json::from_slice(response.body()).unwrap();
        claims["iss"] = issuer.as_str().into();
        claims["aud"] = CLIENT_ID.into();
        claims["iat"] = now().into();
        let material =
            Material { header: header.clone(), claims, key: Arc::clone(&key), attacker: "http://127.0.0.1:9".into() };
        Behaviour::with_headers(200, &[("content-type", "application/jwt")], make(material))
    });
}

fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs()
}

/// A login that gets as far as userinfo and no further.
async fn refused(stage: &Stage, what: &str, check: &str) {
    let line = ["login.rejected", "\"reason\":\"token-invalid\"", &format!("\"detail\":\"{check}\"")];
    let counts = || (stage.provider.hits(Endpoint::Token), stage.provider.hits(Endpoint::Userinfo));
    let (before, lines) = (counts(), stage.gateway.log.lines_with(&line));
    let page = stage.gateway.browser().log_in(&stage.url("/"), "alice").await;
    assert_eq!(page.status, 400, "{what}");
    let log = stage.gateway.log.text();
    let last = log.lines().rfind(|line| line.contains("login.rejected"));
    assert_eq!(stage.gateway.log.lines_with(&line), lines + 1, "{what}: {check}, but {last:?}");
    assert_eq!(counts(), (before.0 + 1, before.1 + 1), "{what}");
    assert_eq!((stage.upstream.hits(), stage.gateway.sessions().live_sessions()), (0, 0), "{what}");
}

#[tokio::test]
async fn jw_35_userinfo_about_somebody_else_or_no_answer_at_all_is_rejected() {
    let with_sub = |sub: Value| Behaviour::json(200, &json!({ "sub": sub, "groups": ["admins"] }));
    let html = [("content-type", "text/html")];
    let json_type = [("content-type", "application/json")];
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let cases: Vec<(&str, &str, Behaviour)> = vec![
        ("another sub", "userinfo-sub", with_sub(json!("subject-of-bob"))),
        ("sub in another case", "userinfo-sub", with_sub(json!("SUBJECT-OF-ALICE"))),
        ("sub as an array", "userinfo-sub", with_sub(json!(["subject-of-alice"]))),
        ("no sub", "userinfo-sub", Behaviour::json(200, &json!({ "groups": [] }))),
        ("an array", "userinfo-not-json", Behaviour::json(200, &json!([{ "sub": "subject-of-alice" }]))),
        ("sub twice", "userinfo-not-json", Behaviour::json_text(200, r#"{"sub":"x","sub":"subject-of-alice"}"#)),
        ("HTML", "userinfo-content-type", Behaviour::with_headers(200, &html, r#"{"sub":"subject-of-alice"}"#)),
        ("HTML as JSON", "userinfo-not-json", Behaviour::with_headers(200, &json_type, "<html>")),
        ("10 MB", "userinfo-body", Behaviour::json_text(200, vec![b' '; 10 << 20])),
        ("gzip", "userinfo-body", Behaviour::with_headers(200, &gzip, "\u{1f}\u{8b}")),
        ("no content", "userinfo-status", Behaviour::status(204)),
        ("no token", "userinfo-signature", Behaviour::with_headers(200, &[("content-type", "application/jwt")], "x")),
    ];
    for (what, check, answer) in cases {
        let stage = Stage::set().await;
        stage.provider.once(Endpoint::Userinfo, answer);
        refused(&stage, what, check).await;
    }
}

#[tokio::test]
async fn jw_35_a_signed_answer_that_is_forged_is_rejected() {
    let attacker = RecordingUpstream::start().await;
    let stage = Stage::set().await;
    for forgery in of_the_signature() {
        let (making, url) = (forgery.clone(), attacker.url());
        sign_userinfo(&stage, move |material| making.token(&Material { attacker: url.clone(), ..material }));
        let check = match forgery.check {
            "typ" => "userinfo-typ",
            "payload" => "userinfo-not-json",
            _ => "userinfo-signature",
        };
        refused(&stage, &forgery.to_string(), check).await;
        stage.provider.restore(Endpoint::Userinfo);
    }
    assert_eq!(attacker.connections().value(), 0);
    assert!(stage.provider.hits(Endpoint::Keys) <= 2, "unknown keys do not make us ask again and again");
}

#[tokio::test]
async fn jw_35_a_signed_answer_for_or_from_somebody_else_is_rejected() {
    let stage = Stage::set().await;
    let issuer = stage.provider.issuer().to_owned();
    // A signed answer need not say when it runs out (OpenID Connect Core §5.3.2).
    let forgeries = of_the_claims(&issuer, CLIENT_ID).into_iter().filter(|forgery| forgery.what != "no exp");
    let events = Forgery::claim("LO-14", "typ", "events", json!({}));
    let sub = Forgery::claim("JW-35", "sub", "sub", json!("subject-of-bob"));
    for forgery in forgeries.chain([events, sub]) {
        let making = forgery.clone();
        sign_userinfo(&stage, move |material| making.token(&material));
        let check = match forgery.check {
            "typ" => "userinfo-typ",
            "sub" => "userinfo-sub",
            _ => "userinfo-claim",
        };
        refused(&stage, &forgery.to_string(), check).await;
        stage.provider.restore(Endpoint::Userinfo);
    }
    sign_userinfo(&stage, |material| material.key.sign(&material.header, &material.claims).unwrap());
    stage.log_in().await;
}

#[tokio::test]
async fn a_refused_access_token_at_userinfo_is_the_operators_to_mend() {
    let stage = Stage::set().await;
    stage.provider.instead(Endpoint::Userinfo, |_| Behaviour::status(401));
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!((page.status.as_u16(), stage.upstream.hits()), (502, 0));
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "userinfo-refused"]), 1);
}
