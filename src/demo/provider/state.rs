//! What the provider remembers: browsers that have logged in, codes, grants and their tokens.

use std::collections::HashMap;
use std::time::Duration;

use super::settings::RegisteredClient;
use crate::clock::Timestamp;

/// How long a code can be exchanged (RFC 6749 §4.1.2 recommends ten minutes at most).
pub(super) const CODE_LIFETIME: Duration = Duration::from_secs(60);
/// How long a code is remembered, so that its replay is noticed.
const CODE_MEMORY: Duration = Duration::from_secs(600);

/// A browser that has logged in here.
#[derive(Clone, Debug)]
pub(super) struct ProviderSession {
    pub(super) subject: String,
    pub(super) auth_time: Timestamp,
    pub(super) acr: String,
    pub(super) sid: String,
}

/// What somebody has been asked for and has agreed to by logging in.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) client_id: String,
    pub(super) session: ProviderSession,
    pub(super) scopes: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) last_used: Timestamp,
}

/// An authorization code that has been given out.
#[derive(Debug)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    pub(super) code_challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) issued: Timestamp,
    pub(super) use_so_far: CodeUse,
}

/// What has become of a code: it can be presented once, whatever comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeUse {
    /// Nobody has presented it.
    Unused,
    /// It was presented with something that did not fit.
    Refused,
    /// It began this grant.
    Began(u64),
}

/// A refresh token that has been given out.
#[derive(Debug)]
pub(super) struct IssuedRefreshToken {
    pub(super) grant: u64,
    pub(super) spent: bool,
}

/// An access token that has been given out.
#[derive(Debug)]
pub(super) struct IssuedAccessToken {
    pub(super) grant: u64,
    pub(super) scopes: Vec<String>,
    pub(super) expires: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) clients: Vec<RegisteredClient>,
    pub(super) sessions: HashMap<String, ProviderSession>,
    pub(super) codes: HashMap<String, Code>,
    pub(super) refresh_tokens: HashMap<String, IssuedRefreshToken>,
    pub(super) access_tokens: HashMap<String, IssuedAccessToken>,
    grants: HashMap<u64, Grant>,
    grants_so_far: u64,
}

impl State {
    pub(super) fn knowing(clients: Vec<RegisteredClient>) -> Self {
        Self { clients, ..Self::default() }
    }

    pub(super) fn client(&self, id: &str) -> Option<&RegisteredClient> {
        self.clients.iter().find(|client| client.id == id)
    }

    pub(super) fn begin_grant(&mut self, grant: Grant) -> u64 {
        self.grants_so_far += 1;
        self.grants.insert(self.grants_so_far, grant);
        self.grants_so_far
    }

    pub(super) fn grant(&self, id: u64) -> Option<&Grant> {
        self.grants.get(&id)
    }

    pub(super) fn use_grant(&mut self, id: u64, now: Timestamp) -> Option<&Grant> {
        let grant = self.grants.get_mut(&id)?;
        grant.last_used = now;
        Some(grant)
    }

    /// Ends a grant: its refresh tokens and access tokens are worth nothing from here on.
    pub(super) fn revoke(&mut self, id: u64) {
        self.grants.remove(&id);
    }

    /// Forgets what has run out, so that a long demonstration does not grow.
    pub(super) fn forget(&mut self, now: Timestamp, session_lifetime: Duration, refresh_token_lifetime: Duration) {
        self.sessions.retain(|_, session| session.auth_time.plus(session_lifetime) > now);
        self.codes.retain(|_, code| code.issued.plus(CODE_MEMORY) > now);
        self.grants.retain(|_, grant| grant.last_used.plus(refresh_token_lifetime) > now);
        let grants = &self.grants;
        self.refresh_tokens.retain(|_, token| grants.contains_key(&token.grant));
        self.access_tokens.retain(|_, token| token.expires > now && grants.contains_key(&token.grant));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_run_out_is_forgotten_with_all_that_hangs_on_it() {
        let mut state = State::default();
        let session = ProviderSession {
            subject: "s".into(),
            auth_time: Timestamp::from_seconds(100),
            acr: String::new(),
            sid: "sid".into(),
        };
        let id = state.begin_grant(Grant {
            client_id: "c".into(),
            session: session.clone(),
            scopes: vec![],
            resources: vec![],
            last_used: Timestamp::from_seconds(100),
        });
        state.sessions.insert("cookie".into(), session);
        state.refresh_tokens.insert("r".into(), IssuedRefreshToken { grant: id, spent: false });
        let hour = Duration::from_secs(3600);
        state.forget(Timestamp::from_seconds(200), hour, hour);
        assert_eq!((state.sessions.len(), state.refresh_tokens.len()), (1, 1));
        state.forget(Timestamp::from_seconds(3700), hour, hour);
        assert_eq!((state.sessions.len(), state.refresh_tokens.len()), (0, 0));
        assert!(state.grant(id).is_none());
    }
}
