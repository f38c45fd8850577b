//! How things are called in Redis. Names are made of hashes, so they tell nothing; the keys of one session share the part
//! in braces, by which a cluster keeps them on one server.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::session::grant::GrantId;
use crate::session::store::{IndexKey, MarkerKey};
use crate::session::ticket::StoreKey;
use crate::session::tlv::tlv;

/// Over so many keys the list of all sessions is spread.
pub(super) const SHARDS: u8 = 16;

/// The names that hold no other: what belongs to one gateway as a whole.
#[derive(Debug)]
pub(super) struct Names {
    gateway: String,
}

impl Names {
    /// The names of the gateway with this namespace.
    pub(super) fn new(namespace: &str) -> Self {
        let digest = Sha256::digest(tlv(&[b"vestibule/redis/v1", namespace.as_bytes()]));
        let mut gateway = URL_SAFE_NO_PAD.encode(digest);
        // 16 characters hold 96 bits.
        gateway.truncate(16);
        Self { gateway }
    }

    /// The channel on which changes are announced.
    pub(super) fn channel(&self) -> String {
        format!("vestibule:changes:{}", self.gateway)
    }

    /// A part of the list of all sessions.
    pub(super) fn list(&self, shard: u8) -> String {
        format!("vestibule:list:{}:{shard:x}", self.gateway)
    }

    /// The part of the list in which a session stands.
    pub(super) fn list_of(&self, key: &StoreKey) -> String {
        let [first, ..] = key.as_bytes();
        self.list(first % SHARDS)
    }
}

/// The record, the card and what is known beside them.
pub(super) fn session(key: &StoreKey) -> String {
    format!("vestibule:{{{}}}:session", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

/// Stands while a session that has ended must not come back.
pub(super) fn tombstone(key: &StoreKey) -> String {
    format!("vestibule:{{{}}}:ended", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

/// Names who refreshes a grant.
pub(super) fn lease(key: &StoreKey, grant: &GrantId) -> String {
    let grant = URL_SAFE_NO_PAD.encode(grant.as_bytes());
    format!("vestibule:{{{}}}:lease:{grant}", URL_SAFE_NO_PAD.encode(key.as_bytes()))
}

/// The sessions that an index names.
pub(super) fn members(index: &IndexKey) -> String {
    format!("vestibule:{{{}}}:members", URL_SAFE_NO_PAD.encode(index.as_bytes()))
}

/// Those of them that were named so recently that their record may still be on its way.
pub(super) fn newcomers(index: &IndexKey) -> String {
    format!("vestibule:{{{}}}:newcomers", URL_SAFE_NO_PAD.encode(index.as_bytes()))
}

/// Up to when the logins that an index names have been ended.
pub(super) fn index_tombstone(index: &IndexKey) -> String {
    format!("vestibule:{{{}}}:ended", URL_SAFE_NO_PAD.encode(index.as_bytes()))
}

/// Keys of one tag to try on what the user may do.
pub(super) fn trial() -> [String; 3] {
    ["hash", "text", "set"].map(|kind| format!("vestibule:{{trial}}:{kind}"))
}

/// Something that happens once.
pub(super) fn marker(marker: &MarkerKey) -> String {
    format!("vestibule:marker:{}", URL_SAFE_NO_PAD.encode(marker.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rd_10_gateways_share_neither_list_nor_channel() {
        let (wiki, shop) = (Names::new("https://wiki.example.com"), Names::new("https://shop.example.com"));
        assert_ne!(wiki.channel(), shop.channel());
        assert_ne!(wiki.list(3), shop.list(3));
        assert_eq!(wiki.list(3), Names::new("https://wiki.example.com").list(3));
    }

    #[test]
    fn everything_of_one_session_stands_under_one_tag() {
        let key = StoreKey::of_bytes([7; 32]);
        let tag = |name: &str| name.split(['{', '}']).nth(1).unwrap().to_owned();
        let grant = crate::session::fixtures::grant("a").key.id();
        assert_eq!(tag(&session(&key)), tag(&tombstone(&key)));
        assert_eq!(tag(&session(&key)), tag(&lease(&key, &grant)));
        let index = IndexKey([7; 32]);
        assert_eq!(tag(&members(&index)), tag(&newcomers(&index)));
    }
}
