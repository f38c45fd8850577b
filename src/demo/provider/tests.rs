//! The whole provider, request by request, without a socket.

use std::time::Duration;

use http_body_util::BodyExt;

use super::*;
use crate::entropy::SystemEntropy;
use crate::secret::ClientSecret;
use serde_json::Value;
use sha2::{Digest, Sha256};
use url::Url;

const ISSUER: &str = "http://127.0.0.1:9000";
const REDIRECT_URI: &str = "http://localhost:8080/oauth2/callback";
const VERIFIER: &str = "a-verifier-of-forty-three-characters-at-least-0";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

struct Bench {
    provider: DevelopmentProvider,
    now: Timestamp,
    cookie: Option<String>,
}

impl Bench {
    fn new() -> Self {
        let mut settings = DevelopmentProviderSettings::new(ISSUER);
        settings.clients.push(RegisteredClient {
            id: "wiki".into(),
            secret: Some(ClientSecret::new("secret".into())),
            redirect_uris: vec![REDIRECT_URI.into()],
            post_logout_redirect_uris: vec!["http://localhost:8080/bye".into()],
        });
        let key = Arc::new(SigningKey::generate().unwrap());
        Self { provider: DevelopmentProvider::new(settings, key, Arc::new(SystemEntropy)), now: NOW, cookie: None }
    }

    fn send(&mut self, method: &str, target: &str, form: &str) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header("host", "127.0.0.1:9000");
        if method == "POST" {
            request = request.header("content-type", "application/x-www-form-urlencoded");
        }
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", cookie);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let answer = self.provider.respond(&head, form.as_bytes(), self.now);
        if let Some(set) = answer.headers().get("set-cookie") {
            self.cookie = Some(set.to_str().unwrap().split(';').next().unwrap().to_owned());
        }
        answer
    }

    fn token(&mut self, form: &str) -> (StatusCode, Value) {
        let answer = self.send("POST", "/token", &format!("client_id=wiki&client_secret=secret&{form}"));
        (answer.status(), body(answer))
    }

    /// The code that a login of alice brings.
    fn code(&mut self, extra: &str) -> String {
        let answer = self.send("POST", &format!("/login?{}{extra}", query()), "account=alice");
        parameter(&answer, "code").unwrap()
    }

    fn exchange(&mut self, code: &str) -> (StatusCode, Value) {
        let redirect_uri: String = url::form_urlencoded::byte_serialize(REDIRECT_URI.as_bytes()).collect();
        self.token(&format!(
            "grant_type=authorization_code&code={code}&code_verifier={VERIFIER}&redirect_uri={redirect_uri}"
        ))
    }

    fn refresh(&mut self, tokens: &Value) -> (StatusCode, Value) {
        let token = tokens["refresh_token"].as_str().unwrap();
        self.token(&format!("grant_type=refresh_token&refresh_token={token}"))
    }

    fn userinfo(&self, tokens: &Value) -> StatusCode {
        let token = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let request = Request::get("/userinfo").header("host", "127.0.0.1:9000").header("authorization", token);
        let (head, ()) = request.body(()).unwrap().into_parts();
        self.provider.respond(&head, b"", self.now).status()
    }
}

