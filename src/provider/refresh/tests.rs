use super::*;
use crate::claims::Claims;
use crate::oidc::test_keys::token;
use crate::provider::test_server::{NOW, Reply, TestServer};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// Who it was before: what a login with userinfo has said.
static BEFORE: LazyLock<Identity> = LazyLock::new(|| {
    let Value::Object(members) = json!({"sub": "alice", "iss": "before", "acr": "gold", "department": "sales",
        "preferred_username": "alice", "groups": ["admins"]})
    else {
        unreachable!()
    };
    Identity {
        issuer: "before".into(),
        subject: "alice".into(),
        username: Some("alice".into()),
        groups: Some(vec!["admins".into()]),
        email: None,
        email_verified: false,
        claims: Claims::new(members),
    }
});

fn context() -> RefreshContext<'static> {
    RefreshContext {
        sub: "alice",
        auth_time: Some(Timestamp::from_seconds(NOW - 60)),
        nonce: Some("n"),
        id_token: None,
        identity: &BEFORE,
        scopes: &[],
    }
}

fn claims(server: &TestServer) -> Value {
    json!({"iss": server.issuer(), "aud": "app", "sub": "alice", "exp": NOW + 300, "iat": NOW})
}

fn answer(id_token: Option<&Value>) -> Reply {
    let mut answer = json!({"access_token": "new", "token_type": "Bearer", "expires_in": 300});
    if let Some(claims) = id_token {
        answer["id_token"] = token(claims).into();
    }
    Reply::json(200, answer.to_string())
}

