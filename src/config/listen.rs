//! `[listen]` and `[listen.limits]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::origin::PublicUrl;
use crate::provider::settings::ProviderSettings;
use crate::secret::AdminToken;
use crate::server::settings::{Limits, ListenAddress, ListenSettings};
use crate::server::trusted_proxies::TrustedProxies;

use super::keys::LIMITS;
use super::listen_tls;
use super::secret_file;
use super::section::Section;
use super::setting::Setting;

const ADDRESS_EXAMPLE: &str = "\"0.0.0.0:8080\" or \"unix:/run/vestibule.sock\"";
/// The fewest characters of an admin token: half the length of what `generate-key` makes.
const SHORTEST_TOKEN: usize = 16;
/// As large as a size can be written.
const LARGEST_BODY: usize = 1 << 40;
const DEFAULT_BODY_RATE: usize = 1 << 10;
const DEFAULT_PREFIX: &str = "/oauth2";

/// Reads `[listen]`; the endpoint prefix comes beside it, because it is no matter of sockets.
pub(super) fn listen(section: Option<&Section<'_>>, public_url: Option<&PublicUrl>) -> (ListenSettings, String) {
    // In development nobody else should reach what has no TLS.
    let development = public_url.is_some_and(PublicUrl::is_development);
    let ip = if development { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    let address = |name: &str, default: SocketAddr| {
        section
            .and_then(|section| section.setting(name))
            .and_then(|setting| listen_address(&setting))
            .unwrap_or(ListenAddress::Tcp(default))
    };
    let settings = ListenSettings {
        address: address("address", SocketAddr::from((ip, 8080))),
        probe_address: address("probe_address", SocketAddr::from((Ipv4Addr::LOCALHOST, 9091))),
        admin_address: section
            .and_then(|section| section.setting("admin_address"))
            .and_then(|setting| listen_address(&setting)),
        admin_token: section
            .and_then(|section| section.setting("admin_token"))
            .and_then(|setting| admin_token(&setting)),
        startup_grace: section.map_or(Duration::from_secs(30), |section| {
            section.duration_or_zero("startup_grace", Duration::from_secs(30))
        }),
        trusted_proxies: section.map(trusted_proxies).unwrap_or_default(),
        tls: section.and_then(listen_tls::tls),
        h2c: section.is_some_and(|section| section.boolean("h2c", false)),
        proxy_protocol: section.is_some_and(|section| section.boolean("proxy_protocol", false)),
        reuse_port: section.is_some_and(|section| section.boolean("reuse_port", false)),
        limits: limits(section.and_then(|section| section.section("limits", &LIMITS)).as_ref()),
    };
    if let Some(section) = section {
        check_together(section, &settings);
        listen_tls::check(section, &settings, public_url);
    }
    let prefix = section.and_then(|section| section.setting("endpoint_prefix"));
    let prefix = prefix.and_then(|setting| endpoint_prefix(&setting)).unwrap_or_else(|| DEFAULT_PREFIX.to_owned());
    (settings, prefix)
}

/// What the addresses must be to each other, and who may reach the one where sessions are ended.
fn check_together(section: &Section<'_>, settings: &ListenSettings) {
    let ListenSettings { address, probe_address, admin_address, .. } = settings;
    let apart = "give each an address of its own";
    if address.is_taken_by(probe_address) {
        section.refuse("`listen.address` and `listen.probe_address` are the same", apart);
    }
    let Some(admin_address) = admin_address else {
        if section.setting("admin_token").is_some() && section.setting("admin_address").is_none() {
            let message = "`listen.admin_token` opens nothing: there is no `listen.admin_address`";
            section.refuse_at(
                "admin_token",
                message,
                "write admin_address = \"unix:/run/vestibule/admin.sock\", or take it out",
            );
        }
        return;
    };
    for (name, other) in [("address", address), ("probe_address", probe_address)] {
        if admin_address.is_taken_by(other) {
            let message = format!("`listen.admin_address` and `listen.{name}` are the same");
            section.refuse_at("admin_address", message, apart);
        }
    }
    // Every program of this machine reaches its loopback addresses, and so does every page in a browser on it.
    if matches!(admin_address, ListenAddress::Tcp(_)) && section.setting("admin_token").is_none() {
        section.refuse_at(
            "admin_address",
            "`listen.admin_address` on TCP without `listen.admin_token`: whoever connects could end every session",
            "write admin_token = { file = \"/path/to/it\" }, or listen on \"unix:/run/vestibule/admin.sock\"",
        );
    }
}

fn admin_token(setting: &Setting<'_>) -> Option<Arc<AdminToken>> {
    let token = secret_file::secret(setting)?;
    if token.len() < SHORTEST_TOKEN {
        let message = format!("`{}` is shorter than {SHORTEST_TOKEN} characters and could be guessed", setting.path());
        setting.refuse(message, "make one with `vestibule generate-key`");
        return None;
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        let message =
            format!("`{}` holds blanks or characters outside ASCII, which no header can carry", setting.path());
        setting.refuse(message, "make one with `vestibule generate-key`");
        return None;
    }
    Some(Arc::new(AdminToken::new(token.to_string())))
}

/// Refuses a token that somebody else knows for another purpose.
pub(super) fn check_token(section: Option<&Section<'_>>, settings: &ListenSettings, providers: &[ProviderSettings]) {
    let (Some(section), Some(token)) = (section, &settings.admin_token) else { return };
    if providers
        .iter()
        .filter_map(|provider| provider.client_authentication.secret())
        .any(|secret| token.is_also(secret))
    {
        let message = "`listen.admin_token` is a client secret as well: whoever has one would have both";
        section.refuse_at("admin_token", message, "make one with `vestibule generate-key`");
    }
}

fn listen_address(setting: &Setting<'_>) -> Option<ListenAddress> {
    let text = setting.string(ADDRESS_EXAMPLE)?;
    if let Some(path) = text.strip_prefix("unix:") {
        let path = PathBuf::from(path);
        if path.is_absolute() {
            return Some(ListenAddress::Unix(path));
        }
        setting.refuse(format!("`{}`: the path of the socket must begin with /", setting.path()), ADDRESS_EXAMPLE);
        return None;
    }
    let address = text.parse().map(ListenAddress::Tcp).ok();
    if address.is_none() {
        let message = format!("`{}` is not an IP address with a port", setting.path());
        setting.refuse(message, format!("write {ADDRESS_EXAMPLE}"));
    }
    address
}

const PROXIES_EXAMPLE: &str = "[\"10.0.0.0/8\", \"unix\"]";

fn trusted_proxies(section: &Section<'_>) -> TrustedProxies {
    let Some(setting) = section.setting("trusted_proxies") else { return TrustedProxies::default() };
    let (mut networks, mut unix) = (Vec::new(), false);
    for (item, text) in setting.strings(PROXIES_EXAMPLE).unwrap_or_default() {
        if text == "unix" {
            unix = true;
            continue;
        }
        let network = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        let Some(network) = network else {
            let message = format!("`{}` is neither a network, nor an address, nor \"unix\"", item.path());
            item.refuse(message, format!("write {PROXIES_EXAMPLE}"));
            continue;
        };
        if network.trunc() != network {
            let message = format!("`{}` has bits of a host behind its network", item.path());
            item.refuse(message, format!("write {} for the network, or the address alone", network.trunc()));
        } else if network.prefix_len() == 0 {
            // Everybody: then anybody writes the address that logs and applications see.
            let message = format!("`{}` would believe whoever connects", item.path());
            item.refuse(message, "name the networks of your own proxies");
        } else {
            networks.push(network);
        }
    }
    TrustedProxies::new(networks, unix)
}

fn endpoint_prefix(setting: &Setting<'_>) -> Option<String> {
    let text = setting.string("\"/oauth2\"")?;
    let plain = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
    };
    if text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(plain)) {
        return Some(text.to_owned());
    }
    let message = format!("`{}` is not a path of plain segments without a final slash", setting.path());
    setting.refuse(message, "write for example \"/oauth2\"");
    None
}

