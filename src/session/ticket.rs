//! The session cookie: base64url(ver 1 ‖ id 18 ‖ secret 32), and the key under which the store knows its session.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::tlv::tlv;
use crate::entropy::{Entropy, NoEntropy, draw};
use crate::origin::Host;
use crate::secret::{SessionId, SessionSecret};

const VERSION: u8 = 1;
const LENGTH: usize = 1 + SessionId::LENGTH + SessionSecret::LENGTH;

/// Length of the cookie's value: 51 bytes in base64url have no padding and no spare bits, so one value has one form.
pub const COOKIE_LENGTH: usize = 68;

/// The value is no session cookie of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a session cookie")]
pub(super) struct MalformedTicket;

/// What a browser shows: which session, and the secret that opens it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    id: SessionId,
    secret: SessionSecret,
}

impl Ticket {
    /// A ticket nobody has had before.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source of randomness fails.
    pub(super) fn draw(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        Ok(Self { id: SessionId::new(draw(entropy)?), secret: SessionSecret::new(draw(entropy)?) })
    }

    /// Reads a cookie's value: exactly what [`Ticket::encode`] writes.
    ///
    /// # Errors
    /// [`MalformedTicket`] for any other length, alphabet or version.
    pub(super) fn decode(value: &[u8]) -> Result<Self, MalformedTicket> {
        if value.len() != COOKIE_LENGTH {
            return Err(MalformedTicket);
        }
        let mut bytes = Zeroizing::new([0; LENGTH]);
        let length = URL_SAFE_NO_PAD.decode_slice(value, &mut *bytes).map_err(|_| MalformedTicket)?;
        let (version, rest) = bytes.split_first().ok_or(MalformedTicket)?;
        let (id, rest) = rest.split_first_chunk::<{ SessionId::LENGTH }>().ok_or(MalformedTicket)?;
        let (secret, rest) = rest.split_first_chunk::<{ SessionSecret::LENGTH }>().ok_or(MalformedTicket)?;
        if length != LENGTH || *version != VERSION || !rest.is_empty() {
            return Err(MalformedTicket);
        }
        Ok(Self { id: SessionId::new(*id), secret: SessionSecret::new(*secret) })
    }

    /// The cookie's value.
    pub(super) fn encode(&self) -> String {
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(VERSION);
        bytes.extend_from_slice(self.id.expose());
        bytes.extend_from_slice(self.secret.expose());
        URL_SAFE_NO_PAD.encode(&*bytes)
    }

    pub(super) const fn id(&self) -> &SessionId {
        &self.id
    }

    pub(super) const fn secret(&self) -> &SessionSecret {
        &self.secret
    }
}

/// The name of a session in the store; says nothing about the cookie it was made from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreKey([u8; 32]);

impl StoreKey {
    /// SHA-256(TLV("vestibule/session/v1", namespace, host, id)).
    #[must_use]
    pub fn of(namespace: &str, host: &Host, id: &SessionId) -> Self {
        let named = tlv(&[b"vestibule/session/v1", namespace.as_bytes(), host.as_str().as_bytes(), id.expose()]);
        Self(Sha256::digest(&*Zeroizing::new(named)).into())
    }

