//! The provider ends sessions, server to server or by way of a browser: what both have in common.

use std::sync::Arc;
use std::time::Duration;

use super::Gateway;
use super::code::Code;
use super::rate::Rate;
use super::refusal::Refusal;
use super::route::KnownProvider;
use crate::clock::Timestamp;
use crate::oidc::logout_token::LoggedOut;
use crate::session::{EndReason, IndexName};
use crate::telemetry::labels::{Limit, StoreOperation};
use crate::telemetry::request_id::RequestId;

/// Logouts a second in each channel, whoever sends them.
const PER_SECOND: usize = 50;

/// What holds logouts back. The channels are counted apart: what any page can make browsers send must not keep the
/// provider's own word out.
#[derive(Debug, Default)]
pub(super) struct LogoutRates {
    tokens: Rate,
    front_channel: Rate,
}

/// A logout that has been carried out, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counted {
    /// Sessions that have ended.
    pub(super) ended: u64,
    /// Those of them whose tokens were at hand to be revoked.
    pub(super) revoked: u64,
}

/// A logout that a provider asks for.
pub(super) struct ProviderLogout {
    pub(super) known: Arc<KnownProvider>,
    pub(super) issuer: String,
    pub(super) logged_out: LoggedOut,
    /// Logins up to here are meant; without it, up to now.
    pub(super) at: Option<Timestamp>,
    pub(super) reason: EndReason,
    pub(super) request_id: RequestId,
}

impl ProviderLogout {
    fn index(&self) -> IndexName<'_> {
        let issuer = self.issuer.as_str();
        match &self.logged_out {
            LoggedOut::Session(sid) => IndexName::Sid { issuer, sid },
            LoggedOut::Subject(subject) => IndexName::Subject { issuer, subject },
        }
    }

    /// By which claim the sessions were named, for the log.
    pub(super) const fn by(&self) -> &'static str {
        match self.logged_out {
            LoggedOut::Session(_) => "sid",
            LoggedOut::Subject(_) => "sub",
        }
    }
}

impl LogoutRates {
    fn admits(&self, limit: Limit, now: Duration) -> bool {
        let rate = if limit == Limit::LogoutTokens { &self.tokens } else { &self.front_channel };
        rate.admits(PER_SECOND, now)
    }
}

impl Gateway {
    /// Holds a logout to the limit of its channel.
    pub(super) fn admit_logout(&self, limit: Limit) -> Result<(), Refusal> {
        if self.logout_rates.admits(limit, self.clock.monotonic()) {
            return Ok(());
        }
        self.metrics.limit_reached(limit);
        Err(Refusal::of(Code::TooManyLogouts))
    }

    /// Ends what a provider names, on every host of ours, and tells of each session.
    ///
    /// # Errors
    /// 503 when one of them may live on.
    pub(super) async fn end_for_provider(&self, logout: &ProviderLogout) -> Result<Counted, Refusal> {
        let ended = self.sessions.end_each_by_index(logout.index(), logout.at, logout.reason).await;
        let (mut counted, mut failed) = (Counted::default(), ended.is_err());
        for session in ended.into_iter().flatten() {
            let Ok(session) = session else {
                failed = true;
                continue;
            };
            counted.ended += 1;
            self.tell_of_ended(&session, logout.reason, logout.request_id.as_str());
            // A bare `sid` in an address is no leave to call the provider.
            if logout.reason == EndReason::BackChannelLogout && self.revoke_if_open(&session) {
                counted.revoked += 1;
            }
        }
        if failed {
            self.store_failed(StoreOperation::Index);
            return Err(Refusal::of(Code::StoreUnavailable));
        }
        Ok(counted)
    }
}
