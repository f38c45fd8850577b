//! Keys of our own that others verify signatures of: made from the key ring, so that every replica and every start has
//! the same ones and nothing has to be kept.

use std::fmt;

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::secret::SealingKey;

/// How something is signed (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl SigningAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 2] = [Self::EdDsa, Self::Es256];

    /// The name for `alg`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }
}

/// The cryptographic library made no key or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no signature can be made")]
pub struct SigningFailed;

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair),
}

/// A private key with the name under which its public half is published.
pub struct SigningKey {
    pair: Pair,
    kid: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The key of this algorithm that belongs to `root`, a key of the ring for the purpose of signing. The same root
    /// gives the same key, always and everywhere.
    ///
    /// # Errors
    /// [`SigningFailed`], which has no known cause.
    pub fn derive(root: &SealingKey, algorithm: SigningAlgorithm) -> Result<Self, SigningFailed> {
        let pair = match algorithm {
            SigningAlgorithm::EdDsa => {
                let seed = expand(root, b"vestibule/signing/v1/EdDSA")?;
                Pair::Ed25519(Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).map_err(|_| SigningFailed)?)
            }
            SigningAlgorithm::Es256 => Pair::P256(p256(|attempt| {
                expand(root, &[b"vestibule/signing/v1/ES256/".as_slice(), &[attempt]].concat())
            })?),
        };
        let kid = thumbprint(&pair);
        Ok(Self { pair, kid })
    }

    /// The name of the key: its thumbprint (RFC 7638).
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How it signs.
    #[must_use]
    pub const fn algorithm(&self) -> SigningAlgorithm {
        match self.pair {
            Pair::Ed25519(_) => SigningAlgorithm::EdDsa,
            Pair::P256(_) => SigningAlgorithm::Es256,
        }
    }

    /// The public half as a JSON web key (RFC 7517 §4).
    #[must_use]
    pub fn public_jwk(&self) -> Value {
        let mut jwk = match coordinates(&self.pair) {
            (x, None) => json!({ "kty": "OKP", "crv": "Ed25519", "x": x }),
            (x, Some(y)) => json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y }),
        };
        if let Value::Object(members) = &mut jwk {
            members.insert("kid".to_owned(), self.kid.as_str().into());
            members.insert("use".to_owned(), "sig".into());
            members.insert("alg".to_owned(), self.algorithm().as_str().into());
        }
        jwk
    }

    /// The first part of every token of this type that the key signs (RFC 7515 §3.1).
    #[must_use]
    pub fn header(&self, typ: &str) -> String {
        let header = json!({ "typ": typ, "alg": self.algorithm().as_str(), "kid": self.kid });
        URL_SAFE_NO_PAD.encode(header.to_string())
    }

    /// A signed JSON web token (RFC 7519 §7.1) behind a header from [`Self::header`].
    ///
    /// # Errors
    /// [`SigningFailed`] when the library has no randomness for ES256.
    pub fn sign(&self, header: &str, claims: &impl Serialize) -> Result<String, SigningFailed> {
        let claims = serde_json::to_vec(claims).map_err(|_| SigningFailed)?;
        let mut token = String::with_capacity(header.len() + claims.len() * 4 / 3 + 96);
        token.push_str(header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        let signature = match &self.pair {
            Pair::Ed25519(pair) => pair.try_sign(token.as_bytes()),
            // The library draws the nonce of a signature from the system by itself.
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), token.as_bytes()),
        };
        let signature = signature.map_err(|_| SigningFailed)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut token);
        Ok(token)
    }
}

/// The JSON web key set of these keys (RFC 7517 §5).
#[must_use]
pub fn jwk_set(keys: &[SigningKey]) -> String {
    json!({ "keys": keys.iter().map(SigningKey::public_jwk).collect::<Vec<_>>() }).to_string()
}

/// 32 bytes from HKDF-SHA-256 (RFC 5869).
fn expand(root: &SealingKey, info: &[u8]) -> Result<Zeroizing<[u8; 32]>, SigningFailed> {
    let mut output = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(None, root.expose()).expand(info, &mut *output).map_err(|_| SigningFailed)?;
    Ok(output)
}

/// The first candidate that is a private key of the curve. One in 2^32 is not: it is zero or not below the order
/// (FIPS 186-5 A.2.2).
fn p256(candidate: impl Fn(u8) -> Result<Zeroizing<[u8; 32]>, SigningFailed>) -> Result<EcdsaKeyPair, SigningFailed> {
    for attempt in 0..=u8::MAX {
        let scalar = candidate(attempt)?;
        // The library's key for agreement is the one that computes the public half.
        let Ok(private) = PrivateKey::from_private_key(&ECDH_P256, scalar.as_slice()) else { continue };
        let public = private.compute_public_key().map_err(|_| SigningFailed)?;
        let (algorithm, private, public) = (&ECDSA_P256_SHA256_FIXED_SIGNING, scalar.as_slice(), public.as_ref());
        return EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public).map_err(|_| SigningFailed);
    }
    Err(SigningFailed)
}

/// `x`, and `y` where the curve has one, in base64url (RFC 7518 §6.2.1, RFC 8037 §2).
fn coordinates(pair: &Pair) -> (String, Option<String>) {
    match pair {
        Pair::Ed25519(pair) => (URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()), None),
        Pair::P256(pair) => {
            // Uncompressed point: 0x04, then x and y of 32 bytes each.
            let point = pair.public_key().as_ref();
            let coordinate = |range| URL_SAFE_NO_PAD.encode(point.get(range).unwrap_or_default());
            (coordinate(1..33), Some(coordinate(33..65)))
        }
    }
}

/// SHA-256 over the required members in the order of their names, without white space (RFC 7638 §3).
fn thumbprint(pair: &Pair) -> String {
    let members = match coordinates(pair) {
        (x, None) => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#),
        (x, Some(y)) => format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#),
    };
    URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

#[cfg(test)]
mod tests;
