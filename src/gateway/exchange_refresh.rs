//! One flight of a refresh, from the lease to the write-back.

use std::sync::Arc;
use std::time::Duration;

use super::ending::session_end;
use super::refresh::{PATIENCE, Refresher};
use super::token_endpoint::TokenEndpoint;
use crate::claims::Identity;
use crate::provider::refresh::{RefreshContext, RefreshError};
use crate::session::{EndReason, Grant, GrantId, GrantMark, OpenedSession, Saved, SessionError};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::RefreshOutcome;

/// What came of a flight; everybody who waits gets it.
#[derive(Clone, Debug)]
pub(super) enum Landing {
    /// New tokens are in the session.
    Fresh(Arc<OpenedSession>),
    /// The session has ended, and why.
    Ended(&'static str),
    /// Nothing has changed; a later try may succeed.
    Unavailable,
    /// There is no refresh token, or it is spent: the session lives on with what it has.
    Without(Arc<OpenedSession>),
}

/// How long an announcement is relied on before the store is looked at again.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// A token call takes up to ten seconds of a lease's fifteen: one that could not begin in time begins no more, or another
/// replica would spend the same token beside it.
const LATEST_START: Duration = Duration::from_secs(4);

const ENDED: Landing = Landing::Ended("session-ended");

impl Refresher {
    pub(super) async fn fly(
        &self,
        known: &Arc<impl TokenEndpoint>,
        session: &Arc<OpenedSession>,
        grant: GrantId,
    ) -> Landing {
        let Some(held) = session.grant(grant) else { return Landing::Without(Arc::clone(session)) };
        self.sessions.settled().await;
        // Counted before: whoever has the lease may give it back at once.
        let releases = session.lease_releases();
        let lease = match self.sessions.take_lease(session, held).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return self.wait_for_another_replica(session, grant, releases).await,
            // Without the store nothing is spent; the access token serves while it lives.
            Err(_) => return Landing::Unavailable,
        };
        let taken_at = self.clock.monotonic();
        let landing = self.spend(known, session, grant, taken_at).await;
        self.sessions.release(lease).await;
        landing
    }

    /// Spends the refresh token, after a look at the store whether somebody else has just done so.
    async fn spend(
        &self,
        known: &Arc<impl TokenEndpoint>,
        session: &Arc<OpenedSession>,
        id: GrantId,
        taken_at: Duration,
    ) -> Landing {
        let current = match self.sessions.reload(session).await {
            Ok(Some(current)) => current,
            Ok(None) => return ENDED,
            Err(_) => return Landing::Unavailable,
        };
        let Some(grant) = current.grant(id).cloned() else { return Landing::Without(current) };
        if generation(session, id) != Some(grant.token_generation) {
            return Landing::Fresh(current);
        }
        let Some(refresh_token) = grant.tokens.refresh_token.as_ref().filter(|_| grant.is_refreshable()) else {
            return Landing::Without(current);
        };
        let identity = current.identity();
        let claim = |name| identity.claims.lookup(name).and_then(serde_json::Value::as_str);
        // A mapping may make something else the subject; what the provider repeats is its own `sub`.
        let openid = known.is_openid();
        let context = RefreshContext {
            sub: claim("sub").filter(|_| openid).unwrap_or(&identity.subject),
            auth_time: current.auth_time(),
            nonce: claim("nonce"),
            id_token: grant.tokens.id_token.as_ref(),
            identity,
            scopes: &grant.tokens.scopes,
        };
        if self.clock.monotonic().saturating_sub(taken_at) > LATEST_START {
            return Landing::Unavailable;
        }
        match known.refresh(refresh_token, &context).await {
            Ok(refreshed) => self.write_back(known, &current, &grant, refreshed.tokens, refreshed.identity).await,
            Err(error) => self.failed(known, current, &grant, error).await,
        }
    }

