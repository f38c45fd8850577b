//! A provider's public keys (RFC 7517), and which of them a signature may be checked with.
//!
//! Only public keys of signatures are taken. A symmetric key in a public document is nobody's secret: a token "signed"
//! with it can be made by anyone (RFC 8725 §3.1), so `oct` does not exist here.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents,
};
use serde_json::{Map, Value};

use crate::oidc::json::{self, JsonError};
use crate::oidc::jws::{self, Algorithm};

/// Most keys that a set may have.
const MAX_KEYS: usize = 128;
/// Most keys of one identifier that are tried for one signature.
const MAX_CANDIDATES: usize = 4;

/// Why a document is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkSetError {
    /// Not a JSON object.
    #[error("the key set is not a JSON object")]
    Json(#[from] JsonError),
    /// No `keys` array, or one longer than is read.
    #[error("the key set has no array of keys, or too many")]
    Keys,
    /// None of the keys can be used.
    #[error("the key set has no usable key")]
    NoUsableKey,
}

impl JwkSetError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Json(_) => "not-json",
            Self::Keys => "keys-member",
            Self::NoUsableKey => "no-usable-key",
        }
    }
}

/// The usable keys of one provider; never empty.
#[derive(Debug)]
pub struct JwkSet(Vec<Jwk>);

#[derive(Debug)]
struct Jwk {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    key: PublicKey,
}

#[derive(Debug)]
enum PublicKey {
    Rsa { pkcs1: ParsedPublicKey, pss: ParsedPublicKey },
    P256(ParsedPublicKey),
    P384(ParsedPublicKey),
    Ed25519(ParsedPublicKey),
}

impl JwkSet {
    /// Reads a key set. Keys that cannot be used are left out; one bad key spoils no other.
    ///
    /// # Errors
    /// [`JwkSetError`], also when nothing usable is left.
    pub fn parse(document: &[u8], limit: usize) -> Result<Self, JwkSetError> {
        let members = json::read_object(document, limit)?;
        let keys = members.get("keys").and_then(Value::as_array).ok_or(JwkSetError::Keys)?;
        if keys.len() > MAX_KEYS {
            return Err(JwkSetError::Keys);
        }
        let usable: Vec<Jwk> = keys.iter().filter_map(|key| Jwk::read(key.as_object()?)).collect();
        if usable.is_empty() {
            return Err(JwkSetError::NoUsableKey);
        }
        Ok(Self(usable))
    }

    /// Number of usable keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Never true; here because `len` is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The keys that a signature of this header may be checked with.
    ///
    /// A `kid` selects by equality; several keys of one `kid` are told apart by type and algorithm. Without a `kid`
    /// there must be exactly one key that fits (OpenID Connect Core §10.1).
    pub(crate) fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&ParsedPublicKey> {
        let fitting: Vec<_> = self
            .0
            .iter()
            .filter(|jwk| kid.is_none() || jwk.kid.as_deref() == kid)
            .filter_map(|jwk| jwk.for_algorithm(algorithm))
            .take(MAX_CANDIDATES)
            .collect();
        if kid.is_none() && fitting.len() > 1 { Vec::new() } else { fitting }
    }
}

impl Jwk {
    fn read(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let for_signatures = match members.get("use") {
            None | Some(Value::Null) => true,
            Some(purpose) => purpose == "sig",
        };
        let for_verifying = match members.get("key_ops") {
            None | Some(Value::Null) => true,
            Some(operations) => operations.as_array()?.iter().any(|operation| operation == "verify"),
        };
        if !for_signatures || !for_verifying {
            return None;
        }
        let kid = match members.get("kid") {
            None | Some(Value::Null) => None,
            Some(kid) => Some(kid.as_str()?.to_owned()),
        };
        let algorithm = match members.get("alg") {
            None | Some(Value::Null) => None,
            Some(name) => Some(Algorithm::from_name(name.as_str()?)?),
        };
        let bytes = |name: &str| text(name).and_then(jws::decode);
        let key = match (text("kty")?, text("crv")) {
            ("RSA", _) => PublicKey::rsa(&bytes("n")?, &bytes("e")?)?,
            ("EC", Some("P-256")) => {
                let point = point(&bytes("x")?, &bytes("y")?, 32)?;
                PublicKey::P256(ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?)
            }
            ("EC", Some("P-384")) => {
                let point = point(&bytes("x")?, &bytes("y")?, 48)?;
                PublicKey::P384(ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).ok()?)
            }
            ("OKP", Some("Ed25519")) => {
                let point = bytes("x").filter(|point| point.len() == 32)?;
                PublicKey::Ed25519(ParsedPublicKey::new(&ED25519, point).ok()?)
            }
            _ => return None,
        };
        let jwk = Self { kid, algorithm, key };
        // A key whose own `alg` does not fit its type can check nothing.
        jwk.algorithm.is_none_or(|algorithm| jwk.for_algorithm(algorithm).is_some()).then_some(jwk)
    }

    fn for_algorithm(&self, algorithm: Algorithm) -> Option<&ParsedPublicKey> {
        if self.algorithm.is_some_and(|own| own != algorithm) {
            return None;
        }
        match (&self.key, algorithm) {
            (PublicKey::Rsa { pkcs1, .. }, Algorithm::Rs256) => Some(pkcs1),
            (PublicKey::Rsa { pss, .. }, Algorithm::Ps256) => Some(pss),
            (PublicKey::P256(key), Algorithm::Es256)
            | (PublicKey::P384(key), Algorithm::Es384)
            | (PublicKey::Ed25519(key), Algorithm::EdDsa) => Some(key),
            _ => None,
        }
    }
}

impl PublicKey {
    fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let (n, e) = (without_leading_zeros(modulus), without_leading_zeros(exponent));
        let bits = n.len() * 8 - usize::try_from(n.first()?.leading_zeros()).ok()?;
        let odd = |number: &[u8]| number.last().is_some_and(|last| last & 1 == 1);
        let sane = (2048..=8192).contains(&bits) && odd(n) && odd(e) && e.len() <= 4 && e != [1];
        if !sane {
            return None;
        }
        let components = RsaPublicKeyComponents { n, e };
        Some(Self::Rsa {
            pkcs1: components.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?,
            pss: components.to_parsed_public_key(&RSA_PSS_2048_8192_SHA256).ok()?,
        })
    }
}

/// Some servers write a leading zero octet although RFC 7518 §6.3.1.1 forbids it; the number is the same.
fn without_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// An uncompressed point; whether it lies on the curve is checked where it is parsed (RFC 8725 §3.4).
fn point(x: &[u8], y: &[u8], length: usize) -> Option<Vec<u8>> {
    (x.len() == length && y.len() == length).then(|| [&[4][..], x, y].concat())
}

#[cfg(test)]
mod tests;
