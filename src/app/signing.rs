//! What this gateway signs with, and what it publishes so that others can verify it.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::gateway::settings::RouteSettings;
use crate::origin::PublicUrl;
use crate::session::key_ring::KeyRing;
use crate::signing_key::{SigningAlgorithm, SigningFailed, SigningKey, jwk_set};
use crate::upstream::IdentityAssertion;

/// The key set to publish: for every algorithm in use the key of each key of the ring, so that what was signed under
/// one that is no longer first, or will be first on the next replica, verifies as well.
pub(super) fn published(ring: &KeyRing, routes: &[RouteSettings]) -> Result<Bytes, SigningFailed> {
    let mut keys = Vec::new();
    for algorithm in SigningAlgorithm::ALL.into_iter().filter(|algorithm| is_used(*algorithm, routes)) {
        for root in ring.signing() {
            keys.push(SigningKey::derive(root, algorithm)?);
        }
    }
    Ok(Bytes::from(jwk_set(&keys)))
}

fn is_used(algorithm: SigningAlgorithm, routes: &[RouteSettings]) -> bool {
    let assertions = routes.iter().filter_map(|route| route.upstream.identity_assertion.as_ref());
    assertions.into_iter().any(|assertion| assertion.algorithm == algorithm)
}

/// Who signs the assertions of an upstream, if it wants any.
pub(super) fn assertion(
    ring: &KeyRing,
    route: &RouteSettings,
    public_url: &PublicUrl,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<IdentityAssertion>, SigningFailed> {
    let Some(settings) = &route.upstream.identity_assertion else { return Ok(None) };
    let root = ring.signing().next().ok_or(SigningFailed)?;
    let key = SigningKey::derive(root, settings.algorithm)?;
    let issuer = public_url.namespace();
    Ok(Some(IdentityAssertion::new(settings, issuer, key, Arc::clone(clock), Arc::clone(entropy))))
}
