//! One `[[upstream]]`.

use std::sync::Arc;

use rustls::pki_types::ServerName;

use crate::gateway::canonical_path::{CanonicalPath, PathPolicy, as_compared};
use crate::gateway::pattern::Pattern;
use crate::gateway::settings::{Anonymous, RouteSettings, RuleSettings};
use crate::origin::{Host, PublicUrl, Scheme};
use crate::policy::access::Access;
use crate::provider::settings::ProviderSettings;
use crate::server::trusted_proxies::TrustedProxies;
use crate::upstream::settings::{Target, UpstreamSettings, UpstreamTimeouts, UpstreamTls};

use super::certificates::{ca_certificates, identity};
use super::header_names::Written;
use super::header_presets::is_basic;
use super::headers::headers;
use super::identity_assertion::identity_assertion;
use super::keys::{UPSTREAM_TIMEOUTS, UPSTREAM_TLS};
use super::open_issuers;
use super::section::Section;
use super::setting::Setting;
use super::{access, cross_site, patterns, rules, target};

/// What an upstream is read against.
pub(super) struct Surroundings<'b> {
    pub(super) public_url: Option<&'b PublicUrl>,
    pub(super) endpoint_prefix: &'b str,
    pub(super) providers: &'b [ProviderSettings],
    pub(super) trusted_proxies: &'b TrustedProxies,
    /// The headers of all upstreams.
    pub(super) headers: &'b [Written<'b>],
}

/// An upstream with its place in the file and what the settings no longer say.
pub(super) struct Route<'a> {
    pub(super) settings: RouteSettings,
    pub(super) section: Section<'a>,
    /// It gets the access token.
    pub(super) uses_access_token: bool,
}

/// Reads one upstream; `None` when its host is not known, without which nothing can be compared.
pub(super) fn upstream<'a>(section: Section<'a>, index: usize, around: &Surroundings<'_>) -> Option<Route<'a>> {
    let path = path(&section, around);
    let targets = target::targets(&section, around.trusted_proxies);
    let strip_prefix = section.boolean("strip_prefix", false).then(|| path.clone()).filter(|path| path != "/");
    let headers = headers(&section, around.headers);
    let uses_access_token = headers.iter().any(|(_, template)| template.uses_access_token());
    let provider = provider(&section, around.providers);
    let (public, api) = patterns::public_and_api(&section, &path);
    let plain_oauth = around.providers.get(provider).is_some_and(is_plain_oauth);
    let rules = rules::rules(&section, &path, &public, plain_oauth);
    let access = access(&section, around.providers.get(provider));
    let path_policy = path_policy(&section);
    let tls = tls(&section, &targets);
    let upstream = UpstreamSettings {
        name: name(&section, index),
        // What is missing has been reported, so that this empty one never leaves the reader.
        targets: if targets.is_empty() { vec![Target::Unix(Default::default())] } else { targets },
        balance: target::balance(&section),
        health: target::health(&section),
        limits: target::limits(&section),
        tls,
        pass_host: section.boolean("pass_host", true),
        strip_prefix,
        identity_assertion: identity_assertion(&section, &headers),
        headers,
        keep_authorization: keep_authorization(&section, &public, &rules),
        timeouts: timeouts(&section),
    };
    let anonymous = section.choice(
        "anonymous",
        Anonymous::Login,
        &[("login", Anonymous::Login), ("forward", Anonymous::Forward), ("deny", Anonymous::Deny)],
    );
    let scopes = scopes(&section, around.providers.get(provider));
    let host = host(&section, around.public_url)?;
    let cross_site = cross_site::cross_site(&section, &path, &host, around.public_url);
    let settings = RouteSettings {
        host,
        path,
        provider,
        scopes,
        access,
        anonymous,
        public,
        api,
        cross_site,
        rules,
        path_policy,
        upstream,
    };
    Some(Route { settings, section, uses_access_token })
}

fn name(section: &Section<'_>, index: usize) -> String {
    let default = format!("upstream-{}", index + 1);
    let Some(setting) = section.setting("name") else { return default };
    let Some(name) = setting.string("a short name") else { return default };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.len() > 64 || !name.bytes().all(plain) {
        let message = format!("`{}` is not a name for logs and metrics", setting.path());
        setting.refuse(message, "use up to 64 of A-Z, a-z, 0-9, -, _ and .");
    }
    name.to_owned()
}

