//! What can go wrong with sessions, and why there is none.

use super::key_ring::KeyRingError;
use super::record::TooLarge;
use super::store::StoreError;
use crate::entropy::NoEntropy;

/// An operation on sessions failed. None of these means that anybody is logged out.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The configured keys make no ring.
    #[error(transparent)]
    Keys(#[from] KeyRingError),
    /// The store is full of live sessions; new logins wait.
    #[error("there is no room for another session")]
    AtCapacity,
    /// The store failed: nothing is known about the session.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    /// The provider or an administrator ended this login while it was being made.
    #[error("the login was ended while it was being made")]
    EndedMeanwhile,
    /// Tokens and claims do not fit into a record.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    /// Other writers came first, five times in a row.
    #[error("the session was written by others each time")]
    Contended,
    /// A refreshed identity is somebody else's; the caller ends the session.
    #[error("the refreshed identity is somebody else's")]
    OtherSubject,
}

/// Why a cookie leads to no session. All of them look the same from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNot {
    /// The value is no session cookie.
    Malformed,
    /// The store has no such session: it has ended, or never was.
    Missing,
    /// Past its absolute limit.
    Expired,
    /// Not used for too long.
    Idle,
    /// The record does not open with this cookie: changed, or the cookie's secret is wrong.
    Tampered,
    /// Begun under another issuer or client identifier than are configured now.
    OtherConfiguration,
    /// Sealed under a key that has been removed from the ring.
    UnknownKey,
}

impl WhyNot {
    /// The code for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "session-cookie-malformed",
            Self::Missing => "session-missing",
            Self::Expired => "session-expired",
            Self::Idle => "session-idle",
            Self::Tampered => "session-tampered",
            Self::OtherConfiguration => "session-other-configuration",
            Self::UnknownKey => "session-key-removed",
        }
    }
}

/// What ended a session: the closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The person signed out.
    SignOut,
    /// The provider said so (OpenID Connect Back-Channel Logout).
    BackChannelLogout,
    /// The provider said so through the browser (OpenID Connect Front-Channel Logout).
    FrontChannelLogout,
    /// An administrator, or the person from another session.
    Revoked,
    /// A newer session of the same subject needed its place.
    SubjectLimit,
    /// A new login in the same browser.
    Replaced,
    /// A step-up in the same browser; it serves a few seconds more.
    SteppedUp,
    /// The provider refused the refresh token, and there is no newer one.
    RefreshRejected,
    /// A refreshed ID token named another issuer or subject.
    OtherSubject,
    /// The absolute limit.
    Expired,
    /// The idle limit.
    Idle,
    /// The key it is sealed under has been taken out of the ring.
    KeyRemoved,
    /// The configuration names another issuer or client for its host.
    ProviderChanged,
}

impl EndReason {
    /// The code for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SignOut => "sign-out",
            Self::BackChannelLogout => "back-channel-logout",
            Self::FrontChannelLogout => "front-channel-logout",
            Self::Revoked => "revoked",
            Self::SubjectLimit => "subject-limit",
            Self::Replaced => "replaced",
            Self::SteppedUp => "stepped-up",
            Self::RefreshRejected => "refresh-rejected",
            Self::OtherSubject => "other-subject",
            Self::Expired => "expired",
            Self::Idle => "idle",
            Self::KeyRemoved => "key-removed",
            Self::ProviderChanged => "provider-changed",
        }
    }
}