async fn working() -> (TestServer, Arc<Provider>) {
    let server = TestServer::openid().await;
    let good = answer(Some(&claims(&server)));
    server.on("/token", move |_| good.clone());
    server.on("/userinfo", |_| Reply::json(200, r#"{"sub":"alice","groups":["staff"]}"#));
    let provider = server.ready_provider().await;
    (server, provider)
}

async fn refresh(provider: &Provider) -> Result<Refreshed, RefreshError> {
    provider.refresh(&RefreshToken::new("rt".into()), &context()).await
}

#[tokio::test]
async fn jw_38_a_refresh_brings_tokens_and_the_claims_of_today() {
    let (server, provider) = working().await;
    let refreshed = refresh(&provider).await.unwrap();
    assert_eq!(refreshed.tokens.access_token.expose(), "new");
    assert!(refreshed.tokens.refresh_token.is_none(), "the caller keeps the old one");
    assert!(refreshed.tokens.id_token.is_some());
    assert_eq!(refreshed.identity.unwrap().groups.unwrap(), ["staff"]);
    assert!(server.requests("/token")[0].ends_with("grant_type=refresh_token&refresh_token=rt"));
    server.on("/userinfo", |_| Reply::json(200, r#"{"sub":"alice","groups":[]}"#));
    assert_eq!(refresh(&provider).await.unwrap().identity.unwrap().groups.unwrap(), [""; 0]);
}

#[tokio::test]
async fn jw_38_without_an_id_token_userinfo_says_who_it_is_today() {
    let (server, provider) = working().await;
    server.on("/token", |_| answer(None));
    let mut kept = claims(&server);
    kept["nonce"] = "n".into();
    kept["name"] = "Alice".into();
    kept["groups"] = json!(["staff", "admins"]);
    let kept = RawIdToken::new(token(&kept));
    let context = RefreshContext { id_token: Some(&kept), ..context() };
    let token = RefreshToken::new("rt".into());
    server.on("/userinfo", |_| Reply::json(200, r#"{"sub":"alice","groups":["staff"],"nonce":"m","acr":"high"}"#));
    let identity = provider.refresh(&token, &context).await.unwrap().identity.unwrap();
    assert_eq!(identity.groups.as_deref(), Some(&["staff".to_owned()][..]));
    let lookup = |name| identity.claims.lookup(name).and_then(Value::as_str);
    assert_eq!((lookup("name"), lookup("nonce"), lookup("acr")), (Some("Alice"), Some("n"), None));

    server.on("/userinfo", |_| Reply::json(200, r#"{"sub":"bob"}"#));
    let other = provider.refresh(&token, &context).await;
    assert!(matches!(other, Err(RefreshError::OtherSubject(_))), "the access token is somebody else's");
    for reply in [Reply::status(503, ""), Reply::json(200, "{}"), Reply::json(200, r#"{"sub":7}"#)] {
        server.on("/userinfo", move |_| reply.clone());
        assert!(provider.refresh(&token, &context).await.unwrap().identity.is_none());
    }
}

#[tokio::test]
async fn jw_39_tokens_of_somebody_else_are_handed_back_to_be_revoked() {
    let (server, provider) = working().await;
    for (name, value) in [("sub", "bob"), ("iss", "https://evil.example")] {
        let mut claims = claims(&server);
        claims[name] = value.into();
        let reply = answer(Some(&claims));
        server.on("/token", move |_| reply.clone());
        let Err(RefreshError::OtherSubject(tokens)) = refresh(&provider).await else { panic!("{name}") };
        assert_eq!(tokens.access_token.expose(), "new");
    }
    assert_eq!(server.hits("/userinfo"), 0);
}

#[tokio::test]
async fn jw_39_an_id_token_that_breaks_a_rule_is_dropped_and_the_tokens_stay() {
    let (server, provider) = working().await;
    for (name, value) in [
        ("aud", json!("other")),
        ("nonce", json!("m")),
        ("auth_time", json!(NOW - 1)),
        ("exp", json!(NOW - 61)),
        ("sub", json!(null)),
    ] {
        let mut claims = claims(&server);
        claims[name] = value;
        let reply = answer(Some(&claims));
        server.on("/token", move |_| reply.clone());
        let refreshed = refresh(&provider).await.unwrap();
        assert!(refreshed.identity.is_none() && refreshed.tokens.id_token.is_none(), "{name}");
        assert_eq!(refreshed.tokens.access_token.expose(), "new");
    }
    let unsigned = json!({"access_token": "new", "token_type": "Bearer", "id_token": "e30.e30.AAAA"}).to_string();
    server.on("/token", move |_| Reply::json(200, &unsigned));
    assert!(refresh(&provider).await.unwrap().tokens.id_token.is_none());
    assert_eq!(server.hits("/userinfo"), 0);
}

#[tokio::test]
async fn rf_09_what_cannot_be_read_again_does_not_cost_the_tokens() {
    let (server, provider) = working().await;
    for reply in [Reply::status(503, ""), Reply::json(200, r#"{"sub":"bob"}"#), Reply::json(401, "{}")] {
        server.on("/userinfo", move |_| reply.clone());
        let refreshed = refresh(&provider).await.unwrap();
        assert!(refreshed.identity.is_some() && refreshed.tokens.id_token.is_some());
    }
    server.on("/token", |_| answer(None));
    let refreshed = refresh(&provider).await.unwrap();
    assert!(refreshed.identity.is_none() && refreshed.tokens.id_token.is_none());
}

/// A refresh whose ID token says this about groups, while userinfo answers so.
async fn refreshed_with(groups: Option<Value>, userinfo: Reply) -> Identity {
    let (server, provider) = working().await;
    let mut claims = claims(&server);
    if let Some(groups) = groups {
        claims["groups"] = groups;
    }
    let reply = answer(Some(&claims));
    server.on("/token", move |_| reply.clone());
    server.on("/userinfo", move |_| userinfo.clone());
    let refreshed = refresh(&provider).await.unwrap();
    assert!(refreshed.tokens.id_token.is_some(), "it has been verified");
    refreshed.identity.unwrap()
}

#[tokio::test]
async fn jw_38_while_userinfo_is_away_the_id_token_wins_over_what_was_known() {
    for reply in [Reply::status(503, ""), Reply::Reset, Reply::json(401, "{}"), Reply::Stall(Vec::new())] {
        let identity = refreshed_with(Some(json!(["staff"])), reply).await;
        assert_eq!(identity.groups.as_deref(), Some(&["staff".to_owned()][..]));
        assert_eq!(identity.username.as_deref(), Some("alice"), "what the ID token leaves out stays");
        assert_eq!(identity.claims.lookup("department"), Some(&json!("sales")));
        assert_eq!(identity.claims.lookup("acr"), None, "how somebody logged in is the ID token's to say");
        assert_ne!(identity.claims.lookup("iss"), Some(&json!("before")));
    }
    let identity = refreshed_with(None, Reply::status(503, "")).await;
    assert_eq!(identity.groups.as_deref(), Some(&["admins".to_owned()][..]));
}

#[tokio::test]
async fn jw_38_what_was_known_goes_where_it_does_not_fit_beside_the_id_token() {
    let (server, provider) = working().await;
    server.on("/userinfo", |_| Reply::status(503, ""));
    let mut claims = claims(&server);
    claims["groups"] = json!(["staff"]);
    claims["photo"] = "x".repeat(8 * 1024).into();
    let reply = answer(Some(&claims));
    server.on("/token", move |_| reply.clone());
    let mut members = BEFORE.claims.members().clone();
    members.insert("profile".into(), "x".repeat(8 * 1024).into());
    let before = Identity { claims: Claims::new(members), ..BEFORE.clone() };
    let context = RefreshContext { identity: &before, ..context() };
    let refreshed = provider.refresh(&RefreshToken::new("rt".into()), &context).await.unwrap();
    let identity = refreshed.identity.unwrap();
    assert_eq!(identity.groups.as_deref(), Some(&["staff".to_owned()][..]));
    assert_eq!((identity.username.as_deref(), identity.claims.lookup("profile")), (None, None));
}

#[tokio::test]
async fn jw_38_a_subject_that_the_id_token_does_not_name_stays() {
    let (server, _) = working().await;
    let mapping = crate::claims::ClaimsMapping { subject: "employee".into(), ..Default::default() };
    let settings = crate::provider::settings::ProviderSettings { claims: mapping, ..server.settings() };
    let provider = Provider::new(settings, server.parts()).unwrap();
    server.discover(&provider).await.unwrap();
    server.on("/userinfo", |_| Reply::status(204, ""));
    let before = Identity { subject: "e-7".into(), ..BEFORE.clone() };
    let context = RefreshContext { identity: &before, ..context() };
    let refreshed = provider.refresh(&RefreshToken::new("rt".into()), &context).await.unwrap();
    let identity = refreshed.identity.unwrap();
    assert_eq!((identity.subject.as_str(), identity.groups), ("e-7", None));
}

#[tokio::test]
async fn jw_38_nobody_keeps_groups_by_making_userinfo_unreadable() {
    let large = json!({"sub": "alice", "groups": [], "profile": "x".repeat(17 * 1024)}).to_string();
    for reply in [
        Reply::json(200, large),
        Reply::json(200, vec![b' '; MAX_BODY + 1]),
        Reply::json(200, r#"{"sub":"alice","name":"\ud800"}"#),
        Reply::json(200, r#"{"sub":"bob"}"#),
        Reply::status(204, ""),
    ] {
        let identity = refreshed_with(Some(json!(["staff"])), reply.clone()).await;
        assert_eq!(identity.groups.as_deref(), Some(&["staff".to_owned()][..]));
        let identity = refreshed_with(None, reply).await;
        assert_eq!((identity.subject.as_str(), identity.groups, identity.username), ("alice", None, None));
    }
}

#[tokio::test]
async fn if_08_the_answers_of_the_token_endpoint_are_told_apart_and_nothing_is_sent_twice() {
    let (server, provider) = working().await;
    let kind = |error: RefreshError| match error {
        RefreshError::Rejected => "rejected",
        RefreshError::OtherSubject(_) => "other-subject",
        RefreshError::Uncertain => "uncertain",
        RefreshError::Unavailable { .. } => "unavailable",
        RefreshError::ClientRefused => "client-refused",
        RefreshError::NotSupported { .. } => "not-supported",
    };
    for (answer, expected) in [
        (Reply::json(400, r#"{"error":"invalid_grant"}"#), "rejected"),
        (Reply::json(401, r#"{"error":"invalid_client"}"#), "client-refused"),
        (Reply::typed(401, "text/html", "<html>"), "client-refused"),
        (Reply::json(400, r#"{"error":"invalid_request"}"#), "not-supported"),
        (Reply::json(403, "{}"), "not-supported"),
        (Reply::typed(400, "text/html", r#"{"error":"invalid_grant"}"#), "not-supported"),
        (Reply::json(500, r#"{"error":"invalid_grant"}"#), "unavailable"),
        (Reply::json(400, r#"{"error":"temporarily_unavailable"}"#), "unavailable"),
        (Reply::json(429, "{}"), "unavailable"),
        (Reply::json(200, "{}"), "unavailable"),
        (Reply::json(200, r#"{"error":"bad_refresh_token"}"#), "unavailable"),
        (Reply::typed(200, "text/html", "{}"), "unavailable"),
        (Reply::status(204, ""), "unavailable"),
        (Reply::Reset, "uncertain"),
        (Reply::Stall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n".to_vec()), "uncertain"),
    ] {
        let settings = crate::provider::settings::ProviderSettings {
            total_timeout: if matches!(answer, Reply::Stall(_)) { Duration::from_millis(200) } else { IDENTITY_TIME },
            ..server.settings()
        };
        let provider = Provider::new(settings, server.parts()).unwrap();
        server.discover(&provider).await.unwrap();
        let before = server.hits("/token");
        server.on("/token", move |_| answer.clone());
        assert_eq!(kind(refresh(&provider).await.expect_err(expected)), expected);
        assert_eq!(server.hits("/token"), before + 1, "{expected}");
    }
    drop(provider);
    let never_ready = server.provider();
    assert_eq!(kind(refresh(&never_ready).await.expect_err("no metadata")), "unavailable");
}

#[tokio::test]
async fn a_plain_oauth_refresh_reads_the_user_again() {
    let server = TestServer::openid().await;
    let provider = Provider::new(server.plain_settings(), server.parts()).unwrap();
    server.on("/token", |_| answer(None));
    server.on("/emails", |_| Reply::json(200, "[]"));
    server.on("/userinfo", |_| Reply::json(200, r#"{"id":7,"login":"octocat"}"#));
    let seven = RefreshContext { sub: "7", ..context() };
    let refreshed = provider.refresh(&RefreshToken::new("rt".into()), &seven).await.unwrap();
    assert_eq!(refreshed.identity.unwrap().username.as_deref(), Some("octocat"));
    let other = provider.refresh(&RefreshToken::new("rt".into()), &context()).await;
    assert!(matches!(other, Err(RefreshError::OtherSubject(_))));
}