    async fn failed(
        &self,
        known: &Arc<impl TokenEndpoint>,
        current: Arc<OpenedSession>,
        grant: &Arc<Grant>,
        error: RefreshError,
    ) -> Landing {
        let (provider, session, id) = (known.label(), current.reference(), grant.key.id());
        let (outcome, reason) = match &error {
            RefreshError::Rejected => (RefreshOutcome::Rejected, "invalid-grant"),
            RefreshError::OtherSubject(_) => (RefreshOutcome::Rejected, "other-subject"),
            RefreshError::Uncertain => (RefreshOutcome::Uncertain, "uncertain"),
            RefreshError::Unavailable { kind } => (RefreshOutcome::Failed, *kind),
            RefreshError::ClientRefused => (RefreshOutcome::Failed, "client-refused"),
            RefreshError::NotSupported { reason } => (RefreshOutcome::Failed, *reason),
        };
        known.count_refresh(outcome);
        if outcome == RefreshOutcome::Uncertain {
            self.record(&AuditEvent::RefreshUncertain { provider, session, generation: grant.token_generation });
        } else {
            self.record(&AuditEvent::RefreshFailed { provider, session, reason });
        }
        match error {
            // Somebody else may have spent it a moment ago on another replica.
            RefreshError::Rejected => match self.sessions.reload(&current).await {
                Ok(Some(newer)) if !newer.grant(id).is_some_and(|there| there.is_the_one_spent(grant)) => {
                    Landing::Fresh(newer)
                }
                Ok(Some(_)) => self.end(&current, EndReason::RefreshRejected).await,
                Ok(None) => ENDED,
                Err(_) => Landing::Unavailable,
            },
            RefreshError::OtherSubject(tokens) => {
                let landing = self.end(&current, EndReason::OtherSubject).await;
                let tokens = Grant::new(grant.key.clone(), *tokens, self.clock.now());
                self.revoker.revoke(known, Arc::new(tokens), current.reference());
                landing
            }
            // The outcome is unknown: exactly one later try, then as if it had been spent.
            RefreshError::Uncertain => {
                let mark = match grant.uncertain_since {
                    Some(_) => GrantMark::RefreshDisabled,
                    None => GrantMark::UncertainSince(self.clock.now()),
                };
                match self.sessions.mark(&current, grant, mark).await {
                    Ok(Some(marked)) if mark == GrantMark::RefreshDisabled => Landing::Without(marked),
                    Ok(None) => ENDED,
                    _ => Landing::Unavailable,
                }
            }
            RefreshError::NotSupported { .. } => {
                match self.sessions.mark(&current, grant, GrantMark::RefreshDisabled).await {
                    Ok(Some(marked)) => Landing::Without(marked),
                    Ok(None) => ENDED,
                    Err(_) => Landing::Unavailable,
                }
            }
            RefreshError::Unavailable { .. } | RefreshError::ClientRefused => Landing::Unavailable,
        }
    }

    async fn end(&self, session: &OpenedSession, reason: EndReason) -> Landing {
        if self.sessions.end(session, reason).await.is_err() {
            return Landing::Unavailable;
        }
        let label = session_end(reason);
        self.metrics.session_ended(label);
        let (user, session) = (Some(session.pseudonym()), session.reference());
        self.record(&AuditEvent::SessionEnded { user, session, reason: label });
        Landing::Ended(label.as_str())
    }

    /// Saves the new tokens; what could not be saved or is not wanted any more is revoked.
    async fn write_back(
        &self,
        known: &Arc<impl TokenEndpoint>,
        current: &Arc<OpenedSession>,
        grant: &Grant,
        tokens: crate::oidc::token_response::Tokens,
        identity: Option<Identity>,
    ) -> Landing {
        let id = grant.key.id();
        let (provider, session) = (known.label(), current.reference());
        match self.sessions.save_refreshed(current, grant, tokens, identity).await {
            Ok(Saved::Written(written)) => {
                known.count_refresh(RefreshOutcome::Ok);
                let generation = generation(&written, id).unwrap_or_default();
                self.record(&AuditEvent::RefreshOk { provider, session, generation });
                Landing::Fresh(written)
            }
            Ok(Saved::Superseded(newer)) => {
                known.count_refresh(RefreshOutcome::Superseded);
                Landing::Fresh(newer)
            }
            Ok(Saved::Gone(unwanted)) => {
                known.count_refresh(RefreshOutcome::Superseded);
                self.revoker.revoke(known, unwanted, session);
                ENDED
            }
            Err(error) => {
                known.count_refresh(RefreshOutcome::Failed);
                self.record(&AuditEvent::RefreshFailed { provider, session, reason: "not-saved" });
                match error.reason {
                    SessionError::OtherSubject => {
                        let landing = self.end(current, EndReason::OtherSubject).await;
                        self.revoker.revoke(known, error.grant, session);
                        landing
                    }
                    // The refresh token is spent and its successor does not fit: the session goes on without one.
                    SessionError::TooLarge(_) => {
                        self.revoker.revoke(known, error.grant, session);
                        match self.sessions.mark(current, grant, GrantMark::RefreshDisabled).await {
                            Ok(Some(marked)) => Landing::Without(marked),
                            Ok(None) => ENDED,
                            Err(_) => Landing::Unavailable,
                        }
                    }
                    _ => Landing::Unavailable,
                }
            }
        }
    }

    /// Another replica holds the lease: its result shows in the store. We are told of it; that the store is looked at now
    /// and then as well is for announcements that are lost.
    async fn wait_for_another_replica(&self, session: &Arc<OpenedSession>, id: GrantId, releases: u64) -> Landing {
        let moved = async {
            let mut seen = Arc::clone(session);
            loop {
                // Asked first: what is given back after it is seen by the next look.
                let given_back = session.lease_releases() != releases;
                match self.sessions.reload(&seen).await {
                    Ok(Some(newer)) if generation(&newer, id) != generation(session, id) => {
                        return Landing::Fresh(newer);
                    }
                    Ok(Some(same)) => seen = same,
                    Ok(None) => return ENDED,
                    Err(_) => return Landing::Unavailable,
                }
                if given_back {
                    // The refresh there has come to nothing; we do not all try one after the other.
                    return Landing::Unavailable;
                }
                let _ = tokio::time::timeout(SECOND_LOOK, seen.superseded(releases)).await;
            }
        };
        tokio::time::timeout(PATIENCE, moved).await.unwrap_or(Landing::Unavailable)
    }
}

fn generation(session: &OpenedSession, id: GrantId) -> Option<u64> {
    session.grant(id).map(|grant| grant.token_generation)
}