fn query() -> String {
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER.as_bytes()));
    let pairs = [
        ("client_id", "wiki"),
        ("redirect_uri", REDIRECT_URI),
        ("response_type", "code"),
        ("scope", "openid profile email"),
        ("state", "a state"),
        ("nonce", "a nonce"),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

fn body(answer: Answer) -> Value {
    // A body that is complete is there at once.
    let polled = answer.into_body().collect();
    let bytes = futures_util::FutureExt::now_or_never(polled).unwrap().unwrap().to_bytes();
    serde_json::from_slice(&bytes).unwrap_or_default()
}

fn parameter(answer: &Answer, name: &str) -> Option<String> {
    let location = Url::parse(answer.headers().get("location")?.to_str().unwrap()).unwrap();
    location.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
}

#[test]
fn a_code_becomes_tokens_that_say_who_logged_in() {
    let mut bench = Bench::new();
    let answer = bench.send("POST", &format!("/login?{}", query()), "username=alice&password=demo");
    assert_eq!(parameter(&answer, "state").as_deref(), Some("a state"));
    assert_eq!(parameter(&answer, "iss").as_deref(), Some(ISSUER));
    let (status, tokens) = bench.exchange(&parameter(&answer, "code").unwrap());
    assert_eq!((status, tokens["expires_in"].as_u64()), (StatusCode::OK, Some(60)));
    let claims = bench.provider.key.claims_of(tokens["id_token"].as_str().unwrap()).unwrap();
    assert_eq!((claims["aud"].as_str(), claims["nonce"].as_str()), (Some("wiki"), Some("a nonce")));
    assert_eq!(claims["groups"], serde_json::json!(["staff", "admins"]));
    assert_eq!(bench.userinfo(&tokens), StatusCode::OK);
    bench.now = NOW.plus(Duration::from_secs(60));
    assert_eq!(bench.userinfo(&tokens), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_wrong_password_brings_the_form_back() {
    let mut bench = Bench::new();
    for form in ["username=alice&password=wrong", "account=mallory", "username=alice", ""] {
        let answer = bench.send("POST", &format!("/login?{}", query()), form);
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{form}");
        assert!(!answer.headers().contains_key("set-cookie"));
    }
}

#[test]
fn a_code_is_spent_once_and_its_replay_ends_the_grant() {
    let mut bench = Bench::new();
    let code = bench.code("");
    let (_, tokens) = bench.exchange(&code);
    let (status, error) = bench.exchange(&code);
    assert_eq!((status, error["error"].as_str()), (StatusCode::BAD_REQUEST, Some("invalid_grant")));
    assert_eq!(bench.userinfo(&tokens), StatusCode::UNAUTHORIZED);
    assert_eq!(bench.refresh(&tokens).0, StatusCode::BAD_REQUEST);
}

#[test]
fn a_code_lives_sixty_seconds() {
    let mut bench = Bench::new();
    let (early, late) = (bench.code(""), bench.code(""));
    bench.now = NOW.plus(Duration::from_secs(59));
    assert_eq!(bench.exchange(&early).0, StatusCode::OK);
    bench.now = NOW.plus(Duration::from_secs(60));
    assert_eq!(bench.exchange(&late).0, StatusCode::BAD_REQUEST);
}

#[test]
fn a_code_with_another_verifier_is_refused_and_spent() {
    let mut bench = Bench::new();
    let code = bench.code("");
    let (status, _) = bench
        .token(&format!("grant_type=authorization_code&code={code}&code_verifier=other&redirect_uri={REDIRECT_URI}"));
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(bench.exchange(&code).0, StatusCode::BAD_REQUEST);
}

#[test]
fn a_refresh_token_is_rotated_and_its_reuse_ends_the_grant() {
    let mut bench = Bench::new();
    let code = bench.code("");
    let (_, first) = bench.exchange(&code);
    let (status, second) = bench.refresh(&first);
    assert_eq!(status, StatusCode::OK);
    let claims = bench.provider.key.claims_of(second["id_token"].as_str().unwrap()).unwrap();
    assert_eq!((claims.get("nonce"), claims["auth_time"].as_u64()), (None, Some(NOW.as_seconds())));
    assert_eq!(bench.refresh(&first).1["error"], "invalid_grant");
    assert_eq!(bench.refresh(&second).1["error"], "invalid_grant");
    assert_eq!(bench.userinfo(&second), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_revoked_refresh_token_takes_its_access_tokens_along() {
    let mut bench = Bench::new();
    let code = bench.code("");
    let (_, tokens) = bench.exchange(&code);
    let token = tokens["refresh_token"].as_str().unwrap();
    let form = format!("client_id=wiki&client_secret=secret&token={token}");
    assert_eq!(bench.send("POST", "/revoke", &form).status(), StatusCode::OK);
    assert_eq!(bench.userinfo(&tokens), StatusCode::UNAUTHORIZED);
    let unknown = bench.send("POST", "/revoke", "client_id=wiki&client_secret=secret&token=unknown");
    assert_eq!(unknown.status(), StatusCode::OK);
    assert_eq!(bench.send("POST", "/revoke", "client_id=wiki&token=x").status(), StatusCode::UNAUTHORIZED);
}

#[test]
fn a_browser_that_has_logged_in_is_known_again_until_it_is_too_old() {
    let mut bench = Bench::new();
    let silent = |bench: &mut Bench, extra: &str| bench.send("GET", &format!("/authorize?{}{extra}", query()), "");
    let refused = silent(&mut bench, "&prompt=none");
    assert_eq!(parameter(&refused, "error").as_deref(), Some("login_required"));
    assert_eq!(parameter(&refused, "iss").as_deref(), Some(ISSUER));
    bench.code("");
    assert!(parameter(&silent(&mut bench, "&prompt=none"), "code").is_some());
    bench.now = NOW.plus(Duration::from_secs(100));
    assert!(parameter(&silent(&mut bench, "&max_age=100"), "code").is_some());
    for form_is_shown in ["&max_age=99", "&prompt=login", "&prompt=select_account", "&acr_values=strong"] {
        assert_eq!(silent(&mut bench, form_is_shown).status(), StatusCode::OK, "{form_is_shown}");
    }
    let code = bench.code("&acr_values=strong+weak");
    let (_, tokens) = bench.exchange(&code);
    assert_eq!(bench.provider.key.claims_of(tokens["id_token"].as_str().unwrap()).unwrap()["acr"], "strong");
}

#[test]
fn a_logout_with_a_hint_returns_and_one_without_asks_first() {
    let mut bench = Bench::new();
    let code = bench.code("");
    let (_, tokens) = bench.exchange(&code);
    let hint = tokens["id_token"].as_str().unwrap().to_owned();
    assert_eq!(bench.send("GET", "/end_session", "").status(), StatusCode::OK);
    assert!(parameter(&bench.send("GET", &format!("/authorize?{}", query()), ""), "code").is_some());
    let elsewhere = format!("/end_session?id_token_hint={hint}&post_logout_redirect_uri=http://localhost:8080/");
    assert_eq!(bench.send("GET", &elsewhere, "").status(), StatusCode::BAD_REQUEST);
    let back = format!("/end_session?id_token_hint={hint}&post_logout_redirect_uri=http://localhost:8080/bye&state=x");
    assert_eq!(bench.send("GET", &back, "").headers()["location"], "http://localhost:8080/bye?state=x");
    assert_eq!(bench.send("GET", &format!("/authorize?{}", query()), "").status(), StatusCode::OK);
    assert_eq!(bench.send("GET", "/end_session?id_token_hint=a.b.c", "").status(), StatusCode::BAD_REQUEST);
}

#[test]
fn another_host_or_method_is_not_served() {
    let bench = Bench::new();
    let answer = |host: &str, method: &str| {
        let (head, ()) =
            Request::builder().method(method).uri("/token").header("host", host).body(()).unwrap().into_parts();
        bench.provider.respond(&head, b"", NOW).status()
    };
    assert_eq!(answer("evil.example:9000", "POST"), StatusCode::MISDIRECTED_REQUEST);
    assert_eq!(answer("127.0.0.1:9000", "GET"), StatusCode::METHOD_NOT_ALLOWED);
}