fn host(section: &Section<'_>, public_url: Option<&PublicUrl>) -> Option<Host> {
    let Some(setting) = section.setting("host") else { return public_url.map(|url| url.host().clone()) };
    let text = setting.string("\"wiki.example.com\"")?;
    let scheme = public_url.map_or(Scheme::Https, PublicUrl::scheme);
    if text.contains("://") {
        if text.contains('@') {
            setting.mask();
        }
        let message = format!("`{}` is a URL; the scheme is always that of public_url", setting.path());
        setting.refuse(message, "write the host alone, with its port if it has one");
        return None;
    }
    let Ok(host) = Host::parse(text, scheme) else {
        if text.contains('@') {
            setting.mask();
        }
        let message = format!("`{}` is not a host with an optional port", setting.path());
        setting.refuse(message, "write for example \"wiki.example.com\"");
        return None;
    };
    if scheme == Scheme::Http && !host.is_loopback() {
        let message = format!("`{}`: with a http public_url only hosts of this machine can be served", setting.path());
        setting.refuse(message, "write a name under localhost, or make public_url https");
        return None;
    }
    Some(host)
}

fn path(section: &Section<'_>, around: &Surroundings<'_>) -> String {
    let base = around.public_url.map_or("", PublicUrl::path);
    let default = if base.is_empty() { "/" } else { base };
    let Some(setting) = section.setting("path") else { return default.to_owned() };
    let Some(text) = setting.string("\"/\"") else { return default.to_owned() };
    let canonical = CanonicalPath::parse(text, PathPolicy::Strict).ok();
    let Some(path) = canonical.filter(|path| path.as_str() == text && as_compared(text) == text && !text.contains('*'))
    else {
        let message = format!("`{}` is not a canonical path without wildcards", setting.path());
        setting.refuse(message, "write for example \"/wiki\": everything under it belongs to it");
        return default.to_owned();
    };
    if !path.is_under(base) {
        let message = format!("`{}` does not lie under the path of public_url", setting.path());
        setting.refuse(message, format!("write it in full as the browser sees it, beginning with {base}/"));
    }
    if path.is_under(&format!("{base}{}", around.endpoint_prefix)) {
        let message = format!("`{}` lies under the gateway's own endpoints", setting.path());
        setting.refuse(message, "choose another path, or another `listen.endpoint_prefix`");
    }
    match text.strip_suffix('/') {
        Some("") | None => text.to_owned(),
        Some(bare) => bare.to_owned(),
    }
}

fn provider(section: &Section<'_>, providers: &[ProviderSettings]) -> usize {
    let Some(setting) = section.setting("provider") else { return 0 };
    let Some(name) = setting.string("the NAME of a [providers.NAME]") else { return 0 };
    let found = providers.iter().position(|provider| provider.name.as_deref() == Some(name));
    if found.is_none() && !providers.is_empty() {
        let names: Vec<_> = providers.iter().filter_map(|provider| provider.name.as_deref()).collect();
        let help = match names.as_slice() {
            [] => "there is one provider without a name: take the key out".to_owned(),
            names => format!("write one of: {}", names.join(", ")),
        };
        setting.refuse(format!("`{}` is not the name of a provider", setting.path()), help);
    }
    found.unwrap_or(0)
}

/// What the login must have been granted. What is not asked for is granted to nobody.
fn scopes(section: &Section<'_>, provider: Option<&ProviderSettings>) -> Vec<String> {
    let Some(setting) = section.setting("scopes") else { return Vec::new() };
    let Some(scopes) = super::scopes::scopes(&setting, "[\"calendar.read\"]") else { return Vec::new() };
    if let Some(provider) = provider {
        let asked = |scope: &&str| provider.scopes.iter().any(|asked| asked == scope);
        let unasked: Vec<&str> = scopes.iter().copied().filter(|scope| !asked(scope)).collect();
        if !unasked.is_empty() {
            setting.warn(
                format!(
                    "`{}` needs what provider {} is not asked for: {}; nobody may in",
                    setting.path(),
                    provider.label(),
                    unasked.join(", ")
                ),
                "add it to the `scopes` of the provider, or take it out here",
            );
        }
    }
    scopes.into_iter().map(str::to_owned).collect()
}

