//! Which upstreams a session has been used for: noted in its record, so that whoever lists sessions sees it.

use std::sync::{Arc, PoisonError};

use super::Sessions;
use super::save::Edit;
use crate::session::content::SessionContent;
use crate::session::error::SessionError;
use crate::session::opened::OpenedSession;

impl Sessions {
    /// Notes the first use of an upstream in a task of its own, at most one at a time for each session and upstream. A
    /// further use costs a look at a short list.
    pub fn note_use(self: &Arc<Self>, session: &Arc<OpenedSession>, upstream: &str) {
        // One that was stepped up from is about to end, and is written no more.
        if session.is_superseded() || session.upstreams().iter().any(|used| used == upstream) {
            return;
        }
        let noting = (session.store_key(), upstream.to_owned());
        if !self.noting.lock().unwrap_or_else(PoisonError::into_inner).insert(noting.clone()) {
            return;
        }
        let (sessions, session) = (Arc::clone(self), Arc::clone(session));
        tokio::spawn(async move {
            // Nobody waits for it, and the next request notes what could not be noted now.
            if sessions.note_upstream(&session, &noting.1).await.is_err() {
                tracing::debug!(event = "session.upstream-not-noted", session = session.reference());
            }
            sessions.noting.lock().unwrap_or_else(PoisonError::into_inner).remove(&noting);
        });
    }

    /// Notes the first use of an upstream; later ones cost nothing. `None`: the session has ended.
    ///
    /// # Errors
    /// As of [`Sessions::mark`].
    pub async fn note_upstream(
        &self,
        session: &Arc<OpenedSession>,
        upstream: &str,
    ) -> Result<Option<Arc<OpenedSession>>, SessionError> {
        let edit = |content: &SessionContent| {
            if content.successor.is_some() || content.upstreams.iter().any(|used| used == upstream) {
                return Edit::Leave;
            }
            let mut changed = content.clone();
            changed.upstreams.push(upstream.to_owned());
            Edit::Write(Box::new(changed))
        };
        self.rewrite(session, &edit).await.map(super::save::Rewritten::into_session)
    }
}
