//! New tokens go into a live session; nothing that another writer has put there is lost, and nobody brings back what
//! has ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Sessions;
use super::begin::names;
use crate::claims::Identity;
use crate::entropy::draw;
use crate::session::content::SessionContent;
use crate::session::error::SessionError;
use crate::session::grant::{Grant, GrantId, GrantMark, GrantTokens};
use crate::session::lifetime::LEASE_LIFETIME;
use crate::session::opened::OpenedSession;
use crate::session::rules::SessionRules;
use crate::session::store::{LeaseOwner, Replaced, SessionStore, StoreState};
use crate::session::ticket::StoreKey;

/// So often a write is tried against others.
const MAX_TRIES: usize = 5;

/// Pauses before a failed write of new tokens is tried again: they exist nowhere else.
const SAVE_PAUSES: [Duration; 4] =
    [Duration::from_millis(100), Duration::from_millis(400), Duration::from_secs(1), Duration::from_secs(2)];
/// After these, the pause until the next try.
const SAVE_PAUSE: Duration = Duration::from_secs(1);
/// A store that is back is asked sooner, but not at every sign of life.
const SAVE_SOONEST: Duration = Duration::from_millis(50);
/// So many such tries: an outage of ten minutes costs nobody a login. No refresh begins while the store is away, so only
/// those that were under way when it went wait here.
const SAVE_TRIES: usize = 600;

/// The right to refresh one grant for 15 seconds. It saves calls; what is correct does not depend on it.
#[derive(Debug)]
pub struct Lease {
    key: StoreKey,
    grant: GrantId,
    owner: LeaseOwner,
}

/// What became of refreshed tokens.
#[derive(Debug)]
pub enum Saved {
    /// They are in the session.
    Written(Arc<OpenedSession>),
    /// Somebody else's newer tokens are; those are to be used, and ours dropped without a revocation, which could end
    /// the whole grant.
    Superseded(Arc<OpenedSession>),
    /// The session has ended; ours are to be revoked.
    Gone(Arc<Grant>),
}

/// Refreshed tokens could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the refreshed tokens could not be written")]
pub struct SaveError {
    /// The grant with the tokens that are written nowhere.
    pub grant: Arc<Grant>,
    /// Why.
    #[source]
    pub reason: SessionError,
}

/// What a writer wants once it has seen the newest content.
pub(super) enum Edit {
    Write(Box<SessionContent>),
    Leave,
    Lost,
}

pub(super) enum Rewritten {
    Written(Arc<OpenedSession>),
    Left(Arc<OpenedSession>),
    Gone,
}

impl Sessions {
    /// Takes the lease on refreshing a grant. `None`: somebody else has it.
    ///
    /// # Errors
    /// [`SessionError::Store`] or [`SessionError::NoEntropy`]: no refresh then, the access token serves while it lives.
    pub async fn take_lease(&self, session: &OpenedSession, grant: &Grant) -> Result<Option<Lease>, SessionError> {
        let lease = Lease { key: session.store_key(), grant: grant.key.id(), owner: draw(&*self.entropy)? };
        match self.store.take_lease(lease.key, lease.grant, lease.owner, LEASE_LIFETIME).await {
            Ok(taken) => Ok(taken.then_some(lease)),
            Err(error) => {
                tokio::spawn(give_back_unheard(Arc::clone(&self.store), lease));
                Err(error.into())
            }
        }
    }

    /// Gives a lease back. Should that fail, it runs out by itself.
    pub async fn release(&self, lease: Lease) {
        if self.store.release_lease(lease.key, lease.grant, lease.owner).await.is_err() {
            tracing::warn!(event = "session.lease-not-released");
        }
    }

    /// Puts refreshed tokens into the session, and the identity that came with them.
    ///
    /// `spent` is the grant whose refresh token was sent. A record that somebody else has written in the meantime is
    /// merged: with the same token generation it gets our tokens; with a newer one it keeps its own.
    ///
    /// # Errors
    /// [`SaveError`], with the tokens, when the store has failed again and again.
    pub async fn save_refreshed(
        &self,
        session: &Arc<OpenedSession>,
        spent: &Grant,
        tokens: GrantTokens,
        identity: Option<Identity>,
    ) -> Result<Saved, SaveError> {
        let refreshed = Arc::new(spent.refreshed(tokens, self.clock.now()));
        let known = session.identity();
        if identity.as_ref().is_some_and(|new| new.issuer != known.issuer || new.subject != known.subject) {
            return Err(SaveError { grant: refreshed, reason: SessionError::OtherSubject });
        }
        let identity = identity.map(Arc::new);
        let id = spent.key.id();
        let edit = |content: &SessionContent| match content.grant(id) {
            Some(there) if there.token_generation == spent.token_generation => {
                // Tokens that come after a step-up serve those who wait for them; nobody refreshes them again.
                let mut changed = match content.successor {
                    Some(_) => content.with_grant(&Arc::new(refreshed.retired())),
                    None => content.with_grant(&refreshed),
                };
                if let Some(identity) = &identity {
                    changed.identity = Arc::clone(identity);
                }
                Edit::Write(Box::new(changed))
            }
            Some(_) => Edit::Leave,
            None => Edit::Lost,
        };
        let mut state = self.store.state();
        let mut pauses = SAVE_PAUSES.into_iter().chain(std::iter::repeat_n(SAVE_PAUSE, SAVE_TRIES));
        loop {
            state.mark_unchanged();
            match self.rewrite(session, &edit).await {
                Ok(Rewritten::Written(session)) => return Ok(Saved::Written(session)),
                Ok(Rewritten::Left(session)) => return Ok(Saved::Superseded(session)),
                Ok(Rewritten::Gone) => return Ok(Saved::Gone(refreshed)),
                Err(reason) => {
                    // Only what may pass by itself is worth another try.
                    let passing = matches!(reason, SessionError::Store(_) | SessionError::Contended);
                    match pauses.next().filter(|_| passing) {
                        // The old token must not be spent elsewhere before the new one is known.
                        Some(pause) => until_back(&mut state, pause).await,
                        None => return Err(SaveError { grant: refreshed, reason }),
                    }
                }
            }
        }
    }

