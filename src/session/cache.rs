//! Opened sessions, kept so that a warm request neither reads the store nor decrypts.
//!
//! The key is a hash of the whole cookie, so whoever finds an entry has shown the secret. An entry is believed only
//! after its [`Liveness`](super::liveness::Liveness) and the clock have been asked; the cache itself decides nothing.

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use super::opened::OpenedSession;
use crate::origin::Host;

/// A session of this size weighs one; larger ones weigh more, so that they cannot fill the memory.
const UNIT_BYTES: usize = 8 << 10;

/// SHA-256(whole cookie value ‖ host). The value's length is fixed, so nothing can move between the two.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CacheKey([u8; 32]);

impl CacheKey {
    pub(super) fn of(cookie: &[u8], host: &Host) -> Self {
        Self(Sha256::new().chain_update(cookie).chain_update(host.as_str().as_bytes()).finalize().into())
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("CacheKey[redacted]")
    }
}

#[derive(Clone, Debug)]
struct BySize;

impl Weighter<CacheKey, Arc<OpenedSession>> for BySize {
    fn weight(&self, _: &CacheKey, session: &Arc<OpenedSession>) -> u64 {
        1 + (session.size() / UNIT_BYTES) as u64
    }
}

/// See the module.
pub(super) struct SessionCache {
    entries: Cache<CacheKey, Arc<OpenedSession>, BySize>,
}

impl SessionCache {
    pub(super) fn new(capacity: u64) -> Self {
        // Room for entries is made as they come, not at start.
        Self { entries: Cache::with_weighter(1_024, capacity, BySize) }
    }

    pub(super) fn find(&self, key: &CacheKey) -> Option<Arc<OpenedSession>> {
        self.entries.get(key)
    }

    pub(super) fn put(&self, key: CacheKey, session: Arc<OpenedSession>) {
        self.entries.insert(key, session);
    }

    pub(super) fn remove(&self, key: &CacheKey) {
        self.entries.remove(key);
    }

    /// Lets go of everything that `keep` does not want.
    pub(super) fn retain(&self, keep: impl Fn(&Arc<OpenedSession>) -> bool) {
        self.entries.retain(|_, session| keep(session));
    }

    #[cfg(test)]
    pub(super) fn clear(&self) {
        self.entries.clear();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Scheme;
    use std::collections::HashSet;

    #[test]
    fn ck_18_the_key_covers_every_byte_of_the_cookie_and_the_host() {
        let host = |name| Host::parse(name, Scheme::Https).unwrap();
        let cookie = vec![b'A'; super::super::COOKIE_LENGTH];
        let mut keys =
            HashSet::from([CacheKey::of(&cookie, &host("a.example")), CacheKey::of(&cookie, &host("b.example"))]);
        for at in 0..cookie.len() {
            let mut other = cookie.clone();
            other[at] = b'B';
            keys.insert(CacheKey::of(&other, &host("a.example")));
        }
        assert_eq!(keys.len(), 2 + cookie.len());
    }
}
