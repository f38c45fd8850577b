//! JSON web tokens of every kind, good and bad, and the keys to make them.

use std::sync::OnceLock;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256,
    RsaKeyPair,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use vestibule::demo::provider::SigningKey;

/// A key of some kind with its public JWK.
pub enum TestKey {
    Es256(SigningKey),
    Es384(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    /// RSA with PKCS #1 v1.5.
    Rs256(&'static RsaKeyPair),
    /// RSA with PSS.
    Ps256(&'static RsaKeyPair),
}

impl TestKey {
    pub fn es256() -> Self {
        Self::Es256(SigningKey::generate().unwrap())
    }

    pub fn es384() -> Self {
        Self::Es384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap())
    }

    pub fn ed25519() -> Self {
        Self::Ed25519(Ed25519KeyPair::generate().unwrap())
    }

    /// One RSA key for the whole binary: making one takes long.
    pub fn rs256() -> Self {
        Self::Rs256(rsa())
    }

    pub fn ps256() -> Self {
        Self::Ps256(rsa())
    }

    pub const fn algorithm(&self) -> &'static str {
        match self {
            Self::Es256(_) => "ES256",
            Self::Es384(_) => "ES384",
            Self::Ed25519(_) => "EdDSA",
            Self::Rs256(_) => "RS256",
            Self::Ps256(_) => "PS256",
        }
    }

    /// The public key with this key id.
    pub fn public_jwk(&self, kid: &str) -> Value {
        let mut jwk = match self {
            Self::Es256(key) => key.public_jwk(),
            Self::Es384(pair) => {
                let point = pair.public_key().as_ref();
                json!({ "kty": "EC", "crv": "P-384", "x": base64(&point[1..49]), "y": base64(&point[49..97]) })
            }
            Self::Ed25519(pair) => json!({ "kty": "OKP", "crv": "Ed25519", "x": base64(pair.public_key().as_ref()) }),
            Self::Rs256(pair) | Self::Ps256(pair) => {
                let (modulus, exponent) = rsa_numbers(pair.public_key().as_ref());
                json!({ "kty": "RSA", "n": base64(&modulus), "e": base64(&exponent) })
            }
        };
        jwk["kid"] = kid.into();
        jwk["use"] = "sig".into();
        jwk["alg"] = self.algorithm().into();
        jwk
    }

    /// `header` gets no `alg` by itself: what it says is what is sent.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        self.sign_text(&header.to_string(), &claims.to_string())
    }

    /// The same for parts that `serde_json` would not write: duplicate members, odd numbers, no JSON at all.
    pub fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64(header), base64(claims));
        format!("{signed}.{}", base64(self.signature(signed.as_bytes())))
    }

    pub fn signature(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        let rsa = |pair: &RsaKeyPair, padding: &'static dyn aws_lc_rs::signature::RsaEncoding| {
            let mut signature = vec![0; pair.public_modulus_len()];
            pair.sign(padding, &random, message, &mut signature).unwrap();
            signature
        };
        match self {
            Self::Es256(key) => key.signature(message).unwrap(),
            Self::Es384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Self::Rs256(pair) => rsa(pair, &RSA_PKCS1_SHA256),
            Self::Ps256(pair) => rsa(pair, &RSA_PSS_SHA256),
        }
    }
}

/// A token with these parts and this signature, whatever they are.
pub fn assemble(header: &Value, claims: &Value, signature: &[u8]) -> String {
    format!("{}.{}.{}", base64(header.to_string()), base64(claims.to_string()), base64(signature))
}

/// A token "signed" with a shared secret: with a public key as the secret, the classic confusion of algorithms.
pub fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let signed = format!("{}.{}", base64(header.to_string()), base64(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", base64(tag.as_ref()))
}

/// Header and claims of a token, unverified.
pub fn parts(token: &str) -> (Value, Value) {
    let mut parts = token.split('.');
    (decode(parts.next().unwrap()), decode(parts.next().unwrap()))
}

pub fn base64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn rsa() -> &'static RsaKeyPair {
    static KEY: OnceLock<RsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap())
}

/// Modulus and exponent of an `RSAPublicKey` (RFC 8017 appendix A.1.1): a sequence of two integers.
fn rsa_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    fn element(der: &[u8]) -> (&[u8], &[u8]) {
        let (length, start) = match der[1] {
            short @ 0..=127 => (usize::from(short), 2),
            0x81 => (usize::from(der[2]), 3),
            0x82 => (usize::from(der[2]) << 8 | usize::from(der[3]), 4),
            other => panic!("a length of form {other:#x}"),
        };
        der[start..].split_at(length)
    }
    let unsigned = |integer: &[u8]| integer.iter().copied().skip_while(|byte| *byte == 0).collect();
    let (sequence, _) = element(der);
    let (modulus, rest) = element(sequence);
    (unsigned(modulus), unsigned(element(rest).0))
}
