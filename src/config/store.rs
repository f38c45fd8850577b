//! `[session].store` and what belongs to it: where sessions are kept, and as whom one gets there.

use std::path::Path;
use std::sync::Arc;

use crate::secret::StorePassword;
use crate::session::settings::{
    RedisAccess, RedisSettings, RedisTopology, RedisUser, ServerAddress, StoreSettings, StoreTls,
};

use super::certificates::{ca_certificates, identity};
use super::keys::STORE_TLS;
use super::secret_file::secret;
use super::section::Section;
use super::setting::Setting;

pub(super) const MAX_SESSIONS: usize = 100_000;
const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;
const MOST_SERVERS: usize = 64;
const EXAMPLE: &str = "\"memory\", \"file:/var/lib/vestibule\", \"rediss://redis.example.com:6379/0\", \
                       \"rediss+sentinel://HOST:PORT,HOST:PORT/MASTER\" or \"rediss+cluster://HOST:PORT,HOST:PORT\"";

/// Where sessions are kept; the memory when nothing, or nothing that can be read, is written.
pub(super) fn store(section: &Section<'_>) -> StoreSettings {
    let max_sessions = section.count("max_sessions", MAX_SESSIONS, 100_000_000);
    let written = section.setting("store");
    let chosen = written.as_ref().and_then(chosen).unwrap_or(Chosen::Memory);
    if !matches!(chosen, Chosen::Redis { .. }) {
        refuse_each(section, &["store_username", "store_password", "store_tls"], "in Redis");
    }
    if !matches!(chosen, Chosen::Redis { topology: RedisTopology::Sentinel { .. }, .. }) {
        refuse_each(section, &["store_sentinel_username", "store_sentinel_password"], "under sentinels");
    }
    match chosen {
        Chosen::Memory => StoreSettings::Memory { max_sessions },
        Chosen::File(directory) => finish(section, StoreSettings::File { directory }),
        Chosen::Redis { topology, tls } => {
            let access = access(section, tls);
            finish(section, StoreSettings::Redis(RedisSettings { topology, access }))
        }
    }
}

fn refuse_each(section: &Section<'_>, names: &[&str], kind: &str) {
    for setting in names.iter().filter_map(|name| section.setting(name)) {
        let message = format!("`{}` is for a store {kind}, and `session.store` is none", setting.path());
        setting.refuse(message, "take it out");
    }
}

/// What holds of every store outside the memory.
fn finish(section: &Section<'_>, store: StoreSettings) -> StoreSettings {
    section.setting("max_sessions").inspect(|setting| {
        setting.refuse("`session.max_sessions` is for the store in memory", "take it out: this store has no cap");
    });
    if section.setting("keys").is_none() {
        section.setting("store").inspect(|setting| {
            setting.warn(
                "this store outlives the process, and without `session.keys` a key is made at every start: nobody can \
                 open a session that an earlier process or another replica has begun",
                "make one with `vestibule generate-key` and write keys = [{ id = \"2026-11\", file = \"/path/to/it\" }]",
            );
        });
    }
    store
}

enum Chosen {
    Memory,
    File(std::path::PathBuf),
    Redis { topology: RedisTopology, tls: bool },
}

