//! The login cookie: one secret per browser, from which the nonce and verifier of every attempt are derived.
//!
//! ver 1 ‖ kid 4 ‖ browser secret 32 ‖ count 1 ‖ since 8 ‖ HMAC-SHA-256 32, in base64url: always 104 characters,
//! however many tabs are logging in.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::key_ring::{KeyRing, Kid, Purpose};
use super::sealed_box::Rejected;
use super::tlv::tlv;
use crate::clock::Timestamp;
use crate::entropy::{Entropy, NoEntropy, draw};
use crate::origin::Host;
use crate::secret::BrowserSecret;

const VERSION: u8 = 1;
const SIGNED_LENGTH: usize = 1 + 4 + BrowserSecret::LENGTH + 1 + 8;
const LENGTH: usize = SIGNED_LENGTH + 32;

/// Length of the cookie's value: 78 bytes in base64url have no padding and no spare bits.
pub const LOGIN_COOKIE_LENGTH: usize = 104;

/// `Max-Age` of the login cookie: as long as an attempt lives.
pub const LOGIN_COOKIE_LIFETIME: Duration = Duration::from_secs(3600);

const LOOP_WINDOW: Duration = Duration::from_secs(30);
const LOOP_COUNT: u8 = 3;

/// Where a login takes place: what is made for one gateway and host is worth nothing at another.
#[derive(Clone, Copy, Debug)]
pub struct LoginPlace<'a> {
    /// The keys.
    pub ring: &'a KeyRing,
    /// Origin and path of the public URL.
    pub namespace: &'a str,
    /// The host of the request.
    pub host: &'a Host,
}

/// An authentic login cookie.
#[derive(Debug, PartialEq, Eq)]
pub struct LoginCookie {
    secret: BrowserSecret,
    count: u8,
    since: Timestamp,
}

impl LoginCookie {
    /// A cookie for a browser that has none.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source of randomness fails.
    pub fn draw(entropy: &dyn Entropy) -> Result<Self, NoEntropy> {
        Ok(Self { secret: BrowserSecret::new(draw(entropy)?), count: 0, since: Timestamp::EPOCH })
    }

    /// Reads a cookie's value.
    ///
    /// # Errors
    /// [`Rejected`]; the browser is then given a new one.
    pub fn decode(place: LoginPlace<'_>, value: &[u8]) -> Result<Self, Rejected> {
        if value.len() != LOGIN_COOKIE_LENGTH {
            return Err(Rejected::Malformed);
        }
        let mut bytes = Zeroizing::new([0; LENGTH]);
        URL_SAFE_NO_PAD.decode_slice(value, &mut *bytes).map_err(|_| Rejected::Malformed)?;
        let (signed, tag) = bytes.split_first_chunk::<SIGNED_LENGTH>().ok_or(Rejected::Malformed)?;
        let (start, rest) = signed.split_first_chunk::<5>().ok_or(Rejected::Malformed)?;
        let (secret, rest) = rest.split_first_chunk::<{ BrowserSecret::LENGTH }>().ok_or(Rejected::Malformed)?;
        let (count, since) = rest.split_first().ok_or(Rejected::Malformed)?;
        let since = since.first_chunk::<8>().ok_or(Rejected::Malformed)?;
        let [VERSION, kid @ ..] = *start else { return Err(Rejected::Malformed) };
        let key = place.ring.find(Kid::read(kid)).ok_or(Rejected::UnknownKey)?;
        key.mac(Purpose::Login, &signed_message(place, signed))
            .verify_slice(tag)
            .map_err(|_| Rejected::NotAuthentic)?;
        Ok(Self {
            secret: BrowserSecret::new(*secret),
            count: *count,
            since: Timestamp::from_seconds(u64::from_be_bytes(*since)),
        })
    }

    /// The cookie's value, under the first key.
    #[must_use]
    pub fn encode(&self, place: LoginPlace<'_>) -> String {
        let key = place.ring.first();
        let mut bytes = Zeroizing::new(Vec::with_capacity(LENGTH));
        bytes.push(VERSION);
        bytes.extend_from_slice(key.kid().as_bytes());
        bytes.extend_from_slice(self.secret.expose());
        bytes.push(self.count);
        bytes.extend_from_slice(&self.since.as_seconds().to_be_bytes());
        let tag = key.mac(Purpose::Login, &signed_message(place, &bytes)).finalize().into_bytes();
        bytes.extend_from_slice(&tag);
        URL_SAFE_NO_PAD.encode(&*bytes)
    }

    /// The cookie after a login that has finished now: the same secret, the counter moved.
    #[must_use]
    pub fn finished(self, now: Timestamp) -> Self {
        let within = self.since <= now && now.since(self.since) < LOOP_WINDOW;
        if within {
            Self { count: self.count.saturating_add(1), ..self }
        } else {
            Self { count: 1, since: now, ..self }
        }
    }

    /// Whether this many logins in 30 seconds mean that something sends the browser round and round.
    #[must_use]
    pub const fn is_looping(&self) -> bool {
        self.count >= LOOP_COUNT
    }

