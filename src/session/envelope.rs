//! The outside of a record: ver 1 ‖ kid 4 ‖ generation 8 ‖ absolute_expiry 8 ‖ salt 32 ‖ ciphertext ‖ tag 16.
//!
//! Key and nonce come from the cookie's secret and the ring key together, so neither the store with the server's keys
//! nor the cookie without them opens anything. What stands before the ciphertext is readable and authenticated.

use zeroize::Zeroizing;

use super::key_ring::{KeyRing, Kid};
use super::sealed_box::Rejected;
use super::sealing::{MessageKey, TAG_LENGTH};
use super::ticket::StoreKey;
use super::tlv::tlv;
use crate::clock::Timestamp;
use crate::entropy::{Entropy, NoEntropy, draw};
use crate::origin::Host;
use crate::secret::SessionSecret;

const VERSION: u8 = 1;
const HEAD_LENGTH: usize = 1 + 4 + 8 + 8 + 32;
const MAX_LENGTH: usize = HEAD_LENGTH + super::record::MAX_RECORD_BYTES + TAG_LENGTH;

/// What a record is bound to: it opens nowhere else.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) namespace: &'a str,
    pub(super) host: &'a Host,
    pub(super) store_key: &'a StoreKey,
}

impl Place<'_> {
    fn message_key(&self, secret: &SessionSecret, ring_key: &[u8; 32], salt: &[u8]) -> MessageKey {
        let host = self.host.as_str().as_bytes();
        let info = tlv(&[b"vestibule/record/v1", self.namespace.as_bytes(), host, salt]);
        MessageKey::derive(secret.expose(), ring_key, &info)
    }

    fn associated(&self, head: &[u8]) -> Vec<u8> {
        let host = self.host.as_str().as_bytes();
        tlv(&[head, self.store_key.as_bytes(), self.namespace.as_bytes(), host])
    }
}

/// An opened record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OpenedRecord {
    pub(super) generation: u64,
    pub(super) absolute_expiry: Timestamp,
    pub(super) content: Zeroizing<Vec<u8>>,
}

/// Seals a record under the first key, with a fresh salt.
///
/// # Errors
/// [`NoEntropy`] when no salt could be drawn.
pub(super) fn seal(
    place: Place<'_>,
    ring: &KeyRing,
    secret: &SessionSecret,
    record: OpenedRecord,
    entropy: &dyn Entropy,
) -> Result<Vec<u8>, NoEntropy> {
    let salt: [u8; 32] = draw(entropy)?;
    let key = ring.first();
    let mut whole = Vec::with_capacity(HEAD_LENGTH + record.content.len() + TAG_LENGTH);
    whole.push(VERSION);
    whole.extend_from_slice(key.kid().as_bytes());
    whole.extend_from_slice(&record.generation.to_be_bytes());
    whole.extend_from_slice(&record.absolute_expiry.as_seconds().to_be_bytes());
    whole.extend_from_slice(&salt);
    let sealed = place.message_key(secret, key.root().expose(), &salt).seal(&place.associated(&whole), record.content);
    whole.extend_from_slice(&sealed);
    Ok(whole)
}

/// The key that a record says it is sealed under.
pub(super) fn sealed_under(whole: &[u8]) -> Option<Kid> {
    let (_, rest) = whole.split_first()?;
    rest.first_chunk::<4>().copied().map(Kid::read)
}

