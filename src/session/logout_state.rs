//! The `state` of a logout at the provider (OpenID Connect RP-Initiated Logout §3): it carries where the browser goes
//! afterwards, so that the page it returns to follows nobody else's wish.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::key_ring::Purpose;
use super::login_cookie::LoginPlace;
use super::sealed_box::{Kind, Rejected};
use crate::clock::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::return_to::ReturnTo;

/// How long the provider may take.
const LIFETIME: Duration = Duration::from_secs(3600);

/// The longest `state` that is looked at.
const MAX_STATE_LENGTH: usize = 4096;

const KIND: Kind = Kind { purpose: Purpose::Logout, info: b"vestibule/logout/v1" };

/// What comes back from the provider after a logout.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogoutState {
    created: u64,
    return_path: String,
}

impl LogoutState {
    /// Seals the return path of a logout that begins now.
    ///
    /// # Errors
    /// [`NoEntropy`] when the source of randomness fails.
    pub fn seal(
        place: LoginPlace<'_>,
        return_to: &ReturnTo,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<String, NoEntropy> {
        let state = Self { created: now.as_seconds(), return_path: return_to.as_str().to_owned() };
        // A number and a string always serialise; an empty message would be refused on return.
        let message = Zeroizing::new(postcard::to_stdvec(&state).unwrap_or_default());
        Ok(URL_SAFE_NO_PAD.encode(KIND.seal(place.ring, &bound(&place), message, entropy)?))
    }

    /// Opens what came back. `None` when it is over an hour old.
    ///
    /// # Errors
    /// [`Rejected`] for anything that was not sealed here for this host.
    pub fn open(place: LoginPlace<'_>, state: &[u8], now: Timestamp) -> Result<Option<Self>, Rejected> {
        if state.len() > MAX_STATE_LENGTH {
            return Err(Rejected::Malformed);
        }
        let sealed = URL_SAFE_NO_PAD.decode(state).map_err(|_| Rejected::Malformed)?;
        let (_, message) = KIND.open(place.ring, &bound(&place), &sealed)?;
        match postcard::take_from_bytes::<Self>(&message) {
            Ok((state, [])) => {
                let age = now.since(Timestamp::from_seconds(state.created));
                Ok((age < LIFETIME).then_some(state))
            }
            _ => Err(Rejected::Malformed),
        }
    }

    /// Where the browser goes; to be parsed as a return path again.
    #[must_use]
    pub fn return_path(&self) -> &str {
        &self.return_path
    }
}

fn bound<'a>(place: &LoginPlace<'a>) -> [&'a [u8]; 3] {
    [b"logout", place.namespace.as_bytes(), place.host.as_str().as_bytes()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::{Host, PublicUrl, Scheme};
    use crate::secret::SealingKey;
    use crate::session::key_ring::KeyRing;
    use crate::session::login_attempt::UnverifiedAttempt;
    use crate::session::testing::Counted;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn it_opens_for_an_hour_where_it_was_sealed() {
        let ring = KeyRing::new(vec![SealingKey::new([1; 32])]).unwrap();
        let public_url = PublicUrl::parse("https://wiki.example.com").unwrap();
        let namespace = public_url.namespace();
        let place = LoginPlace { ring: &ring, namespace: &namespace, host: public_url.host() };
        let return_to = ReturnTo::parse("/bye?x", &public_url, public_url.host(), "/oauth2").unwrap();
        let state = LogoutState::seal(place, &return_to, NOW, &Counted::default()).unwrap();
        assert_eq!(state, "Aa18ZmkAAAAAAAAAAAEBAQEBAQEBAgICAgICAgIDAwMDAwMDA5rSopR0mfeNi5vjW2Qqagk21mB4g5mSGF-umJ8");

        let opened = LogoutState::open(place, state.as_bytes(), NOW).unwrap().unwrap();
        assert_eq!(opened.return_path(), "/bye?x");
        let later = NOW.plus(LIFETIME);
        assert_eq!(LogoutState::open(place, state.as_bytes(), later), Ok(None));
        let there = Host::parse("tools.example.com", Scheme::Https).unwrap();
        let elsewhere = LoginPlace { host: &there, ..place };
        assert_eq!(LogoutState::open(elsewhere, state.as_bytes(), NOW), Err(Rejected::NotAuthentic));
        assert_eq!(LogoutState::open(place, b"AAAA", NOW), Err(Rejected::Malformed));
        assert!(UnverifiedAttempt::open(place, state.as_bytes()).is_err(), "a logout is no login");
    }
}
