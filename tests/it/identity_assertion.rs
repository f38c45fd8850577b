//! The identity assertion: an application that has nothing but the published keys can tell who asks, and that the
//! request came through the gateway. Verified by the npm package `jose`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Command;
use vestibule::clock::Clock;
use vestibule::secret::SealingKey;

use crate::harness::gateway::{Setup, Stage};
use crate::harness::patiently;
use crate::harness::peer_process::project;
use crate::harness::provider::TestProvider;
use crate::reload_sessions::Keys;

const HEADERS: &str = "public = [\"/public/**\"]\nanonymous = \"forward\"\n\
                       identity_assertion = { algorithm = \"ALGORITHM\", audience = \"wiki\", claims = [\"email\", \"groups\", \"none\"] }\n\
                       [upstream.headers]\nx-identity = \"{identity}\"";
const ISSUER: &str = "https://app.example";

/// A stage whose key ring is made of these bytes, the first signing.
async fn stage_with(algorithm: &str, ring: &[u8]) -> Stage {
    let ring: Vec<_> = ring.iter().map(|byte| SealingKey::new([*byte; 32])).collect();
    Stage::with_settings(
        TestProvider::start().await,
        |setup| setup.upstream = HEADERS.replace("ALGORITHM", algorithm),
        |settings| settings.session.keys = ring,
    )
    .await
}

impl Stage {
    /// Logs alice in at the gateway's own endpoint: the upstream lets the anonymous pass.
    async fn enter(&self) {
        self.browser.log_in(&self.url("/oauth2/start?rd=/first"), "alice").await;
    }

    /// The assertion that came with the last request.
    fn assertion(&self) -> String {
        self.upstream.last().header("x-identity").expect("no assertion").to_owned()
    }

    async fn keys(&self) -> Value {
        let response = self.spelled("GET /oauth2/jwks.json", &[]).await;
        assert_eq!(response.status, 200);
        serde_json::from_slice(&response.body).unwrap()
    }

    fn now(&self) -> u64 {
        self.gateway.clock.now().as_seconds()
    }
}

/// What an application says of a token that verifies as docs/headers.md tells it to.
async fn verified(token: &str, keys: &Value, algorithm: &str, changes: Value) -> Value {
    assert!(
        project().join("tests/node/node_modules/jose").exists(),
        "the npm packages are not there; run tests/run, or: npm ci --prefix tests/node"
    );
    let mut question =
        json!({ "token": token, "keys": keys, "algorithm": algorithm, "issuer": ISSUER, "audience": "wiki" });
    for (name, value) in changes.as_object().unwrap() {
        question[name] = value.clone();
    }
    let mut command = Command::new("node");
    command.current_dir(project()).arg("tests/node/verify_identity.mjs").arg(question.to_string()).kill_on_drop(true);
    let output = patiently("the verification", command.output()).await.unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}

#[tokio::test]
async fn an_application_verifies_who_asks_with_the_published_keys_alone() {
    for algorithm in ["EdDSA", "ES256"] {
        let stage = stage_with(algorithm, &[1]).await;
        stage.enter().await;
        let (before, token, keys) = (stage.now(), stage.assertion(), stage.keys().await);
        let answer = verified(&token, &keys, algorithm, json!({ "now": before })).await;
        let (payload, header) = (&answer["payload"], &answer["header"]);
        assert_eq!(header["typ"], "vestibule-identity+jwt", "{answer}");
        assert_eq!((&header["alg"], &header["kid"]), (&json!(algorithm), &keys["keys"][0]["kid"]));
        assert_eq!((&payload["iss"], &payload["aud"]), (&json!(ISSUER), &json!("wiki")));
        assert_eq!(payload["sub"], "subject-of-alice");
        assert_eq!((&payload["email"], &payload["groups"]), (&json!("alice@example.com"), &json!(["staff", "admins"])));
        assert_eq!(payload["exp"].as_u64().unwrap() - payload["iat"].as_u64().unwrap(), 60);
        assert!(payload["iat"].as_u64().unwrap().abs_diff(before) <= 2);
        let names: Vec<_> = payload.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names.len(), 8, "nothing else is in it, and no claim that is missing: {names:?}");
        // What an application must not take for good.
        let later = json!({ "now": before + 70 });
        assert_eq!(verified(&token, &keys, algorithm, later).await["refused"], "ERR_JWT_EXPIRED");
        for wrong in
            [json!({ "now": before, "audience": "other" }), json!({ "now": before, "issuer": "https://x.example" })]
        {
            assert_eq!(verified(&token, &keys, algorithm, wrong).await["refused"], "ERR_JWT_CLAIM_VALIDATION_FAILED");
        }
        let other = if algorithm == "EdDSA" { "ES256" } else { "EdDSA" };
        let answer = verified(&token, &keys, other, json!({ "now": before })).await;
        assert_eq!(answer["refused"], "ERR_JOSE_ALG_NOT_ALLOWED");
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged = format!("{header}.eyJzdWIiOiJzdWJqZWN0LW9mLWJvYiJ9.{signature}");
        let answer = verified(&forged, &keys, algorithm, json!({ "now": before })).await;
        assert_eq!(answer["refused"], "ERR_JWS_SIGNATURE_VERIFICATION_FAILED");
    }
}