/// Opens a record with the secret of its cookie and the one key it names.
///
/// # Errors
/// [`Rejected`]; a wrong secret cannot be told from changed bytes.
pub(super) fn open(
    place: Place<'_>,
    ring: &KeyRing,
    secret: &SessionSecret,
    whole: &[u8],
) -> Result<OpenedRecord, Rejected> {
    if whole.len() > MAX_LENGTH {
        return Err(Rejected::Malformed);
    }
    let (head, sealed) = whole.split_at_checked(HEAD_LENGTH).ok_or(Rejected::Malformed)?;
    let (start, rest) = head.split_first_chunk::<5>().ok_or(Rejected::Malformed)?;
    let (generation, rest) = rest.split_first_chunk::<8>().ok_or(Rejected::Malformed)?;
    let (absolute_expiry, salt) = rest.split_first_chunk::<8>().ok_or(Rejected::Malformed)?;
    let [VERSION, kid @ ..] = *start else { return Err(Rejected::Malformed) };
    if sealed.len() < TAG_LENGTH {
        return Err(Rejected::Malformed);
    }
    let key = ring.find(Kid::read(kid)).ok_or(Rejected::UnknownKey)?;
    let content = place
        .message_key(secret, key.root().expose(), salt)
        .open(&place.associated(head), sealed)
        .map_err(|_| Rejected::NotAuthentic)?;
    Ok(OpenedRecord {
        generation: u64::from_be_bytes(*generation),
        absolute_expiry: Timestamp::from_seconds(u64::from_be_bytes(*absolute_expiry)),
        content,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Scheme;
    use crate::secret::{SealingKey, SessionId};
    use crate::session::testing::{Counted, Exhausted, hex};

    const NAMESPACE: &str = "https://wiki.example.com";

    fn ring(keys: &[u8]) -> KeyRing {
        KeyRing::new(keys.iter().map(|byte| SealingKey::new([*byte; 32])).collect()).unwrap()
    }

    fn host(name: &str) -> Host {
        Host::parse(name, Scheme::Https).unwrap()
    }

    fn store_key(id: u8) -> StoreKey {
        StoreKey::of(NAMESPACE, &host("wiki.example.com"), &SessionId::new([id; 18]))
    }

    fn record() -> OpenedRecord {
        OpenedRecord {
            generation: 7,
            absolute_expiry: Timestamp::from_seconds(1_800_036_000),
            content: Zeroizing::new(b"content".to_vec()),
        }
    }

    fn with_place<T>(id: u8, use_it: impl FnOnce(Place<'_>) -> T) -> T {
        use_it(Place { namespace: NAMESPACE, host: &host("wiki.example.com"), store_key: &store_key(id) })
    }

    fn sealed(ring: &KeyRing) -> Vec<u8> {
        with_place(1, |place| seal(place, ring, &SessionSecret::new([2; 32]), record(), &Counted::default()).unwrap())
    }

    fn opened(ring: &KeyRing, whole: &[u8]) -> Result<OpenedRecord, Rejected> {
        with_place(1, |place| open(place, ring, &SessionSecret::new([2; 32]), whole))
    }

    #[test]
    fn the_layout_is_that_of_the_fixed_vector() {
        let ring = ring(&[1]);
        assert_eq!(
            hex(&sealed(&ring)),
            "01ad7c66690000000000000007000000006b4a5ea0000000000000000001010101010101010202020202020202030303\
             0303030303a5b895b2604fc42874c39d990b05ed6913ade810461e76"
        );
        assert_eq!(opened(&ring, &sealed(&ring)), Ok(record()));
    }

    #[test]
    fn ss_03_no_flipped_bit_and_no_missing_byte_opens() {
        let ring = ring(&[1]);
        let whole = sealed(&ring);
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << (at % 8);
            assert!(opened(&ring, &flipped).is_err(), "byte {at}");
            assert!(opened(&ring, &whole[..at]).is_err(), "{at} bytes");
        }
        assert_eq!(opened(&ring, &[whole, vec![0; 10 << 20]].concat()), Err(Rejected::Malformed));
    }

    #[test]
    fn cr_07_a_record_opens_only_where_it_was_sealed() {
        let ring = ring(&[1]);
        let (whole, secret) = (sealed(&ring), SessionSecret::new([2; 32]));
        let (here, key) = (host("wiki.example.com"), store_key(1));
        let place = Place { namespace: NAMESPACE, host: &here, store_key: &key };
        assert!(open(place, &ring, &secret, &whole).is_ok());
        let other_host = host("tools.example.com");
        let other_key = store_key(9);
        for elsewhere in [
            Place { namespace: "https://wiki.example.com/x", ..place },
            Place { host: &other_host, ..place },
            Place { store_key: &other_key, ..place },
        ] {
            assert_eq!(open(elsewhere, &ring, &secret, &whole), Err(Rejected::NotAuthentic));
        }
        assert_eq!(open(place, &ring, &SessionSecret::new([3; 32]), &whole), Err(Rejected::NotAuthentic));
        let mut older = whole;
        older[12] = 6;
        assert_eq!(open(place, &ring, &secret, &older), Err(Rejected::NotAuthentic));
    }

    #[test]
    fn cr_09_only_the_key_it_names_is_tried() {
        let whole = sealed(&ring(&[1]));
        assert_eq!(opened(&ring(&[2]), &whole), Err(Rejected::UnknownKey));
        assert_eq!(opened(&ring(&[2, 1]), &whole), Ok(record()));
        for kid in [[0; 4], [0xff; 4], *ring(&[2]).first().kid().as_bytes()] {
            let mut renamed = whole.clone();
            renamed[1..5].copy_from_slice(&kid);
            assert!(opened(&ring(&[2, 1]), &renamed).is_err());
        }
    }

    #[test]
    fn cr_04_no_other_version_is_opened() {
        let ring = ring(&[1]);
        let mut whole = sealed(&ring);
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            whole[0] = version;
            assert_eq!(opened(&ring, &whole), Err(Rejected::Malformed), "version {version}");
        }
    }

    #[test]
    fn cr_10_without_randomness_nothing_is_sealed() {
        let sealed =
            with_place(1, |place| seal(place, &ring(&[1]), &SessionSecret::new([2; 32]), record(), &Exhausted));
        assert_eq!(sealed, Err(NoEntropy));
    }
}
