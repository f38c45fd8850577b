//! A login becomes a session.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::try_join_all;

use super::supersede::Superseded;
use super::{EndedSession, Sessions, cache_key};
use crate::claims::Identity;
use crate::clock::Timestamp;
use crate::origin::Host;
use crate::session::content::SessionContent;
use crate::session::error::{EndReason, SessionError};
use crate::session::grant::Grant;
use crate::session::index::IndexName;
use crate::session::lifetime::store_expiry;
use crate::session::opened::OpenedSession;
use crate::session::rules::SessionRules;
use crate::session::store::{Inserted, LastUse};
use crate::session::ticket::{StoreKey, Ticket};

/// Pauses before the end of the session that a login replaces is tried again; a browser waits for it.
const SETTLE_PAUSES: [Duration; 3] =
    [Duration::from_millis(50), Duration::from_millis(200), Duration::from_millis(500)];

/// What a login has brought.
#[derive(Debug)]
pub struct NewSession<'a> {
    /// The host it is for.
    pub host: Host,
    /// Who it is, as verified.
    pub identity: Identity,
    /// The `sub` of the ID token, which logout tokens name, whatever the mapping makes the subject.
    pub sub: String,
    /// The client identifier the login was made with.
    pub client_id: String,
    /// The provider's name for its own session.
    pub sid: Option<String>,
    /// When the person last proved who they are.
    pub auth_time: Option<Timestamp>,
    /// How they proved it.
    pub acr: Option<String>,
    /// The earlier one of the start of the token call and the ID token's `iat`. A logout that is not older refuses the login.
    pub login_issued: Timestamp,
    /// SHA-256 of the browser's secret.
    pub browser: [u8; 32],
    /// The upstream it is begun for.
    pub upstream: Option<String>,
    /// What the provider has granted.
    pub grants: Vec<Arc<Grant>>,
    /// The session that the same browser had until now; it ends once the new one is durable, or
    /// before when the store has no room for both.
    pub replaces: Option<&'a Arc<OpenedSession>>,
    /// Whether the same person has stepped up: the session that is replaced serves ten seconds more for requests under
    /// way, unless the store has no room for both.
    pub steps_up: bool,
}

/// A session that has begun.
pub struct Begun {
    /// The value of its cookie.
    pub cookie: String,
    /// The session, opened.
    pub session: Arc<OpenedSession>,
    /// Older sessions of the same subject that made room for it.
    pub displaced: Vec<EndedSession>,
}

impl fmt::Debug for Begun {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Begun").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Begins a session under an id nobody has had before.
    ///
    /// The order is what makes a logout at the same time safe: the indexes name the session before it is there, and
    /// their tombstones are read after. Whichever comes first, an ended login leaves no live session.
    ///
    /// # Errors
    /// [`SessionError`]; there is no session then, and the one that was to be replaced goes on, unless it has made room
    /// in a full store and something failed after that: then it is among those that have passed.
    pub async fn begin(&self, new: NewSession<'_>) -> Result<Begun, SessionError> {
        // One edition from beginning to end: a session whose index and record were under different keys could be lost
        // by its index when one of them goes.
        let (now, rules) = (self.clock.now(), self.rules.load_full());
        let stepped_from = new.replaces.filter(|_| new.steps_up);
        let mut upstreams = stepped_from.map(|old| old.content.upstreams.clone()).unwrap_or_default();
        upstreams.extend(new.upstream.filter(|begun_for| !upstreams.contains(begun_for)));
        let content = SessionContent {
            client_id: new.client_id,
            created: now,
            login_issued: new.login_issued,
            absolute_expiry: now.plus(rules.lifetime),
            identity: Arc::new(new.identity),
            sid: new.sid,
            auth_time: new.auth_time,
            acr: new.acr,
            browser: new.browser,
            upstreams,
            grants: new.grants,
            predecessor: stepped_from.map(|old| old.store_key()),
            successor: None,
        };
        let replaced = new.replaces.map(|old| old.store_key());
        let mut displaced = self.displaced_by(&rules, &content, &new.host, replaced).await?;

        let ticket = Ticket::draw(&*self.entropy)?;
        let cookie = ticket.encode();
        let identified = Arc::new(self.identify(&rules, ticket, &new.host));
        identified.liveness.remember_cache_key(cache_key(cookie.as_bytes(), &new.host));
        identified.liveness.learn_use(now, now, self.clock.monotonic());
        identified.liveness.note_read(self.clock.monotonic());
        let sealed = self.seal(&rules, &identified, 1, &content)?;
        let (key, size) = (identified.store_key, sealed.record.len());

        let names = names(&content, &new.sub);
        try_join_all(names.iter().map(|name| {
            let index = name.under_first_key(&rules.ring, &self.namespace);
            self.store.index_add(index, key, content.absolute_expiry)
        }))
        .await?;
        let last_use = LastUse { at: now, expires: store_expiry(content.absolute_expiry, now, rules.idle) };
        let mut room = Room::default();
        let stored = async {
            let mut inserted = self.store.insert(key, sealed.clone(), last_use).await?;
            if matches!(inserted, Inserted::AtCapacity) {
                // A login that somebody has ended must not cost the session that goes on.
                self.check_not_ended(&rules, &names, new.login_issued).await?;
                room = self.make_room(new.replaces, &mut displaced).await?;
                if room.is_made() {
                    inserted = self.store.insert(key, sealed, last_use).await?;
                }
            }
            match inserted {
                Inserted::Stored => Ok(()),
                Inserted::AtCapacity => Err(SessionError::AtCapacity),
                Inserted::Refused => Err(SessionError::EndedMeanwhile),
            }
        };
        if let Err(error) = stored.await {
            identified.liveness.end();
            if matches!(error, SessionError::Store(_)) {
                // It may have been written all the same, and would count as one of this person's.
                let _ = self.store.remove(key).await;
            }
            self.tell_of_room(room);
            return Err(error);
        }
        let stepped_up = new.steps_up.then_some(key);
        let superseded = match self.settle(&rules, &names, new.login_issued, new.replaces, stepped_up).await {
            Ok(superseded) => superseded,
            Err(error) => {
                // It was never shown to anybody. Should this fail too, it is a record without a cookie and passes away.
                identified.liveness.end();
                let _ = self.store.remove(key).await;
                self.tell_of_room(room);
                return Err(error);
            }
        };
        drop(names);
        let session = self.opened(&rules, identified, rules.ring.first().kid(), 1, content, size);
        if let Some(old) = stepped_from.filter(|_| superseded == Some(Superseded::Serves)) {
            old.identified.liveness.succeeded_by(Arc::clone(&session));
        }
        let mut ended: Vec<_> = room.displaced.into_iter().collect();
        for key in displaced {
            match self.end_by_key(key, EndReason::SubjectLimit).await {
                Ok(session) => ended.extend(session),
                Err(_) => tracing::warn!(event = "session.displace-failed"),
            }
        }
        self.keep(&session);
        Ok(Begun { cookie, session, displaced: ended })
    }

