//! Sessions are ended, one by one or by what the provider calls them, and listed.

use std::collections::BTreeSet;
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::Sessions;
use crate::clock::Timestamp;
use crate::session::card::Card;
use crate::session::error::{EndReason, SessionError};
use crate::session::index::IndexName;
use crate::session::lifetime::TOMBSTONE_LIFETIME;
use crate::session::opened::OpenedSession;
use crate::session::store::{ListedSession, StoreError, StoredSession};
use crate::session::ticket::StoreKey;

/// So many cards are opened without a pause: about a millisecond.
pub(super) const OPENED_AT_ONCE: usize = 256;

/// So many sessions of one person are asked for or ended at once: others want to be answered meanwhile.
pub(super) const AT_ONCE: usize = 16;

/// The machines of a provider that issue ID tokens and logout tokens may be so far apart: in doubt a session ends.
const PROVIDER_SKEW: Duration = Duration::from_secs(60);

/// A session that has been ended.
#[derive(Clone, Debug)]
pub struct EndedSession {
    /// Its name in the store.
    pub store_key: StoreKey,
    /// What stands for it in logs.
    pub reference: String,
    /// Who had it, and for what; `None` when its key has been removed.
    pub card: Option<Card>,
    /// The session, if this process had it open: only then are there tokens to revoke.
    pub opened: Option<Arc<OpenedSession>>,
}

/// What is known of a live session without its cookie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// Its name in the store.
    pub store_key: StoreKey,
    /// Who has it, and for what.
    pub card: Card,
    /// The last use that was written down.
    pub last_use: Timestamp,
    /// When it ends, whatever its use.
    pub absolute_expiry: Timestamp,
}

impl Sessions {
    /// Ends a session, here and on every replica. Ending it twice is as good as once.
    ///
    /// # Errors
    /// [`SessionError::Store`]: it may live on, and the caller says so.
    pub async fn end(&self, session: &OpenedSession, reason: EndReason) -> Result<(), SessionError> {
        let content = &session.content;
        // Whoever signs out with the cookie of a moment ago means the session that has taken its place as well, also
        // where that was another replica's doing.
        let mut successor = None;
        if reason == EndReason::SignOut {
            let newest = Box::pin(self.read(&session.identified, None, None)).await;
            successor = newest.ok().and_then(Result::ok).map_or(content.successor, |newest| newest.content.successor);
        }
        // First, so that a failure leaves a session that can be ended again.
        for key in content.predecessor.into_iter().chain(successor) {
            self.end_linked(key).await?;
        }
        let was_there = self.store.remove(session.store_key()).await?;
        self.forget(session);
        tracing::debug!(event = "session.removed", session = session.reference(), reason = reason.as_str(), was_there);
        Ok(())
    }

    /// Ends a session by its name in the store. `None`: there is none of that name.
    ///
    /// # Errors
    /// As of [`Sessions::end`].
    pub async fn end_by_key(&self, key: StoreKey, reason: EndReason) -> Result<Option<EndedSession>, SessionError> {
        self.end_if(key, reason, |_| true).await
    }

    /// Ends a session unless its card says that it is none of those that are meant. One that tells nothing is ended.
    async fn end_if(
        &self,
        key: StoreKey,
        reason: EndReason,
        is_meant: impl Fn(&Card) -> bool + Send,
    ) -> Result<Option<EndedSession>, SessionError> {
        let liveness = self.registry.find(&key);
        let opened = liveness.as_ref().and_then(|liveness| self.cache.find(liveness.cache_key()?));
        // Read before, told of after: a session that cannot be read is ended all the same.
        let stored = self.load_whole(key).await;
        let rules = self.rules.load_full();
        let card = stored.as_ref().ok().and_then(Option::as_ref);
        let card = card.and_then(|stored| Card::open(&rules.ring, &key, &stored.sealed.card).ok());
        if card.as_ref().is_some_and(|card| !is_meant(card)) {
            return Ok(None);
        }
        let was_there = self.store.remove(key).await?;
        self.forget_key(key);
        stored?;
        if let Some(predecessor) = card.as_ref().and_then(|card| card.predecessor) {
            self.end_linked(StoreKey::of_bytes(predecessor)).await?;
        }
        // One that was stepped up from has been told of then.
        let was_there = was_there && card.as_ref().is_none_or(|card| !card.superseded);
        let reference = rules.ring.session_reference(&key);
        tracing::debug!(event = "session.removed", session = reference, reason = reason.as_str(), was_there);
        Ok(was_there.then_some(EndedSession { store_key: key, reference, card, opened }))
    }

    /// Ends the other one of two sessions between which somebody has stepped up.
    async fn end_linked(&self, key: StoreKey) -> Result<(), SessionError> {
        self.store.remove(key).await?;
        self.forget_key(key);
        Ok(())
    }

    fn forget_key(&self, key: StoreKey) {
        if let Some(liveness) = self.registry.find(&key) {
            liveness.end();
            if let Some(key) = liveness.cache_key() {
                self.cache.remove(key);
            }
        }
    }

    /// Ends all sessions that an index names, and every login that is being made for it and is not newer than `at` (the
    /// logout token's `iat`; without one, now).
    ///
    /// The tombstone comes first: a login that has entered the index but not written its record finds it afterwards.
    ///
    /// What comes back is what has become of each; none for those that were gone already.
    ///
    /// # Errors
    /// [`SessionError::Store`] when the index cannot be read or marked.
    pub async fn end_each_by_index(
        &self,
        name: IndexName<'_>,
        at: Option<Timestamp>,
        reason: EndReason,
    ) -> Result<Vec<Result<EndedSession, SessionError>>, SessionError> {
        // What was begun well after the provider's logout goes on, however late its word comes. Our own times are not
        // compared: the clocks of other replicas may be ahead.
        let up_to = at.map(|at| at.plus(PROVIDER_SKEW).as_seconds());
        let is_meant = |card: &Card| up_to.is_none_or(|up_to| card.login_issued <= up_to);
        self.end_members(name, at, reason, is_meant).await
    }

