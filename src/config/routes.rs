//! What the upstreams of one file must be to each other and to the listeners.

use std::net::IpAddr;

use crate::gateway::canonical_path::PathPolicy;
use crate::origin::{Host, PublicUrl, Scheme};
use crate::provider::settings::ProviderSettings;
use crate::server::settings::{ListenAddress, ListenSettings};
use crate::upstream::settings::Target;

use super::upstream::Route;

/// Compares every upstream with the ones before it.
pub(super) fn check_together(routes: &[Route<'_>], providers: &[ProviderSettings]) {
    for (index, route) in routes.iter().enumerate() {
        let (settings, section) = (&route.settings, &route.section);
        for earlier in routes.iter().take(index).map(|route| &route.settings) {
            if earlier.upstream.name == settings.upstream.name {
                section.refuse_at("name", "an earlier upstream has this name", "give every upstream a name of its own");
            }
            if earlier.host != settings.host {
                continue;
            }
            if earlier.path == settings.path {
                let message =
                    format!("an earlier upstream has the same host and path, {}{}", settings.host, settings.path);
                section.refuse(message, "give one of them another `host` or `path`");
            }
            if earlier.provider != settings.provider {
                section.refuse(
                    format!("two upstreams of {} have different providers, but a host is one login", settings.host),
                    "give one of them a host of its own",
                );
            }
        }
        let shares_host = routes.iter().filter(|other| other.settings.host == settings.host).count() > 1;
        if settings.path_policy == PathPolicy::Permissive && shares_host {
            section.refuse_at(
                "path_policy",
                "a permissive path_policy on a host with several upstreams: which one is meant would be ambiguous",
                "write \"strict\", or give this upstream a host of its own",
            );
        }
    }
    warn_about_shared_tokens(routes, providers);
}

/// An application that gets the same token as another can act in its place.
fn warn_about_shared_tokens(routes: &[Route<'_>], providers: &[ProviderSettings]) {
    for (index, provider) in providers.iter().enumerate() {
        let mut users = routes.iter().filter(|route| route.settings.provider == index && route.uses_access_token);
        let (Some(first), rest) = (users.next(), users.collect::<Vec<_>>()) else { continue };
        let Some(second) = rest.first() else { continue };
        let names: Vec<_> = std::iter::once(first).chain(rest.iter().copied()).collect();
        let names = names.iter().map(|route| route.settings.upstream.name.as_str()).collect::<Vec<_>>().join(", ");
        second.section.warn(
            format!("several upstreams get the same access token of provider {}: {names}", provider.label()),
            "where an application needs only claims, write authorization = false into its [upstream.headers]",
        );
    }
}

/// Without a configured key every start and every replica signs with a key of its own.
pub(super) fn warn_about_signing_keys(routes: &[Route<'_>]) {
    let signed = routes.iter().find_map(|route| route.section.setting("identity_assertion"));
    if let Some(setting) = signed {
        setting.warn(
            format!("`{}`: without session.keys the signing key changes at every start", setting.path()),
            "write session.keys; applications verify with the keys of /oauth2/jwks.json",
        );
    }
}

/// Refuses targets that lead back to this gateway.
pub(super) fn check_loops(routes: &[Route<'_>], listen: &ListenSettings, public_url: Option<&PublicUrl>) {
    for route in routes {
        let targets = &route.settings.upstream.targets;
        let listeners: Vec<_> =
            [&listen.address, &listen.probe_address].into_iter().chain(&listen.admin_address).collect();
        let public: Vec<_> =
            routes.iter().map(|route| &route.settings.host).chain(public_url.map(PublicUrl::host)).collect();
        let is_ours = |target: &Target| {
            let by_public_url = |host: &Host| public_url.is_some_and(|url| leads_to(target, host, url.scheme()));
            listeners.iter().any(|address| leads_to_listener(target, address))
                || public.iter().any(|host| by_public_url(host))
        };
        if targets.iter().any(is_ours) {
            let message = "this target is the gateway itself: every request would come back to it";
            let key = if route.section.setting("targets").is_some() { "targets" } else { "target" };
            route.section.refuse_at(key, message, "write where the application listens");
        }
    }
}

fn leads_to(target: &Target, host: &Host, scheme: Scheme) -> bool {
    let (target_scheme, text, port) = match target {
        Target::Http { host, port } | Target::H2c { host, port } => (Scheme::Http, host, port),
        Target::Https { host, port } => (Scheme::Https, host, port),
        Target::Unix(_) | Target::Elsewhere => return false,
    };
    target_scheme == scheme && Host::parse(&format!("{text}:{port}"), scheme).is_ok_and(|target| target == *host)
}

fn leads_to_listener(target: &Target, listener: &ListenAddress) -> bool {
    let (host, port) = match (target, listener) {
        (Target::Unix(target), ListenAddress::Unix(listener)) => return target == listener,
        (
            Target::Http { host, port } | Target::H2c { host, port } | Target::Https { host, port },
            ListenAddress::Tcp(_),
        ) => (host, *port),
        _ => return false,
    };
    let ListenAddress::Tcp(address) = listener else { return false };
    if address.port() != port {
        return false;
    }
    let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
    let literal = literal.map(|address| address.to_canonical());
    let here = host == "localhost"
        || host.ends_with(".localhost")
        || literal.is_some_and(|ip| ip.is_loopback() || ip.is_unspecified());
    let listener = address.ip().to_canonical();
    if listener.is_unspecified() { here } else { literal == Some(listener) || (here && listener.is_loopback()) }
}