#[tokio::test]
async fn every_request_has_an_assertion_of_its_own_and_nobody_elses_comes_through() {
    let stage = stage_with("EdDSA", &[1]).await;
    stage.enter().await;
    let cookie = stage.cookie_line();
    let stolen = stage.assertion();
    let evil = format!("X-Identity: {stolen}");
    let mut seen = vec![stolen];
    for request in ["GET /x", "HEAD /x", "OPTIONS /x"] {
        assert_eq!(stage.spelled(request, &[&cookie, &evil, &evil.replace('-', "_")]).await.status, 200);
        let token = stage.assertion();
        assert!(!seen.contains(&token), "{request}");
        seen.push(token);
        assert!(!String::from_utf8_lossy(&stage.upstream.last().head).contains("X_Identity"));
    }
    // Nobody is logged in, or nobody has looked.
    for (target, fields) in [("/x", vec![evil.as_str()]), ("/public/x", vec![evil.as_str(), cookie.as_str()])] {
        assert_eq!(stage.spelled(&format!("GET {target}"), &fields).await.status, 200);
        assert_eq!(stage.upstream.last().header("x-identity"), None, "{target}");
    }
    stage.gateway.clock.advance(Duration::from_secs(45));
    assert_eq!(stage.spelled("GET /x", &[&cookie]).await.status, 200);
    let (now, keys) = (stage.now(), stage.keys().await);
    let answer = verified(&stage.assertion(), &keys, "EdDSA", json!({ "now": now + 60 })).await;
    assert!(answer["payload"]["exp"].as_u64().unwrap() >= now + 59, "the time is that of the request: {answer}");
}

#[tokio::test]
async fn keys_stay_over_a_restart_and_a_rotation_breaks_nobody() {
    for algorithm in ["EdDSA", "ES256"] {
        let before = stage_with(algorithm, &[1]).await;
        before.enter().await;
        let (old_token, old_keys) = (before.assertion(), before.keys().await);
        assert_eq!(stage_with(algorithm, &[1]).await.keys().await, old_keys, "a restart, or another replica");
        // The new key comes in the second place first, then it signs, then the old one goes.
        let announced = stage_with(algorithm, &[1, 2]).await.keys().await;
        let after = stage_with(algorithm, &[2, 1]).await;
        after.enter().await;
        let (new_token, new_keys, now) = (after.assertion(), after.keys().await, json!({ "now": after.now() }));
        for (token, keys) in
            [(&old_token, &announced), (&new_token, &announced), (&old_token, &new_keys), (&new_token, &new_keys)]
        {
            let answer = verified(token, keys, algorithm, now.clone()).await;
            assert_eq!(answer["payload"]["sub"], "subject-of-alice", "{answer}");
        }
        assert_eq!(new_keys["keys"].as_array().unwrap().len(), 2);
        let answer = verified(&new_token, &old_keys, algorithm, now.clone()).await;
        assert_eq!(answer["refused"], "ERR_JWKS_NO_MATCHING_KEY");
        let gone = stage_with(algorithm, &[2]).await.keys().await;
        assert_eq!(verified(&old_token, &gone, algorithm, now).await["refused"], "ERR_JWKS_NO_MATCHING_KEY");
    }
}

