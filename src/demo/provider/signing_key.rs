//! The key the provider signs with: ES256, made at start, kept in memory only.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The cryptographic library could not make a key or a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signature can be made")]
pub struct SigningFailed;

/// An ECDSA key on P-256 with its key id.
#[derive(Debug)]
pub struct SigningKey {
    pair: EcdsaKeyPair,
    id: String,
}

impl SigningKey {
    /// Makes a key. The library draws it, and the nonces of signatures, from the system by itself.
    ///
    /// # Errors
    /// [`SigningFailed`] when the library has no randomness.
    pub fn generate() -> Result<Self, SigningFailed> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| SigningFailed)?;
        let digest = Sha256::digest(pair.public_key().as_ref());
        let id = URL_SAFE_NO_PAD.encode(digest).chars().take(12).collect();
        Ok(Self { pair, id })
    }

    /// `kid` (RFC 7517 §4.5).
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The public half as a JSON web key (RFC 7518 §6.2.1).
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        // Uncompressed point: 0x04, then x and y of 32 bytes each.
        let point = self.pair.public_key().as_ref();
        let coordinate = |range| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id,
            "x": coordinate(1..33), "y": coordinate(33..65),
        })
    }

    /// A signed JSON web token (RFC 7519) with `header` and `claims` as they are.
    ///
    /// # Errors
    /// [`SigningFailed`] when the library has no randomness.
    pub fn sign(&self, header: &Value, claims: &Value) -> Result<String, SigningFailed> {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self.signature(signed.as_bytes())?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The signature of `message`: r and s, 32 bytes each (RFC 7518 §3.4).
    ///
    /// # Errors
    /// [`SigningFailed`] when the library has no randomness.
    pub fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let signature = self.pair.sign(&SystemRandom::new(), message).map_err(|_| SigningFailed)?;
        Ok(signature.as_ref().to_vec())
    }

    /// The claims of a token that this key has signed, whatever its age.
    pub(super) fn claims_of(&self, token: &str) -> Option<Map<String, Value>> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (_, claims) = signed.split_once('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.pair.public_key().as_ref())
            .verify(signed.as_bytes(), &signature)
            .ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_key_has_signed_is_read() {
        let (ours, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let token = ours.sign(&json!({"alg": "ES256"}), &json!({"sub": "s"})).unwrap();
        assert_eq!(ours.claims_of(&token).unwrap()["sub"], "s");
        assert_eq!(other.claims_of(&token), None);
        let flipped = token.replacen('.', ".A", 1);
        assert_eq!(ours.claims_of(&flipped), None);
        assert_eq!(ours.claims_of("a.b"), None);
    }

    #[test]
    fn the_public_key_has_both_coordinates_and_no_private_part() {
        let key = SigningKey::generate().unwrap();
        let jwk = key.public_jwk();
        assert_eq!((jwk["x"].as_str().unwrap().len(), jwk["y"].as_str().unwrap().len()), (43, 43));
        assert_eq!(jwk.get("d"), None);
        assert_eq!(jwk["kid"], key.id());
    }
}
