//! Whether an opened session is believed without the store: while every change of it is heard. When changes may have been
//! missed, it is read again, at most once a second; when it cannot be read, it goes on for the outage grace.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::{Opened, Sessions};
use crate::session::cache::CacheKey;
use crate::session::error::{SessionError, WhyNot};
use crate::session::opened::OpenedSession;
use crate::session::store::{StoreError, StoreState};

/// How far apart sessions are read again while changes may be missed: a revocation is effective within a second.
pub(super) const RECHECK: Duration = Duration::from_millis(900);

/// After the store has come back nobody begins to spend refresh tokens for so long: a save that failed is tried again
/// within a second.
const SETTLING: Duration = Duration::from_secs(2);

/// Nobody has read the session for longer than an outage may last.
#[derive(Debug, thiserror::Error)]
#[error("the session has not been confirmed for too long")]
struct Unconfirmed;

/// What this process hears of changes. Times are milliseconds of the monotonic clock plus one, so that zero is never.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// Since when changes may be missed; zero while all are heard.
    deaf_since: AtomicU64,
    /// How many gaps the store has told of.
    gaps: AtomicU64,
    /// When the last gap ended: what was read before must be read again.
    gap_until: AtomicU64,
    /// Whether changes have ever been heard, and whether the store has last failed.
    has_heard: AtomicBool,
    is_away: AtomicBool,
    /// When the store last came back; zero while it has always been there.
    back_at: AtomicU64,
}

