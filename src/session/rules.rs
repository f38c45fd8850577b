//! What a reload may change about sessions: limits, keys, and with whom the sessions of a host are begun.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use super::error::{EndReason, WhyNot};
use super::key_ring::KeyRing;
use super::login_cookie::LoginPlace;
use super::opened::OpenedSession;
use super::settings::SessionSettings;
use crate::clock::Timestamp;
use crate::origin::Host;

/// With whom the sessions of a host are begun. One that was begun with another is no longer opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisteredClient {
    /// The issuer; for plain OAuth 2.0 the provider's name.
    pub issuer: String,
    /// The client identifier.
    pub client_id: String,
}

/// One edition of the rules; it does not change, a reload makes another.
pub struct SessionRules {
    pub(super) lifetime: Duration,
    pub(super) idle: Duration,
    /// How long an opened session goes on when the store cannot be read.
    pub(super) outage_grace: Duration,
    pub(super) max_per_subject: usize,
    pub(super) ring: KeyRing,
    /// Counts the editions of a process: a session that was opened under another one is compared with this one.
    pub(super) edition: u64,
    namespace: String,
    clients: HashMap<Host, RegisteredClient>,
}

impl fmt::Debug for SessionRules {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionRules").field("keys", &self.ring).finish_non_exhaustive()
    }
}

impl SessionRules {
    pub(super) fn new(
        settings: &SessionSettings,
        ring: KeyRing,
        namespace: String,
        clients: HashMap<Host, RegisteredClient>,
        edition: u64,
    ) -> Self {
        Self {
            lifetime: settings.lifetime,
            idle: settings.idle_timeout,
            outage_grace: settings.outage_grace,
            max_per_subject: settings.max_sessions_per_subject.max(1),
            ring,
            edition,
            namespace,
            clients,
        }
    }

    /// The keys.
    #[must_use]
    pub const fn key_ring(&self) -> &KeyRing {
        &self.ring
    }

    /// How long a session may live.
    #[must_use]
    pub const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Where a login at `host` takes place.
    #[must_use]
    pub fn login_place<'a>(&'a self, host: &'a Host) -> LoginPlace<'a> {
        LoginPlace { ring: &self.ring, namespace: &self.namespace, host }
    }

    /// When a session ends, whatever its use: as it was begun, or earlier when the lifetime has been shortened since.
    #[must_use]
    pub fn absolute_expiry(&self, session: &OpenedSession) -> Timestamp {
        session.absolute_expiry().min(session.created().plus(self.lifetime))
    }

    /// Whether sessions of `host` are begun with this issuer and client.
    pub(super) fn is_begun_with(&self, host: &Host, issuer: &str, client_id: &str) -> bool {
        self.clients.get(host).is_some_and(|client| client.issuer == issuer && client.client_id == client_id)
    }

    /// Whether a session that was opened under an earlier edition still is one under this.
    pub(super) fn admit(&self, session: &OpenedSession) -> Result<(), NotAdmitted> {
        if self.ring.find(session.sealed_under).is_none() {
            Err(NotAdmitted::KeyRemoved)
        } else if self.is_begun_with(session.host(), &session.identity().issuer, session.client_id()) {
            Ok(())
        } else {
            Err(NotAdmitted::ProviderChanged)
        }
    }
}

/// Why a change of the configuration has ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    /// The key it is sealed under is no longer in the ring.
    KeyRemoved,
    /// Its host has another issuer or client identifier, or is no more.
    ProviderChanged,
}

impl NotAdmitted {
    pub(super) const fn end(self) -> EndReason {
        match self {
            Self::KeyRemoved => EndReason::KeyRemoved,
            Self::ProviderChanged => EndReason::ProviderChanged,
        }
    }

    pub(super) const fn why_not(self) -> WhyNot {
        match self {
            Self::KeyRemoved => WhyNot::UnknownKey,
            Self::ProviderChanged => WhyNot::OtherConfiguration,
        }
    }
}
