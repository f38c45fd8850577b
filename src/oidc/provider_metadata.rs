//! What a provider says about itself: OpenID Connect Discovery 1.0, RFC 8414, or the operator by hand.
//!
//! The first document of a process pins the hosts that are called and the protections that are relied on: whoever can
//! change the document later can move nothing to a host of their own (the client secret goes to these).

use std::collections::BTreeSet;

use serde_json::{Map, Value};
use url::Url;

use crate::oidc::endpoint_url::{self, EndpointPolicy, EndpointUrlError};
use crate::oidc::json::{self, JsonError};
use crate::oidc::pkce;

/// Endpoints written in the configuration; each wins over the discovered one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the browser is sent (RFC 6749 §3.1).
    pub authorization: Option<Url>,
    /// Where codes and refresh tokens are spent (RFC 6749 §3.2).
    pub token: Option<Url>,
    /// Where identity is read (OpenID Connect Core §5.3).
    pub userinfo: Option<Url>,
    /// Where tokens are revoked (RFC 7009).
    pub revocation: Option<Url>,
    /// Where the provider's own session is ended (OpenID Connect RP-Initiated Logout).
    pub end_session: Option<Url>,
    /// Where the provider's public keys are (RFC 7517).
    pub jwks: Option<Url>,
    /// A list of `{email, primary, verified}` (plain OAuth 2.0 only).
    pub email: Option<Url>,
}

/// Checked metadata of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderMetadata {
    /// Where the browser is sent.
    pub authorization: Url,
    /// Where codes and refresh tokens are spent.
    pub token: Url,
    /// Where identity is read.
    pub userinfo: Option<Url>,
    /// Where tokens are revoked.
    pub revocation: Option<Url>,
    /// Where the provider's own session is ended.
    pub end_session: Option<Url>,
    /// Where the public keys are; always there for OpenID Connect.
    pub jwks: Option<Url>,
    /// A list of e-mail addresses (plain OAuth 2.0 only).
    pub email: Option<Url>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 §3): a response without `iss` is refused.
    pub sends_iss: bool,
    /// Whether S256 is announced; it is sent in any case.
    pub announces_s256: bool,
    /// Host and port of the issuer and of every endpoint of the first document.
    named: BTreeSet<(String, u16)>,
}

/// Why a document is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Not a JSON object.
    #[error("the metadata is not a JSON object")]
    Json(#[from] JsonError),
    /// The document is another issuer's (OpenID Connect Discovery §4.3).
    #[error("the metadata names another issuer than the configured one")]
    Issuer,
    /// The configured issuer is no https URL without query and fragment.
    #[error("the issuer is not an https URL without query and fragment")]
    IssuerUrl,
    /// An endpoint that must not be called.
    #[error("{endpoint} cannot be used: {source}")]
    Endpoint {
        /// The member's name.
        endpoint: &'static str,
        /// Which rule it breaks.
        source: EndpointUrlError,
    },
    /// An endpoint that the flow needs is neither discovered nor configured.
    #[error("{0} is missing")]
    EndpointMissing(&'static str),
    /// A member is of another type than the standard says.
    #[error("{0} is of the wrong type")]
    MemberType(&'static str),
    /// PKCE methods are listed, but not S256; we never fall back to `plain`.
    #[error("the provider announces PKCE without S256")]
    NoS256,
    /// The provider takes pushed authorization requests only (RFC 9126 §5), which this program does not make.
    #[error("the provider requires pushed authorization requests (require_pushed_authorization_requests)")]
    PushedAuthorizationRequired,
}

impl MetadataError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Json(_) => "not-json",
            Self::Issuer => "issuer-mismatch",
            Self::IssuerUrl => "issuer-url",
            Self::Endpoint { source, .. } => source.reason(),
            Self::EndpointMissing(_) => "endpoint-missing",
            Self::MemberType(_) => "member-type",
            Self::NoS256 => "pkce-without-s256",
            Self::PushedAuthorizationRequired => "require-pushed-authorization-requests",
        }
    }
}

