use super::*;
use crate::oidc::test_keys::{OTHER_P256, ec_jwk, public_keys};
use crate::provider::Provider;
use crate::provider::test_server::{Reply, TestServer};
use serde_json::json;

const HOUR: Duration = Duration::from_secs(3600);

struct Cache {
    server: TestServer,
    provider: Arc<Provider>,
    jwks_uri: Url,
}

impl Cache {
    async fn new() -> Self {
        let server = TestServer::openid().await;
        let (provider, jwks_uri) = (server.provider(), server.url("/keys"));
        Self { server, provider, jwks_uri }
    }

    async fn keys(&self) -> Result<Arc<CachedKeys>, KeysError> {
        self.provider.keys.keys(&self.provider.key_source(&self.jwks_uri)).await
    }

    async fn newer_than(&self, seen: &Arc<CachedKeys>) -> Result<Arc<CachedKeys>, KeysError> {
        self.provider.keys.newer_than(seen, &self.provider.key_source(&self.jwks_uri)).await
    }

    fn hits(&self) -> usize {
        self.server.hits("/keys")
    }

    fn fails(&self) {
        self.server.on("/keys", |_| Reply::status(500, ""));
    }
}

#[tokio::test]
async fn everybody_waits_for_one_fetch() {
    let cache = Cache::new().await;
    let (a, b, c, d) = tokio::join!(cache.keys(), cache.keys(), cache.keys(), cache.keys());
    assert!([a, b, c, d].iter().all(Result::is_ok));
    assert_eq!(cache.hits(), 1);
}

#[tokio::test]
async fn everybody_shares_one_failure() {
    let cache = Cache::new().await;
    cache.fails();
    let (a, b, c) = tokio::join!(cache.keys(), cache.keys(), cache.keys());
    assert!([a, b, c].iter().all(Result::is_err));
    assert_eq!(cache.hits(), 1);
    assert!(cache.keys().await.is_err());
    assert_eq!(cache.hits(), 2, "who comes later may try again");
}

#[tokio::test]
async fn jk_02_rotated_keys_are_fetched_once_and_then_the_throttle_refuses() {
    let cache = Cache::new().await;
    let first = cache.keys().await.unwrap();
    cache.server.on("/keys", |_| Reply::json(200, json!({"keys": [ec_jwk(&OTHER_P256, "P-256", "new")]}).to_string()));
    let (a, b) = tokio::join!(cache.newer_than(&first), cache.newer_than(&first));
    let (newer, same) = (a.unwrap(), b.unwrap());
    assert!(Arc::ptr_eq(&newer, &same) && newer.keys.len() == 1);
    assert_eq!(cache.hits(), 2);
    for _ in 0..100 {
        assert_eq!(cache.newer_than(&newer).await.unwrap_err(), KeysError::Throttled);
    }
    assert_eq!(cache.hits(), 2);
    cache.server.clock.advance(THROTTLE);
    assert!(cache.newer_than(&newer).await.is_ok());
    assert_eq!(cache.hits(), 3);
}

#[tokio::test]
async fn jw_09_a_forced_fetch_that_fails_is_throttled_too() {
    let cache = Cache::new().await;
    let first = cache.keys().await.unwrap();
    cache.fails();
    assert!(matches!(cache.newer_than(&first).await, Err(KeysError::Call(CallOutcome::Unavailable))));
    assert_eq!(cache.newer_than(&first).await.unwrap_err(), KeysError::Throttled);
    assert!(Arc::ptr_eq(&cache.keys().await.unwrap(), &first), "the old keys stay");
}

#[tokio::test]
async fn jk_03_keys_are_asked_for_again_every_hour() {
    let cache = Cache::new().await;
    cache.keys().await.unwrap();
    cache.server.clock.advance(HOUR - Duration::from_secs(1));
    cache.keys().await.unwrap();
    assert_eq!(cache.hits(), 1);
    cache.server.clock.advance(Duration::from_secs(1));
    cache.server.on("/keys", |_| Reply::json(200, json!({"keys": [ec_jwk(&OTHER_P256, "P-256", "new")]}).to_string()));
    assert_eq!(cache.keys().await.unwrap().keys.len(), 1, "the withdrawn keys are gone");
}

#[tokio::test]
async fn jk_04_old_keys_serve_for_a_day_and_none_is_unavailable() {
    let cache = Cache::new().await;
    cache.fails();
    assert!(cache.keys().await.is_err());
    cache.server.on("/keys", |_| Reply::json(200, public_keys().to_string()));
    let first = cache.keys().await.unwrap();
    cache.fails();
    cache.server.clock.advance(23 * HOUR);
    for _ in 0..10 {
        assert!(Arc::ptr_eq(&cache.keys().await.unwrap(), &first));
    }
    assert_eq!(cache.hits(), 3, "with keys in hand a failure is not repeated at once");
    cache.server.clock.advance(HOUR);
    assert!(cache.keys().await.is_err());
    cache.server.on("/keys", |_| Reply::json(200, public_keys().to_string()));
    assert!(cache.keys().await.is_ok());
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_keep_keys_for_ever() {
    let cache = Cache::new().await;
    cache.keys().await.unwrap();
    cache.server.clock.set(Timestamp::from_seconds(1_600_000_000));
    cache.keys().await.unwrap();
    assert_eq!(cache.hits(), 2);
}

#[tokio::test]
async fn jk_05_answers_that_are_no_key_set_leave_the_old_one() {
    let good = public_keys().to_string();
    let answers = [
        Reply::typed(200, "text/html", &good),
        Reply::with_headers(200, "", &good),
        Reply::json(200, "<html>"),
        Reply::json(200, r#"{"keys":[]}"#),
        Reply::json(204, ""),
        Reply::json(201, &good),
        Reply::with_headers(302, "location: http://169.254.169.254/\r\n", ""),
        Reply::with_headers(200, "content-type: application/json\r\ncontent-encoding: gzip\r\n", b"\x1f\x8b"),
        Reply::Endless,
    ];
    for answer in answers {
        let cache = Cache::new().await;
        let first = cache.keys().await.unwrap();
        cache.server.on("/keys", move |_| answer.clone());
        assert!(cache.newer_than(&first).await.is_err());
        assert!(Arc::ptr_eq(&cache.keys().await.unwrap(), &first));
    }
    let cache = Cache::new().await;
    cache.server.on("/keys", move |_| Reply::typed(200, "application/jwk-set+json", &good));
    assert!(cache.keys().await.is_ok());
}
