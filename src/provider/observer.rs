//! What others learn about calls to a provider: closed enums, no values.

use std::time::Duration;

/// Which endpoint was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    /// The metadata document.
    Discovery,
    /// The key set.
    Keys,
    /// The token endpoint, for the exchange of a code: anybody can have one tried.
    Code,
    /// The token endpoint, for a refresh: only sessions have them. What happens to exchanges must not stop these.
    Refresh,
    /// The userinfo endpoint, or the user resource of a plain OAuth 2.0 server.
    Userinfo,
    /// The list of addresses.
    Email,
    /// The revocation endpoint.
    Revocation,
}

impl EndpointKind {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] =
        [Self::Discovery, Self::Keys, Self::Code, Self::Refresh, Self::Userinfo, Self::Email, Self::Revocation];

    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::Code | Self::Refresh => "token",
            Self::Userinfo => "userinfo",
            Self::Email => "email",
            Self::Revocation => "revocation",
        }
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallOutcome {
    /// Status 200 and a whole body.
    Ok,
    /// A status of 400 to 499 that means "no".
    Refused,
    /// A status of 500 and above, 408 or 429.
    Unavailable,
    /// Any other status: redirects are not followed, 201 and 204 are no answer.
    UnexpectedStatus,
    /// The whole call took too long.
    Timeout,
    /// No connection; nothing has been sent.
    Unreachable,
    /// The connection was lost after something had been sent.
    Interrupted,
    /// The body was longer than is read, or compressed although we did not ask for that.
    UnusableBody,
    /// Too many calls at once; nothing has been sent.
    Busy,
    /// The endpoint has failed often and is left alone for a moment; nothing has been sent.
    CircuitOpen,
}

impl CallOutcome {
    /// The name in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::UnexpectedStatus => "unexpected-status",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Interrupted => "interrupted",
            Self::UnusableBody => "unusable-body",
            Self::Busy => "busy",
            Self::CircuitOpen => "circuit-open",
        }
    }
}

/// Takes note of what happens at a provider: the metrics. Called on the path of logins, so it must be quick.
pub trait ProviderObserver: Send + Sync + 'static {
    /// A call has ended.
    fn called(&self, provider: &str, endpoint: EndpointKind, outcome: CallOutcome, took: Duration);
    /// The metadata could be read, or could not.
    fn up(&self, provider: &str, up: bool);
    /// A metadata document, or a part of it, was refused.
    fn metadata_rejected(&self, provider: &str, reason: &'static str);
    /// How far the provider's clock was ahead of ours when it made an ID token, in seconds; negative is behind.
    fn skew(&self, provider: &str, seconds: i64) {
        let _ = (provider, seconds);
    }
}

/// Takes no note of anything.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl ProviderObserver for Unobserved {
    fn called(&self, _: &str, _: EndpointKind, _: CallOutcome, _: Duration) {}
    fn up(&self, _: &str, _: bool) {}
    fn metadata_rejected(&self, _: &str, _: &'static str) {}
}
