//! What a WebSocket or a long stream holds: it learns of the end of its session, and keeps it alive by its use.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::confirm::RECHECK;
use super::{Judgement, Sessions};
use crate::session::error::EndReason;
use crate::session::lifetime::Verdict;
use crate::session::opened::OpenedSession;

/// So often the clock is asked, however far away the limits are: somebody may set it.
const LOOK: Duration = Duration::from_secs(15);

/// A hold on a session for longer than a request.
pub struct SessionWatch {
    sessions: Arc<Sessions>,
    newest: Mutex<Arc<OpenedSession>>,
}

impl fmt::Debug for SessionWatch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionWatch").field("session", &self.current()).finish_non_exhaustive()
    }
}

impl Sessions {
    /// Holds on to a session.
    #[must_use]
    pub fn watch(self: &Arc<Self>, session: &Arc<OpenedSession>) -> SessionWatch {
        SessionWatch { sessions: Arc::clone(self), newest: Mutex::new(Arc::clone(session)) }
    }
}

impl SessionWatch {
    /// The newest version this process has.
    #[must_use]
    pub fn current(&self) -> Arc<OpenedSession> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has stepped up goes on with what was open: it is the same person's, and ends with the new session.
        while let Some(successor) = newest.identified.liveness.successor() {
            *newest = Arc::clone(successor);
        }
        let cached = newest.identified.liveness.cache_key().and_then(|key| self.sessions.cache.find(key));
        if let Some(cached) = cached.filter(|cached| cached.generation > newest.generation) {
            *newest = cached;
        }
        Arc::clone(&newest)
    }

    /// Notes that the browser has sent something.
    pub fn touch(&self) {
        self.sessions.touch(&self.current());
    }

    /// Returns once the session has ended: removed, or past one of its limits by our clock. A store that is away has
    /// ended nothing until the outage grace is over.
    pub async fn ended(&self) {
        loop {
            let session = self.current();
            let changed = session.identified.liveness.changes().notified();
            tokio::pin!(changed);
            // Registered before the look, so that an end in between wakes us.
            changed.as_mut().enable();
            if session.has_ended() {
                // Somebody may have met it past its limit without knowing what it was.
                match self.sessions.verdict(&self.sessions.rules.load(), &session) {
                    Verdict::Live => {}
                    Verdict::Expired => self.sessions.note_passed(&session, EndReason::Expired),
                    Verdict::Idle => self.sessions.note_passed(&session, EndReason::Idle),
                }
                return;
            }
            match self.sessions.judge(&session) {
                Judgement::Live => {}
                Judgement::NotAdmitted(why) => {
                    self.sessions.note_passed(&session, why.end());
                    self.sessions.forget(&session);
                    return;
                }
                Judgement::Expired => {
                    self.sessions.note_passed(&session, EndReason::Expired);
                    self.sessions.forget(&session);
                    return;
                }
                judgement => match self.sessions.reload(&session).await {
                    Ok(None) => {
                        if matches!(judgement, Judgement::AskStoreAboutUse) {
                            self.sessions.note_passed(&session, EndReason::Idle);
                        }
                        return;
                    }
                    Ok(Some(newer)) => *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = newer,
                    // A revocation that this replica cannot hear of is effective once the grace is over.
                    Err(_) if !self.sessions.within_grace(&session) => return,
                    Err(_) => tracing::debug!(event = "session.watch-store-away"),
                },
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep(self.pause(&session)) => {}
            }
        }
    }

    /// Until the nearer limit, but never long; while changes may be missed, until the session is to be read again.
    fn pause(&self, session: &OpenedSession) -> Duration {
        if self.sessions.is_deaf() {
            return RECHECK;
        }
        let (now, rules) = (self.sessions.clock.now(), self.sessions.rules.load());
        let idle = session.last_touch().plus(rules.idle).since(now);
        rules.absolute_expiry(session).since(now).min(idle).clamp(Duration::from_secs(1), LOOK)
    }
}
