//! The provider's keys: rotated, withdrawn, broken or away.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use vestibule::clock::OffsetClock;
use vestibule::demo::provider::RegisteredClient;
use vestibule::secret::ClientSecret;

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Stage};
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::signing::{TestKey, hs256};
use crate::harness::upstream::RecordingUpstream;

const HOUR: Duration = Duration::from_secs(3600);

impl Stage {
    /// Logs a new browser in and says what became of it.
    async fn login_status(&self) -> u16 {
        self.gateway.browser().log_in(&self.url("/"), "alice").await.status.as_u16()
    }

    fn key_calls(&self) -> usize {
        self.provider.hits(Endpoint::Keys)
    }

    /// Lets `key` sign every ID token under this key id.
    fn sign_with(&self, key: TestKey, kid: &'static str) {
        self.provider.replace_id_token(move |mut header, mut claims| {
            header["alg"] = key.algorithm().into();
            header["kid"] = kid.into();
            claims.as_object_mut().unwrap().remove("at_hash");
            key.sign(&header, &claims)
        });
    }
}

/// A stage whose provider's clock is moved together with the gateway's.
async fn moving() -> (Stage, impl Fn(&Stage, Duration)) {
    let clock = Arc::new(OffsetClock::default());
    let provider = TestProvider::with(Arc::clone(&clock) as Arc<_>, |_| {}).await;
    let stage = Stage::with_provider(provider, |_| {}).await;
    (stage, move |stage: &Stage, duration| {
        clock.advance(duration);
        stage.gateway.clock.advance(duration);
    })
}

#[tokio::test]
async fn jk_02_keys_that_were_rotated_just_now_are_fetched_once() {
    let stage = Stage::set().await;
    assert_eq!((stage.login_status().await, stage.key_calls()), (200, 1));
    assert_eq!((stage.login_status().await, stage.key_calls()), (200, 1), "keys are kept");
    stage.provider.rotate_keys();
    assert_eq!((stage.login_status().await, stage.key_calls()), (200, 2));
    assert_eq!((stage.login_status().await, stage.key_calls()), (200, 2));
}

#[tokio::test]
async fn jk_03_a_withdrawn_key_signs_nobody_in_once_the_keys_have_been_fetched_again() {
    let (stage, advance) = moving().await;
    assert_eq!(stage.login_status().await, 200);
    let withdrawn = stage.provider.key();
    stage.provider.rotate_keys();
    stage.provider.replace_id_token(move |mut header, claims| {
        header["kid"] = withdrawn.id().into();
        withdrawn.sign(&header, &claims).unwrap()
    });
    assert_eq!((stage.login_status().await, stage.key_calls()), (200, 1), "nobody knows yet");
    advance(&stage, HOUR);
    assert_eq!((stage.login_status().await, stage.key_calls()), (400, 3), "one fetch by age, one for the unknown key");
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "token-invalid", "\"detail\":\"key\""]), 1);
}

#[tokio::test]
async fn jk_04_old_keys_serve_for_a_day_while_the_provider_gives_none() {
    let (stage, advance) = moving().await;
    assert_eq!(stage.login_status().await, 200);
    stage.provider.instead(Endpoint::Keys, |_| Behaviour::status(503));
    advance(&stage, HOUR);
    assert_eq!(stage.login_status().await, 200);
    assert_eq!(stage.login_status().await, 200);
    assert_eq!(stage.key_calls(), 2, "one that fails is not asked again at once");
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "provider.keys-stale"]), 1);
    advance(&stage, 23 * HOUR);
    assert_eq!(stage.login_status().await, 503, "a day is over");
    assert_eq!(stage.upstream.hits(), 3);
    let without = Stage::set().await;
    without.provider.instead(Endpoint::Keys, |_| Behaviour::status(503));
    assert_eq!((without.login_status().await, without.upstream.hits()), (503, 0));
    without.provider.restore(Endpoint::Keys);
    assert_eq!(without.login_status().await, 200);
}