    /// Notes something about a grant, unless its tokens have changed since. `None`: the session has ended.
    ///
    /// # Errors
    /// [`SessionError::Store`], [`SessionError::Contended`] or [`SessionError::NoEntropy`]; nothing is noted then.
    pub async fn mark(
        &self,
        session: &Arc<OpenedSession>,
        grant: &Grant,
        mark: GrantMark,
    ) -> Result<Option<Arc<OpenedSession>>, SessionError> {
        let id = grant.key.id();
        let edit = |content: &SessionContent| match content.grant(id) {
            Some(there) if there.token_generation == grant.token_generation => {
                let marked = there.marked(mark);
                if marked == **there {
                    Edit::Leave
                } else {
                    Edit::Write(Box::new(content.with_grant(&Arc::new(marked))))
                }
            }
            Some(_) => Edit::Leave,
            None => Edit::Lost,
        };
        self.rewrite(session, &edit).await.map(Rewritten::into_session)
    }

    /// Writes what `edit` makes of the newest content: compare-and-swap, and again on what is there when it is lost.
    pub(super) async fn rewrite(
        &self,
        session: &Arc<OpenedSession>,
        edit: &(impl Fn(&SessionContent) -> Edit + Sync),
    ) -> Result<Rewritten, SessionError> {
        let mut base = Arc::clone(session);
        for _ in 0..MAX_TRIES {
            let content = match edit(&base.content) {
                Edit::Write(content) => *content,
                Edit::Leave => return Ok(Rewritten::Left(base)),
                Edit::Lost => return Ok(Rewritten::Gone),
            };
            let rules = self.rules.load_full();
            // Sealed anew it would outlive the removal of its key, or another provider in its place.
            if rules.admit(&base).is_err() {
                self.forget(&base);
                return Ok(Rewritten::Gone);
            }
            let generation = base.generation.saturating_add(1);
            self.follow_first_key(&rules, &base).await?;
            let sealed = self.seal(&rules, &base.identified, generation, &content)?;
            let size = sealed.record.len();
            let asked = self.clock.monotonic();
            match self.store.replace(base.store_key(), base.generation, sealed).await? {
                Replaced::Written => {
                    let written = self.opened(
                        &rules,
                        Arc::clone(&base.identified),
                        rules.ring.first().kid(),
                        generation,
                        content,
                        size,
                    );
                    written.identified.liveness.note_read(asked);
                    self.keep(&written);
                    return Ok(Rewritten::Written(written));
                }
                Replaced::Moved => match self.reload(&base).await? {
                    Some(newer) => base = newer,
                    None => return Ok(Rewritten::Gone),
                },
                Replaced::Absent => {
                    self.forget(&base);
                    return Ok(Rewritten::Gone);
                }
            }
        }
        Err(SessionError::Contended)
    }

    /// A record that is about to be sealed under a newer key is entered into the indexes under that key as well: when
    /// the old key goes, the session stays, and whoever ends it by its index must still find it.
    pub(super) async fn follow_first_key(
        &self,
        rules: &SessionRules,
        base: &OpenedSession,
    ) -> Result<(), SessionError> {
        if base.sealed_under == rules.ring.first().kid() {
            return Ok(());
        }
        let sub = base.content.identity.claims.lookup("sub").and_then(serde_json::Value::as_str);
        for name in names(&base.content, sub.unwrap_or(&base.content.identity.subject)) {
            let index = name.under_first_key(&rules.ring, &self.namespace);
            self.store.index_add(index, base.store_key(), base.content.absolute_expiry).await?;
        }
        Ok(())
    }
}

/// Gives back what may have been taken without our having heard of it: nobody else could refresh until it runs out.
async fn give_back_unheard(store: Arc<dyn SessionStore>, lease: Lease) {
    let mut given_back = 0;
    for _ in 0..LEASE_LIFETIME.as_secs() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        given_back += u8::from(store.release_lease(lease.key, lease.grant, lease.owner).await.is_ok());
        // Twice: what was sent on a connection that has broken may arrive after what was sent on the next one.
        if given_back == 2 {
            return;
        }
    }
}

/// Waits for so long, or until the store has begun to answer somebody.
async fn until_back(state: &mut watch::Receiver<StoreState>, pause: Duration) {
    let back = async {
        tokio::time::sleep(SAVE_SOONEST).await;
        while state.changed().await.is_ok() {
            if state.borrow_and_update().available {
                return;
            }
        }
        std::future::pending().await
    };
    let _ = tokio::time::timeout(pause, back).await;
}

impl Rewritten {
    pub(super) fn into_session(self) -> Option<Arc<OpenedSession>> {
        match self {
            Self::Written(session) | Self::Left(session) => Some(session),
            Self::Gone => None,
        }
    }
}
