use super::*;
use crate::oidc::test_keys::{OTHER_P256, P256, ec_jwk, encode, public_keys, rsa_jwk};
use serde_json::json;

fn set(keys: &[Value]) -> Result<JwkSet, JwkSetError> {
    JwkSet::parse(json!({"keys": keys}).to_string().as_bytes(), 256 * 1024)
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

#[test]
fn every_accepted_type_is_read() {
    let keys = JwkSet::parse(public_keys().to_string().as_bytes(), 256 * 1024).unwrap();
    assert_eq!(keys.len(), 4);
    for (kid, algorithm) in [
        ("rsa", Algorithm::Rs256),
        ("rsa", Algorithm::Ps256),
        ("p256", Algorithm::Es256),
        ("p384", Algorithm::Es384),
        ("ed", Algorithm::EdDsa),
    ] {
        assert_eq!(keys.candidates(Some(kid), algorithm).len(), 1, "{kid}");
    }
}

#[test]
fn jk_06_one_bad_key_spoils_no_other_and_none_fails_closed() {
    let bad = json!({"kty": "EC", "crv": "P-256", "x": "!", "y": ""});
    assert_eq!(set(&[bad.clone(), json!(7), ec_jwk(&P256, "P-256", "a"), json!({})]).unwrap().len(), 1);
    assert_eq!(set(&[bad]).unwrap_err(), JwkSetError::NoUsableKey);
    assert_eq!(set(&[]).unwrap_err(), JwkSetError::NoUsableKey);
}

#[test]
fn jk_07_keys_for_other_purposes_are_unused() {
    let key = || ec_jwk(&P256, "P-256", "a");
    for (name, value) in [
        ("use", json!("enc")),
        ("use", json!(["sig"])),
        ("key_ops", json!(["sign"])),
        ("key_ops", json!([])),
        ("key_ops", json!("verify")),
        ("alg", json!("ECDH-ES")),
        ("alg", json!("RS256")),
        ("alg", json!("none")),
        ("kid", json!(1)),
    ] {
        assert!(set(&[with(key(), name, value.clone())]).is_err(), "{name} {value}");
    }
    for (name, value) in [("use", json!("sig")), ("key_ops", json!(["verify"])), ("alg", json!("ES256"))] {
        assert!(set(&[with(key(), name, value.clone())]).is_ok(), "{name} {value}");
    }
}

#[test]
fn jk_08_symmetric_keys_are_ignored() {
    let oct = json!({"kty": "oct", "k": encode([7; 32]), "kid": "a", "alg": "HS256"});
    assert_eq!(set(&[oct]).unwrap_err(), JwkSetError::NoUsableKey);
}

#[test]
fn weak_and_impossible_keys_are_ignored() {
    let short = json!({"kty": "RSA", "n": encode([0xff; 128]), "e": "AQAB"});
    let even = json!({"kty": "RSA", "n": encode([0xfe; 256]), "e": "AQAB"});
    let one = with(rsa_jwk("a"), "e", json!("AQ"));
    let off_curve = with(ec_jwk(&P256, "P-256", "a"), "x", json!(encode([7; 32])));
    let padded = with(ec_jwk(&P256, "P-256", "a"), "x", json!(encode([0; 33])));
    let other_curve = with(ec_jwk(&P256, "P-256", "a"), "crv", json!("secp256k1"));
    let short_ed = json!({"kty": "OKP", "crv": "Ed25519", "x": encode([1; 31])});
    for key in [short, even, one, off_curve, padded, other_curve, short_ed] {
        assert!(set(std::slice::from_ref(&key)).is_err(), "{key}");
    }
}

#[test]
fn jw_09_keys_of_one_identifier_are_told_apart_by_type_and_algorithm() {
    let keys = set(&[rsa_jwk("a"), with(ec_jwk(&P256, "P-256", "a"), "alg", json!("ES256"))]).unwrap();
    assert_eq!(keys.candidates(Some("a"), Algorithm::Es256).len(), 1);
    assert_eq!(keys.candidates(Some("a"), Algorithm::Rs256).len(), 1);
    assert_eq!(keys.candidates(Some("a"), Algorithm::EdDsa).len(), 0);
    for kid in ["../../a", "' OR 1=1 --", "", "A"] {
        assert_eq!(keys.candidates(Some(kid), Algorithm::Es256).len(), 0, "{kid}");
    }
}

#[test]
fn without_an_identifier_exactly_one_key_must_fit() {
    let keys = set(&[ec_jwk(&P256, "P-256", "a"), rsa_jwk("b")]).unwrap();
    assert_eq!(keys.candidates(None, Algorithm::Es256).len(), 1);
    let keys = set(&[ec_jwk(&P256, "P-256", "a"), ec_jwk(&OTHER_P256, "P-256", "b")]).unwrap();
    assert_eq!(keys.candidates(None, Algorithm::Es256).len(), 0);
}

#[test]
fn jk_05_what_is_no_key_set_is_refused() {
    for text in ["<html>", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(JwkSet::parse(text.as_bytes(), 1000).is_err(), "{text}");
    }
    assert_eq!(set(&vec![json!({}); MAX_KEYS + 1]).unwrap_err(), JwkSetError::Keys);
}
