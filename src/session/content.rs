//! What a session holds: everything that is sealed into its record, opened.

use std::sync::Arc;

use super::grant::{Grant, GrantId};
use super::ticket::StoreKey;
use crate::claims::Identity;
use crate::clock::Timestamp;

/// The inside of a record. Cheap to clone: what is large is shared.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionContent {
    /// The client identifier the login was made with.
    pub(super) client_id: String,
    pub(super) created: Timestamp,
    /// When its login was issued, as a logout of the provider is compared with it.
    pub(super) login_issued: Timestamp,
    pub(super) absolute_expiry: Timestamp,
    /// Who it is; its issuer is the one compared with the configuration.
    pub(super) identity: Arc<Identity>,
    /// The provider's session (OpenID Connect Back-Channel Logout §2.1).
    pub(super) sid: Option<String>,
    pub(super) auth_time: Option<Timestamp>,
    pub(super) acr: Option<String>,
    /// SHA-256 of the secret of the browser it began in.
    pub(super) browser: [u8; 32],
    /// Names of the upstreams it has been used for.
    pub(super) upstreams: Vec<String>,
    pub(super) grants: Vec<Arc<Grant>>,
    /// The session that this one has stepped up from: it serves a few seconds more, and ends with this one.
    pub(super) predecessor: Option<StoreKey>,
    /// The session that has stepped up from this one: this one only serves what was under way.
    pub(super) successor: Option<StoreKey>,
}

impl SessionContent {
    pub(super) fn grant(&self, id: GrantId) -> Option<&Arc<Grant>> {
        self.grants.iter().find(|grant| grant.key.id() == id)
    }

    /// The same with `replacement` in the place of the grant of its name.
    pub(super) fn with_grant(&self, replacement: &Arc<Grant>) -> Self {
        let id = replacement.key.id();
        let mut changed = self.clone();
        for grant in &mut changed.grants {
            if grant.key.id() == id {
                *grant = Arc::clone(replacement);
            }
        }
        changed
    }

    /// The same, left behind by a step-up: it lives until `until` at the latest, and nothing in it can be refreshed.
    pub(super) fn superseded(&self, successor: StoreKey, until: Timestamp) -> Self {
        let grants = self.grants.iter().map(|grant| Arc::new(grant.retired())).collect();
        Self { absolute_expiry: self.absolute_expiry.min(until), successor: Some(successor), grants, ..self.clone() }
    }
}