/// A time as it is kept in an atomic.
pub(in crate::session) fn stamp(monotonic: Duration) -> u64 {
    u64::try_from(monotonic.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

impl Sessions {
    /// Takes in how the store is.
    pub(super) fn hear(&self, state: StoreState) {
        let deaf_since = state.deaf_since.map_or(0, stamp);
        let before = self.hearing.deaf_since.load(Ordering::Acquire);
        let new_gap = self.hearing.gaps.swap(state.gaps, Ordering::AcqRel) != state.gaps;
        let was_away = self.hearing.is_away.swap(!state.available, Ordering::AcqRel);
        let has_heard = self.hearing.has_heard.fetch_or(deaf_since == 0, Ordering::AcqRel);
        if (was_away && state.available) || (has_heard && before != 0 && deaf_since == 0) {
            self.hearing.back_at.store(stamp(self.clock.monotonic()), Ordering::Release);
        }
        let has_missed_some = new_gap || (before != 0 && deaf_since == 0);
        if has_missed_some {
            // First: nobody must believe in between that all has been heard.
            self.hearing.gap_until.store(stamp(self.clock.monotonic()), Ordering::Release);
        }
        self.hearing.deaf_since.store(deaf_since, Ordering::Release);
        if has_missed_some {
            self.missed_some();
        } else if before != deaf_since {
            // Those who hold a session look after it themselves from here on.
            self.registry.wake_all();
        }
    }

    /// Waits until those who have spent a refresh token just before the store went away have had time to write its
    /// successor, should it have come back a moment ago.
    pub async fn settled(&self) {
        let back_at = self.hearing.back_at.load(Ordering::Acquire);
        let since = Duration::from_millis(stamp(self.clock.monotonic()).saturating_sub(back_at));
        if back_at != 0 && since < SETTLING {
            tokio::time::sleep(SETTLING.saturating_sub(since)).await;
        }
    }

    /// Some changes were missed: what was read before now is read again at its next use, and whoever holds a session for
    /// longer than a request does so at once.
    pub(super) fn missed_some(&self) {
        self.hearing.gap_until.store(stamp(self.clock.monotonic()), Ordering::Release);
        self.registry.wake_all();
    }

    /// How long ago the last gap was, if the session has not been read since: what was announced of it was so before.
    pub(super) fn unread_since_a_gap(&self, session: &OpenedSession) -> Option<Duration> {
        let gap_until = self.hearing.gap_until.load(Ordering::Acquire);
        let is_unread = gap_until != 0 && session.identified.liveness.read_at() <= gap_until;
        is_unread.then(|| Duration::from_millis(stamp(self.clock.monotonic()).saturating_sub(gap_until)))
    }

    /// Whether changes may be missed at the moment.
    pub(super) fn is_deaf(&self) -> bool {
        self.hearing.deaf_since.load(Ordering::Acquire) != 0
    }

    /// Whether every change of a session since it was read has been heard, or it was read just now.
    pub(super) fn hears_of(&self, session: &OpenedSession, monotonic: Duration) -> bool {
        let read_at = session.identified.liveness.read_at();
        if self.is_deaf() {
            stamp(monotonic).saturating_sub(read_at) < u64::try_from(RECHECK.as_millis()).unwrap_or_default()
        } else {
            read_at > self.hearing.gap_until.load(Ordering::Acquire)
        }
    }

    /// Whether a session may go on although the store cannot be read: for the outage grace after it was last known to be
    /// there.
    pub(super) fn within_grace(&self, session: &OpenedSession) -> bool {
        if session.has_ended() {
            return false;
        }
        let read_at = session.identified.liveness.read_at();
        let heard_until = match self.hearing.deaf_since.load(Ordering::Acquire) {
            0 => stamp(self.clock.monotonic()),
            since => since,
        };
        // Of what was read after the last gap, everything was heard until now, or until hearing was lost.
        let gap_until = self.hearing.gap_until.load(Ordering::Acquire);
        let known_until = if read_at > gap_until { read_at.max(heard_until) } else { read_at };
        let grace = self.rules.load().outage_grace;
        let unknown_for = stamp(self.clock.monotonic()).saturating_sub(known_until);
        u128::from(unknown_for) < grace.as_millis()
    }

    /// Answers a request whose session must be confirmed. Of many at once, one asks the store and the others wait for its
    /// answer; when the store is away, what is known goes on within the grace.
    pub(super) async fn confirm(&self, session: Arc<OpenedSession>, key: CacheKey) -> Result<Opened, SessionError> {
        let liveness = &session.identified.liveness;
        if !liveness.may_ask(self.clock.monotonic(), RECHECK) {
            // Boxed: seldom, and a warm request need not carry the room for it.
            let answered = Box::pin(self.answered(&session));
            return match answered.await {
                Some(confirmed) => Ok(confirmed),
                None if self.within_grace(&session) => Ok(Opened::Live(session)),
                None => Err(StoreError::Unavailable(Unconfirmed.into()).into()),
            };
        }
        let read = Box::pin(self.read(&session.identified, Some(key), Some(&session))).await;
        if read.is_err() {
            liveness.note_unanswered(self.clock.monotonic());
        }
        match read {
            Ok(Ok(confirmed)) => {
                self.touch(&confirmed);
                Ok(Opened::Live(confirmed))
            }
            Ok(Err(why)) => {
                self.cache.remove(&key);
                Ok(Opened::None(why))
            }
            Err(error) if !self.within_grace(&session) => Err(error),
            Err(_) => Ok(Opened::Live(session)),
        }
    }

    /// What another request that is asking the store learns; `None` when that is nothing, or takes long, or the last one
    /// that asked has learned nothing.
    async fn answered(&self, session: &Arc<OpenedSession>) -> Option<Opened> {
        let liveness = &session.identified.liveness;
        let answer = async {
            loop {
                let changed = liveness.changes().notified();
                tokio::pin!(changed);
                // Registered before the look, so that an answer in between wakes us.
                changed.as_mut().enable();
                if session.has_ended() {
                    return Some(Opened::None(WhyNot::Missing));
                }
                let cached = liveness.cache_key().and_then(|key| self.cache.find(key));
                let newest = cached.filter(|cached| cached.generation > session.generation);
                let newest = newest.as_ref().unwrap_or(session);
                if self.hears_of(newest, self.clock.monotonic()) {
                    return Some(Opened::Live(Arc::clone(newest)));
                }
                // Within the grace nobody waits for a store that was away a moment ago. After it, what one that may be back
                // says to whoever asks it right now is worth a wait.
                if liveness.is_unanswered() && (!liveness.is_being_asked() || self.within_grace(session)) {
                    return None;
                }
                changed.await;
            }
        };
        tokio::time::timeout(RECHECK, answer).await.ok().flatten()
    }
}
