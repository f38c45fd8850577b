//! The keys of a gateway: the first seals, all open. A key names itself by its `kid`, so nothing is ever tried out.

use std::fmt::{self, Write};
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::sealing::expand;
use super::ticket::StoreKey;
use super::tlv::tlv;
use crate::secret::SealingKey;

/// At most so many keys in one ring.
pub const MAX_KEYS: usize = 8;

/// The name of a key in what it has sealed: the first 4 bytes of SHA-256("vestibule/kid" ‖ key).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Kid([u8; 4]);

impl Kid {
    /// The name `key` has.
    #[must_use]
    pub fn of(key: &SealingKey) -> Self {
        let digest = Sha256::new().chain_update(b"vestibule/kid").chain_update(key.expose()).finalize();
        let mut kid = [0; 4];
        for (to, from) in kid.iter_mut().zip(digest) {
            *to = from;
        }
        Self(kid)
    }

    /// As it was read from something sealed.
    pub(super) const fn read(bytes: [u8; 4]) -> Self {
        Self(bytes)
    }

    /// The four bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 4] {
        &self.0
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d] = self.0;
        write!(formatter, "Kid({a:02x}{b:02x}{c:02x}{d:02x})")
    }
}

/// What a derived key is for; a thing sealed for one purpose cannot be opened for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Authenticates the login cookie and derives nonce and verifier.
    Login,
    /// Seals login attempts.
    State,
    /// Seals cards.
    Card,
    /// Hashes the names of indexes.
    Index,
    /// Makes pseudonyms for logs.
    Log,
    /// Signs what upstreams and providers verify.
    Signing,
    /// Seals the `state` of a logout.
    Logout,
}

impl Purpose {
    pub(super) const ALL: [Self; 7] =
        [Self::Login, Self::State, Self::Card, Self::Index, Self::Log, Self::Signing, Self::Logout];

    const fn label(self) -> &'static [u8] {
        match self {
            Self::Login => b"login",
            Self::State => b"state",
            Self::Card => b"card",
            Self::Index => b"index",
            Self::Log => b"log",
            Self::Signing => b"signing",
            Self::Logout => b"logout",
        }
    }
}

/// Why keys make no ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// Nothing could be sealed.
    #[error("there is no session key")]
    Empty,
    /// Over [`MAX_KEYS`].
    #[error("there are more than 8 session keys")]
    TooMany,
    /// The same key twice, or two that share a name by chance: what they sealed could not be told apart.
    #[error("two session keys have the same kid")]
    SameKid,
}

/// One key with those derived from it.
pub(super) struct RingKey {
    kid: Kid,
    root: SealingKey,
    derived: [SealingKey; 7],
}

impl RingKey {
    fn new(root: SealingKey) -> Self {
        let derived = Purpose::ALL.map(|purpose| {
            SealingKey::new(*expand::<32>(root.expose(), None, &tlv(&[b"vestibule/key/v1", purpose.label()])))
        });
        Self { kid: Kid::of(&root), root, derived }
    }

    pub(super) const fn kid(&self) -> Kid {
        self.kid
    }

    /// The key as configured: the salt of a record's key.
    pub(super) const fn root(&self) -> &SealingKey {
        &self.root
    }

    /// The key for one purpose.
    pub(super) const fn purpose(&self, purpose: Purpose) -> &SealingKey {
        let [login, state, card, index, log, signing, logout] = &self.derived;
        match purpose {
            Purpose::Login => login,
            Purpose::State => state,
            Purpose::Card => card,
            Purpose::Index => index,
            Purpose::Log => log,
            Purpose::Signing => signing,
            Purpose::Logout => logout,
        }
    }

    /// HMAC-SHA-256 under the key for `purpose`, ready to be read or compared in constant time.
    pub(super) fn mac(&self, purpose: Purpose, message: &[u8]) -> Hmac<Sha256> {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(self.purpose(purpose).expose()).expect("any length will do");
        mac.update(message);
        mac
    }
}

/// `[session].keys`: the first seals, all open.
pub struct KeyRing {
    first: Arc<RingKey>,
    others: Vec<Arc<RingKey>>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.keys().map(|key| key.kid)).finish()
    }
}

impl KeyRing {
    /// Makes a ring; the first key seals.
    ///
    /// # Errors
    /// [`KeyRingError`] when there are none, more than [`MAX_KEYS`], or two of one name.
    pub fn new(keys: Vec<SealingKey>) -> Result<Self, KeyRingError> {
        if keys.len() > MAX_KEYS {
            return Err(KeyRingError::TooMany);
        }
        Self::of(keys.into_iter().map(|key| Arc::new(RingKey::new(key))))
    }

    /// A ring of this key alone.
    pub(super) fn of_one(key: &Arc<RingKey>) -> Self {
        Self { first: Arc::clone(key), others: Vec::new() }
    }

    /// This ring with one more key that opens, if there is room for it.
    ///
    /// # Errors
    /// [`KeyRingError::SameKid`].
    pub(super) fn and(self, key: &Arc<RingKey>) -> Result<Self, KeyRingError> {
        if self.others.len() + 1 >= MAX_KEYS {
            return Ok(self);
        }
        Self::of(std::iter::once(self.first).chain(self.others).chain([Arc::clone(key)]))
    }

