//! Where an application is and how it is spoken to.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use rustls::pki_types::{CertificateDer, ServerName};

use super::template::HeaderTemplate;
use crate::signing_key::SigningAlgorithm;
use crate::tls::TlsIdentity;

/// Where an application listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Plain HTTP over TCP.
    Http {
        /// Name or address to connect to.
        host: String,
        /// Port to connect to.
        port: u16,
    },
    /// HTTP over TLS.
    Https {
        /// Name or address to connect to.
        host: String,
        /// Port to connect to.
        port: u16,
    },
    /// HTTP/2 over TCP without TLS, by prior knowledge (RFC 9113 §3.3).
    H2c {
        /// Name or address to connect to.
        host: String,
        /// Port to connect to.
        port: u16,
    },
    /// HTTP over a Unix socket.
    Unix(PathBuf),
    /// Nowhere: another proxy carries the requests and asks about them.
    Elsewhere,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http { host, port } => write!(formatter, "http://{host}:{port}"),
            Self::Https { host, port } => write!(formatter, "https://{host}:{port}"),
            Self::H2c { host, port } => write!(formatter, "h2c://{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Elsewhere => formatter.write_str("another proxy"),
        }
    }
}

/// How the upstream's certificate is judged, and what it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Certificates of `ca_file`; when there are any, they alone are trusted.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// The name in the certificate, when it is not the target's host.
    pub server_name: Option<ServerName<'static>>,
    /// Our own certificate and its key, for an upstream that asks for one.
    pub identity: Option<Arc<TlsIdentity>>,
}

/// Most targets of one application: as many as a word has bits.
pub const MOST_TARGETS: usize = 64;

/// Which of several targets a request goes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Balance {
    /// Of two drawn at random, the one with fewer requests on it.
    #[default]
    Requests,
    /// The same one for the same session, as long as it is well; on every replica the same.
    Session,
}

/// When a target is left out, and how it is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthSettings {
    /// The path that is asked for; without one nobody asks.
    pub path: Option<String>,
    /// From one question to the next.
    pub interval: Duration,
    /// For the head of an answer.
    pub timeout: Duration,
    /// So many failures in a row, of requests or of questions, and the target is left out.
    pub failures: u32,
    /// So many good answers in a row, and one that was left out for its answers is back.
    pub successes: u32,
    /// How long it is left out for failed requests the first time; each time in a row twice as long, up to 32 times.
    pub ejection: Duration,
}

impl Default for HealthSettings {
    fn default() -> Self {
        Self {
            path: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failures: 3,
            successes: 2,
            ejection: Duration::from_secs(10),
        }
    }
}

/// How many requests a target gets at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetLimits {
    /// At most so many; without a number, as many as there are.
    pub requests: Option<usize>,
    /// So many more wait; beyond it 503.
    pub queue: usize,
    /// So long; over it 503.
    pub queue_timeout: Duration,
}

impl Default for TargetLimits {
    fn default() -> Self {
        Self { requests: None, queue: 100, queue_timeout: Duration::from_secs(5) }
    }
}

/// Deadlines; there is none for a whole exchange, because streams live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UpstreamTimeouts {
    /// For a connection, TLS included; over it 502.
    pub connect: Duration,
    /// From the request to the head of the answer; over it 504.
    pub response_header: Duration,
    /// Of silence inside an answer's body; over it the answer is cut.
    pub idle: Duration,
}

impl Default for UpstreamTimeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            response_header: Duration::from_secs(60),
            idle: Duration::from_secs(300),
        }
    }
}

/// What stands in every identity assertion; no claim of a provider may take its place.
pub const REGISTERED_CLAIMS: &[&str] = &["iss", "aud", "sub", "iat", "nbf", "exp", "jti"];

/// The signed identity assertion of an upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssertionSettings {
    /// How it is signed.
    pub algorithm: SigningAlgorithm,
    /// `aud`: the upstream, as it knows itself.
    pub audience: String,
    /// The claims in it besides the registered ones, by the names that header templates use.
    pub claims: Vec<String>,
}

/// One application.
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The name in logs and metrics.
    pub name: String,
    /// Where it listens: one place, or several that are alike. Never empty.
    pub targets: Vec<Target>,
    /// Which of several gets a request.
    pub balance: Balance,
    /// When one of them is left out.
    pub health: HealthSettings,
    /// How much each of them gets at once.
    pub limits: TargetLimits,
    /// How its certificate is judged.
    pub tls: UpstreamTls,
    /// Whether it sees the browser's `Host` or the target's.
    pub pass_host: bool,
    /// The path prefix that is taken off, if any: `/wiki` without a final slash.
    pub strip_prefix: Option<String>,
    /// Headers to set, each from its template.
    pub headers: Vec<(HeaderName, HeaderTemplate)>,
    /// What the signed identity assertion says, if a header holds one.
    pub identity_assertion: Option<AssertionSettings>,
    /// Whether the caller's own `Authorization` stays on public paths.
    pub keep_authorization: bool,
    /// Deadlines.
    pub timeouts: UpstreamTimeouts,
}

impl UpstreamSettings {
    /// Whether another proxy carries the requests.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.targets.contains(&Target::Elsewhere)
    }

    /// Whether a claim whose name `wanted` knows is told to the application: in a header, or in the signed assertion.
    #[must_use]
    pub fn uses_claim(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let asserted =
            self.identity_assertion.as_ref().is_some_and(|asserted| asserted.claims.iter().any(|name| wanted(name)));
        asserted || self.headers.iter().any(|(_, template)| template.uses_claim(&wanted))
    }
}
