//! Audit events: a closed list with closed fields, under stable names.
//!
//! A field is either a literal of the program or one of the plain values named here; there is none that a token, a
//! query or a header could be put into.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Level;

use super::labels::{SessionEnd, StoreOperation};

/// The target of every audit event.
pub const TARGET: &str = "audit";

/// Milliseconds between two lines about a store that is away.
const STORE_ERROR_PAUSE: u64 = 1000;

/// Something that happened to a login, a session or a request.
///
/// `provider` is the operator's label, `user` the pseudonym or configured name, `session` the session's reference,
/// `reason`, `kind`, `rule` and their like are literals in kebab-case.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "the fields are explained once, above")]
pub enum AuditEvent<'a> {
    /// A browser was sent to the provider; `flow` is `login` or what else it was begun for.
    LoginStarted { provider: &'a str, flow: &'static str },
    /// A login came to its end; the scopes that were asked for and those that were granted.
    LoginOk { provider: &'a str, user: &'a str, session: &'a str, asked: &'a str, granted: &'a str },
    /// A callback was refused; `check` names the check of a token that failed.
    LoginRejected { provider: Option<&'a str>, reason: &'static str, check: Option<&'static str> },
    /// A session began.
    SessionCreated { provider: &'a str, user: &'a str, session: &'a str },
    /// The provider granted fewer scopes than were asked for; `missing` are those of the configuration.
    GrantNarrowed { provider: &'a str, user: &'a str, session: &'a str, missing: &'a str },
    /// A session ended.
    SessionEnded { user: Option<&'a str>, session: &'a str, reason: SessionEnd },
    /// Sessions were ended by somebody who is not at work in them: `by` is `admin` or `person`, `scope` what was to end.
    SessionsRevoked { by: &'static str, scope: &'static str, user: Option<&'a str>, ended: u64, failed: u64 },
    /// Somebody was turned away at the admin listener.
    AdminDenied { reason: &'static str },
    /// Something sealed did not open; `purpose` is what it was for.
    SessionTampered { purpose: &'static str },
    /// A cookie that is none of ours under our name.
    SessionCookieInvalid { kind: &'static str },
    /// New tokens were stored.
    RefreshOk { provider: &'a str, session: &'a str, generation: u64 },
    /// A refresh came to nothing.
    RefreshFailed { provider: &'a str, session: &'a str, reason: &'static str },
    /// The answer to a refresh was lost.
    RefreshUncertain { provider: &'a str, session: &'a str, generation: u64 },
    /// Somebody signed out here.
    LogoutLocal { user: &'a str, session: &'a str },
    /// The browser was sent on to sign out at the provider.
    LogoutAtProvider { provider: &'a str, session: &'a str },
    /// A token could not be revoked at the provider; the session has ended all the same.
    LogoutRevocationFailed { provider: &'a str, session: &'a str, reason: &'static str },
    /// Somebody wanted to sign out, and the store could not be written.
    LogoutFailed { session: &'a str },
    /// The provider has ended sessions, server to server; `by` is `sid` or `sub`, `ended` the number of sessions here, and
    /// `revoked` of those whose tokens were at hand to be revoked.
    BackChannelAccepted { provider: &'a str, by: &'static str, ended: u64, revoked: u64 },
    /// What was to be a logout token was not accepted; `check` is the rule it breaks.
    BackChannelRejected { provider: Option<&'a str>, reason: &'static str, check: Option<&'static str> },
    /// The provider has ended sessions by way of a browser.
    FrontChannelAccepted { provider: &'a str, by: &'static str, ended: u64 },
    /// A front-channel logout was not accepted.
    FrontChannelRejected { provider: Option<&'a str>, reason: &'static str, check: Option<&'static str> },
    /// Another site tried to use a session; `site` is the browser's word for it.
    CsrfDenied { rule: &'static str, site: Option<&'static str> },
    /// A rule said no; `rule` is the pattern of an `[[upstream.rule]]`, without one it was the upstream itself.
    AuthzDenied { upstream: &'a str, rule: Option<&'a str>, user: &'a str, session: &'a str, reason: &'static str },
    /// A proxy asked for a decision and got none.
    ForwardAuthDenied { reason: &'static str },
    /// A handshake was refused.
    UpgradeDenied { upstream: Option<&'a str>, rule: &'static str },
    /// A return path was replaced by `/`.
    ReturnUrlRejected { rule: &'static str },
    /// A request was refused before it had a route.
    HttpMalformed { kind: &'static str },
    /// The store failed; at most one line a second, with the number of those left out.
    StoreError { operation: StoreOperation, kind: &'static str },
}

/// The fields that an event can have; those without a value are left out of the line.
#[derive(Default)]
struct Fields<'a> {
    provider: Option<&'a str>,
    upstream: Option<&'a str>,
    rule: Option<&'a str>,
    user: Option<&'a str>,
    session: Option<&'a str>,
    reason: Option<&'static str>,
    detail: Option<&'a str>,
    generation: Option<u64>,
    asked: Option<&'a str>,
    granted: Option<&'a str>,
    by: Option<&'static str>,
    ended: Option<u64>,
    revoked: Option<u64>,
    failed: Option<u64>,
    suppressed: Option<u64>,
}

impl<'a> AuditEvent<'a> {
    /// The stable name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::LoginStarted { .. } => "login.started",
            Self::LoginOk { .. } => "login.ok",
            Self::LoginRejected { .. } => "login.rejected",
            Self::SessionCreated { .. } => "session.created",
            Self::GrantNarrowed { .. } => "grant.narrowed",
            Self::SessionEnded { .. } => "session.ended",
            Self::SessionsRevoked { .. } => "sessions.revoked",
            Self::AdminDenied { .. } => "admin.denied",
            Self::SessionTampered { .. } => "session.tampered",
            Self::SessionCookieInvalid { .. } => "session.cookie-invalid",
            Self::RefreshOk { .. } => "refresh.ok",
            Self::RefreshFailed { .. } => "refresh.failed",
            Self::RefreshUncertain { .. } => "refresh.uncertain",
            Self::LogoutLocal { .. } => "logout.local",
            Self::LogoutAtProvider { .. } => "logout.at-provider",
            Self::LogoutRevocationFailed { .. } => "logout.revocation-failed",
            Self::LogoutFailed { .. } => "logout.failed",
            Self::BackChannelAccepted { .. } => "bcl.accepted",
            Self::BackChannelRejected { .. } => "bcl.rejected",
            Self::FrontChannelAccepted { .. } => "fcl.accepted",
            Self::FrontChannelRejected { .. } => "fcl.rejected",
            Self::CsrfDenied { .. } => "csrf.denied",
            Self::AuthzDenied { .. } => "authz.denied",
            Self::ForwardAuthDenied { .. } => "fwdauth.denied",
            Self::UpgradeDenied { .. } => "ws.denied",
            Self::ReturnUrlRejected { .. } => "return-url.rejected",
            Self::HttpMalformed { .. } => "http.malformed",
            Self::StoreError { .. } => "store.error",
        }
    }

    const fn level(&self) -> Level {
        match self {
            Self::SessionsRevoked { failed: 1.., .. }
            | Self::SessionTampered { .. }
            | Self::StoreError { .. }
            | Self::LogoutFailed { .. } => Level::ERROR,
            Self::LoginRejected { .. }
            | Self::GrantNarrowed { .. }
            | Self::AdminDenied { .. }
            | Self::SessionCookieInvalid { .. }
            | Self::LogoutRevocationFailed { .. }
            | Self::BackChannelRejected { .. }
            | Self::FrontChannelRejected { .. }
            | Self::CsrfDenied { .. }
            | Self::ForwardAuthDenied { .. }
            | Self::UpgradeDenied { .. }
            | Self::ReturnUrlRejected { .. } => Level::WARN,
            _ => Level::INFO,
        }
    }

    fn fields(&self) -> Fields<'a> {
        let none = Fields::default();
        match *self {
            Self::LoginStarted { provider, flow } => Fields { provider: Some(provider), detail: Some(flow), ..none },
            Self::LoginOk { provider, user, session, asked, granted } => Fields {
                provider: Some(provider),
                user: Some(user),
                session: Some(session),
                asked: Some(asked),
                granted: Some(granted),
                ..none
            },
            Self::SessionCreated { provider, user, session } => {
                Fields { provider: Some(provider), user: Some(user), session: Some(session), ..none }
            }
            Self::BackChannelAccepted { provider, by, ended, revoked } => Fields {
                provider: Some(provider),
                reason: Some(by),
                ended: Some(ended),
                revoked: Some(revoked),
                ..none
            },
            Self::FrontChannelAccepted { provider, by, ended } => {
                Fields { provider: Some(provider), reason: Some(by), ended: Some(ended), ..none }
            }
            Self::LoginRejected { provider, reason, check }
            | Self::BackChannelRejected { provider, reason, check }
            | Self::FrontChannelRejected { provider, reason, check } => {
                Fields { provider, reason: Some(reason), detail: check, ..none }
            }
            Self::GrantNarrowed { provider, user, session, missing } => Fields {
                provider: Some(provider),
                user: Some(user),
                session: Some(session),
                detail: Some(missing),
                ..none
            },
            Self::SessionEnded { user, session, reason } => {
                Fields { user, session: Some(session), reason: Some(reason.as_str()), ..none }
            }
            Self::SessionsRevoked { by, scope, user, ended, failed } => {
                Fields { user, detail: Some(scope), by: Some(by), ended: Some(ended), failed: Some(failed), ..none }
            }
            Self::SessionTampered { purpose: reason }
            | Self::AdminDenied { reason }
            | Self::SessionCookieInvalid { kind: reason }
            | Self::ReturnUrlRejected { rule: reason }
            | Self::ForwardAuthDenied { reason }
            | Self::HttpMalformed { kind: reason } => Fields { reason: Some(reason), ..none },
            Self::RefreshOk { provider, session, generation }
            | Self::RefreshUncertain { provider, session, generation } => {
                Fields { provider: Some(provider), session: Some(session), generation: Some(generation), ..none }
            }
            Self::RefreshFailed { provider, session, reason }
            | Self::LogoutRevocationFailed { provider, session, reason } => {
                Fields { provider: Some(provider), session: Some(session), reason: Some(reason), ..none }
            }
            Self::LogoutLocal { user, session } => Fields { user: Some(user), session: Some(session), ..none },
            Self::LogoutAtProvider { provider, session } => {
                Fields { provider: Some(provider), session: Some(session), ..none }
            }
            Self::LogoutFailed { session } => Fields { session: Some(session), ..none },
            Self::CsrfDenied { rule, site } => Fields { reason: Some(rule), detail: site, ..none },
            Self::AuthzDenied { upstream, rule, user, session, reason } => Fields {
                upstream: Some(upstream),
                rule,
                user: Some(user),
                session: Some(session),
                reason: Some(reason),
                ..none
            },
            Self::UpgradeDenied { upstream, rule } => Fields { upstream, reason: Some(rule), ..none },
            Self::StoreError { operation, kind } => {
                Fields { reason: Some(kind), detail: Some(operation.as_str()), ..none }
            }
        }
    }
}

/// Where audit events go.
#[derive(Debug, Default)]
pub struct AuditLog {
    store_errors_from: AtomicU64,
    store_errors_left_out: AtomicU64,
}

impl AuditLog {
    /// Writes one event; `now_millis` is wall-clock time, `request_id` that of the request it belongs to.
    pub fn record(&self, now_millis: u64, request_id: Option<&str>, event: &AuditEvent<'_>) {
        let mut fields = event.fields();
        if matches!(event, AuditEvent::StoreError { .. }) {
            match self.store_errors_left_out_until(now_millis) {
                Some(0) => {}
                Some(left_out) => fields.suppressed = Some(left_out),
                None => return,
            }
        }
        macro_rules! event_at {
            ($level:expr) => {
                tracing::event!(
                    target: TARGET,
                    $level,
                    event = event.name(),
                    request_id,
                    provider = fields.provider,
                    upstream = fields.upstream,
                    rule = fields.rule,
                    user = fields.user,
                    session = fields.session,
                    reason = fields.reason,
                    detail = fields.detail,
                    generation = fields.generation,
                    asked = fields.asked,
                    granted = fields.granted,
                    by = fields.by,
                    ended = fields.ended,
                    revoked = fields.revoked,
                    failed = fields.failed,
                    suppressed = fields.suppressed,
                )
            };
        }
        match event.level() {
            Level::ERROR => event_at!(Level::ERROR),
            Level::WARN => event_at!(Level::WARN),
            _ => event_at!(Level::INFO),
        }
    }

    /// `None` when a line was written less than a pause ago; else how many were left out since.
    fn store_errors_left_out_until(&self, now_millis: u64) -> Option<u64> {
        let from = self.store_errors_from.load(Ordering::Relaxed);
        // A clock that went back must not silence the log: only times inside the pause are left out.
        let inside = now_millis < from && from - now_millis <= STORE_ERROR_PAUSE;
        let next = now_millis.saturating_add(STORE_ERROR_PAUSE);
        let moved = !inside
            && self.store_errors_from.compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !moved {
            self.store_errors_left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.store_errors_left_out.swap(0, Ordering::Relaxed))
    }
}

#[cfg(test)]
#[path = "audit/tests.rs"]
mod tests;
