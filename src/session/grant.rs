//! What a provider has granted: tokens, for which scopes and resource, and how far their refreshing has come.

use std::fmt;

use sha2::{Digest, Sha256};

pub use crate::oidc::token_response::Tokens as GrantTokens;

use super::tlv::tlv;
use crate::clock::Timestamp;
use crate::secret::{AccessToken, RawIdToken, RefreshToken};

/// What was asked for: two grants of a session differ in this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantKey {
    /// The provider's label.
    pub provider: String,
    /// Scopes asked for.
    pub scopes: Vec<String>,
    /// The resource asked for (RFC 8707).
    pub resource: Option<String>,
}

/// Names a grant within its session: the first 16 bytes of SHA-256(TLV(provider, TLV(scopes), TLV(resource))).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GrantId([u8; 16]);

impl GrantId {
    /// The 16 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Debug for GrantId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(formatter, "GrantId({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

impl GrantKey {
    /// The name of the grant.
    #[must_use]
    pub fn id(&self) -> GrantId {
        let scopes: Vec<&[u8]> = self.scopes.iter().map(String::as_bytes).collect();
        let resource: Vec<&[u8]> = self.resource.iter().map(String::as_bytes).collect();
        let digest = Sha256::digest(tlv(&[self.provider.as_bytes(), &tlv(&scopes), &tlv(&resource)]));
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(digest) {
            *to = from;
        }
        GrantId(id)
    }
}

/// One grant of a session.
#[derive(Debug, PartialEq, Eq)]
pub struct Grant {
    /// What was asked for.
    pub key: GrantKey,
    /// What came.
    pub tokens: GrantTokens,
    /// When the access token came.
    pub obtained: Timestamp,
    /// Counts the answers of the token endpoint: a refresh token of an older generation is never tried again.
    pub token_generation: u64,
    /// A refresh was sent and nobody knows what became of it; it is tried exactly once more.
    pub uncertain_since: Option<Timestamp>,
    /// The provider has refused to refresh in a way that will not change: from here on as without a refresh token.
    pub refresh_disabled: bool,
}

impl Grant {
    /// Whether the refresh token of `sent` is still this one: after a failover two of one generation may differ.
    #[must_use]
    pub fn is_the_one_spent(&self, sent: &Self) -> bool {
        self.token_generation == sent.token_generation && self.tokens.refresh_token == sent.tokens.refresh_token
    }

    /// How far it has come: of two versions of a grant the one further on counts.
    pub(super) const fn progress(&self) -> (u64, bool, bool) {
        (self.token_generation, self.refresh_disabled, self.uncertain_since.is_some())
    }

    /// The grant that a login brings.
    #[must_use]
    pub const fn new(key: GrantKey, tokens: GrantTokens, obtained: Timestamp) -> Self {
        Self { key, tokens, obtained, token_generation: 1, uncertain_since: None, refresh_disabled: false }
    }

    /// The grant after a refresh: what the answer does not bring stays (RFC 6749 §6, OpenID Connect Core §12.2).
    pub(super) fn refreshed(&self, mut tokens: GrantTokens, obtained: Timestamp) -> Self {
        if tokens.refresh_token.is_none() {
            tokens.refresh_token =
                self.tokens.refresh_token.as_ref().map(|kept| RefreshToken::new(kept.expose().to_owned()));
        }
        if tokens.id_token.is_none() {
            tokens.id_token = self.tokens.id_token.as_ref().map(|kept| RawIdToken::new(kept.expose().to_owned()));
        }
        Self {
            key: self.key.clone(),
            tokens,
            obtained,
            token_generation: self.token_generation.saturating_add(1),
            uncertain_since: None,
            refresh_disabled: false,
        }
    }

    /// The same tokens under another mark.
    pub(super) fn marked(&self, mark: GrantMark) -> Self {
        let tokens = &self.tokens;
        let mut marked = Self {
            key: self.key.clone(),
            tokens: GrantTokens {
                access_token: AccessToken::new(tokens.access_token.expose().to_owned()),
                access_expires: tokens.access_expires,
                refresh_token: tokens.refresh_token.as_ref().map(|kept| RefreshToken::new(kept.expose().to_owned())),
                id_token: tokens.id_token.as_ref().map(|kept| RawIdToken::new(kept.expose().to_owned())),
                scopes: tokens.scopes.clone(),
            },
            obtained: self.obtained,
            token_generation: self.token_generation,
            uncertain_since: self.uncertain_since,
            refresh_disabled: self.refresh_disabled,
        };
        match mark {
            GrantMark::UncertainSince(since) => marked.uncertain_since = Some(since),
            GrantMark::Certain => marked.uncertain_since = None,
            GrantMark::RefreshDisabled => marked.refresh_disabled = true,
        }
        marked
    }

