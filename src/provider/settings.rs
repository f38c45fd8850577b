//! What a provider needs to know about itself.

use std::time::Duration;

use rustls::pki_types::CertificateDer;

use crate::claims::ClaimsMapping;
pub use crate::oidc::client_authentication::ClientAuthentication;
pub use crate::oidc::identity::EmailVerified;
pub use crate::oidc::provider_metadata::Endpoints;

/// Calls at once, unless the configuration says otherwise.
pub const CONCURRENT_CALLS: usize = 64;

/// One provider.
#[derive(Debug, PartialEq)]
pub struct ProviderSettings {
    /// NAME of `[providers.NAME]`; `None` for the single `[provider]`.
    pub name: Option<String>,
    /// The issuer identifier; `None` for plain OAuth 2.0.
    pub issuer: Option<String>,
    /// Endpoints by hand.
    pub endpoints: Endpoints,
    /// The client identifier (RFC 6749 §2.2).
    pub client_id: String,
    /// How the client authenticates.
    pub client_authentication: ClientAuthentication,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
    /// Fixed further parameters of the authorization request.
    pub authorization_parameters: Vec<(String, String)>,
    /// Where identity is found.
    pub claims: ClaimsMapping,
    /// Whether addresses count as verified.
    pub email_verified: EmailVerified,
    /// How far the provider's clock may be off.
    pub clock_leeway: Duration,
    /// Time for one connection.
    pub connect_timeout: Duration,
    /// Time for one call in all.
    pub total_timeout: Duration,
    /// Calls at once; over it a code is not exchanged, and everything else waits.
    pub concurrent_calls: usize,
    /// Certificates of `ca_file`; when there are any, they alone are trusted.
    pub ca_certificates: Vec<CertificateDer<'static>>,
    /// Issuer and public URL are both plain HTTP on loopback, so the endpoints may be too.
    pub plain_http: bool,
}

impl ProviderSettings {
    /// What an identity of this provider has for an issuer: the issuer identifier, or the provider's name.
    #[must_use]
    pub fn issuer_name(&self) -> &str {
        self.issuer.as_deref().or(self.name.as_deref()).unwrap_or("provider")
    }

    /// The name in logs, metrics and sealed attempts: NAME, or `default` for the single provider.
    #[must_use]
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or("default")
    }
}
