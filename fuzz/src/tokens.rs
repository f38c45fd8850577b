//! Signed tokens and the keys they are checked with.

use std::str;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;
use vestibule::clock::Timestamp;
use vestibule::oidc::id_token::{Attempt, Expectations, UnverifiedIdToken};
use vestibule::oidc::jwk_set::JwkSet;
use vestibule::oidc::jws::UnverifiedJws;
use vestibule::oidc::logout_token::{LogoutExpectations, UnverifiedLogoutToken};
use vestibule::secret::{AccessToken, AuthorizationCode, Nonce, RawIdToken};

const LIMIT: usize = 256 << 10;

/// The keys of RFC 8037 §A.2 and RFC 7517 §A.1.
const KEYS: &str = r#"{"keys":[
    {"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
    {"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
     "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","use":"sig"}]}"#;

/// The one token that is signed by one of them (RFC 8037 §A.4).
const SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                      hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

fn keys() -> &'static JwkSet {
    static PARSED: OnceLock<JwkSet> = OnceLock::new();
    PARSED.get_or_init(|| JwkSet::parse(KEYS.as_bytes(), LIMIT).unwrap())
}

/// Nothing is verified but the one token that was signed, byte for byte.
pub fn jws(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let verified = UnverifiedJws::parse(text).and_then(|jws| jws.verify(keys()));
    assert_eq!(verified.is_ok(), text == SIGNED);
    if let Ok(payload) = verified {
        assert_eq!(payload.as_bytes(), b"Example of Ed25519 signing");
    }
}

/// No ID token is accepted, for none was signed.
pub fn id_token(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let token = RawIdToken::new(text.to_owned());
    let Ok(unverified) = UnverifiedIdToken::parse(&token) else { return };
    let (host, kid) = unverified.claimed_origin();
    assert!(host.is_none_or(|host| !host.contains(['\n', '\r', ' '])) && kid.is_none_or(|kid| kid.len() == 8));
    let expectations = Expectations {
        issuer: "https://id.example",
        client_id: "gateway",
        access_token: &AccessToken::new("an-access-token".to_owned()),
        now: Timestamp::from_seconds(1_800_000_000),
        leeway: Duration::from_secs(60),
    };
    let (nonce, code) = (Nonce::new("nonce".to_owned()), AuthorizationCode::new("code".to_owned()));
    let attempt = Attempt { nonce: &nonce, code: &code, state: "state", max_age: None };
    let error = unverified.verify_login(keys(), &expectations, &attempt).unwrap_err();
    let _newer = unverified.may_need_newer_keys(error);
}

/// No logout token is accepted, for none was signed.
pub fn logout_token(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(unverified) = UnverifiedLogoutToken::parse(text) else { return };
    let (host, kid) = unverified.claimed_origin();
    assert!(host.is_none_or(|host| !host.contains(['\n', '\r', ' '])) && kid.is_none_or(|kid| kid.len() == 8));
    let expectations = LogoutExpectations {
        issuer: "https://id.example",
        client_id: "gateway",
        now: Timestamp::from_seconds(1_800_000_000),
        leeway: Duration::from_secs(60),
    };
    let error = unverified.verify(keys(), &expectations).unwrap_err();
    let _newer = unverified.may_need_newer_keys(error);
}

/// A key set that is used has keys, no more than it lists.
pub fn key_set(bytes: &[u8]) {
    let Ok(set) = JwkSet::parse(bytes, LIMIT) else { return };
    let document: Value = serde_json::from_slice(bytes).unwrap();
    let listed = document["keys"].as_array().unwrap().len();
    assert!(!set.is_empty() && set.len() <= listed);
    // Keys of somebody else verify nothing that ours have signed, unless ours are among them.
    let ours = document["keys"]
        .as_array()
        .unwrap()
        .iter()
        .any(|key| key["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert!(ours || UnverifiedJws::parse(SIGNED).unwrap().verify(&set).is_err());
}
