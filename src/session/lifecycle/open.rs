//! A cookie becomes a session again, warm from the cache or cold from the store.

use std::sync::Arc;

use super::{Judgement, Sessions, cache_key};
use crate::origin::Host;
use crate::session::cache::CacheKey;
use crate::session::error::{EndReason, SessionError, WhyNot};
use crate::session::opened::{Identified, OpenedSession};
use crate::session::store::StoreError;
use crate::session::ticket::{COOKIE_LENGTH, Ticket};

/// A record may be written while it is read; it settles at once.
const MAX_READS: usize = 5;

/// What a cookie leads to.
#[derive(Clone, Debug)]
pub enum Opened {
    /// A live session.
    Live(Arc<OpenedSession>),
    /// None; whoever asks is not logged in.
    None(WhyNot),
}

impl Sessions {
    /// Opens the session of a cookie's value at `host`, and notes its use.
    ///
    /// A warm session is answered without waiting and without a lock that is held for long.
    ///
    /// # Errors
    /// [`SessionError::Store`] when a cold session cannot be read: that is an error, never "logged out".
    pub async fn open(&self, host: &Host, cookie: &[u8]) -> Result<Opened, SessionError> {
        if cookie.len() != COOKIE_LENGTH {
            return Ok(Opened::None(WhyNot::Malformed));
        }
        let key = cache_key(cookie, host);
        let (mut known, mut unused) = (None, None);
        if let Some(session) = self.cache.find(&key) {
            match self.judge(&session) {
                Judgement::Live => {
                    self.touch(&session);
                    return Ok(Opened::Live(session));
                }
                Judgement::Expired => {
                    self.note_passed(&session, EndReason::Expired);
                    self.forget(&session);
                    return Ok(Opened::None(WhyNot::Expired));
                }
                Judgement::NotAdmitted(why) => {
                    self.note_passed(&session, why.end());
                    self.forget(&session);
                    return Ok(Opened::None(why.why_not()));
                }
                Judgement::Unconfirmed => return self.confirm(session, key).await,
                Judgement::AskStore => known = Some(session),
                Judgement::AskStoreAboutUse => unused = Some(session),
            }
        }
        // Boxed, so that a warm request does not carry the room a cold one needs.
        let opened = match (Box::pin(self.open_cold(host, cookie, key)).await, known) {
            // There is a newer version that cannot be read: the one that is known serves within the grace.
            (Err(_), Some(session)) if self.within_grace(&session) => return Ok(Opened::Live(session)),
            (opened, _) => opened?,
        };
        Ok(match (opened, unused) {
            (Opened::None(WhyNot::Missing), Some(session)) => {
                self.note_passed(&session, EndReason::Idle);
                Opened::None(WhyNot::Idle)
            }
            (opened, _) => opened,
        })
    }

    async fn open_cold(&self, host: &Host, cookie: &[u8], key: CacheKey) -> Result<Opened, SessionError> {
        let Ok(ticket) = Ticket::decode(cookie) else { return Ok(Opened::None(WhyNot::Malformed)) };
        let identified = Arc::new(self.identify(&self.rules.load(), ticket, host));
        Ok(match self.read(&identified, Some(key), None).await? {
            Ok(session) => {
                self.touch(&session);
                Opened::Live(session)
            }
            Err(why) => {
                // Only what was cached under this very cookie.
                self.cache.remove(&key);
                Opened::None(why)
            }
        })
    }

    /// Reads a session past the cache. `None`: it has ended.
    ///
    /// # Errors
    /// [`SessionError::Store`] or [`SessionError::Contended`]; nothing is known about the session then.
    pub async fn reload(&self, session: &Arc<OpenedSession>) -> Result<Option<Arc<OpenedSession>>, SessionError> {
        Ok(self.read(&session.identified, None, Some(session)).await?.ok())
    }

    /// Reads and opens the record, and keeps it in the cache. `key` is given by whoever shows the cookie, `held` by who
    /// has a version of it.
    pub(super) async fn read(
        &self,
        identified: &Arc<Identified>,
        key: Option<CacheKey>,
        held: Option<&Arc<OpenedSession>>,
    ) -> Result<Result<Arc<OpenedSession>, WhyNot>, SessionError> {
        let liveness = &identified.liveness;
        // Twice: another replica may be quicker to put back what a failover has lost.
        for _ in 0..2 {
            let asked = self.clock.monotonic();
            let session = match self.read_newest(identified).await? {
                Found::Newest(session) => session,
                Found::None(why) => return Ok(Err(why)),
                // Boxed: seldom.
                Found::Older(older) => match Box::pin(self.put_back(older, held)).await? {
                    Some(session) => session,
                    None if liveness.has_ended() => return Ok(Err(WhyNot::Missing)),
                    None => continue,
                },
            };
            liveness.note_read(asked);
            liveness.found();
            if let Some(key) = key {
                liveness.remember_cache_key(key);
            }
            self.keep(&session);
            return Ok(Ok(session));
        }
        Err(SessionError::Contended)
    }

    /// The version that the store has, again while it is older than one that has been announced.
    async fn read_newest(&self, identified: &Arc<Identified>) -> Result<Found, SessionError> {
        let liveness = &identified.liveness;
        let mut older = None;
        for _ in 0..MAX_READS {
            let stored = match self.store.load(identified.store_key).await {
                Ok(Some(stored)) => stored,
                Ok(None) => {
                    liveness.end();
                    if let Some(key) = liveness.cache_key() {
                        self.cache.remove(key);
                    }
                    return Ok(Found::None(WhyNot::Missing));
                }
                // As good as a record that was changed: its person logs in again.
                Err(StoreError::NotASession) => return Ok(Found::None(WhyNot::Tampered)),
                Err(error) => return Err(error.into()),
            };
            match self.unseal(Arc::clone(identified), &stored) {
                Ok(session) if session.is_current() => return Ok(Found::Newest(session)),
                // Written or ended since it was read: read again.
                Ok(session) => older = Some(session),
                Err(refused) => return Ok(Found::None(refused)),
            }
            if liveness.has_ended() {
                break;
            }
        }
        Ok(older.filter(|_| !liveness.has_ended()).map_or(Found::None(WhyNot::Missing), Found::Older))
    }
}

/// What a look at the store has found.
enum Found {
    Newest(Arc<OpenedSession>),
    /// It is genuine, but newer ones have been announced.
    Older(Arc<OpenedSession>),
    None(WhyNot),
}