/// What a later document tried to change and was not let.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinned {
    /// An endpoint on a host that the first document did not name; the old endpoint is kept.
    Endpoint(&'static str),
    /// A protection that was announced before and is not any more; it is still relied on.
    Capability(&'static str),
}

/// Where the metadata of an issuer is (OpenID Connect Discovery §4.1).
///
/// # Errors
/// [`MetadataError::IssuerUrl`].
pub fn discovery_url(issuer: &str, plain_http: bool) -> Result<Url, MetadataError> {
    let url = Url::parse(issuer).map_err(|_| MetadataError::IssuerUrl)?;
    let policy = EndpointPolicy { plain_http, issuer_host: None };
    policy.check_by_hand(&url).map_err(|_| MetadataError::IssuerUrl)?;
    if issuer.contains(['?', '#']) {
        return Err(MetadataError::IssuerUrl);
    }
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    Url::parse(&format!("{base}/.well-known/openid-configuration")).map_err(|_| MetadataError::IssuerUrl)
}

impl ProviderMetadata {
    /// Reads a discovery document of `issuer`; endpoints written in the configuration win.
    ///
    /// # Errors
    /// [`MetadataError`]; the document must then not be used at all.
    pub fn from_discovery(
        document: &[u8],
        limit: usize,
        issuer: &str,
        by_hand: &Endpoints,
        plain_http: bool,
    ) -> Result<Self, MetadataError> {
        let members = json::read_object(document, limit)?;
        if members.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(MetadataError::Issuer);
        }
        if flag(&members, "require_pushed_authorization_requests")? {
            return Err(MetadataError::PushedAuthorizationRequired);
        }
        let announces_s256 = announces_s256(&members)?;
        let issuer_url = Url::parse(issuer).map_err(|_| MetadataError::IssuerUrl)?;
        let policy = EndpointPolicy { plain_http, issuer_host: issuer_url.host_str().map(str::to_owned) };
        let reader = EndpointReader { members: &members, policy };
        let metadata = Self {
            authorization: reader.required("authorization_endpoint", by_hand.authorization.as_ref())?,
            token: reader.required("token_endpoint", by_hand.token.as_ref())?,
            userinfo: reader.optional("userinfo_endpoint", by_hand.userinfo.as_ref())?,
            revocation: reader.optional("revocation_endpoint", by_hand.revocation.as_ref())?,
            end_session: reader.optional("end_session_endpoint", by_hand.end_session.as_ref())?,
            jwks: Some(reader.required("jwks_uri", by_hand.jwks.as_ref())?),
            email: None,
            sends_iss: flag(&members, "authorization_response_iss_parameter_supported")?,
            announces_s256,
            named: BTreeSet::new(),
        };
        Ok(metadata.naming(Some(&issuer_url)))
    }

    /// Metadata of a plain OAuth 2.0 server, as the operator has written it.
    ///
    /// # Errors
    /// [`MetadataError`] for a missing endpoint or one that must not be called.
    pub fn by_hand(endpoints: &Endpoints, plain_http: bool) -> Result<Self, MetadataError> {
        let members = Map::new();
        let reader = EndpointReader { members: &members, policy: EndpointPolicy { plain_http, issuer_host: None } };
        let metadata = Self {
            authorization: reader.required("authorization_endpoint", endpoints.authorization.as_ref())?,
            token: reader.required("token_endpoint", endpoints.token.as_ref())?,
            // Without an ID token this is the only place where an identity can come from.
            userinfo: Some(reader.required("userinfo_endpoint", endpoints.userinfo.as_ref())?),
            revocation: reader.optional("revocation_endpoint", endpoints.revocation.as_ref())?,
            end_session: reader.optional("end_session_endpoint", endpoints.end_session.as_ref())?,
            jwks: reader.optional("jwks_uri", endpoints.jwks.as_ref())?,
            email: reader.optional("email_endpoint", endpoints.email.as_ref())?,
            sends_iss: false,
            announces_s256: false,
            named: BTreeSet::new(),
        };
        Ok(metadata.naming(None))
    }

    fn naming(mut self, issuer: Option<&Url>) -> Self {
        let endpoints = [Some(&self.authorization), Some(&self.token), issuer];
        let optional = [&self.userinfo, &self.revocation, &self.end_session, &self.jwks, &self.email];
        let urls = endpoints.into_iter().chain(optional.map(Option::as_ref)).flatten();
        self.named = urls.filter_map(endpoint_url::authority).collect();
        self
    }

    /// This later document under the pins of the one in force.
    #[must_use]
    pub fn pinned_to(mut self, current: &Self) -> (Self, Vec<Pinned>) {
        let mut kept = Vec::new();
        let named =
            |url: &Url| endpoint_url::authority(url).is_some_and(|authority| current.named.contains(&authority));
        let required = [
            ("authorization_endpoint", &mut self.authorization, &current.authorization),
            ("token_endpoint", &mut self.token, &current.token),
        ];
        for (name, new, old) in required {
            if !named(new) {
                new.clone_from(old);
                kept.push(Pinned::Endpoint(name));
            }
        }
        let optional = [
            ("userinfo_endpoint", &mut self.userinfo, &current.userinfo),
            ("revocation_endpoint", &mut self.revocation, &current.revocation),
            ("end_session_endpoint", &mut self.end_session, &current.end_session),
            ("jwks_uri", &mut self.jwks, &current.jwks),
        ];
        for (name, new, old) in optional {
            if new.as_ref().is_some_and(|url| !named(url)) {
                new.clone_from(old);
                kept.push(Pinned::Endpoint(name));
            }
        }
        if current.sends_iss && !self.sends_iss {
            self.sends_iss = true;
            kept.push(Pinned::Capability("iss"));
        }
        if current.announces_s256 && !self.announces_s256 {
            self.announces_s256 = true;
            kept.push(Pinned::Capability("s256"));
        }
        self.named.clone_from(&current.named);
        (self, kept)
    }
}