#[tokio::test]
async fn jk_05_what_is_no_key_set_lets_nobody_in() {
    let attacker = RecordingUpstream::start().await;
    let json_type = [("content-type", "application/json")];
    let gzip = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let slow = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{\"keys\":[";
    let head = |headers: &[(&str, &str)]| crate::harness::behaviour::response(200, headers, "").map(|_| ());
    let cases = [
        ("HTML", Behaviour::html(200, "<html>")),
        ("HTML that says JSON", Behaviour::with_headers(200, &json_type, "<html>")),
        ("keys as text", Behaviour::text(200, r#"{"keys":[]}"#)),
        ("100 MB", Behaviour::with_headers(200, &[json_type[0], ("content-length", "104857600")], "")),
        ("endless", Behaviour::Endless(head(&json_type), bytes::Bytes::from_static(&[b' '; 8192]))),
        ("gzip", Behaviour::with_headers(200, &gzip, "\u{1f}\u{8b}")),
        ("1 B/s", Behaviour::RawAndHang(slow.to_vec())),
        ("a redirect to the attacker", Behaviour::redirect(302, &attacker.url())),
        ("a redirect to the metadata service", Behaviour::redirect(307, "http://169.254.169.254/latest")),
        ("JK-06: no keys", Behaviour::json(200, &json!({ "keys": [] }))),
        ("JK-06: keys are no list", Behaviour::json(200, &json!({ "keys": {} }))),
        ("keys twice", Behaviour::json_text(200, r#"{"keys":[],"keys":[]}"#)),
    ];
    for (what, answer) in cases {
        let stage = Stage::with(|setup| setup.provider = "timeouts = { total = \"1s\" }".into()).await;
        stage.provider.once(Endpoint::Keys, answer);
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("10")), "{what}: {}", page.text());
        assert_eq!((stage.key_calls(), stage.upstream.hits()), (1, 0), "{what}");
        assert_eq!(stage.gateway.sessions().live_sessions(), 0, "{what}");
        assert_eq!(stage.gateway.log.lines_with(&["WARN", "provider.keys", "reason"]), 1, "{what}");
        assert_eq!(stage.login_status().await, 200, "{what}: and then it is over");
    }
    assert_eq!(attacker.connections().value(), 0);
}

#[tokio::test]
async fn jk_06_and_jk_07_and_jk_08_only_good_keys_for_signatures_are_used() {
    let (good, other) = (TestKey::es256(), TestKey::ed25519());
    let with = |jwk: &serde_json::Value, name: &str, value: serde_json::Value| {
        let mut jwk = jwk.clone();
        jwk[name] = value;
        jwk
    };
    let good_jwk = good.public_jwk("good");
    let broken = with(&good_jwk, "x", json!("AAAA"));
    let oct = json!({ "kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LTMy", "kid": "good" });
    let stage = Stage::set().await;
    let bad = [with(&broken, "kid", json!("bad")), json!(7), json!({}), oct.clone()];
    stage.provider.publish_keys(bad.into_iter().chain([good_jwk.clone(), other.public_jwk("other")]).collect());
    stage.sign_with(good, "good");
    assert_eq!(stage.login_status().await, 200, "JK-06: one bad key spoils no other");
    stage.provider.restore(Endpoint::Token);
    stage.sign_with(other, "other");
    assert_eq!(stage.login_status().await, 200);
    stage.provider.restore(Endpoint::Token);
    stage.provider.replace_id_token(|_, claims| {
        hs256(b"secret-secret-secret-secret-32", &json!({ "alg": "HS256", "kid": "good" }), &claims)
    });
    assert_eq!(stage.login_status().await, 400, "JK-08");
    for (what, unusable) in [
        ("JK-07: use", with(&good_jwk, "use", json!("enc"))),
        ("JK-07: key_ops", with(&good_jwk, "key_ops", json!(["encrypt"]))),
        ("JK-08: oct alone", oct),
        ("JW-05: alg of another type", with(&good_jwk, "alg", json!("RS256"))),
        ("JW-05: crv of another length", with(&good_jwk, "crv", json!("P-384"))),
    ] {
        let stage = Stage::set().await;
        stage.provider.publish_keys(vec![unusable]);
        stage.sign_with(TestKey::es256(), "good");
        assert_eq!(stage.login_status().await, 503, "{what}");
        assert_eq!(stage.gateway.log.lines_with(&["provider.keys", "no-usable-key"]), 1, "{what}");
    }
}

#[tokio::test]
async fn jw_09_two_keys_of_one_name_are_told_apart_by_type_and_algorithm() {
    for key in [TestKey::rs256, TestKey::ps256, TestKey::es384, TestKey::ed25519, TestKey::es256] {
        let stage = Stage::set().await;
        let (rsa, signing) = (TestKey::rs256(), key());
        let mut own = signing.public_jwk("same");
        own.as_object_mut().unwrap().remove("alg");
        let other = if signing.algorithm() == "RS256" { TestKey::es256() } else { rsa };
        stage.provider.publish_keys(vec![other.public_jwk("same"), own]);
        let algorithm = signing.algorithm();
        stage.sign_with(signing, "same");
        assert_eq!(stage.login_status().await, 200, "{algorithm}");
        assert_eq!(stage.key_calls(), 1);
    }
}

fn client(redirect_uri: &str) -> RegisteredClient {
    RegisteredClient {
        id: CLIENT_ID.into(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.into())),
        redirect_uris: vec![redirect_uri.into()],
        post_logout_redirect_uris: Vec::new(),
    }
}

#[tokio::test]
async fn jw_43_what_one_provider_s_keys_have_verified_counts_for_no_other() {
    let second = TestProvider::start().await;
    second.register(client("https://two.example/oauth2/callback/two"));
    let issuer = second.issuer().to_owned();
    let first = TestProvider::start().await;
    first.register(client("https://app.example/oauth2/callback/one"));
    let stage = Stage::with_settings(
        first,
        |setup| {
            setup.register = false;
            setup.provider_section = "providers.one".into();
            setup.upstream = "provider = \"one\"".into();
            setup.more = format!(
                "[providers.two]\nissuer = \"https://second.test\"\nclient_id = \"{CLIENT_ID}\"\n\
                 client_secret = {{ env = \"CLIENT_SECRET\" }}\n[[upstream]]\nname = \"two\"\n\
                 host = \"two.example\"\nprovider = \"two\"\ntarget = \"http://127.0.0.1:9\"\n"
            );
        },
        |settings| {
            let two = settings.providers.iter_mut().find(|known| known.name.as_deref() == Some("two")).unwrap();
            two.issuer = Some(issuer);
            two.plain_http = true;
        },
    )
    .await;
    stage.log_in().await;
    // The same client, the same key id and rightly made claims, but signed with the key of the other provider.
    let (key, kid) = (stage.provider.key(), second.key().id().to_owned());
    let signing = Arc::clone(&key);
    second.replace_id_token(move |mut header, claims| {
        header["kid"] = kid.as_str().into();
        signing.sign(&header, &claims).unwrap()
    });
    let browser = stage.gateway.browser();
    browser.resolve("two.example", stage.gateway.address);
    let page = browser.log_in("https://two.example/", "alice").await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "\"detail\":\"signature\""]), 1);
    // And under the other's key id: it is not among these keys, however warm the other cache is.
    second.restore(Endpoint::Token);
    second.replace_id_token(move |mut header, claims| {
        header["kid"] = key.id().into();
        key.sign(&header, &claims).unwrap()
    });
    assert_eq!(browser.navigate("https://two.example/").await.status, 400);
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "\"detail\":\"key\""]), 1);
    assert_eq!((stage.key_calls(), second.hits(Endpoint::Keys), stage.upstream.hits()), (1, 2, 1));
    // The cookie of one host opens nothing on the other.
    let jar: Vec<_> = stage.browser.jar().of("app.example").into_iter().cloned().collect();
    for cookie in jar {
        browser.jar().plant("two.example", &cookie.name, &cookie.value);
    }
    assert_eq!(browser.fetch("https://two.example/").await.status, 401);
}
