//! One target of an application: its connections, the requests on it, and whether it is well.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::HeaderValue;
use http::uri::Authority;
use prometheus::IntGauge;
use sha2::{Digest as _, Sha256};

use super::check;
use super::connector::{Connector, authority};
use super::health::{Change, Health};
use super::pool::Pool;
use super::room::{Full, Place, Room};
use crate::upstream::error::InvalidUpstream;
use crate::upstream::settings::{HealthSettings, Target, TargetLimits, UpstreamSettings, UpstreamTls};

/// Everything by which a target is spoken to: it serves on as it is as long as this stays the same.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manner {
    upstream: String,
    target: Target,
    tls: UpstreamTls,
    connect_timeout: std::time::Duration,
    health: HealthSettings,
    limits: TargetLimits,
}

/// A target.
pub(in crate::upstream) struct Endpoint {
    manner: Manner,
    pool: Arc<Pool>,
    /// Host and port as the target knows itself.
    authority: Authority,
    /// The same as `Host` shows it.
    host: HeaderValue,
    /// The same number on every replica.
    number: u64,
    requests: AtomicUsize,
    room: Option<Room>,
    health: Health,
    /// How many targets of the application are left out.
    out: IntGauge,
}

/// One request's stay at a target: while its connection is in use.
pub(super) struct Turn {
    endpoint: Arc<Endpoint>,
    _place: Option<Place>,
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Endpoint").field("target", &self.manner.target).finish_non_exhaustive()
    }
}

impl Manner {
    pub(super) fn of(settings: &UpstreamSettings, target: &Target) -> Self {
        Self {
            upstream: settings.name.clone(),
            target: target.clone(),
            tls: settings.tls.clone(),
            connect_timeout: settings.timeouts.connect,
            health: settings.health.clone(),
            limits: settings.limits,
        }
    }
}

impl Endpoint {
    /// Sets a target up, and has it asked whether it is well if that is wanted; `out` counts those that are left out.
    ///
    /// # Errors
    /// [`InvalidUpstream`].
    pub(super) fn new(manner: Manner, out: IntGauge) -> Result<Arc<Self>, InvalidUpstream> {
        let connector = Connector::new(&manner.target, &manner.tls, manner.connect_timeout)?;
        let (authority, host) = own_host(&manner.target)?;
        let digest: [u8; 32] = Sha256::digest(manner.target.to_string()).into();
        let endpoint = Arc::new(Self {
            pool: Pool::new(connector),
            authority,
            host,
            number: digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)),
            requests: AtomicUsize::new(0),
            room: Room::new(&manner.limits),
            health: Health::new(&manner.health),
            out,
            manner,
        });
        if endpoint.manner.health.path.is_some() {
            tokio::spawn(check::run(Arc::downgrade(&endpoint)));
        }
        Ok(endpoint)
    }

    pub(super) const fn manner(&self) -> &Manner {
        &self.manner
    }

    pub(super) const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    pub(super) const fn health_settings(&self) -> &HealthSettings {
        &self.manner.health
    }

    /// Host and port as the target knows itself.
    pub(super) const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The same as `Host` shows it: without the port that the scheme implies.
    pub(super) const fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// Requests that are here at the moment.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Whether a request that comes now has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.room.as_ref().is_some_and(Room::is_full)
    }

    /// Whether it is left out as long as others are well.
    pub(super) fn is_out(&self) -> bool {
        self.health.is_out()
    }

    /// Waits for a request's turn.
    ///
    /// # Errors
    /// [`Full`].
    pub(super) async fn turn(self: &Arc<Self>) -> Result<Turn, Full> {
        let place = match &self.room {
            Some(room) => Some(room.enter().await?),
            None => None,
        };
        self.requests.fetch_add(1, Ordering::Relaxed);
        Ok(Turn { endpoint: Arc::clone(self), _place: place })
    }

    /// A request has been answered.
    pub(super) fn answered(&self) {
        self.tell(self.health.answered(), "it answers");
    }

    /// A request has not been answered, or not in time.
    pub(in crate::upstream) fn failed(self: &Arc<Self>) {
        let (change, ejected) = self.health.failed();
        self.tell(change, "requests fail");
        if let Some(ejected) = ejected {
            let endpoint = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::time::sleep(ejected).await;
                if let Some(endpoint) = endpoint.upgrade() {
                    endpoint.tell(endpoint.health.give_another_chance(), "it gets another chance");
                }
            });
        }
    }

    /// A check has been answered well, or not.
    pub(super) fn checked(&self, is_good: bool) {
        self.tell(self.health.checked(is_good), if is_good { "checks succeed" } else { "checks fail" });
    }

    fn tell(&self, change: Change, reason: &'static str) {
        let (upstream, target) = (self.manner.upstream.as_str(), &self.manner.target);
        match change {
            Change::None => {}
            Change::Out => {
                self.out.inc();
                tracing::warn!(event = "upstream.target-out", upstream, %target, reason);
            }
            Change::Back => {
                self.out.dec();
                tracing::info!(event = "upstream.target-back", upstream, %target, reason);
            }
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if self.health.is_out() {
            self.out.dec();
        }
    }
}

impl Turn {
    pub(super) const fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.endpoint.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Host and port, and how `Host` shows them: without the port that the scheme implies.
fn own_host(target: &Target) -> Result<(Authority, HeaderValue), InvalidUpstream> {
    let (authority, default_port) = match target {
        Target::Http { host, port } | Target::H2c { host, port } => (authority(host, *port)?, 80),
        Target::Https { host, port } => (authority(host, *port)?, 443),
        // A name is needed all the same; it says nothing about where the socket is.
        Target::Unix(_) | Target::Elsewhere => (Authority::from_static("localhost"), 80),
    };
    let shown = if authority.port_u16() == Some(default_port) { authority.host() } else { authority.as_str() };
    let host = HeaderValue::from_str(shown).map_err(|_| InvalidUpstream::Host)?;
    Ok((authority, host))
}