#[tokio::test]
async fn a_rotation_by_reload_breaks_nobody_and_takes_no_new_connections() {
    let ring = Keys::new();
    let with = |names: &[&str], audience: &str| {
        let (session, upstream) = (ring.line(names), HEADERS.replace("ALGORITHM", "EdDSA").replace("wiki", audience));
        move |setup: &mut Setup| (setup.session, setup.upstream) = (session, upstream)
    };
    let stage = Stage::with(with(&["a"], "wiki")).await;
    stage.enter().await;
    let (cookie, connections) = (stage.cookie_line(), stage.upstream.connections().value());
    let ask = async || {
        assert_eq!(stage.spelled("GET /x", &[&cookie]).await.status, 200);
        stage.assertion()
    };
    let (old, old_keys) = (ask().await, stage.keys().await);
    stage.reload(with(&["a", "b"], "wiki")).await.unwrap();
    let (announced, still_old) = (stage.keys().await, ask().await);
    stage.reload(with(&["b", "a"], "wiki")).await.unwrap();
    let (new, new_keys, now) = (ask().await, stage.keys().await, json!({ "now": stage.now() }));
    for (token, keys) in
        [(&old, &announced), (&still_old, &old_keys), (&new, &announced), (&old, &new_keys), (&new, &new_keys)]
    {
        let answer = verified(token, keys, "EdDSA", now.clone()).await;
        assert_eq!(answer["payload"]["sub"], "subject-of-alice", "{answer}");
    }
    assert_eq!(new_keys["keys"].as_array().unwrap().len(), 2);
    let unknown = |answer: Value| assert_eq!(answer["refused"], "ERR_JWKS_NO_MATCHING_KEY", "{answer}");
    unknown(verified(&new, &old_keys, "EdDSA", now.clone()).await);
    // What it says follows too.
    stage.reload(with(&["b", "a"], "board")).await.unwrap();
    let answer = verified(&ask().await, &new_keys, "EdDSA", json!({ "now": stage.now(), "audience": "board" })).await;
    assert_eq!(answer["payload"]["aud"], "board", "{answer}");
    assert_eq!(stage.upstream.connections().value(), connections, "other headers go over the same connections");
    stage.reload(with(&["b"], "wiki")).await.unwrap();
    unknown(verified(&old, &stage.keys().await, "EdDSA", now).await);
}

#[tokio::test]
async fn the_key_set_is_public_may_be_kept_for_a_while_and_holds_what_is_in_use() {
    let stage = stage_with("ES256", &[1, 2]).await;
    for fields in [&[][..], &["Sec-Fetch-Site: cross-site", "Origin: https://other.example"]] {
        let response = stage.spelled("GET /oauth2/jwks.json", fields).await;
        assert_eq!(response.header("content-type"), Some("application/jwk-set+json"));
        assert_eq!(response.header("cache-control"), Some("public, max-age=300"));
        assert_eq!((response.status, response.header("set-cookie")), (200, None));
    }
    let head = stage.spelled("HEAD /oauth2/jwks.json", &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let post = stage.spelled("POST /oauth2/jwks.json", &["Content-Length: 0"]).await;
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    for key in stage.keys().await["keys"].as_array().unwrap() {
        assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("EC"), &json!("P-256"), &json!("ES256")));
        assert_eq!(key.get("d"), None);
    }
    assert_eq!(stage.upstream.hits(), 0);
    // Nobody signs: there is nothing to publish.
    assert_eq!(Stage::set().await.keys().await, json!({ "keys": [] }));
}

#[tokio::test]
async fn lg_01_an_assertion_is_in_no_log() {
    let stage = Stage::with(|setup| {
        setup.upstream = HEADERS.replace("ALGORITHM", "EdDSA");
        setup.log_level = tracing::Level::TRACE;
    })
    .await;
    stage.enter().await;
    let token = stage.assertion();
    let signature = token.rsplit_once('.').unwrap().1;
    assert!(!stage.gateway.everything_written().contains(signature));
}