    /// The scopes that were asked for and not granted (RFC 6749 §3.3).
    #[must_use]
    pub fn missing_scopes(&self) -> Vec<&str> {
        let granted = &self.tokens.scopes;
        self.key.scopes.iter().filter(|asked| !granted.contains(asked)).map(String::as_str).collect()
    }

    /// The same without a refresh token: what is left to a session that a step-up has superseded.
    pub(super) fn retired(&self) -> Self {
        let mut retired = self.marked(GrantMark::RefreshDisabled);
        retired.tokens.refresh_token = None;
        retired
    }

    /// Whether a refresh can be tried at all.
    #[must_use]
    pub const fn is_refreshable(&self) -> bool {
        self.tokens.refresh_token.is_some() && !self.refresh_disabled
    }

    /// Whether the access token still serves.
    #[must_use]
    pub fn is_usable(&self, now: Timestamp) -> bool {
        self.tokens.access_expires.is_none_or(|expires| now < expires)
    }
}

/// What is noted about a grant without new tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantMark {
    /// A refresh was sent at this time and its answer was lost.
    UncertainSince(Timestamp),
    /// It is known again where the grant stands.
    Certain,
    /// It is not refreshed any more.
    RefreshDisabled,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::fixtures::{grant, tokens};

    fn key(provider: &str, scopes: &[&str], resource: Option<&str>) -> GrantKey {
        GrantKey {
            provider: provider.into(),
            scopes: scopes.iter().map(|&scope| scope.into()).collect(),
            resource: resource.map(Into::into),
        }
    }

    #[test]
    fn rf_13_grants_that_were_asked_for_differently_have_different_names() {
        let ids: std::collections::HashSet<_> = [
            key("a", &["bc"], None),
            key("ab", &["c"], None),
            key("a", &["b", "c"], None),
            key("a", &["b"], Some("c")),
            key("a", &["b"], Some("")),
            key("a", &["b"], None),
            key("a", &["b", ""], None),
            key("a", &[], Some("b")),
            key("a", &[], None),
        ]
        .iter()
        .map(GrantKey::id)
        .collect();
        assert_eq!(ids.len(), 9);
    }

    #[test]
    fn rf_09_what_the_answer_does_not_bring_is_kept() {
        let before = grant("old");
        let mut answer = tokens("new");
        answer.refresh_token = None;
        answer.id_token = None;
        let after = before.refreshed(answer, Timestamp::from_seconds(5));
        assert_eq!(after.tokens.access_token.expose(), "access-new");
        assert_eq!(after.tokens.refresh_token, before.tokens.refresh_token);
        assert_eq!(after.tokens.id_token, before.tokens.id_token);
        assert_eq!(after.token_generation, 2);
        let rotated = before.refreshed(tokens("new"), Timestamp::from_seconds(5));
        assert_eq!(rotated.tokens.refresh_token.as_ref().unwrap().expose(), "refresh-new");
    }

    #[test]
    fn a_refresh_clears_the_marks_and_a_mark_keeps_the_tokens() {
        let before = grant("a");
        let uncertain = before.marked(GrantMark::UncertainSince(Timestamp::from_seconds(9)));
        assert_eq!(uncertain.uncertain_since, Some(Timestamp::from_seconds(9)));
        assert_eq!(uncertain.tokens, before.tokens);
        assert_eq!(uncertain.token_generation, before.token_generation);
        assert_eq!(uncertain.marked(GrantMark::Certain), before);
        let disabled = uncertain.marked(GrantMark::RefreshDisabled);
        assert!(before.is_refreshable() && !disabled.is_refreshable());
        let after = disabled.refreshed(tokens("b"), Timestamp::from_seconds(10));
        assert_eq!((after.uncertain_since, after.is_refreshable()), (None, true));
    }

    #[test]
    fn debug_shows_no_token() {
        let shown = format!("{:?}", grant("mark"));
        assert!(!shown.contains("-mark"), "{shown}");
    }

    #[test]
    fn a_refresh_token_of_the_same_generation_may_be_another_one() {
        let spent = grant("alice");
        assert!(grant("alice").is_the_one_spent(&spent));
        let refreshed = |name| spent.refreshed(tokens(name), Timestamp::from_seconds(1_800_000_300));
        assert!(!refreshed("new").is_the_one_spent(&spent));
        assert!(!refreshed("new").is_the_one_spent(&refreshed("newer")));
    }
}
