//! A store that has gone back: a failover has lost the last writes of a session, and this process knows of newer ones.

use std::sync::Arc;
use std::time::Duration;

use super::Sessions;
use crate::session::content::SessionContent;
use crate::session::error::SessionError;
use crate::session::opened::OpenedSession;
use crate::session::store::{Replaced, StoreError};

/// What has been announced and is not there after this will not come any more.
const GIVEN_UP_AFTER: Duration = Duration::from_secs(2);

/// The store has an older version of the session than it has announced.
#[derive(Debug, thiserror::Error)]
#[error("the store has an older version of the session than it has announced")]
struct GoneBack;

impl Sessions {
    /// What goes on where the store has only the version `older`, which is genuine. A newer one that is open here, `held`
    /// or in the cache, is written anew: it may hold the only tokens that are still good. Without one, the older goes on
    /// after a moment in which others may have put theirs back. `None`: somebody else has written it, or it has ended.
    ///
    /// # Errors
    /// [`SessionError::Store`] in that moment: it is no end of the session.
    pub(super) async fn put_back(
        &self,
        older: Arc<OpenedSession>,
        held: Option<&Arc<OpenedSession>>,
    ) -> Result<Option<Arc<OpenedSession>>, SessionError> {
        let liveness = &older.identified.liveness;
        if liveness.has_ended() {
            return Ok(None);
        }
        let known = liveness.newest_generation();
        let cached = liveness.cache_key().and_then(|key| self.cache.find(key));
        let copy = cached.as_ref().into_iter().chain(held).max_by_key(|copy| copy.generation);
        // What has been stepped up from meanwhile stays so.
        let copy = copy.filter(|copy| {
            copy.generation > older.generation && copy.content.successor.is_some() >= older.content.successor.is_some()
        });
        let is_lost = liveness.lost_for(self.clock.monotonic()) >= GIVEN_UP_AFTER
            || self.unread_since_a_gap(&older).is_some_and(|past| past >= GIVEN_UP_AFTER);
        match copy {
            Some(copy) if copy.generation == known || is_lost => self.write_anew(copy, &older, known).await,
            None if is_lost => {
                liveness.go_back(known, older.generation);
                Ok(Some(older))
            }
            _ => Err(StoreError::Unavailable(GoneBack.into()).into()),
        }
    }

    /// Writes a version over an older one. A session that has been ended stays so: the store refuses.
    async fn write_anew(
        &self,
        copy: &Arc<OpenedSession>,
        older: &OpenedSession,
        known: u64,
    ) -> Result<Option<Arc<OpenedSession>>, SessionError> {
        let rules = self.rules.load_full();
        if rules.admit(copy).is_err() {
            self.forget(copy);
            return Ok(None);
        }
        // Above all that anybody has seen, so that nobody takes it for one of those.
        let generation = copy.generation.max(known).saturating_add(1);
        self.follow_first_key(&rules, copy).await?;
        let content = merged(&copy.content, &older.content);
        let sealed = self.seal(&rules, &copy.identified, generation, &content)?;
        let size = sealed.record.len();
        match self.store.replace(copy.store_key(), older.generation, sealed).await? {
            Replaced::Written => {
                tracing::warn!(event = "session.put-back", session = copy.reference());
                let (identified, kid) = (Arc::clone(&copy.identified), rules.ring.first().kid());
                Ok(Some(self.opened(&rules, identified, kid, generation, content, size)))
            }
            Replaced::Moved => Ok(None),
            Replaced::Absent => {
                self.forget(copy);
                Ok(None)
            }
        }
    }
}

/// The newer version, with what others have got for the older one since: tokens that were refreshed, what is known of a
/// refresh token that was sent, and first uses.
fn merged(newer: &SessionContent, older: &SessionContent) -> SessionContent {
    let mut content = newer.clone();
    for there in &older.grants {
        if content.grant(there.key.id()).is_some_and(|ours| ours.progress() < there.progress()) {
            content = content.with_grant(there);
            content.identity = Arc::clone(&older.identity);
        }
    }
    content.upstreams.extend(older.upstreams.iter().filter(|used| !newer.upstreams.contains(used)).cloned());
    content
}
