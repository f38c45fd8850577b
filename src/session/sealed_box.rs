//! What is sealed under the key ring alone: ver 1 ‖ kid 4 ‖ salt 32 ‖ ciphertext ‖ tag 16.
//!
//! Cards, login attempts and the `state` of a logout have this form; each has a key, a label and associated bytes of
//! its own, so none passes for another.

use zeroize::Zeroizing;

use super::key_ring::{KeyRing, Kid, Purpose};
use super::sealing::{MessageKey, TAG_LENGTH};
use super::tlv::tlv;
use crate::entropy::{Entropy, NoEntropy, draw};

const VERSION: u8 = 1;
const HEAD_LENGTH: usize = 1 + 4 + 32;

/// Why something sealed does not open. All look the same from outside; logs may tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Not of this form at all, or of an unknown version.
    #[error("not of this form")]
    Malformed,
    /// Sealed under a key that is not in the ring.
    #[error("sealed under a key that is not in the ring")]
    UnknownKey,
    /// Changed, or sealed for something else.
    #[error("changed, or sealed for something else")]
    NotAuthentic,
}

impl Rejected {
    /// The code for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown-key",
            Self::NotAuthentic => "not-authentic",
        }
    }
}

/// One kind of sealed thing.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    /// Which derived key seals it.
    pub(super) purpose: Purpose,
    /// HKDF's info.
    pub(super) info: &'static [u8],
}

impl Kind {
    /// Seals `message`; `bound` must be the same when it is opened.
    ///
    /// # Errors
    /// [`NoEntropy`] when no salt could be drawn.
    pub(super) fn seal(
        self,
        ring: &KeyRing,
        bound: &[&[u8]],
        message: Zeroizing<Vec<u8>>,
        entropy: &dyn Entropy,
    ) -> Result<Vec<u8>, NoEntropy> {
        let salt: [u8; 32] = draw(entropy)?;
        let key = ring.first();
        let mut whole = Vec::with_capacity(HEAD_LENGTH + message.len() + TAG_LENGTH);
        whole.push(VERSION);
        whole.extend_from_slice(key.kid().as_bytes());
        whole.extend_from_slice(&salt);
        let sealed =
            MessageKey::derive(key.purpose(self.purpose).expose(), &salt, self.info).seal(&aad(&whole, bound), message);
        whole.extend_from_slice(&sealed);
        Ok(whole)
    }

    /// Opens what [`Kind::seal`] made, and says which key had sealed it.
    ///
    /// # Errors
    /// [`Rejected`]; no part of the message comes out then.
    pub(super) fn open(
        self,
        ring: &KeyRing,
        bound: &[&[u8]],
        whole: &[u8],
    ) -> Result<(Kid, Zeroizing<Vec<u8>>), Rejected> {
        let (head, sealed) = whole.split_at_checked(HEAD_LENGTH).ok_or(Rejected::Malformed)?;
        let (start, salt) = head.split_first_chunk::<5>().ok_or(Rejected::Malformed)?;
        let [VERSION, kid @ ..] = *start else { return Err(Rejected::Malformed) };
        if sealed.len() < TAG_LENGTH {
            return Err(Rejected::Malformed);
        }
        let kid = Kid::read(kid);
        let key = ring.find(kid).ok_or(Rejected::UnknownKey)?;
        let message = MessageKey::derive(key.purpose(self.purpose).expose(), salt, self.info)
            .open(&aad(head, bound), sealed)
            .map_err(|_| Rejected::NotAuthentic)?;
        Ok((kid, message))
    }
}

fn aad(head: &[u8], bound: &[&[u8]]) -> Vec<u8> {
    let parts: Vec<&[u8]> = std::iter::once(head).chain(bound.iter().copied()).collect();
    tlv(&parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SealingKey;
    use crate::session::testing::Counted;

    const KIND: Kind = Kind { purpose: Purpose::Card, info: b"vestibule/card/v1" };
    const OTHER: Kind = Kind { purpose: Purpose::State, info: b"vestibule/state/v1" };

    fn ring(keys: &[u8]) -> KeyRing {
        KeyRing::new(keys.iter().map(|byte| SealingKey::new([*byte; 32])).collect()).unwrap()
    }

    fn seal(ring: &KeyRing) -> Vec<u8> {
        KIND.seal(ring, &[b"a", b"bc"], Zeroizing::new(b"message".to_vec()), &Counted::default()).unwrap()
    }

    #[test]
    fn cr_05_no_flipped_bit_and_no_missing_byte_opens() {
        let ring = ring(&[1]);
        let whole = seal(&ring);
        assert_eq!(KIND.open(&ring, &[b"a", b"bc"], &whole).unwrap().1.to_vec(), b"message");
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut flipped = whole.clone();
                flipped[at] ^= 1 << bit;
                assert!(KIND.open(&ring, &[b"a", b"bc"], &flipped).is_err(), "byte {at} bit {bit}");
            }
            assert!(KIND.open(&ring, &[b"a", b"bc"], &whole[..at]).is_err(), "{at} bytes");
        }
    }

    #[test]
    fn cr_04_no_other_version_is_opened() {
        let ring = ring(&[1]);
        let mut whole = seal(&ring);
        for version in (0..=u8::MAX).filter(|version| *version != VERSION) {
            whole[0] = version;
            assert_eq!(KIND.open(&ring, &[b"a", b"bc"], &whole), Err(Rejected::Malformed), "version {version}");
        }
    }

    #[test]
    fn cr_06_bound_bytes_cannot_move_between_fields() {
        let ring = ring(&[1]);
        let whole = seal(&ring);
        assert_eq!(KIND.open(&ring, &[b"ab", b"c"], &whole), Err(Rejected::NotAuthentic));
        assert_eq!(KIND.open(&ring, &[b"abc"], &whole), Err(Rejected::NotAuthentic));
    }

    #[test]
    fn st_08_one_kind_does_not_open_as_another() {
        let ring = ring(&[1]);
        assert_eq!(OTHER.open(&ring, &[b"a", b"bc"], &seal(&ring)), Err(Rejected::NotAuthentic));
        let other_label = Kind { info: b"vestibule/card/v2", ..KIND };
        assert_eq!(other_label.open(&ring, &[b"a", b"bc"], &seal(&ring)), Err(Rejected::NotAuthentic));
    }

    #[test]
    fn cr_09_a_key_outside_the_ring_is_named_and_not_replaced_by_a_guess() {
        let whole = seal(&ring(&[1]));
        assert_eq!(KIND.open(&ring(&[2]), &[b"a", b"bc"], &whole), Err(Rejected::UnknownKey));
        assert!(KIND.open(&ring(&[2, 1]), &[b"a", b"bc"], &whole).is_ok());
        // The name of the other key on it does not make it that key's.
        let ring = ring(&[2, 1]);
        let mut renamed = whole;
        renamed[1..5].copy_from_slice(ring.first().kid().as_bytes());
        assert_eq!(KIND.open(&ring, &[b"a", b"bc"], &renamed), Err(Rejected::NotAuthentic));
    }

    #[test]
    fn the_same_message_is_never_sealed_to_the_same_bytes() {
        let (ring, entropy) = (ring(&[1]), Counted::default());
        let seal = || KIND.seal(&ring, &[], Zeroizing::new(b"m".to_vec()), &entropy).unwrap();
        assert_ne!(seal(), seal());
    }
}
