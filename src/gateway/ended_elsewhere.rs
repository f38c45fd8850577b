//! Sessions that are ended without their cookies: by an administrator, by their person from another session, or by the
//! provider.
//!
//! The replica that has one open revokes its tokens at the provider; of the others the only copy dies with the record.

use std::sync::Arc;

use futures_util::{StreamExt as _, stream};

use super::Gateway;
use super::ending::session_end;
use crate::session::{EndReason, EndedSession, SessionError, StoreKey};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::StoreOperation;
use crate::telemetry::settings::LogUser;

/// Sessions that are ended at once.
const AT_ONCE: usize = 16;

/// What has become of sessions that were to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedElsewhere {
    /// They have ended, on every replica.
    pub ended: usize,
    /// Of those, the ones whose tokens this replica had and is revoking at the provider.
    pub revoking: usize,
    /// The store did not take it: they live on.
    pub failed: usize,
}

/// Which sessions are to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhichSessions {
    /// These.
    Named(Vec<StoreKey>),
    /// Every one of a person, and every login of theirs that is under way.
    OfSubject {
        /// The issuer, or the provider's name for plain OAuth 2.0.
        issuer: String,
        /// The subject.
        subject: String,
    },
    /// Every one there is.
    All,
}

/// Who ends them, and for which request, as the audit log tells it.
#[derive(Clone, Copy, Debug)]
pub struct EndedBy<'a> {
    /// What ends them.
    pub reason: EndReason,
    /// `admin` or `person`.
    pub by: &'static str,
    /// `one`, `subject`, `others` or `all`.
    pub scope: &'static str,
    /// What stands in logs for the person concerned, where it is known.
    pub user: Option<&'a str>,
    /// The request that asks for it.
    pub request_id: &'a str,
}

impl Gateway {
    /// Ends sessions, tells of them and revokes what tokens are at hand. Those that are gone already are not counted.
    ///
    /// # Errors
    /// [`SessionError::Store`] when it cannot even be found out which they are.
    pub async fn end_elsewhere(&self, which: WhichSessions, by: EndedBy<'_>) -> Result<EndedElsewhere, SessionError> {
        let outcomes = match which {
            WhichSessions::Named(keys) => Ok(self.end_each(keys, by.reason).await),
            WhichSessions::OfSubject { issuer, subject } => {
                self.sessions.end_each_of_subject(&issuer, &subject, by.reason).await
            }
            WhichSessions::All => self.sessions.end_all(by.reason).await,
        };
        let outcomes = outcomes.inspect_err(|_| self.store_failed(StoreOperation::Index))?;
        let mut counted = EndedElsewhere::default();
        for outcome in outcomes {
            match outcome {
                Ok(session) => {
                    counted.ended += 1;
                    counted.revoking += usize::from(self.revoke_if_open(&session));
                    self.tell_of_ended(&session, by.reason, by.request_id);
                }
                Err(_) => {
                    counted.failed += 1;
                    self.store_failed(StoreOperation::Remove);
                }
            }
        }
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let (ended, failed) = (number(counted.ended), number(counted.failed));
        let EndedBy { by, scope, user, request_id, .. } = by;
        let event = AuditEvent::SessionsRevoked { by, scope, user, ended, failed };
        self.audit_log.record(self.clock.now_millis(), Some(request_id), &event);
        Ok(counted)
    }

    /// Every issuer that sessions can be of: for plain OAuth 2.0 the provider's name.
    #[must_use]
    pub fn issuers(&self) -> Vec<String> {
        let providers = self.routes.providers();
        let mut issuers: Vec<_> =
            providers.values().map(|known| known.provider.settings().issuer_name().to_owned()).collect();
        issuers.sort_unstable();
        issuers.dedup();
        issuers
    }

    /// What stands in logs for a person of whom no session is open here.
    #[must_use]
    pub fn person_in_logs(&self, issuer: &str, subject: &str, username: Option<&str>) -> String {
        match self.log_user {
            LogUser::Name => username.unwrap_or(subject).to_owned(),
            LogUser::Pseudonym => self.sessions.rules().key_ring().pseudonym(issuer, subject),
        }
    }

    async fn end_each(&self, keys: Vec<StoreKey>, reason: EndReason) -> Vec<Result<EndedSession, SessionError>> {
        stream::iter(keys)
            .map(|key| self.sessions.end_by_key(key, reason))
            .buffer_unordered(AT_ONCE)
            .filter_map(|outcome| std::future::ready(outcome.transpose()))
            .collect()
            .await
    }

    /// Whether there was something to revoke; nobody waits for the provider.
    pub(super) fn revoke_if_open(&self, ended: &EndedSession) -> bool {
        let Some(session) = &ended.opened else { return false };
        let Some(known) = self.current_providers.find(session.host()) else { return false };
        for grant in session.grants() {
            self.revoker.revoke(&known, Arc::clone(grant), session.reference());
        }
        !session.grants().is_empty()
    }

    /// Counts and tells of a session that has been ended without its cookie.
    pub(super) fn tell_of_ended(&self, ended: &EndedSession, reason: EndReason, request_id: &str) {
        let reason = session_end(reason);
        self.metrics.session_ended(reason);
        let user =
            ended.card.as_ref().map(|card| self.person_in_logs(&card.issuer, &card.subject, card.username.as_deref()));
        let event = AuditEvent::SessionEnded { user: user.as_deref(), session: &ended.reference, reason };
        self.audit_log.record(self.clock.now_millis(), Some(request_id), &event);
    }
}