    /// SHA-256 of the browser secret: what attempts and sessions remember of the browser.
    #[must_use]
    pub fn browser(&self) -> [u8; 32] {
        Sha256::digest(self.secret.expose()).into()
    }

    pub(super) const fn secret(&self) -> &BrowserSecret {
        &self.secret
    }
}

fn signed_message(place: LoginPlace<'_>, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let host = place.host.as_str().as_bytes();
    Zeroizing::new(tlv(&[b"vestibule/login/v1", place.namespace.as_bytes(), host, bytes]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Scheme;
    use crate::secret::SealingKey;
    use crate::session::testing::{Counted, Exhausted};
    use crate::session::ticket::Ticket;
    use proptest::prelude::*;

    const NAMESPACE: &str = "https://wiki.example.com";

    fn ring(keys: &[u8]) -> KeyRing {
        KeyRing::new(keys.iter().map(|byte| SealingKey::new([*byte; 32])).collect()).unwrap()
    }

    fn host(name: &str) -> Host {
        Host::parse(name, Scheme::Https).unwrap()
    }

    fn cookie(count: u8, since: u64) -> LoginCookie {
        LoginCookie { secret: BrowserSecret::new([7; 32]), count, since: Timestamp::from_seconds(since) }
    }

    #[test]
    fn the_layout_is_that_of_the_fixed_vector() {
        let (ring, host) = (ring(&[1]), host("wiki.example.com"));
        let place = LoginPlace { ring: &ring, namespace: NAMESPACE, host: &host };
        let value = "Aa18ZmkHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwIAAAAAa0nSAHI-8bGuQWxjveJqKntJ2aVPt16jbHf8ZeVq\
             P8vGYrfh";
        assert_eq!(cookie(2, 1_800_000_000).encode(place), value);
        assert_eq!(value.len(), LOGIN_COOKIE_LENGTH);
        assert_eq!(LoginCookie::decode(place, value.as_bytes()), Ok(cookie(2, 1_800_000_000)));
    }

    #[test]
    fn st_09_a_cookie_of_another_gateway_or_host_is_rejected() {
        let (ring, here, there) = (ring(&[1]), host("wiki.example.com"), host("tools.example.com"));
        let place = LoginPlace { ring: &ring, namespace: NAMESPACE, host: &here };
        let value = cookie(0, 0).encode(place);
        for elsewhere in [
            LoginPlace { namespace: "https://wiki.example.com/x", ..place },
            LoginPlace { namespace: "https://other.example.com", ..place },
            LoginPlace { host: &there, ..place },
        ] {
            assert_eq!(LoginCookie::decode(elsewhere, value.as_bytes()), Err(Rejected::NotAuthentic));
        }
    }

    #[test]
    fn st_13_a_key_that_is_still_listed_serves_and_a_removed_one_does_not() {
        let (old, both, new) = (ring(&[1]), ring(&[2, 1]), ring(&[2]));
        let host = host("wiki.example.com");
        let place = LoginPlace { ring: &old, namespace: NAMESPACE, host: &host };
        let value = cookie(1, 5).encode(place);
        assert!(LoginCookie::decode(LoginPlace { ring: &both, ..place }, value.as_bytes()).is_ok());
        let removed = LoginCookie::decode(LoginPlace { ring: &new, ..place }, value.as_bytes());
        assert_eq!(removed, Err(Rejected::UnknownKey));
    }

    #[test]
    fn st_08_session_and_login_cookies_are_not_exchangeable() {
        let (ring, host) = (ring(&[1]), host("wiki.example.com"));
        let place = LoginPlace { ring: &ring, namespace: NAMESPACE, host: &host };
        let ticket = Ticket::draw(&Counted::default()).unwrap().encode();
        assert_eq!(LoginCookie::decode(place, ticket.as_bytes()), Err(Rejected::Malformed));
        assert!(Ticket::decode(cookie(0, 0).encode(place).as_bytes()).is_err());
    }

    #[test]
    fn the_third_login_within_thirty_seconds_is_a_loop() {
        let at = Timestamp::from_seconds;
        let first = cookie(0, 0).finished(at(100));
        assert!(!first.is_looping());
        let second = first.finished(at(110));
        assert!(!second.is_looping());
        let third = second.finished(at(129));
        assert!(third.is_looping());
        let later = third.finished(at(130));
        assert_eq!(later, cookie(1, 130));
        assert_eq!(cookie(2, 1_000).finished(at(500)), cookie(1, 500), "a clock set back begins anew");
        assert_eq!(cookie(255, 100).finished(at(101)), cookie(255, 100));
    }

    #[test]
    fn without_randomness_there_is_no_cookie() {
        assert_eq!(LoginCookie::draw(&Exhausted), Err(NoEntropy));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_changed_character_is_accepted(at in 0..LOGIN_COOKIE_LENGTH, byte in any::<u8>()) {
            let (ring, host) = (ring(&[1]), host("wiki.example.com"));
            let place = LoginPlace { ring: &ring, namespace: NAMESPACE, host: &host };
            let good = cookie(2, 1_800_000_000).encode(place).into_bytes();
            let mut changed = good.clone();
            changed[at] = byte;
            prop_assert_eq!(LoginCookie::decode(place, &changed).is_ok(), changed == good);
        }
    }
}
