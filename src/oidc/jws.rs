//! Signed tokens in compact serialisation (RFC 7515), after the advice of RFC 8725.
//!
//! The list of algorithms is closed and asymmetric; a key comes from the provider's key set and nowhere else, whatever
//! the header points at.

use std::fmt;

use aws_lc_rs::signature::ParsedPublicKey;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::oidc::json;
use crate::oidc::jwk_set::JwkSet;
use crate::oidc::token_claims::MAX_CLAIMS;

/// Longest token, in bytes.
const MAX_LENGTH: usize = 16 * 1024;

/// The algorithms that are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    Rs256,
    /// RSASSA-PSS with SHA-256
    Ps256,
    /// ECDSA on P-256 with SHA-256
    Es256,
    /// ECDSA on P-384 with SHA-384
    Es384,
    /// Ed25519, by its name of RFC 8037 or that of RFC 9864
    EdDsa,
}

impl Algorithm {
    /// The algorithm of this name, compared exactly.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "RS256" => Some(Self::Rs256),
            "PS256" => Some(Self::Ps256),
            "ES256" => Some(Self::Es256),
            "ES384" => Some(Self::Es384),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            _ => None,
        }
    }

    /// Length of a signature, where it is fixed.
    const fn signature_length(self) -> Option<usize> {
        match self {
            Self::Rs256 | Self::Ps256 => None,
            Self::Es256 | Self::EdDsa => Some(64),
            Self::Es384 => Some(96),
        }
    }

    /// Whether one of these keys, which are of this algorithm, has signed the message.
    fn is_signed_by_one_of(self, keys: &[&ParsedPublicKey], message: &[u8], signature: &[u8]) -> bool {
        self.signature_length().is_none_or(|length| signature.len() == length)
            && keys.iter().any(|key| key.verify_sig(message, signature).is_ok())
    }
}

/// Why a token is not signed by the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Longer than 16 KiB.
    #[error("size")]
    Size,
    /// Not three segments.
    #[error("segments")]
    Segments,
    /// Not canonical base64url.
    #[error("encoding")]
    Encoding,
    /// The header is no JSON object, or a member of it has the wrong type.
    #[error("header")]
    Header,
    /// An algorithm that is not on the list; `none` is one of them.
    #[error("alg")]
    Algorithm,
    /// `crit` or `b64`: an extension that must be understood, and we understand none.
    #[error("crit")]
    Critical,
    /// No key of the provider fits the header.
    #[error("key")]
    KeyUnknown,
    /// The signature is not this key's.
    #[error("signature")]
    Signature,
}

impl JwsError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Size => "size",
            Self::Segments => "segments",
            Self::Encoding => "encoding",
            Self::Header => "header",
            Self::Algorithm => "alg",
            Self::Critical => "crit",
            Self::KeyUnknown => "key",
            Self::Signature => "signature",
        }
    }
}

/// A token taken apart, nothing of it believed.
pub struct UnverifiedJws<'a> {
    algorithm: Algorithm,
    kid: Option<String>,
    typ: Option<String>,
    signing_input: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl fmt::Debug for UnverifiedJws<'_> {
    /// Not the token: whoever reads it could use it.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UnverifiedJws").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

/// The payload of a token whose signature is the provider's.
pub struct VerifiedPayload(Vec<u8>);

impl fmt::Debug for VerifiedPayload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("VerifiedPayload").finish_non_exhaustive()
    }
}

impl VerifiedPayload {
    /// The bytes that were signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> UnverifiedJws<'a> {
    /// Takes a token apart.
    ///
    /// # Errors
    /// [`JwsError`] for anything but three canonical segments with a header that we understand completely.
    pub fn parse(token: &'a str) -> Result<Self, JwsError> {
        if token.len() > MAX_LENGTH {
            return Err(JwsError::Size);
        }
        let mut segments = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (segments.next(), segments.next(), segments.next(), segments.next())
        else {
            return Err(JwsError::Segments);
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(JwsError::Segments);
        }
        let (signing_input, _) = token.rsplit_once('.').ok_or(JwsError::Segments)?;
        let header = decode(header).ok_or(JwsError::Encoding)?;
        let payload = decode(payload).ok_or(JwsError::Encoding)?;
        let signature = decode(signature).ok_or(JwsError::Encoding)?;
        let header = json::read_object(&header, MAX_LENGTH).map_err(|_| JwsError::Header)?;
        let algorithm = header.get("alg").and_then(Value::as_str).ok_or(JwsError::Algorithm)?;
        let algorithm = Algorithm::from_name(algorithm).ok_or(JwsError::Algorithm)?;
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(JwsError::Critical);
        }
        let text = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(JwsError::Header),
        };
        Ok(Self { algorithm, kid: text("kid")?, typ: text("typ")?, signing_input, payload, signature })
    }

    /// The algorithm the header names.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The payload, unverified: of a token that has been verified before, or to say what a refused one claims.
    pub(crate) fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// Where the token says that it comes from: the host of its `iss`, and a hash of its `kid`. For logs about a token
    /// that is refused; nobody may rely on either.
    #[must_use]
    pub fn claimed_origin(&self) -> (Option<String>, Option<String>) {
        let claims = json::read_object(&self.payload, MAX_CLAIMS).unwrap_or_default();
        let issuer = claims.get("iss").and_then(Value::as_str).and_then(|issuer| url::Url::parse(issuer).ok());
        let hash = self.kid.as_ref().map(|kid| Sha256::digest(kid.as_bytes()));
        let short = |hash: &[u8]| hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        (issuer.and_then(|issuer| issuer.host_str().map(str::to_owned)), hash.map(|hash| short(&hash)))
    }

    /// Whether `typ` is one of `accepted`, without case and without `application/`; an absent one counts as `JWT`.
    #[must_use]
    pub fn has_type(&self, accepted: &[&str]) -> bool {
        let typ = self.typ.as_deref().unwrap_or("JWT").to_ascii_lowercase();
        let typ = typ.strip_prefix("application/").unwrap_or(&typ);
        accepted.iter().any(|accepted| accepted.eq_ignore_ascii_case(typ))
    }

    /// Whether a failure may come from keys that have been rotated since: no key fits, or none was named.
    #[must_use]
    pub fn may_need_newer_keys(&self, error: JwsError) -> bool {
        error == JwsError::KeyUnknown || (error == JwsError::Signature && self.kid.is_none())
    }

    /// Checks the signature with the provider's keys.
    ///
    /// # Errors
    /// [`JwsError::KeyUnknown`] or [`JwsError::Signature`].
    pub fn verify(&self, keys: &JwkSet) -> Result<VerifiedPayload, JwsError> {
        let candidates = keys.candidates(self.kid.as_deref(), self.algorithm);
        if candidates.is_empty() {
            return Err(JwsError::KeyUnknown);
        }
        if !self.algorithm.is_signed_by_one_of(&candidates, self.signing_input.as_bytes(), &self.signature) {
            return Err(JwsError::Signature);
        }
        Ok(VerifiedPayload(self.payload.clone()))
    }
}

/// Base64url without padding, canonical: `None` for other characters, padding, and trailing bits that are not zero.
#[must_use]
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    // This engine refuses all three; a second spelling of the same bytes would be a second token with one signature.
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests;
