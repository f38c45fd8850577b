//! A step-up leaves the old session behind: it serves what is under way for ten seconds more, at its old level, and is
//! never refreshed again.

use std::sync::Arc;

use super::Sessions;
use super::save::{Edit, Rewritten};
use crate::session::content::SessionContent;
use crate::session::error::SessionError;
use crate::session::lifetime::SUPERSEDED_LIFETIME;
use crate::session::opened::OpenedSession;
use crate::session::ticket::StoreKey;

impl Sessions {
    /// Shortens the life of `old`, which `successor` has stepped up from. One that has ended by itself stays so, and
    /// one that has a successor already keeps the time that it has left.
    ///
    /// # Errors
    /// [`SessionError`]: the old session goes on as it was.
    pub(super) async fn supersede(
        &self,
        old: &Arc<OpenedSession>,
        successor: StoreKey,
    ) -> Result<Superseded, SessionError> {
        let until = self.clock.now().plus(SUPERSEDED_LIFETIME);
        let edit = |content: &SessionContent| match content.successor {
            Some(_) => Edit::Leave,
            None => Edit::Write(Box::new(content.superseded(successor, until))),
        };
        Ok(match self.rewrite(old, &edit).await? {
            Rewritten::Written(_) => Superseded::Serves,
            // Ours was written, and the answer was lost.
            Rewritten::Left(session) if session.content.successor == Some(successor) => Superseded::Serves,
            Rewritten::Left(_) | Rewritten::Gone => Superseded::HadEnded,
        })
    }
}

/// What became of a session that is stepped up from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Superseded {
    /// It serves for a little while.
    Serves,
    /// Somebody else had ended it, or stepped up from it.
    HadEnded,
}
