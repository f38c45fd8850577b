//! AES-256-GCM under a key that HKDF-SHA-256 makes for one message alone (RFC 5869, NIST SP 800-38D).
//!
//! A key is moved into the one message it seals, so a nonce cannot meet the same key twice; and plaintext comes out
//! only of a message that has been verified as a whole.

use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes256Gcm, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Length of the authentication tag at the end of a sealed message.
pub(super) const TAG_LENGTH: usize = 16;

/// The message is not what was sealed under this key and these associated bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealed bytes are not authentic")]
pub(super) struct NotAuthentic;

/// Key and nonce of one message.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(super) struct MessageKey {
    key: [u8; 32],
    nonce: [u8; 12],
}

impl MessageKey {
    /// Key 32 ‖ nonce 12 from HKDF-SHA-256.
    pub(super) fn derive(input_key: &[u8], salt: &[u8], info: &[u8]) -> Self {
        let bytes: Zeroizing<[u8; 44]> = expand(input_key, Some(salt), info);
        let mut derived = Self { key: [0; 32], nonce: [0; 12] };
        for (to, from) in derived.key.iter_mut().chain(derived.nonce.iter_mut()).zip(bytes.iter()) {
            *to = *from;
        }
        derived
    }

    /// Seals `message` in place: ciphertext ‖ tag.
    #[expect(clippy::expect_used, reason = "AES-GCM refuses only messages over 64 GiB; ours are bounded to 64 KiB")]
    pub(super) fn seal(self, associated: &[u8], mut message: Zeroizing<Vec<u8>>) -> Vec<u8> {
        // Growing later would leave the plaintext behind in the old allocation.
        let mut sealed = Zeroizing::new(Vec::with_capacity(message.len() + TAG_LENGTH));
        sealed.extend_from_slice(&message);
        message.zeroize();
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(self.key));
        cipher.encrypt_in_place(&Nonce::from(self.nonce), associated, &mut *sealed).expect("the message is short");
        std::mem::take(&mut *sealed)
    }

    /// Verifies ciphertext ‖ tag, and only then gives the message out.
    ///
    /// # Errors
    /// [`NotAuthentic`] when a bit of the bytes, of `associated` or of the key differs.
    pub(super) fn open(self, associated: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotAuthentic> {
        let mut message = Zeroizing::new(sealed.to_vec());
        let cipher = Aes256Gcm::new(&Key::<Aes256Gcm>::from(self.key));
        cipher.decrypt_in_place(&Nonce::from(self.nonce), associated, &mut *message).map_err(|_| NotAuthentic)?;
        Ok(message)
    }
}

/// `N` bytes from HKDF-SHA-256 (RFC 5869).
#[expect(clippy::expect_used, reason = "HKDF refuses only outputs over 8160 bytes")]
pub(super) fn expand<const N: usize>(input_key: &[u8], salt: Option<&[u8]>, info: &[u8]) -> Zeroizing<[u8; N]> {
    let mut output = Zeroizing::new([0; N]);
    Hkdf::<Sha256>::new(salt, input_key).expand(info, &mut *output).expect("the output is short");
    output
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::testing::unhex;
    use proptest::prelude::*;

    mod wycheproof;

    #[test]
    fn cr_12_hkdf_gives_the_first_vector_of_rfc_5869() {
        let salt: Vec<u8> = (0x00..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let output: Zeroizing<[u8; 42]> = expand(&[0x0b; 22], Some(&salt), &info);
        assert_eq!(
            output.to_vec(),
            unhex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865")
        );
    }

    #[test]
    fn cr_12_aes_256_gcm_gives_the_vectors_of_its_specification() {
        let key = || MessageKey { key: [0; 32], nonce: [0; 12] };
        assert_eq!(key().seal(b"", Zeroizing::new(vec![])), unhex("530f8afbc74536b9a963b4f1c4cb738b"));
        assert_eq!(
            key().seal(b"", Zeroizing::new(vec![0; 16])),
            unhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
        );
    }

    #[test]
    fn cr_11_keys_and_tokens_are_wiped_by_their_types() {
        use crate::secret::{
            AccessToken, BrowserSecret, RawIdToken, RefreshToken, SealingKey, SessionId, SessionSecret,
        };
        fn wiped<T: ZeroizeOnDrop>() {}
        wiped::<MessageKey>();
        wiped::<SealingKey>();
        wiped::<SessionId>();
        wiped::<SessionSecret>();
        wiped::<BrowserSecret>();
        wiped::<AccessToken>();
        wiped::<RefreshToken>();
        wiped::<RawIdToken>();
        wiped::<Aes256Gcm>();
    }

    #[test]
    fn bytes_shorter_than_a_tag_are_not_authentic() {
        for length in 0..TAG_LENGTH {
            assert_eq!(MessageKey::derive(b"k", b"s", b"i").open(b"", &vec![0; length]), Err(NotAuthentic));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn cr_05_what_was_sealed_opens_and_any_flipped_bit_gives_nothing(
            message in prop::collection::vec(any::<u8>(), 0..200),
            associated in prop::collection::vec(any::<u8>(), 0..40),
            flip in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let key = || MessageKey::derive(b"key", b"salt", b"info");
            let sealed = key().seal(&associated, Zeroizing::new(message.clone()));
            prop_assert_eq!(key().open(&associated, &sealed).map(|opened| opened.to_vec()), Ok(message));
            let mut flipped = sealed.clone();
            *flip.get_mut(&mut flipped) ^= 1 << bit;
            prop_assert_eq!(key().open(&associated, &flipped), Err(NotAuthentic));
            let mut other = associated;
            other.push(0);
            prop_assert_eq!(key().open(&other, &sealed), Err(NotAuthentic));
            prop_assert_eq!(MessageKey::derive(b"kex", b"salt", b"info").open(&other, &sealed), Err(NotAuthentic));
        }
    }
}
