//! Where an application is and how it is spoken to.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::HeaderName;
use rustls::pki_types::{CertificateDer, ServerName};

use super::template::HeaderTemplate;
use crate::signing_key::SigningAlgorithm;

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

/// How the upstream's certificate is judged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// Certificates of `ca_file`; when there are any, they alone are trusted.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// The name in the certificate, when it is not the target's host.
    pub server_name: Option<ServerName<'static>>,
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
    /// Where it listens.
    pub target: Target,
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
    /// Whether a claim whose name `wanted` knows is told to the application: in a header, or in the signed assertion.
    #[must_use]
    pub fn uses_claim(&self, wanted: impl Fn(&str) -> bool) -> bool {
        let asserted =
            self.identity_assertion.as_ref().is_some_and(|asserted| asserted.claims.iter().any(|name| wanted(name)));
        asserted || self.headers.iter().any(|(_, template)| template.uses_claim(&wanted))
    }
}