    /// The key that a record or a card of ours names.
    pub(super) const fn of_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for StoreKey {
    /// Sixty-four hexadecimal digits: the name by which people end a session. It opens nothing.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The text names no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a session: 64 hexadecimal digits")]
pub struct MalformedStoreKey;

impl FromStr for StoreKey {
    type Err = MalformedStoreKey;

    /// Reads exactly what is written: one session has one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return Err(MalformedStoreKey) };
        let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(MalformedStoreKey)
    }
}

impl fmt::Debug for StoreKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(formatter, "StoreKey({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Scheme;
    use crate::session::testing::{Counted, Exhausted, hex};
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn host(name: &str) -> Host {
        Host::parse(name, Scheme::Https).unwrap()
    }

    fn fixed() -> Ticket {
        Ticket {
            id: SessionId::new(std::array::from_fn(|at| u8::try_from(at).unwrap())),
            secret: SessionSecret::new(std::array::from_fn(|at| u8::try_from(0x40 + at).unwrap())),
        }
    }

    #[test]
    fn cookie_and_store_key_are_those_of_the_fixed_vectors() {
        let cookie = "AQABAgMEBQYHCAkKCwwNDg8QEUBBQkNERUZHSElKS0xNTk9QUVJTVFVWV1hZWltcXV5f";
        assert_eq!(fixed().encode(), cookie);
        assert_eq!(cookie.len(), COOKIE_LENGTH);
        assert_eq!(Ticket::decode(cookie.as_bytes()), Ok(fixed()));
        let key = StoreKey::of("https://wiki.example.com", &host("wiki.example.com"), fixed().id());
        assert_eq!(hex(key.as_bytes()), "50291ce9129119b3fe4b5b14cd1b5976cbcca6bf1ded2f0d02d71d9c6eb9cfc8");
    }

    #[test]
    fn a_store_key_has_one_name_and_is_found_by_it_alone() {
        let key = StoreKey::of("https://wiki.example.com", &host("wiki.example.com"), fixed().id());
        let name = key.to_string();
        assert_eq!(name, "50291ce9129119b3fe4b5b14cd1b5976cbcca6bf1ded2f0d02d71d9c6eb9cfc8");
        assert_eq!(name.parse(), Ok(key));
        for other in ["", "50", &name.to_uppercase(), &format!("{name}0"), &format!("{name}00"), &"é".repeat(32)] {
            assert_eq!(other.parse::<StoreKey>(), Err(MalformedStoreKey), "{other}");
        }
    }

    #[test]
    fn ck_05_anything_else_is_no_cookie() {
        let good = fixed().encode();
        let mut bad: Vec<Vec<u8>> = vec![
            vec![],
            vec![b'A'],
            vec![0; COOKIE_LENGTH],
            vec![b'A'; 100 << 10],
            b"%00".to_vec(),
            good.as_bytes()[1..].to_vec(),
            [good.as_bytes(), b"A"].concat(),
            [good.as_bytes(), b"="].concat(),
            [b"\"", good.as_bytes(), b"\""].concat(),
            good.replace('A', "+").into_bytes(),
            // Version 0 and version 2.
            [b"AA", &good.as_bytes()[2..]].concat(),
            [b"Ag", &good.as_bytes()[2..]].concat(),
        ];
        for byte in [b'+', b'/', b'=', b' ', b'\n', 0, 0xff] {
            let mut value = good.clone().into_bytes();
            value[30] = byte;
            bad.push(value);
        }
        for value in bad {
            assert_eq!(Ticket::decode(&value), Err(MalformedTicket), "{:?}", String::from_utf8_lossy(&value));
        }
    }

    #[test]
    fn ck_16_a_store_key_belongs_to_one_gateway_one_host_and_one_id() {
        let id = |byte| SessionId::new([byte; 18]);
        let keys: HashSet<_> = [
            StoreKey::of("https://a.example", &host("a.example"), &id(1)),
            StoreKey::of("https://a.example/x", &host("a.example"), &id(1)),
            StoreKey::of("https://a.example", &host("b.example"), &id(1)),
            StoreKey::of("https://a.example", &host("a.example"), &id(2)),
            StoreKey::of("https://a.examplea", &host(".example".trim_start_matches('.')), &id(1)),
        ]
        .into();
        assert_eq!(keys.len(), 5);
    }

    #[test]
    fn ids_are_unique_and_need_entropy() {
        let entropy = Counted::default();
        let drawn: HashSet<_> = (0..2_000).map(|_| Ticket::draw(&entropy).unwrap().encode()).collect();
        assert_eq!(drawn.len(), 2_000);
        assert_eq!(Ticket::draw(&Exhausted), Err(NoEntropy));
    }

    #[test]
    fn debug_shows_neither_id_nor_secret() {
        assert_eq!(format!("{:?}", fixed()), "Ticket { id: SessionId[redacted], secret: SessionSecret[redacted] }");
    }

    proptest! {
        #[test]
        fn ck_05_decoding_never_panics_and_accepts_only_its_own_form(value in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(ticket) = Ticket::decode(&value) {
                prop_assert_eq!(ticket.encode().into_bytes(), value);
            }
        }

        #[test]
        fn every_ticket_comes_back(id in any::<[u8; 18]>(), secret in any::<[u8; 32]>()) {
            let ticket = Ticket { id: SessionId::new(id), secret: SessionSecret::new(secret) };
            prop_assert_eq!(Ticket::decode(ticket.encode().as_bytes()), Ok(ticket));
        }
    }
}
