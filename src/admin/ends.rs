//! What the administration of sessions asks of whoever ends them: their tokens are revoked, and it is counted and told.

use futures_util::future::BoxFuture;

use crate::session::{SessionError, StoreKey};
use crate::telemetry::request_id::RequestId;

/// Which sessions are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToEnd {
    /// The one of this name.
    One(StoreKey),
    /// Every one of a person, and every login of theirs that is under way.
    Subject {
        /// The issuer, or the provider's name for plain OAuth 2.0.
        issuer: String,
        /// The subject.
        subject: String,
    },
    /// Every one there is.
    All,
}

/// What has become of them; those that were gone already are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// They have ended, on every replica.
    pub ended: usize,
    /// Of those, the ones whose tokens this replica had and is revoking at the provider.
    pub revoking: usize,
    /// They live on, because the store did not take it.
    pub failed: usize,
}

/// Ends sessions.
pub trait SessionEnds: Send + Sync + 'static {
    /// Every issuer that sessions can be of.
    fn issuers(&self) -> Vec<String>;

    /// Ends sessions. The future borrows nothing, so that it can outlive who asks.
    ///
    /// # Errors
    /// [`SessionError::Store`] when it cannot be found out which they are.
    fn end(&self, which: ToEnd, request_id: RequestId) -> BoxFuture<'static, Result<Ended, SessionError>>;
}