fn limits(section: Option<&Section<'_>>) -> Limits {
    let default = Limits::default();
    let Some(section) = section else { return default };
    Limits {
        headers: section.count("headers", default.headers, 1_000),
        header_bytes: section.size("header_bytes", default.header_bytes, 1 << 10, 1 << 20),
        target_bytes: section.size("target_bytes", default.target_bytes, 1 << 10, 1 << 16),
        cookie_bytes: section.size("cookie_bytes", default.cookie_bytes, 1 << 10, 1 << 20),
        body_bytes: section
            .setting("body_bytes")
            .and_then(|setting| setting.size(1, LARGEST_BODY))
            .map(|most| most as u64),
        body_rate: Some(section.size("body_rate", DEFAULT_BODY_RATE, 0, 1 << 20) as u64).filter(|rate| *rate > 0),
        callbacks_per_second: section.count("callbacks_per_second", default.callbacks_per_second, 10_000),
        callbacks_per_address: section.count("callbacks_per_address", default.callbacks_per_address, 10_000),
        websockets_per_session: section.count("websockets_per_session", default.websockets_per_session, 10_000),
        websockets_per_address: section.count("websockets_per_address", default.websockets_per_address, 1_000_000),
        header_timeout: section.duration("header_timeout", default.header_timeout),
        handshake_timeout: section.duration("handshake_timeout", default.handshake_timeout),
        keep_alive: section.duration("keep_alive", default.keep_alive),
        connections: section.count("connections", default.connections, 1_000_000),
        connections_per_address: section.count("connections_per_address", default.connections_per_address, 1_000_000),
        streams: section.count("streams", default.streams, 10_000),
        drain_delay: section.duration_or_zero("drain_delay", default.drain_delay),
        drain_timeout: section.duration_or_zero("drain_timeout", default.drain_timeout),
        ..default
    }
}