fn chosen(setting: &Setting<'_>) -> Option<Chosen> {
    let Some(text) = setting.as_str() else {
        setting.mask();
        setting.wrong_type("a string", EXAMPLE);
        return None;
    };
    if text.contains('@') {
        // A password may stand there, whatever the scheme.
        setting.mask();
        setting.refuse(
            "`session.store` holds an `@`: no user or password belongs into it",
            "write store_username = \"…\" and store_password = { file = \"/path/to/it\" } beside it",
        );
        return None;
    }
    if text == "memory" {
        return Some(Chosen::Memory);
    }
    if let Some(path) = text.strip_prefix("file:") {
        if Path::new(path).is_absolute() && !path.starts_with("//") {
            return Some(Chosen::File(path.into()));
        }
        setting.refuse(
            "`session.store`: the path of the directory must begin with one /",
            "write \"file:/var/lib/vestibule\"",
        );
        return None;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        setting.mask();
        setting.refuse("`session.store` is no store", format!("write {EXAMPLE}"));
        return None;
    };
    let topology = match scheme {
        "redis" | "rediss" => single(rest),
        "redis+sentinel" | "rediss+sentinel" => sentinel(rest),
        "redis+cluster" | "rediss+cluster" => {
            let rest = rest.strip_suffix('/').unwrap_or(rest);
            servers(rest, REDIS_PORT).map(|seeds| RedisTopology::Cluster { seeds })
        }
        _ => {
            setting.mask();
            setting.refuse("`session.store` has an unknown scheme", format!("write {EXAMPLE}"));
            return None;
        }
    };
    if topology.is_none() {
        let form = match scheme.trim_start_matches("redis").trim_start_matches('s') {
            "+sentinel" => "://HOST:PORT,HOST:PORT/MASTER",
            "+cluster" => "://HOST:PORT,HOST:PORT",
            _ => "://HOST:PORT/DATABASE",
        };
        setting.refuse("`session.store` is not complete or not correct", format!("write \"{scheme}{form}\""));
    }
    Some(Chosen::Redis { topology: topology?, tls: scheme.starts_with("rediss") })
}

/// `HOST`, `HOST:PORT`, each with `/DATABASE` or without.
fn single(rest: &str) -> Option<RedisTopology> {
    let (server, database) = rest.split_once('/').unwrap_or((rest, ""));
    let database = if database.is_empty() { Some(0) } else { database.parse().ok() };
    Some(RedisTopology::Single { server: address(server, REDIS_PORT)?, database: database? })
}

fn sentinel(rest: &str) -> Option<RedisTopology> {
    let (sentinels, master) = rest.split_once('/')?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if master.is_empty() || !master.bytes().all(plain) {
        return None;
    }
    Some(RedisTopology::Sentinel { sentinels: servers(sentinels, SENTINEL_PORT)?, master: master.to_owned() })
}

fn servers(list: &str, port: u16) -> Option<Vec<ServerAddress>> {
    let servers: Option<Vec<_>> = list.split(',').map(|server| address(server, port)).collect();
    servers.filter(|servers| servers.len() <= MOST_SERVERS)
}

/// A name, an IPv4 address, or an IPv6 address in brackets, with a port or without.
fn address(text: &str, default_port: u16) -> Option<ServerAddress> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest.strip_prefix(':').or((rest.is_empty()).then_some(""))?)
        }
        None => {
            let (host, port) = text.split_once(':').unwrap_or((text, ""));
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            if host.is_empty() || !host.bytes().all(plain) || (text.contains(':') && port.is_empty()) {
                return None;
            }
            (host, port)
        }
    };
    let port = if port.is_empty() { default_port } else { port.parse().ok().filter(|port| *port > 0)? };
    Some(ServerAddress { host: host.to_owned(), port })
}

fn access(section: &Section<'_>, with_tls: bool) -> RedisAccess {
    let tls = section.setting("store_tls");
    if let Some(setting) = tls.as_ref().filter(|_| !with_tls) {
        let message = format!("`{}` is written, but the scheme of `session.store` has no TLS", setting.path());
        setting.refuse(message, "write rediss:// (or rediss+sentinel://, rediss+cluster://)");
    }
    RedisAccess {
        user: user(section, "store_username", "store_password"),
        sentinel_user: user(section, "store_sentinel_username", "store_sentinel_password"),
        tls: with_tls
            .then(|| tls.and_then(|setting| Some(store_tls(&setting.section(&STORE_TLS)?))).unwrap_or_default()),
    }
}

fn user(section: &Section<'_>, name: &str, password: &str) -> Option<RedisUser> {
    let written = section.setting(password);
    let name = section.setting(name).and_then(|setting| {
        if written.is_none() {
            let message = format!("`{}` has no password beside it", setting.path());
            setting.refuse(message, format!("write {password} = {{ file = \"/path/to/it\" }}"));
        }
        setting.string("the user of the access control list").map(str::to_owned)
    });
    let password = secret(&written?)?.as_str().to_owned();
    Some(RedisUser { name, password: Arc::new(StorePassword::new(password)) })
}

fn store_tls(section: &Section<'_>) -> StoreTls {
    StoreTls { ca_certificates: ca_certificates(section), identity: identity(section).map(Arc::new) }
}