    /// Ends one session that this login ends in any case, so that the new one fits into a full store.
    async fn make_room(
        &self,
        replaces: Option<&Arc<OpenedSession>>,
        displaced: &mut Vec<StoreKey>,
    ) -> Result<Room, SessionError> {
        if let Some(old) = replaces {
            self.end(old, EndReason::Replaced).await?;
            return Ok(Room { replaced: Some(Arc::clone(old)), displaced: None });
        }
        let Some(key) = displaced.pop() else { return Ok(Room::default()) };
        Ok(Room { replaced: None, displaced: self.end_by_key(key, EndReason::SubjectLimit).await? })
    }

    /// A login that fails after it has made room has ended sessions that its answer does not name.
    fn tell_of_room(&self, room: Room) {
        if let Some(replaced) = room.replaced {
            self.note_passed(&replaced, EndReason::Replaced);
        }
        if let Some(displaced) = room.displaced.and_then(|ended| ended.opened) {
            self.note_passed(&displaced, EndReason::SubjectLimit);
        }
    }

    /// What must hold before a new session is shown to anybody: nobody has ended this login, and the one it replaces is
    /// gone, or about to go where `stepped_up` is the key of a session that has stepped up from it.
    async fn settle(
        &self,
        rules: &SessionRules,
        names: &[IndexName<'_>],
        login_issued: Timestamp,
        replaces: Option<&Arc<OpenedSession>>,
        stepped_up: Option<StoreKey>,
    ) -> Result<Option<Superseded>, SessionError> {
        self.check_not_ended(rules, names, login_issued).await?;
        let Some(old) = replaces else { return Ok(None) };
        // The old session may have been written although the answer was lost. Taken for a failure, that would cost the
        // person both sessions, so it is tried again: either is as good twice as once.
        let mut pauses = SETTLE_PAUSES.iter();
        loop {
            let settled = match stepped_up {
                Some(successor) => self.supersede(old, successor).await.map(Some),
                None => self.end(old, EndReason::Replaced).await.map(|()| None),
            };
            match (settled, pauses.next()) {
                (Err(SessionError::Store(_)), Some(pause)) => tokio::time::sleep(*pause).await,
                (settled, _) => return settled,
            }
        }
    }

    async fn check_not_ended(
        &self,
        rules: &SessionRules,
        names: &[IndexName<'_>],
        login_issued: Timestamp,
    ) -> Result<(), SessionError> {
        let indexes = names.iter().flat_map(|name| name.under_all_keys(&rules.ring, &self.namespace));
        let ended = try_join_all(indexes.map(|index| self.store.index_tombstone(index))).await?;
        if ended.into_iter().flatten().any(|ended| ended >= login_issued) {
            return Err(SessionError::EndedMeanwhile);
        }
        Ok(())
    }

    /// The oldest sessions of the same subject and host that must go, so that there are not more than allowed.
    async fn displaced_by(
        &self,
        rules: &SessionRules,
        content: &SessionContent,
        host: &Host,
        replaced: Option<StoreKey>,
    ) -> Result<Vec<StoreKey>, SessionError> {
        let identity = &content.identity;
        let mut own = self.of_subject(&identity.issuer, &identity.subject).await?;
        own.retain(|other| other.card.host == host.as_str() && Some(other.store_key) != replaced);
        own.sort_by_key(|other| other.card.created);
        let surplus = (own.len() + 1).saturating_sub(rules.max_per_subject);
        Ok(own.into_iter().take(surplus).map(|other| other.store_key).collect())
    }
}

/// What was ended to make room.
#[derive(Default)]
struct Room {
    replaced: Option<Arc<OpenedSession>>,
    displaced: Option<EndedSession>,
}

impl Room {
    const fn is_made(&self) -> bool {
        self.replaced.is_some() || self.displaced.is_some()
    }
}

/// The indexes that name a session: by what the mapping calls the person, and by what the provider does.
pub(super) fn names<'a>(content: &'a SessionContent, sub: &'a str) -> Vec<IndexName<'a>> {
    let (issuer, subject) = (content.identity.issuer.as_str(), content.identity.subject.as_str());
    let sid = content.sid.as_deref().map(|sid| IndexName::Sid { issuer, sid });
    let subjects = [subject, sub].into_iter().take(if subject == sub { 1 } else { 2 });
    sid.into_iter().chain(subjects.map(|subject| IndexName::Subject { issuer, subject })).collect()
}