    /// As [`Sessions::end_each_by_index`], of one person by what the mapping calls them: the index names sessions by the
    /// ID token's `sub` too, which may be what it calls somebody else. Their logins under way are refused all the same.
    ///
    /// # Errors
    /// As of [`Sessions::end_each_by_index`].
    pub async fn end_each_of_subject(
        &self,
        issuer: &str,
        subject: &str,
        reason: EndReason,
    ) -> Result<Vec<Result<EndedSession, SessionError>>, SessionError> {
        let name = IndexName::Subject { issuer, subject };
        self.end_members(name, None, reason, |card| card.subject == subject).await
    }

    async fn end_members(
        &self,
        name: IndexName<'_>,
        at: Option<Timestamp>,
        reason: EndReason,
        is_meant: impl Fn(&Card) -> bool + Copy + Send,
    ) -> Result<Vec<Result<EndedSession, SessionError>>, SessionError> {
        let indexes = name.under_all_keys(&self.rules.load().ring, &self.namespace);
        // As the provider says, even if its clock is ahead of ours: that of another replica may be, too.
        let at = at.unwrap_or_else(|| self.clock.now());
        for index in &indexes {
            self.store.write_index_tombstone(*index, at, TOMBSTONE_LIFETIME).await?;
        }
        let mut ended = Vec::new();
        for key in self.members(name).await? {
            ended.extend(self.end_if(key, reason, is_meant).await.transpose());
        }
        Ok(ended)
    }

    /// As [`Sessions::end_each_by_index`], for who needs all of them ended.
    ///
    /// # Errors
    /// [`SessionError::Store`] when one of them could not be ended; all have been tried.
    pub async fn end_by_index(
        &self,
        name: IndexName<'_>,
        at: Option<Timestamp>,
        reason: EndReason,
    ) -> Result<Vec<EndedSession>, SessionError> {
        self.end_each_by_index(name, at, reason).await?.into_iter().collect()
    }

    /// A live session by its name in the store.
    ///
    /// # Errors
    /// [`SessionError::Store`].
    pub async fn find(&self, key: StoreKey) -> Result<Option<SessionSummary>, SessionError> {
        Ok(self.load_whole(key).await?.and_then(|stored| self.summary(&stored.listed(key))))
    }

    /// The live sessions of one person, at all hosts.
    ///
    /// # Errors
    /// [`SessionError::Store`].
    pub async fn of_subject(&self, issuer: &str, subject: &str) -> Result<Vec<SessionSummary>, SessionError> {
        let members = self.members(IndexName::Subject { issuer, subject }).await?;
        let found = stream::iter(members).map(|key| self.find(key)).buffer_unordered(AT_ONCE);
        // The index names sessions by the ID token's `sub` too, which may be what the mapping calls somebody else.
        let own = found.try_filter_map(|one| ready(Ok(one.filter(|one| one.card.subject == subject))));
        own.try_collect().await
    }

    /// What stands for a person in logs, for whom no session is open here.
    #[must_use]
    pub fn pseudonym(&self, card: &Card) -> String {
        self.rules.load().ring.pseudonym(&card.issuer, &card.subject)
    }

    /// All live sessions.
    ///
    /// # Errors
    /// [`SessionError::Store`].
    pub async fn list(&self) -> Result<Vec<SessionSummary>, SessionError> {
        let sealed = self.store.list().await?;
        let mut listed = Vec::new();
        for (number, some) in sealed.chunks(OPENED_AT_ONCE).enumerate() {
            if number > 0 {
                // There may be very many, and requests are waiting for this thread.
                tokio::task::yield_now().await;
            }
            listed.extend(some.iter().filter_map(|one| self.summary(one)));
        }
        Ok(listed)
    }

    /// `None` when the card does not open: its key has been removed, and the session is dead with it. Neither for one
    /// that was stepped up from: it ends with its successor and counts no more.
    fn summary(&self, listed: &ListedSession) -> Option<SessionSummary> {
        let rules = self.rules.load();
        let card = Card::open(&rules.ring, &listed.key, &listed.card).ok().filter(|card| !card.superseded)?;
        let absolute_expiry = listed.absolute_expiry.min(card.created_at().plus(rules.lifetime));
        Some(SessionSummary { store_key: listed.key, card, last_use: listed.last_use, absolute_expiry })
    }

    /// What a store holds of a session. `None` too where something else lies in its place: that is nobody's session, and
    /// must neither hide others nor keep its person from logging in.
    async fn load_whole(&self, key: StoreKey) -> Result<Option<StoredSession>, StoreError> {
        match self.store.load(key).await {
            Err(StoreError::NotASession) => Ok(None),
            loaded => loaded,
        }
    }

    /// In one order, whatever that of the store is.
    async fn members(&self, name: IndexName<'_>) -> Result<BTreeSet<StoreKey>, SessionError> {
        let indexes = name.under_all_keys(&self.rules.load().ring, &self.namespace);
        let members = try_join_all(indexes.into_iter().map(|index| self.store.index_members(index))).await?;
        Ok(members.into_iter().flatten().collect())
    }
}
