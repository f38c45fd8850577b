//! A session that has been opened with its cookie: what a request works with.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::content::SessionContent;
use super::envelope::Place;
use super::grant::{Grant, GrantId};
use super::key_ring::Kid;
use super::lifetime::{Freshness, refresh_at};
use super::liveness::Liveness;
use super::ticket::{StoreKey, Ticket};
use crate::claims::Identity;
use crate::clock::Timestamp;
use crate::origin::Host;

/// What stays the same however often the session is written.
pub(super) struct Identified {
    pub(super) ticket: Ticket,
    pub(super) host: Host,
    pub(super) store_key: StoreKey,
    /// What stands for the session in logs.
    pub(super) reference: String,
    pub(super) liveness: Arc<Liveness>,
}

impl Identified {
    pub(super) const fn place<'a>(&'a self, namespace: &'a str) -> Place<'a> {
        Place { namespace, host: &self.host, store_key: &self.store_key }
    }
}

/// One version of an opened session. It does not change; a write makes a new one.
pub struct OpenedSession {
    pub(super) identified: Arc<Identified>,
    pub(super) generation: u64,
    pub(super) content: SessionContent,
    /// What stands for the person in logs.
    pub(super) pseudonym: String,
    /// The key that its record was sealed under when this version was read or written.
    pub(super) sealed_under: Kid,
    /// The edition of the rules it was opened under.
    pub(super) edition: u64,
    /// The absolute limit on the clock nobody can set.
    pub(super) absolute_at: Duration,
    pub(super) size: usize,
}

impl fmt::Debug for OpenedSession {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenedSession")
            .field("session", &self.identified.reference)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

impl OpenedSession {
    /// The session's name in the store.
    #[must_use]
    pub fn store_key(&self) -> StoreKey {
        self.identified.store_key
    }

    /// The host it is for.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.identified.host
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &Arc<Identity> {
        &self.content.identity
    }

    /// The client identifier it was begun with.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.content.client_id
    }

    /// What the provider has granted; the grant of the login is the first.
    #[must_use]
    pub fn grants(&self) -> &[Arc<Grant>] {
        &self.content.grants
    }

    /// The grant of that name.
    #[must_use]
    pub fn grant(&self, id: GrantId) -> Option<&Arc<Grant>> {
        self.content.grant(id)
    }

    /// When it began.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        self.content.created
    }

    /// When it ends, whatever its use, as it was begun; [`SessionRules`](super::SessionRules) may say earlier.
    #[must_use]
    pub const fn absolute_expiry(&self) -> Timestamp {
        self.content.absolute_expiry
    }

    /// The last use that was written down.
    #[must_use]
    pub fn last_touch(&self) -> Timestamp {
        self.identified.liveness.last_touch()
    }

    /// Counts the writes of the record.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// The provider's name for its own session.
    #[must_use]
    pub fn sid(&self) -> Option<&str> {
        self.content.sid.as_deref()
    }

    /// When the person last proved who they are.
    #[must_use]
    pub const fn auth_time(&self) -> Option<Timestamp> {
        self.content.auth_time
    }

    /// How they proved it (authentication context class reference).
    #[must_use]
    pub fn acr(&self) -> Option<&str> {
        self.content.acr.as_deref()
    }

    /// SHA-256 of the secret of the browser it began in.
    #[must_use]
    pub const fn browser(&self) -> &[u8; 32] {
        &self.content.browser
    }

    /// Whether a step-up has left it behind: it serves what was under way and is never refreshed.
    #[must_use]
    pub const fn is_superseded(&self) -> bool {
        self.content.successor.is_some()
    }

    /// The name in the store of the session that this browser goes on with: its own, or that of the one it has stepped
    /// up to.
    #[must_use]
    pub fn lives_on_as(&self) -> StoreKey {
        self.content.successor.unwrap_or(self.identified.store_key)
    }

    /// Names of the upstreams it has been used for.
    #[must_use]
    pub fn upstreams(&self) -> &[String] {
        &self.content.upstreams
    }

    /// What stands for the session in logs: 8 bytes in hexadecimal.
    #[must_use]
    pub fn reference(&self) -> &str {
        &self.identified.reference
    }

    /// What stands for the person in logs: 8 bytes in hexadecimal.
    #[must_use]
    pub fn pseudonym(&self) -> &str {
        &self.pseudonym
    }

    /// Whether this process knows that it has ended.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.identified.liveness.has_ended()
    }

    /// Whether it has neither ended nor been written anew, as far as this process knows.
    #[must_use]
    pub fn is_current(&self) -> bool {
        !self.has_ended() && self.generation >= self.identified.liveness.newest_generation()
    }

    /// How many leases on its grants have been given back so far, on any replica, as far as this process knows.
    #[must_use]
    pub fn lease_releases(&self) -> u64 {
        self.identified.liveness.lease_releases()
    }

    /// Waits until it is no longer current, or more leases have been given back than `releases`: what those do who wait
    /// for another's refresh, within a deadline of theirs.
    pub async fn superseded(&self, releases: u64) {
        loop {
            let changed = self.identified.liveness.changes().notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change in between wakes us.
            changed.as_mut().enable();
            if !self.is_current() || self.lease_releases() != releases {
                return;
            }
            changed.await;
        }
    }

    /// The grant of the login itself.
    #[must_use]
    pub fn login_grant(&self) -> Option<&Arc<Grant>> {
        self.content.grants.first()
    }

    /// When the access token of the login's grant is to be refreshed; `None` when nobody knows when it runs out. The
    /// moment differs from session to session and from write to write, so that they do not refresh together.
    #[must_use]
    pub fn next_refresh(&self) -> Option<Timestamp> {
        let grant = self.login_grant()?;
        let bytes = self.identified.store_key.as_bytes();
        let jitter = bytes.iter().cycle().nth((self.generation % 32) as usize).copied().unwrap_or_default();
        Some(refresh_at(grant.obtained, grant.tokens.access_expires?, jitter))
    }

    /// How far the access token of the login's grant has come; whether it can be renewed is another question.
    #[must_use]
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        if self.login_grant().is_some_and(|grant| !grant.is_usable(now)) {
            Freshness::RunOut
        } else if self.next_refresh().is_some_and(|at| now >= at) {
            Freshness::Due
        } else {
            Freshness::Fresh
        }
    }

    /// Whether the login's grant can be renewed.
    #[must_use]
    pub fn can_refresh(&self) -> bool {
        self.login_grant().is_some_and(|grant| grant.is_refreshable())
    }

    /// What two requests must share to wait for one refresh: the session and everything the grant was asked with.
    #[must_use]
    pub fn flight_key(&self, grant: &Grant) -> (StoreKey, GrantId) {
        (self.store_key(), grant.key.id())
    }

    /// About how many bytes it takes up.
    pub(super) const fn size(&self) -> usize {
        self.size
    }
}
