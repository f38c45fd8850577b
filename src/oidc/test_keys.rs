//! Key pairs and signed tokens for tests.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
    RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

pub(crate) static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
pub(crate) static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
pub(crate) static OTHER_P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
static P384: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
static ED25519: LazyLock<Ed25519KeyPair> = LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn ec_jwk(key: &EcdsaKeyPair, crv: &str, kid: &str) -> Value {
    let point = &key.public_key().as_ref()[1..];
    let (x, y) = point.split_at(point.len() / 2);
    json!({"kty": "EC", "crv": crv, "kid": kid, "x": encode(x), "y": encode(y)})
}

pub(crate) fn rsa_jwk(kid: &str) -> Value {
    // PKCS #1 of a 2048-bit key: nine bytes of framing, the modulus, five bytes, and the exponent 65537.
    let modulus = &RSA.public_key().as_ref()[9..265];
    json!({"kty": "RSA", "kid": kid, "n": encode(modulus), "e": "AQAB"})
}

/// One public key per type, with the identifiers `rsa`, `p256`, `p384` and `ed`.
pub(crate) fn public_keys() -> Value {
    let ed = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encode(ED25519.public_key().as_ref())});
    json!({"keys": [rsa_jwk("rsa"), ec_jwk(&P256, "P-256", "p256"), ec_jwk(&P384, "P-384", "p384"), ed]})
}

/// A signature by the key that goes with an algorithm.
pub(crate) fn sign(algorithm: &str, message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let rsa = |encoding: &'static dyn aws_lc_rs::signature::RsaEncoding| {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(encoding, &random, message, &mut signature).unwrap();
        signature
    };
    match algorithm {
        "RS256" => rsa(&RSA_PKCS1_SHA256),
        "PS256" => rsa(&RSA_PSS_SHA256),
        "ES256" => P256.sign(&random, message).unwrap().as_ref().to_vec(),
        "ES384" => P384.sign(&random, message).unwrap().as_ref().to_vec(),
        "EdDSA" | "Ed25519" => ED25519.sign(message).as_ref().to_vec(),
        _ => b"not a signature".to_vec(),
    }
}

/// A token with this header and payload, signed by the algorithm that is really to be used.
pub(crate) fn token_signed_by(algorithm: &str, header: &str, payload: &str) -> String {
    let input = format!("{}.{}", encode(header), encode(payload));
    let signature = sign(algorithm, input.as_bytes());
    format!("{input}.{}", encode(signature))
}

/// An ES256 token of the key `p256`.
pub(crate) fn token(claims: &Value) -> String {
    token_signed_by("ES256", r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#, &claims.to_string())
}
