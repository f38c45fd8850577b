//! Everything is ended: also what cannot be listed, and what has come in between.

use std::collections::HashSet;

use futures_util::{StreamExt as _, stream};

use super::Sessions;
use super::end::{AT_ONCE, EndedSession, OPENED_AT_ONCE};
use crate::clock::Timestamp;
use crate::session::card::Card;
use crate::session::error::{EndReason, SessionError};
use crate::session::ticket::StoreKey;

/// So often it is looked at what is left.
const ROUNDS: usize = 3;

impl Sessions {
    /// Ends every session there is, whether its card opens here or not. Then it looks again, for logins that were being
    /// written meanwhile and for what was stepped up to from a session that has been ended; what has begun later stays.
    ///
    /// What comes back is what has become of each; none for those that were gone already.
    ///
    /// # Errors
    /// [`SessionError::Store`] when it cannot even be found out which they are.
    pub async fn end_all(&self, reason: EndReason) -> Result<Vec<Result<EndedSession, SessionError>>, SessionError> {
        let (began, mut tried, mut outcomes) = (self.clock.now(), HashSet::new(), Vec::new());
        for round in 0..ROUNDS {
            let left = match self.left(began, (round > 0).then_some(&tried)).await {
                Ok(left) if left.is_empty() => break,
                Ok(left) => left,
                Err(error) if round == 0 => return Err(error),
                // Nobody knows whether something is left.
                Err(error) => {
                    outcomes.push(Err(error));
                    break;
                }
            };
            // What could not be ended is there once more, or gone.
            outcomes.retain(Result::is_ok);
            tried.extend(left.iter().copied());
            let ended = stream::iter(left).map(|key| self.end_by_key(key, reason)).buffer_unordered(AT_ONCE);
            outcomes.extend(ended.collect::<Vec<_>>().await.into_iter().filter_map(Result::transpose));
        }
        Ok(outcomes)
    }

    /// The sessions there are: all of them, or those that have begun until then, or were stepped up to from one of
    /// `tried`, or were tried before.
    async fn left(&self, began: Timestamp, tried: Option<&HashSet<StoreKey>>) -> Result<Vec<StoreKey>, SessionError> {
        let listed = self.store.list().await?;
        let Some(tried) = tried else { return Ok(listed.into_iter().map(|one| one.key).collect()) };
        let mut left = Vec::new();
        for some in listed.chunks(OPENED_AT_ONCE) {
            let rules = self.rules.load_full();
            left.extend(
                some.iter()
                    .filter(|one| match Card::open(&rules.ring, &one.key, &one.card) {
                        Ok(card) => {
                            let stepped_up_from = card.predecessor.map(StoreKey::of_bytes);
                            card.created_at() <= began || stepped_up_from.is_some_and(|key| tried.contains(&key))
                        }
                        Err(_) => true,
                    })
                    .map(|one| one.key),
            );
            // There may be very many, and requests are waiting for this thread.
            tokio::task::yield_now().await;
        }
        Ok(left)
    }
}
