use super::*;
use crate::oidc::test_keys::{OTHER_P256, ec_jwk, encode, public_keys, token};
use crate::provider::test_server::{NOW, Reply, TestServer};
use serde_json::{Value, json};
use std::sync::Arc;

fn request() -> ExchangeRequest<'static> {
    ExchangeRequest {
        code: AuthorizationCode::new("the-code".into()),
        verifier: CodeVerifier::new("the-verifier".into()),
        nonce: Nonce::new("n".into()),
        state: "st",
        redirect_uri: "http://localhost/oauth2/callback?x=%41",
        additional_scopes: &[],
        max_age: None,
    }
}

fn claims(server: &TestServer) -> Value {
    json!({"iss": server.issuer(), "aud": "app", "sub": "alice", "exp": NOW + 300, "iat": NOW - 5, "nonce": "n",
        "sid": "s1", "acr": "gold", "auth_time": NOW - 60, "preferred_username": "alice"})
}

fn token_answer(id_token: &str) -> String {
    json!({"access_token": "at", "token_type": "Bearer", "expires_in": 300, "refresh_token": "rt",
        "id_token": id_token})
    .to_string()
}

/// A provider at which a login works.
async fn working() -> (TestServer, Arc<Provider>) {
    let server = TestServer::openid().await;
    let answer = token_answer(&token(&claims(&server)));
    server.on("/token", move |_| Reply::json(200, &answer));
    server.on("/userinfo", |_| Reply::json(200, r#"{"sub":"alice","groups":["staff"],"preferred_username":"other"}"#));
    let provider = server.ready_provider().await;
    (server, provider)
}

async fn failure(provider: &Provider) -> LoginError {
    provider.exchange(request()).await.expect_err("a refusal")
}

#[tokio::test]
async fn a_provider_whose_clock_is_ahead_makes_no_login_newer_than_it_is() {
    let (server, provider) = working().await;
    let mut ahead = claims(&server);
    ahead["iat"] = json!(NOW + 30);
    let answer = token_answer(&token(&ahead));
    server.on("/token", move |_| Reply::json(200, &answer));
    assert_eq!(provider.exchange(request()).await.unwrap().issued_at, Timestamp::from_seconds(NOW));
}

#[tokio::test]
async fn co_07_and_co_08_a_code_becomes_a_login() {
    let (server, provider) = working().await;
    let login = provider.exchange(request()).await.unwrap();
    assert_eq!((login.identity.subject.as_str(), login.sub.as_str()), ("alice", "alice"));
    assert_eq!(login.identity.username.as_deref(), Some("alice"), "the ID token wins");
    assert_eq!(login.identity.groups.as_deref(), Some(&["staff".to_owned()][..]));
    assert_eq!((login.sid.as_deref(), login.acr.as_deref()), (Some("s1"), Some("gold")));
    assert_eq!(login.issued_at, Timestamp::from_seconds(NOW - 5));
    assert_eq!(login.auth_time, Some(Timestamp::from_seconds(NOW - 60)));
    assert_eq!(login.tokens.access_expires, Some(Timestamp::from_seconds(NOW + 300)));
    assert_eq!(login.tokens.refresh_token.unwrap().expose(), "rt");
    assert_eq!(*server.observer.skew.lock().unwrap(), [-5]);
    let sent = server.requests("/token");
    assert_eq!(sent.len(), 1);
    assert!(sent[0].contains("authorization: Basic YXBwOnM=\r\n"), "{}", sent[0]);
    assert!(
        sent[0].ends_with(
            "grant_type=authorization_code&code=the-code\
             &redirect_uri=http%3A%2F%2Flocalhost%2Foauth2%2Fcallback%3Fx%3D%2541&code_verifier=the-verifier"
        ),
        "{}",
        sent[0]
    );
    assert!(server.requests("/userinfo")[0].contains("authorization: Bearer at\r\n"));
}

#[tokio::test]
async fn co_01_if_04_and_if_07_the_token_endpoints_refusals_are_told_apart() {
    let (server, provider) = working().await;
    let rejected = |reason| LoginError::CodeRejected { reason };
    let operator = |reason| LoginError::OperatorError { reason };
    let away = |kind| LoginError::ProviderUnavailable { endpoint: EndpointKind::Code, kind };
    let good = token_answer("a.b.c");
    for (answer, expected) in [
        (Reply::json(400, r#"{"error":"invalid_grant"}"#), rejected("code-rejected")),
        (Reply::json(200, r#"{"error":"bad_verification_code"}"#), rejected("error-member")),
        (Reply::json(200, "<html>"), rejected("not-json")),
        (Reply::json(200, ""), rejected("not-json")),
        (Reply::json(200, "null"), rejected("not-json")),
        (Reply::json(200, "[]"), rejected("not-json")),
        (Reply::json(200, "{}"), rejected("access-token")),
        (Reply::json(200, r#"{"access_token":"a","access_token":"b"}"#), rejected("not-json")),
        (Reply::typed(200, "text/html", &good), rejected("content-type")),
        (Reply::json(201, &good), rejected("unexpected-status")),
        (Reply::status(204, ""), rejected("unexpected-status")),
        (Reply::Endless, rejected("unusable-body")),
        (Reply::json(401, r#"{"error":"invalid_client"}"#), operator("invalid-client")),
        (Reply::json(400, r#"{"error":"invalid_scope"}"#), operator("invalid-scope")),
        (Reply::typed(403, "text/html", "<html>"), operator("other")),
        (Reply::json(500, "{}"), away("unavailable")),
        (
            Reply::json(200, r#"{"access_token":"a","token_type":"mac"}"#),
            LoginError::TokenInvalid { check: "token-type" },
        ),
        (Reply::json(429, r#"{"error":"invalid_grant"}"#), away("unavailable")),
        (Reply::Reset, away("interrupted")),
    ] {
        server.on("/token", move |_| answer.clone());
        let before = server.hits("/token");
        assert_eq!(failure(&provider).await, expected);
        assert_eq!(server.hits("/token"), before + 1, "the code is sent once");
    }
    assert_eq!(server.hits("/userinfo"), 0);
}

#[tokio::test]
async fn jw_14_jw_16_and_jw_29_an_id_token_that_breaks_a_rule_ends_the_login_before_userinfo() {
    let (server, provider) = working().await;
    for (name, value, check) in [
        ("nonce", json!("m"), "nonce"),
        ("aud", json!("other"), "aud"),
        ("iss", json!("https://evil.example"), "iss"),
        ("exp", json!(NOW - 61), "exp"),
        ("s_hash", json!("x"), "s-hash"),
        ("c_hash", json!("x"), "c-hash"),
    ] {
        let mut claims = claims(&server);
        claims[name] = value;
        let answer = token_answer(&token(&claims));
        server.on("/token", move |_| Reply::json(200, &answer));
        assert_eq!(failure(&provider).await, LoginError::TokenInvalid { check });
    }
    let missing = json!({"access_token": "at", "token_type": "Bearer"}).to_string();
    server.on("/token", move |_| Reply::json(200, &missing));
    assert_eq!(failure(&provider).await, LoginError::TokenInvalid { check: "id-token-missing" });
    assert_eq!(server.hits("/userinfo"), 0);
    assert_eq!(server.hits("/token"), 7);
}

#[tokio::test]
async fn jk_02_and_jw_09_an_unknown_key_leads_to_one_more_fetch() {
    let (server, provider) = working().await;
    let old = json!({"keys": [ec_jwk(&OTHER_P256, "P-256", "old")]}).to_string();
    server.on("/keys", move |_| Reply::json(200, &old));
    let refused = failure(&provider).await;
    assert_eq!(refused, LoginError::TokenInvalid { check: "key" });
    assert_eq!(server.hits("/keys"), 2, "the keys, and once more for the unknown one");
    server.on("/keys", |_| Reply::json(200, public_keys().to_string()));
    assert_eq!(failure(&provider).await, refused, "the throttle fails closed");
    assert_eq!(server.hits("/keys"), 2);
    server.clock.advance(Duration::from_secs(30));
    assert!(provider.exchange(request()).await.is_ok());
    assert_eq!(server.hits("/keys"), 3);
}

#[tokio::test]
async fn jk_04_without_keys_the_provider_is_unavailable() {
    let (server, provider) = working().await;
    server.on("/keys", |_| Reply::status(500, ""));
    let unavailable = LoginError::ProviderUnavailable { endpoint: EndpointKind::Keys, kind: "unavailable" };
    assert_eq!(failure(&provider).await, unavailable);
}

#[tokio::test]
async fn jw_35_a_userinfo_answer_that_breaks_a_rule_ends_the_login() {
    let (server, provider) = working().await;
    let invalid = |check| LoginError::TokenInvalid { check };
    let foreign = token(&json!({"iss": "https://evil.example", "aud": "app", "sub": "alice"}));
    let signed = token(&json!({"iss": server.issuer(), "aud": "app", "sub": "alice", "groups": ["signed"]}));
    for (answer, expected) in [
        (Reply::json(200, r#"{"sub":"bob"}"#), invalid("userinfo-sub")),
        (Reply::json(200, "[]"), invalid("userinfo-not-json")),
        (Reply::typed(200, "text/html", r#"{"sub":"alice"}"#), invalid("userinfo-content-type")),
        (Reply::json(200, vec![b' '; 10 << 20]), invalid("userinfo-body")),
        (Reply::typed(200, "application/jwt", foreign), invalid("userinfo-claim")),
        (Reply::typed(200, "application/jwt", "a.b"), invalid("userinfo-signature")),
        (Reply::status(204, ""), invalid("userinfo-status")),
        (Reply::json(401, "{}"), LoginError::OperatorError { reason: "userinfo-refused" }),
        (
            Reply::json(503, "{}"),
            LoginError::ProviderUnavailable { endpoint: EndpointKind::Userinfo, kind: "unavailable" },
        ),
    ] {
        server.on("/userinfo", move |_| answer.clone());
        assert_eq!(failure(&provider).await, expected);
    }
    server.on("/userinfo", move |_| Reply::typed(200, "application/jwt", &signed));
    assert_eq!(provider.exchange(request()).await.unwrap().identity.groups.unwrap(), ["signed"]);
}

#[tokio::test]
async fn a_plain_oauth_login_reads_the_user_and_the_addresses() {
    let server = TestServer::openid().await;
    let provider = Provider::new(server.plain_settings(), server.parts()).unwrap();
    let answer = json!({"access_token": "at", "token_type": "bearer", "scope": "user:email,read:user",
        "id_token": format!("{}.{}.x", encode("{}"), encode("{}"))});
    server.on("/token", move |_| Reply::json(200, answer.to_string()));
    server.on("/userinfo", |_| Reply::json(200, r#"{"id":583231,"login":"octocat","email":"public@evil.example"}"#));
    server.on("/emails", |_| Reply::json(200, r#"[{"email":"o@example.com","primary":true,"verified":true}]"#));
    let login = provider.exchange(request()).await.unwrap();
    assert_eq!((login.identity.issuer.as_str(), login.sub.as_str()), ("github", "583231"));
    assert_eq!((login.identity.email.as_deref(), login.identity.email_verified), (Some("o@example.com"), true));
    assert!(login.tokens.id_token.is_none(), "nothing has verified it");
    assert_eq!(login.issued_at, Timestamp::from_seconds(NOW));
    server.on("/emails", |_| Reply::json(404, "{}"));
    let login = provider.exchange(request()).await.unwrap();
    assert_eq!((login.identity.email, login.identity.email_verified), (None, false));
    server.on("/userinfo", |_| Reply::json(200, "{}"));
    assert_eq!(failure(&provider).await, LoginError::TokenInvalid { check: "subject" });
}

#[tokio::test]
async fn without_metadata_nothing_is_sent() {
    let server = TestServer::openid().await;
    let provider = server.provider();
    assert!(matches!(failure(&provider).await, LoginError::ProviderUnavailable { .. }));
    assert_eq!(server.hits("/token"), 0);
}