fn access(section: &Section<'_>, provider: Option<&ProviderSettings>) -> Access {
    if let Some(setting) = section.setting("access") {
        return access::access(&setting).unwrap_or(Access::Anyone);
    }
    let why = match provider {
        Some(provider) if is_plain_oauth(provider) => "a plain OAuth 2.0 provider does not say whose accounts it has",
        Some(ProviderSettings { issuer: Some(issuer), .. }) if open_issuers::is_open(issuer) => {
            "anybody can make an account at this provider"
        }
        _ => return Access::Anyone,
    };
    section.refuse_at(
        "access",
        format!("this upstream does not say who may in, and {why}"),
        "write for example access = { email_domain = \"example.com\" }, or access = \"anyone\" if that is meant",
    );
    Access::Anyone
}

/// Whether it sends no ID tokens. Without any endpoint it is nothing yet, which has been reported.
fn is_plain_oauth(provider: &ProviderSettings) -> bool {
    let endpoints = &provider.endpoints;
    let endpoints = [&endpoints.authorization, &endpoints.token, &endpoints.userinfo];
    provider.issuer.is_none() && endpoints.iter().any(|endpoint| endpoint.is_some())
}

fn path_policy(section: &Section<'_>) -> PathPolicy {
    let choices = [("strict", PathPolicy::Strict), ("permissive", PathPolicy::Permissive)];
    let policy = section.choice("path_policy", PathPolicy::Strict, &choices);
    for key in ["public", "cross_site", "rule"] {
        if policy == PathPolicy::Permissive && section.setting(key).is_some() {
            section.refuse_at(
                "path_policy",
                format!("a permissive path_policy together with `{key}`: two servers could read one path differently"),
                format!("write \"strict\", or take out `{key}`"),
            );
        }
    }
    policy
}

fn keep_authorization(section: &Section<'_>, public: &[Pattern], rules: &[RuleSettings]) -> bool {
    let keep = section.boolean("keep_authorization", false);
    // Patterns that were refused are patterns all the same.
    let written = section.setting("public").and_then(|list| list.items("[]"));
    let by_rule = rules.iter().any(|rule| rule.public);
    if keep && !by_rule && public.is_empty() && written.is_none_or(|patterns| patterns.is_empty()) {
        section.refuse_at(
            "keep_authorization",
            "`keep_authorization` is for public paths, and this upstream has none",
            "take it out, or name the paths in `public` or in a rule with public = true",
        );
    }
    if keep && is_basic(section) {
        section.warn(
            "with keep_authorization an application that takes user names from `basic` and does not compare the \
             password believes anybody on its public paths",
            "make sure that it compares the password, or take keep_authorization out",
        );
    }
    keep
}

fn timeouts(section: &Section<'_>) -> UpstreamTimeouts {
    let default = UpstreamTimeouts::default();
    let Some(section) = section.section("timeouts", &UPSTREAM_TIMEOUTS) else { return default };
    UpstreamTimeouts {
        connect: section.duration("connect", default.connect),
        response_header: section.duration("response_header", default.response_header),
        idle: section.duration("idle", default.idle),
    }
}

fn tls(section: &Section<'_>, targets: &[Target]) -> UpstreamTls {
    let Some(setting) = section.setting("tls") else { return UpstreamTls::default() };
    let Some(tls) = setting.section(&UPSTREAM_TLS) else { return UpstreamTls::default() };
    let has_tls = |target: &Target| matches!(target, Target::Https { .. } | Target::Elsewhere);
    if !targets.is_empty() && !targets.iter().any(has_tls) {
        let message = format!("`{}` is for https targets, and there is none here", setting.path());
        setting.refuse(message, "make the target https, or take this out");
    }
    UpstreamTls {
        ca_certificates: ca_certificates(&tls),
        server_name: tls.setting("server_name").and_then(|setting| server_name(&setting)),
        identity: identity(&tls).map(Arc::new),
    }
}

fn server_name(setting: &Setting<'_>) -> Option<ServerName<'static>> {
    let text = setting.string("\"wiki.internal\"")?;
    let name = ServerName::try_from(text.to_owned()).ok();
    if name.is_none() {
        let message = format!("`{}` is neither a DNS name nor an IP address", setting.path());
        setting.refuse(message, "write the name in the upstream's certificate");
    }
    name
}
