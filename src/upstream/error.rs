//! Why a request got no answer from its application, or why an application cannot be spoken to.

use http::HeaderName;

use super::body_limits::BodyRefused;
use super::identity_assertion::AssertionError;
use super::template::UnusableValue;
use super::transport::{ConnectError, Failed};
use super::upgrade::UpgradeRefused;

/// A request that was not forwarded, or whose answer cannot be used.
///
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection (502).
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] ConnectError),
    /// No connection in time, TLS included (502).
    #[error("the upstream did not accept a connection in time")]
    ConnectTimeout,
    /// The targets have all the requests that they get at once, and the queue is full or moves too slowly (503).
    #[error("the upstream has more requests than it gets at once")]
    Busy,
    /// The head of the answer did not come in time (504).
    #[error("the upstream did not answer in time")]
    ResponseTimeout,
    /// The answer is not one (502).
    #[error("the upstream's answer cannot be used")]
    BadAnswer(#[source] BadAnswer),
    /// A value cannot be sent as a header (502 `claim-not-a-header`).
    #[error("a value cannot be sent as the header {header}")]
    ClaimNotAHeader {
        /// The header.
        header: HeaderName,
        /// What is wrong with the value.
        source: UnusableValue,
    },
    /// A person lacks what a header marked as required needs (403 `claim-missing`).
    #[error("the header {header} is required, and there is nothing to fill it with")]
    ClaimMissing {
        /// The header.
        header: HeaderName,
    },
    /// The identity assertion cannot be made (503 or 500).
    #[error("no identity assertion can be made")]
    Assertion(#[from] AssertionError),
    /// The request has been here before (508).
    #[error("the request came back to this gateway")]
    Loop,
    /// An upgrade that is no WebSocket handshake (400).
    #[error("the upgrade is refused")]
    UpgradeRefused(#[from] UpgradeRefused),
    /// The session ended while the upload went on (401).
    #[error("the session ended while the upload went on")]
    SessionEnded,
    /// The upstream says that the header is too large with what the gateway has added (502).
    #[error("the header is too large for the upstream")]
    HeadTooLarge,
    /// The body that comes from the browser is malformed or broke off (400; mostly nobody is left to read it).
    #[error("the body of the request broke off")]
    RequestBody(#[source] hyper::Error),
    /// The body is beyond a limit (413 or 408).
    #[error(transparent)]
    BodyRefused(BodyRefused),
    /// The path and query make no request target (400).
    #[error("the request target cannot be sent")]
    Target(#[from] http::Error),
}

/// What is wrong with an answer.
#[derive(Debug, thiserror::Error)]
pub enum BadAnswer {
    /// It is not HTTP, or the connection broke before the head was complete.
    #[error("the answer is malformed or incomplete")]
    Malformed(#[source] hyper::Error),
    /// 101 although nothing was asked, or to another protocol than asked.
    #[error("the upstream changes the protocol to one that was not asked for")]
    Upgrade,
    /// Framing that two readers could take differently (RFC 9112 §6.3).
    #[error("the framing of the answer is ambiguous")]
    Framing,
    /// Interim answers without end.
    #[error("the upstream sends interim answers without end")]
    Interim,
}

/// Why an application cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum InvalidUpstream {
    /// The target's host is neither a name nor an address.
    #[error("the target's host is neither a name nor an address")]
    Host,
    /// There is none.
    #[error("no target")]
    NoTarget,
    /// TLS cannot be set up: certificates or keys cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// The header belongs to the message itself.
    #[error("the header {0} cannot be set by a template")]
    Header(HeaderName),
    /// The header holds an identity assertion, and none is set up.
    #[error("the header {0} holds an identity assertion, and nobody signs one")]
    Unsigned(HeaderName),
    /// The prefix cannot be a header or a path.
    #[error("the path prefix is not a path")]
    Prefix,
}

impl From<ConnectError> for UpstreamError {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Timeout => Self::ConnectTimeout,
            error => Self::Unreachable(error),
        }
    }
}

impl From<Failed> for UpstreamError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsendable(error) => Self::Target(error),
            // Of what is ours to do wrong, only the body can fail: it is the browser's.
            Failed::NotBegun(_, error) | Failed::Unheard(error) | Failed::Broken(error) if error.is_user() => {
                Self::RequestBody(error)
            }
            Failed::NotBegun(_, error) | Failed::Unheard(error) | Failed::Broken(error) => {
                Self::BadAnswer(BadAnswer::Malformed(error))
            }
        }
    }
}
