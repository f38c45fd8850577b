//! Revokes tokens that nobody needs any more (RFC 7009), without anybody waiting for it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::token_endpoint::TokenEndpoint;
use crate::clock::Clock;
use crate::provider::revocation::Revocation;
use crate::session::Grant;
use crate::telemetry::audit::{AuditEvent, AuditLog};

/// Revocations under way at once; more are not tried, so that a provider that is away fills no memory.
const AT_ONCE: usize = 256;
/// Pauses before a revocation that failed is tried again.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// Revokes in the background.
pub(super) struct Revoker {
    room: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    audit: Arc<AuditLog>,
    under_way: Mutex<JoinSet<()>>,
}

impl fmt::Debug for Revoker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Revoker").finish_non_exhaustive()
    }
}

impl Revoker {
    pub(super) fn new(clock: Arc<dyn Clock>, audit: Arc<AuditLog>) -> Arc<Self> {
        Arc::new(Self { room: Arc::new(Semaphore::new(AT_ONCE)), clock, audit, under_way: Mutex::default() })
    }

    /// Revokes the tokens of a grant; `session` is the reference in logs.
    pub(super) fn revoke(self: &Arc<Self>, known: &Arc<impl TokenEndpoint>, grant: Arc<Grant>, session: &str) {
        let (revoker, known, session) = (Arc::clone(self), Arc::clone(known), session.to_owned());
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            self.failed(&*known, &session, "too-many");
            return;
        };
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        while under_way.try_join_next().is_some() {}
        under_way.spawn(async move {
            let _permit = permit;
            for pause in PAUSES.iter().map(Some).chain([None]) {
                if known.revoke(&grant.tokens).await != Revocation::Failed {
                    return;
                }
                match pause {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => revoker.failed(&*known, &session, "provider"),
                }
            }
        });
    }

    /// Waits for what is under way, at most for `patience`; the rest is given up.
    pub(super) async fn settle(&self, patience: Duration) {
        let mut under_way = std::mem::take(&mut *self.under_way.lock().unwrap_or_else(PoisonError::into_inner));
        // Whoever ends the process cannot wait for a provider that is away.
        let _ = tokio::time::timeout(patience, async { while under_way.join_next().await.is_some() {} }).await;
    }

    fn failed(&self, known: &impl TokenEndpoint, session: &str, reason: &'static str) {
        let event = AuditEvent::LogoutRevocationFailed { provider: known.label(), session, reason };
        self.audit.record(self.clock.now_millis(), None, &event);
    }
}

#[cfg(test)]
mod tests;