    fn of(mut keys: impl Iterator<Item = Arc<RingKey>>) -> Result<Self, KeyRingError> {
        let ring = Self { first: keys.next().ok_or(KeyRingError::Empty)?, others: keys.collect() };
        let kids: Vec<_> = ring.keys().map(|key| *key.kid.as_bytes()).collect();
        let distinct: std::collections::HashSet<_> = kids.iter().collect();
        if distinct.len() == kids.len() { Ok(ring) } else { Err(KeyRingError::SameKid) }
    }

    /// The key that seals.
    pub(super) const fn first(&self) -> &Arc<RingKey> {
        &self.first
    }

    /// The key of that name, if it is in the ring.
    pub(super) fn find(&self, kid: Kid) -> Option<&RingKey> {
        self.keys().find(|key| key.kid == kid)
    }

    /// All keys, the one that seals first.
    pub(super) fn keys(&self) -> impl Iterator<Item = &RingKey> {
        std::iter::once(&self.first).chain(&self.others).map(Arc::as_ref)
    }

    /// The names of all keys, that of the sealing one first.
    pub fn kids(&self) -> impl Iterator<Item = Kid> + '_ {
        self.keys().map(RingKey::kid)
    }

    /// The keys from which signing keys are derived: that of the sealing key first, which signs; others verify still.
    pub fn signing(&self) -> impl Iterator<Item = &SealingKey> {
        self.keys().map(|key| key.purpose(Purpose::Signing))
    }

    /// What stands for a person in logs: 8 bytes in hexadecimal of an HMAC over issuer and subject.
    #[must_use]
    pub fn pseudonym(&self, issuer: &str, subject: &str) -> String {
        self.reference(&tlv(&[b"subject", issuer.as_bytes(), subject.as_bytes()]))
    }

    /// What stands for a session in logs; anybody who knows its name in the store comes to the same.
    pub(super) fn session_reference(&self, key: &StoreKey) -> String {
        self.reference(&tlv(&[b"session", key.as_bytes()]))
    }

    /// What stands for `message` in logs: 8 bytes in hexadecimal.
    pub(super) fn reference(&self, message: &[u8]) -> String {
        let mac = self.first.mac(Purpose::Log, message).finalize().into_bytes();
        let mut text = String::with_capacity(16);
        for byte in mac.iter().take(8) {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::unhex;

    fn ring(keys: &[u8]) -> Result<KeyRing, KeyRingError> {
        KeyRing::new(keys.iter().map(|byte| SealingKey::new([*byte; 32])).collect())
    }

    #[test]
    fn kid_and_derived_keys_are_those_of_the_fixed_vectors() {
        let ring = KeyRing::new(vec![SealingKey::new(std::array::from_fn(|at| u8::try_from(at).unwrap()))]).unwrap();
        assert_eq!(ring.first().kid().as_bytes().to_vec(), unhex("a7bcb00c"));
        assert_eq!(
            ring.first().purpose(Purpose::Login).expose().to_vec(),
            unhex("140292475d325b5c7b2a57a6de724e96b4f2fd6d3c00e9a646c48272e17f702e")
        );
        assert_eq!(
            ring.first().purpose(Purpose::Signing).expose().to_vec(),
            unhex("b985fce30d138ffce01f0d7be0d6ae5a1317e4501b2155c6876cee69cbc87ab4")
        );
    }

    #[test]
    fn a_ring_has_one_to_eight_keys_of_different_names() {
        assert_eq!(ring(&[]).unwrap_err(), KeyRingError::Empty);
        assert_eq!(ring(&[1, 2, 1]).unwrap_err(), KeyRingError::SameKid);
        assert_eq!(ring(&[1, 2, 3, 4, 5, 6, 7, 8, 9]).unwrap_err(), KeyRingError::TooMany);
        assert_eq!(ring(&[1, 2, 3, 4, 5, 6, 7, 8]).unwrap().kids().count(), MAX_KEYS);
    }

    #[test]
    fn cr_09_a_name_of_no_key_finds_none() {
        let ring = ring(&[1, 2]).unwrap();
        for kid in [[0; 4], [0xff; 4], [1, 2, 3, 4]] {
            assert!(ring.find(Kid::read(kid)).is_none());
        }
        assert!(ring.kids().all(|kid| ring.find(kid).is_some()));
    }

    #[test]
    fn st_08_every_purpose_has_a_key_of_its_own() {
        let ring = ring(&[1]).unwrap();
        let keys: std::collections::HashSet<_> =
            Purpose::ALL.iter().map(|purpose| *ring.first().purpose(*purpose).expose()).collect();
        assert_eq!(keys.len(), Purpose::ALL.len());
        assert!(!keys.contains(ring.first().root().expose()));
    }

    #[test]
    fn debug_shows_names_and_no_keys() {
        let shown = format!("{:?}", ring(&[1]).unwrap());
        assert!(shown.starts_with("[Kid(") && shown.len() < 20, "{shown}");
    }

    #[test]
    fn pseudonyms_tell_people_apart_and_do_not_name_them() {
        let ring = ring(&[1]).unwrap();
        let alice = ring.pseudonym("https://id.example", "alice");
        assert_eq!(alice.len(), 16);
        assert_eq!(alice, ring.pseudonym("https://id.example", "alice"));
        assert_ne!(alice, ring.pseudonym("https://id.examplea", "lice"));
        assert_ne!(alice, self::ring(&[2]).unwrap().pseudonym("https://id.example", "alice"));
    }
}
