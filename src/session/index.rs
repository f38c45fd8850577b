//! The indexes by which sessions are found without their cookies. Their names are keyed hashes and tell nothing.

use hmac::Mac;

use super::key_ring::{KeyRing, Purpose, RingKey};
use super::store::IndexKey;
use super::tlv::tlv;

/// What sessions are looked up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexName<'a> {
    /// One session at the provider.
    Sid {
        /// The issuer.
        issuer: &'a str,
        /// The provider's name for the session.
        sid: &'a str,
    },
    /// Everything of one person.
    Subject {
        /// The issuer.
        issuer: &'a str,
        /// The subject.
        subject: &'a str,
    },
}

impl IndexName<'_> {
    /// The name under the key that seals: where new sessions are entered.
    pub(super) fn under_first_key(self, ring: &KeyRing, namespace: &str) -> IndexKey {
        self.under(ring.first(), namespace)
    }

    /// The names under all keys: where sessions are looked for.
    pub(super) fn under_all_keys(self, ring: &KeyRing, namespace: &str) -> Vec<IndexKey> {
        ring.keys().map(|key| self.under(key, namespace)).collect()
    }

    fn under(self, key: &RingKey, namespace: &str) -> IndexKey {
        let (kind, issuer, value) = match self {
            Self::Sid { issuer, sid } => (&b"sid"[..], issuer, sid),
            Self::Subject { issuer, subject } => (&b"sub"[..], issuer, subject),
        };
        let message = tlv(&[kind, namespace.as_bytes(), issuer.as_bytes(), value.as_bytes()]);
        IndexKey(key.mac(Purpose::Index, &message).finalize().into_bytes().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SealingKey;
    use crate::session::testing::hex;

    const NAMESPACE: &str = "https://wiki.example.com";

    fn ring(keys: &[u8]) -> KeyRing {
        KeyRing::new(keys.iter().map(|byte| SealingKey::new([*byte; 32])).collect()).unwrap()
    }

    #[test]
    fn the_names_are_those_of_the_fixed_vectors() {
        let issuer = "https://id.example.com";
        let sid = IndexName::Sid { issuer, sid: "sid-1" }.under_first_key(&ring(&[1]), NAMESPACE);
        let subject = IndexName::Subject { issuer, subject: "alice" }.under_first_key(&ring(&[1]), NAMESPACE);
        assert_eq!(hex(sid.as_bytes()), "00edfd7f043e0a49bcd5637022135d74f9c982f01493d9463be7d97690dc4094");
        assert_eq!(hex(subject.as_bytes()), "1ee570f18d625d01e562c213a88b4efe283f278867fcfca5c556dfc2f29f11b6");
    }

    #[test]
    fn ss_05_names_differ_by_kind_gateway_issuer_value_and_key() {
        let ring = ring(&[1]);
        let under = |name: IndexName<'_>, namespace| *name.under_first_key(&ring, namespace).as_bytes();
        let names: std::collections::HashSet<_> = [
            under(IndexName::Sid { issuer: "a", sid: "bc" }, NAMESPACE),
            under(IndexName::Sid { issuer: "ab", sid: "c" }, NAMESPACE),
            under(IndexName::Subject { issuer: "a", subject: "bc" }, NAMESPACE),
            under(IndexName::Subject { issuer: "a", subject: "bc" }, "https://other.example.com"),
            *IndexName::Subject { issuer: "a", subject: "bc" }.under_first_key(&self::ring(&[2]), NAMESPACE).as_bytes(),
        ]
        .into();
        assert_eq!(names.len(), 5);
    }

    #[test]
    fn sessions_are_looked_for_under_all_keys() {
        let name = IndexName::Subject { issuer: "a", subject: "b" };
        let all = name.under_all_keys(&ring(&[2, 1]), NAMESPACE);
        assert_eq!(all.len(), 2);
        assert!(all.contains(&name.under_first_key(&ring(&[1]), NAMESPACE)));
        assert_eq!(all.first(), Some(&name.under_first_key(&ring(&[2]), NAMESPACE)));
    }
}
