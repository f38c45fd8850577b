//! The card beside a record: who has a grant, since when and for what, never a token. It opens under the key ring
//! alone, so that grants can be listed and ended without anybody's cookie.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::content::SessionContent;
use super::key_ring::{KeyRing, Purpose};
use super::sealed_box::{Kind, Rejected};
use super::ticket::StoreKey;
use crate::clock::Timestamp;
use crate::entropy::{Entropy, NoEntropy};
use crate::origin::Host;

const KIND: Kind = Kind { purpose: Purpose::Card, info: b"vestibule/card/v1" };

/// What is known of a session without its cookie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// The issuer, or the provider's name for plain OAuth 2.0.
    pub issuer: String,
    /// The subject.
    pub subject: String,
    /// The host it is for.
    pub host: String,
    /// The user name, if the provider gives one.
    pub username: Option<String>,
    /// The provider's label.
    pub provider: String,
    /// Scopes that were granted.
    pub scopes: Vec<String>,
    /// When it began, in seconds since the epoch.
    pub created: u64,
    /// When its login was issued, by the provider's clock where that is behind ours.
    pub(super) login_issued: u64,
    /// When its access token runs out, in seconds since the epoch.
    pub access_expires: Option<u64>,
    /// Whether the access token can be renewed.
    pub has_refresh_token: bool,
    /// Upstreams it has been used for.
    pub upstreams: Vec<String>,
    /// The session that it has stepped up from: it ends with this one.
    pub(super) predecessor: Option<[u8; 32]>,
    /// Whether a step-up has left it behind: it is no session of its own any more.
    pub(super) superseded: bool,
}

impl Card {
    /// When it began.
    #[must_use]
    pub const fn created_at(&self) -> Timestamp {
        Timestamp::from_seconds(self.created)
    }

    /// How long ago it began.
    #[must_use]
    pub const fn age(&self, now: Timestamp) -> Duration {
        now.since(self.created_at())
    }

    /// A card of somebody, for tests of what shows cards.
    #[cfg(test)]
    pub(crate) fn for_listing(issuer: &str, subject: &str, host: &str, username: Option<&str>, created: u64) -> Self {
        Self {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            host: host.to_owned(),
            username: username.map(ToOwned::to_owned),
            provider: "corp".to_owned(),
            scopes: vec!["openid".to_owned()],
            created,
            login_issued: created,
            access_expires: None,
            has_refresh_token: true,
            upstreams: vec!["wiki".to_owned()],
            predecessor: None,
            superseded: false,
        }
    }

    pub(super) fn of(content: &SessionContent, host: &Host) -> Self {
        let first = content.grants.first();
        let tokens = first.map(|grant| &grant.tokens);
        Self {
            issuer: content.identity.issuer.clone(),
            subject: content.identity.subject.clone(),
            host: host.as_str().to_owned(),
            username: content.identity.username.clone(),
            provider: first.map(|grant| grant.key.provider.clone()).unwrap_or_default(),
            scopes: tokens.map(|tokens| tokens.scopes.clone()).unwrap_or_default(),
            created: content.created.as_seconds(),
            login_issued: content.login_issued.as_seconds(),
            access_expires: tokens.and_then(|tokens| tokens.access_expires).map(Timestamp::as_seconds),
            has_refresh_token: tokens.is_some_and(|tokens| tokens.refresh_token.is_some()),
            upstreams: content.upstreams.clone(),
            predecessor: content.predecessor.map(|key| *key.as_bytes()),
            superseded: content.successor.is_some(),
        }
    }

    pub(super) fn seal(&self, ring: &KeyRing, key: &StoreKey, entropy: &dyn Entropy) -> Result<Vec<u8>, NoEntropy> {
        // A card of strings always serialises; an empty one would open as malformed.
        let message = Zeroizing::new(postcard::to_stdvec(self).unwrap_or_default());
        KIND.seal(ring, &[key.as_bytes()], message, entropy)
    }

    /// Opens the card of the session `key`.
    ///
    /// # Errors
    /// [`Rejected`] when it was changed, sealed for another session, or under a key that is gone.
    pub(super) fn open(ring: &KeyRing, key: &StoreKey, sealed: &[u8]) -> Result<Self, Rejected> {
        let (_, message) = KIND.open(ring, &[key.as_bytes()], sealed)?;
        match postcard::take_from_bytes(&message) {
            Ok((card, [])) => Ok(card),
            _ => Err(Rejected::Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::origin::Scheme;
    use crate::secret::{SealingKey, SessionId};
    use crate::session::fixtures::content;
    use crate::session::testing::{Counted, hex};

    fn host() -> Host {
        Host::parse("wiki.example.com", Scheme::Https).unwrap()
    }

    fn key(id: u8) -> StoreKey {
        StoreKey::of("https://wiki.example.com", &host(), &SessionId::new([id; 18]))
    }

    fn ring(key: u8) -> KeyRing {
        KeyRing::new(vec![SealingKey::new([key; 32])]).unwrap()
    }

    #[test]
    fn the_layout_is_that_of_the_fixed_vector() {
        let card = Card::of(&content("alice"), &host());
        let sealed = card.seal(&ring(1), &key(1), &Counted::default()).unwrap();
        assert_eq!(
            hex(&sealed),
            "01ad7c666900000000000000000101010101010101020202020202020203030303030303030e92e1090488bc0654b3\
             464a5c1c346427aa6f9cc5376b3b06cc965a4358c5032aa6b19a773a11eb2c27974c70b8dd37b3b87417f9e5dbd4db\
             d35632563bba18ada828f132d9afc606c03939db5ea460fb6f3495f8184508ffc49b3c3d4c7e455924043ddb1e8557\
             0e06b124c974fce65132cb8d0734464d"
        );
        assert_eq!(Card::open(&ring(1), &key(1), &sealed), Ok(card));
    }

    #[test]
    fn ss_05_a_card_says_nothing_without_the_keys_and_never_holds_a_token() {
        let sealed = Card::of(&content("alice"), &host()).seal(&ring(1), &key(1), &Counted::default()).unwrap();
        for hidden in ["alice", "wiki", "corp", "sid-1", "id.example.com"] {
            assert!(!sealed.windows(hidden.len()).any(|window| window == hidden.as_bytes()), "{hidden}");
        }
        let shown = format!("{:?}", Card::open(&ring(1), &key(1), &sealed).unwrap());
        for token in ["access-", "refresh-", "id-alice", "@example.com"] {
            assert!(!shown.contains(token), "{token} in {shown}");
        }
    }

    #[test]
    fn cr_07_a_card_belongs_to_one_session() {
        let sealed = Card::of(&content("alice"), &host()).seal(&ring(1), &key(1), &Counted::default()).unwrap();
        assert_eq!(Card::open(&ring(1), &key(2), &sealed), Err(Rejected::NotAuthentic));
        assert_eq!(Card::open(&ring(2), &key(1), &sealed), Err(Rejected::UnknownKey));
    }
}
