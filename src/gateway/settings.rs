//! What the gateway decides by.

use std::time::Duration;

use http::Method;

use crate::cookie::SameSite;
use crate::origin::{Host, PublicUrl};
use crate::policy::access::Access;
use crate::provider::settings::ProviderSettings;
use crate::server::settings::ListenSettings;
use crate::session::settings::SessionSettings;
use crate::telemetry::settings::LogSettings;
use crate::upstream::settings::UpstreamSettings;

use super::canonical_path::PathPolicy;
use super::pattern::Pattern;

/// What an upstream gets to see of somebody who is not logged in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Anonymous {
    /// Nothing: the person is sent to the login.
    #[default]
    Login,
    /// The request without identity.
    Forward,
    /// Nothing, and no login is begun.
    Deny,
}

/// `cross_site` of an upstream: which other origins may do what with a person's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossSiteSettings {
    /// Origins (RFC 6454 §6.2) as browsers write them.
    pub origins: Vec<String>,
    /// Where they may.
    pub paths: Vec<Pattern>,
}

/// How somebody must have logged in (RFC 9470); at least one of the two is set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepUp {
    /// The authentication context class that the login must have had (OpenID Connect Core §2, `acr`).
    pub acr: Option<String>,
    /// How long ago the person may have logged in at the provider at most.
    pub max_age: Option<Duration>,
}

/// One `[[upstream.rule]]`: what is different for some paths and methods of an upstream. What it leaves out is the
/// upstream's.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleSettings {
    /// The paths it is about; it names no method.
    pub pattern: Pattern,
    /// The methods it is about; empty for every method.
    pub methods: Vec<Method>,
    /// Who may in.
    pub access: Option<Access>,
    /// What happens to people who are not logged in.
    pub anonymous: Option<Anonymous>,
    /// Forwarded without looking at a session.
    pub public: bool,
    /// Answered with 401, never with a redirect; or the reverse, whatever the upstream's `api` says.
    pub api: Option<bool>,
    /// How somebody must have logged in.
    pub step_up: Option<StepUp>,
}

/// One `[[upstream]]`: where its requests come from, who may make them, where they go.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The host it is reached under.
    pub host: Host,
    /// The path prefix it is reached under, full as the browser sees it: `/` or `/wiki` without a final slash.
    pub path: String,
    /// Index of its provider in [`Settings::providers`].
    pub provider: usize,
    /// Scopes that the login must have been granted (RFC 6749 §3.3).
    pub scopes: Vec<String>,
    /// Who may in.
    pub access: Access,
    /// What happens to people who are not logged in.
    pub anonymous: Anonymous,
    /// Forwarded without looking at a session.
    pub public: Vec<Pattern>,
    /// Answered with 401, never with a redirect.
    pub api: Vec<Pattern>,
    /// Sibling hosts that the cross-site check lets through.
    pub cross_site: Option<CrossSiteSettings>,
    /// What is different for some of its paths and methods.
    pub rules: Vec<RuleSettings>,
    /// Whether ambiguous characters are let through.
    pub path_policy: PathPolicy,
    /// The application itself.
    pub upstream: UpstreamSettings,
}

impl RouteSettings {
    /// Whether another proxy carries the requests and only asks about them.
    #[must_use]
    pub fn forward_auth(&self) -> bool {
        self.upstream.is_elsewhere()
    }
}

/// The cookies of `[session]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CookieSettings {
    /// The `SameSite` attribute of the session cookie.
    pub same_site: SameSite,
    /// Whether the session cookie outlives the browser.
    pub persistent: bool,
}

/// The `[pages]` section.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PagesSettings {
    /// Whose pages these are.
    pub name: Option<String>,
    /// Whom to ask.
    pub contact: Option<String>,
}

/// The whole configuration, checked.
#[derive(Debug)]
pub struct Settings {
    /// How browsers reach the gateway.
    pub public_url: PublicUrl,
    /// Under the public URL's path: `/oauth2`.
    pub endpoint_prefix: String,
    /// `[listen]`.
    pub listen: ListenSettings,
    /// `[log]`.
    pub log: LogSettings,
    /// `[pages]`.
    pub pages: PagesSettings,
    /// `[session]`.
    pub session: SessionSettings,
    /// `[session].cookie`.
    pub cookie: CookieSettings,
    /// `[provider]`, or every `[providers.NAME]` in the order of the file.
    pub providers: Vec<ProviderSettings>,
    /// `[[upstream]]`.
    pub routes: Vec<RouteSettings>,
    /// Whether `[session].keys` was written, or one key was made for this run.
    pub session_keys_configured: bool,
    /// The limit of the system by which defaults are smaller than usual; none when there is none, or there is room.
    pub memory: Option<MemoryShare>,
}

/// A limit of memory that the defaults had to be fitted into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShare {
    /// In bytes.
    pub limit: u64,
}

impl Settings {
    /// The full path prefix of the gateway's own endpoints.
    #[must_use]
    pub fn endpoints(&self) -> String {
        format!("{}{}", self.public_url.path(), self.endpoint_prefix)
    }

    /// The redirect URI of a provider on one host (RFC 6749 §3.1.2).
    #[must_use]
    pub fn redirect_uri(&self, host: &Host, provider: &ProviderSettings) -> String {
        let name = provider.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
        format!("{}{}/callback{name}", self.public_url.origin_of(host), self.endpoints())
    }

    /// Where a provider sends the browser after a logout (OpenID Connect RP-Initiated Logout §3).
    #[must_use]
    pub fn post_logout_redirect_uri(&self, host: &Host) -> String {
        format!("{}{}/signed_out", self.public_url.origin_of(host), self.endpoints())
    }

    /// Where a provider says, server to server, that a session has ended (OpenID Connect Back-Channel Logout §2.2).
    #[must_use]
    pub fn back_channel_logout_uri(&self, host: &Host) -> String {
        format!("{}{}/backchannel-logout", self.public_url.origin_of(host), self.endpoints())
    }

    /// Where a provider says so by way of a browser (OpenID Connect Front-Channel Logout §2).
    #[must_use]
    pub fn front_channel_logout_uri(&self, host: &Host) -> String {
        format!("{}{}/frontchannel-logout", self.public_url.origin_of(host), self.endpoints())
    }
}
