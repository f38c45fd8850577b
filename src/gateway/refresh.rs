//! Who runs a refresh: one flight per grant in the process, a lease in the store, the exchange, the write-back.
//!
//! A flight is a task of its own, so that a browser that goes away cannot lose a rotated refresh token. Correctness
//! comes from the generation that the write-back compares, never from the lease.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::exchange_refresh::Landing;
use super::revocation::Revoker;
use super::token_endpoint::TokenEndpoint;
use crate::clock::Clock;
use crate::session::lifetime::Freshness;
use crate::session::{Grant, GrantId, OpenedSession, Sessions, StoreKey};
use crate::telemetry::audit::{AuditEvent, AuditLog};
use crate::telemetry::metrics::Metrics;

/// How long a request waits for a refresh: longer than a token call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(11);
/// The longest pause between two tries at a provider that is away, per session.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why a request cannot go on with a fresh session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFresh {
    /// The provider or the store is away and the access token has run out.
    Unavailable,
    /// The session has ended.
    Ended(&'static str),
    /// The access token has run out, there is no refresh token, and the upstream needs it.
    AccessTokenExpired,
}

enum Flight {
    UnderWay(watch::Receiver<Option<Landing>>),
    /// The last try failed; the next one may start at this monotonic time.
    Paused {
        until: Duration,
        failures: u32,
    },
}

#[derive(Default)]
struct Flights {
    by_grant: HashMap<(StoreKey, GrantId), Flight>,
    /// When pauses that are over were last cleared out.
    cleared: Duration,
}

/// Runs refreshes.
pub(super) struct Refresher {
    pub(super) sessions: Arc<Sessions>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) audit: Arc<AuditLog>,
    pub(super) revoker: Arc<Revoker>,
    flights: Mutex<Flights>,
}

impl fmt::Debug for Refresher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Refresher").finish_non_exhaustive()
    }
}

impl Refresher {
    pub(super) fn new(
        sessions: Arc<Sessions>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        audit: Arc<AuditLog>,
        revoker: Arc<Revoker>,
    ) -> Arc<Self> {
        Arc::new(Self { sessions, clock, metrics, audit, revoker, flights: Mutex::default() })
    }

    /// The session with a live access token, refreshed if it must be.
    ///
    /// Ahead of expiry a flight is started and the request goes on with what there is; it waits only when the token has
    /// run out.
    pub(super) async fn fresh(
        self: &Arc<Self>,
        known: &Arc<impl TokenEndpoint>,
        session: Arc<OpenedSession>,
        needs_access_token: bool,
    ) -> Result<Arc<OpenedSession>, NotFresh> {
        let Some(grant) = session.login_grant() else { return Ok(session) };
        match session.freshness(self.clock.now()) {
            Freshness::Fresh => Ok(session),
            Freshness::Due => {
                if grant.is_refreshable() {
                    self.join(known, &session, grant);
                }
                Ok(session)
            }
            Freshness::RunOut if !grant.is_refreshable() => {
                if needs_access_token {
                    Err(NotFresh::AccessTokenExpired)
                } else {
                    Ok(session)
                }
            }
            Freshness::RunOut => {
                let landing = match self.join(known, &session, grant) {
                    Some(flight) => wait(flight).await,
                    None => Landing::Unavailable,
                };
                self.judge(landing, needs_access_token)
            }
        }
    }

    /// Refreshes whether it is due or not, and waits for it.
    pub(super) async fn force(
        self: &Arc<Self>,
        known: &Arc<impl TokenEndpoint>,
        session: &Arc<OpenedSession>,
    ) -> Result<Arc<OpenedSession>, NotFresh> {
        let Some(grant) = session.login_grant().filter(|grant| grant.is_refreshable()) else {
            return Ok(Arc::clone(session));
        };
        let landing = match self.join(known, session, grant) {
            Some(flight) => wait(flight).await,
            None => Landing::Unavailable,
        };
        self.judge(landing, false)
    }