struct EndpointReader<'a> {
    members: &'a Map<String, Value>,
    policy: EndpointPolicy,
}

impl EndpointReader<'_> {
    fn optional(&self, name: &'static str, by_hand: Option<&Url>) -> Result<Option<Url>, MetadataError> {
        let unusable = |source| MetadataError::Endpoint { endpoint: name, source };
        if let Some(url) = by_hand {
            self.policy.check_by_hand(url).map_err(unusable)?;
            return Ok(Some(url.clone()));
        }
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => self.policy.parse(text).map(Some).map_err(unusable),
            Some(_) => Err(MetadataError::MemberType(name)),
        }
    }

    fn required(&self, name: &'static str, by_hand: Option<&Url>) -> Result<Url, MetadataError> {
        self.optional(name, by_hand)?.ok_or(MetadataError::EndpointMissing(name))
    }
}

fn flag(members: &Map<String, Value>, name: &'static str) -> Result<bool, MetadataError> {
    match members.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(value)) => Ok(*value),
        Some(_) => Err(MetadataError::MemberType(name)),
    }
}

fn announces_s256(members: &Map<String, Value>) -> Result<bool, MetadataError> {
    match members.get("code_challenge_methods_supported") {
        None | Some(Value::Null) => Ok(false),
        // An empty list must not be sent (RFC 8414 §2); it says no more than a missing one.
        Some(Value::Array(methods)) if methods.is_empty() => Ok(false),
        Some(Value::Array(methods)) if methods.iter().any(|method| method == pkce::METHOD) => Ok(true),
        Some(Value::Array(_)) => Err(MetadataError::NoS256),
        Some(_) => Err(MetadataError::MemberType("code_challenge_methods_supported")),
    }
}

#[cfg(test)]
mod tests;