    fn judge(&self, landing: Landing, needs_access_token: bool) -> Result<Arc<OpenedSession>, NotFresh> {
        match landing {
            // Whoever has waited may have waited for longer than a revocation takes.
            Landing::Fresh(session) | Landing::Without(session) if session.has_ended() => {
                Err(NotFresh::Ended("session-ended"))
            }
            Landing::Fresh(session) => Ok(session),
            Landing::Without(session) => {
                let now = self.clock.now();
                let usable = session.login_grant().is_some_and(|grant| grant.is_usable(now));
                if usable || !needs_access_token { Ok(session) } else { Err(NotFresh::AccessTokenExpired) }
            }
            Landing::Ended(why) => Err(NotFresh::Ended(why)),
            Landing::Unavailable => Err(NotFresh::Unavailable),
        }
    }

    /// Joins the flight of this grant or starts one; `None` while the pause after a failure lasts.
    fn join(
        self: &Arc<Self>,
        known: &Arc<impl TokenEndpoint>,
        session: &Arc<OpenedSession>,
        grant: &Grant,
    ) -> Option<watch::Receiver<Option<Landing>>> {
        let key = session.flight_key(grant);
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        let failures = match flights.by_grant.get(&key) {
            Some(Flight::UnderWay(flight)) => return Some(flight.clone()),
            Some(Flight::Paused { until, .. }) if *until > self.clock.monotonic() => return None,
            Some(Flight::Paused { failures, .. }) => *failures,
            None => 0,
        };
        let (land, flight) = watch::channel(None);
        flights.by_grant.insert(key, Flight::UnderWay(flight.clone()));
        drop(flights);
        let (refresher, known, session) = (Arc::clone(self), Arc::clone(known), Arc::clone(session));
        tokio::spawn(async move {
            // If the flight panics, the guard clears its place, and the channel closes on everybody who waits.
            let mut landed = Landed { refresher: &refresher, key, failures, landing: Landing::Unavailable };
            landed.landing = refresher.fly(&known, &session, key.1).await;
            let landing = landed.landing.clone();
            drop(landed);
            land.send_replace(Some(landing));
        });
        Some(flight)
    }

    /// Waits for the refreshes that are under way, at most for `patience`: with the process, tokens would be lost that have
    /// just come and are written nowhere.
    pub(super) async fn settle(&self, patience: Duration) {
        let under_way: Vec<_> = {
            let flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
            let receivers = flights.by_grant.values().filter_map(|flight| match flight {
                Flight::UnderWay(flight) => Some(flight.clone()),
                Flight::Paused { .. } => None,
            });
            receivers.collect()
        };
        let landed = async {
            for mut flight in under_way {
                // One that has failed has landed as well.
                let _ = flight.wait_for(Option::is_some).await;
            }
        };
        let _ = tokio::time::timeout(patience, landed).await;
    }

    /// The next tries need no pause any more. A flight that is under way goes on.
    pub(super) fn forget_failures(&self) {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        flights.by_grant.retain(|_, flight| matches!(flight, Flight::UnderWay(_)));
    }

    pub(super) fn record(&self, event: &AuditEvent<'_>) {
        self.audit.record(self.clock.now_millis(), None, event);
    }
}

/// Clears a flight's place when it has landed, however it did.
struct Landed<'a> {
    refresher: &'a Refresher,
    key: (StoreKey, GrantId),
    failures: u32,
    landing: Landing,
}

impl Drop for Landed<'_> {
    fn drop(&mut self) {
        let mut flights = self.refresher.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(self.landing, Landing::Unavailable) {
            let pause = Duration::from_millis(500).saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
            let now = self.refresher.clock.monotonic();
            // Pauses that are long over belong to sessions nobody uses any more; all are looked through now and then.
            if now.saturating_sub(flights.cleared) >= LONGEST_PAUSE {
                flights.cleared = now;
                let over =
                    |flight: &Flight| matches!(flight, Flight::Paused { until, .. } if *until + LONGEST_PAUSE < now);
                flights.by_grant.retain(|_, flight| !over(flight));
            }
            flights
                .by_grant
                .insert(self.key, Flight::Paused { until: now + pause, failures: self.failures.saturating_add(1) });
        } else {
            flights.by_grant.remove(&self.key);
        }
    }
}

async fn wait(mut flight: watch::Receiver<Option<Landing>>) -> Landing {
    let landed = tokio::time::timeout(PATIENCE, flight.wait_for(Option::is_some)).await;
    match landed {
        Ok(Ok(landing)) => landing.clone().unwrap_or(Landing::Unavailable),
        _ => Landing::Unavailable,
    }
}
