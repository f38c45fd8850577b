//! `target` and `targets`: where an application listens, and which of several places gets a request.

use std::path::PathBuf;

use crate::server::trusted_proxies::TrustedProxies;
use crate::upstream::settings::{Balance, HealthSettings, MOST_TARGETS, Target, TargetLimits};

use super::keys::{UPSTREAM_HEALTH, UPSTREAM_LIMITS};
use super::section::Section;
use super::setting::Setting;
use super::web_address;

const EXAMPLE: &str = "\"http://127.0.0.1:3000\"";

/// What says how requests are carried, which another proxy does where forward-auth is on.
const FOR_CARRYING: [&str; 8] = ["target", "targets", "balance", "health", "limits", "pass_host", "timeouts", "tls"];

/// Reads `target` or `targets`, or reports why there is none. With `forward_auth` nothing is carried by us.
pub(super) fn targets(section: &Section<'_>, proxies: &TrustedProxies) -> Vec<Target> {
    if section.boolean("forward_auth", false) {
        return elsewhere(section, proxies);
    }
    match (section.setting("target"), section.setting("targets")) {
        (Some(one), None) => {
            let targets = target(&one).into_iter().collect();
            for name in ["balance"].into_iter().filter(|name| section.setting(name).is_some()) {
                section.refuse_at(name, format!("`{name}` chooses among several targets"), "write `targets = [ … ]`");
            }
            targets
        }
        (None, Some(several)) => list(&several),
        (Some(_), Some(several)) => {
            several.refuse("`target` and `targets` together", "keep one of the two");
            Vec::new()
        }
        (None, None) => {
            section.missing("target", &format!("write where the application listens, such as {EXAMPLE}"));
            Vec::new()
        }
    }
}

fn elsewhere(section: &Section<'_>, proxies: &TrustedProxies) -> Vec<Target> {
    if proxies.is_empty() {
        section.refuse_at(
            "forward_auth",
            "nobody may ask about this upstream: `listen.trusted_proxies` is empty",
            "write the addresses of the proxies that ask into `listen.trusted_proxies`",
        );
    }
    for name in FOR_CARRYING.into_iter().filter(|name| section.setting(name).is_some()) {
        let message = format!("`{name}` together with forward_auth: the proxy that asks carries the requests");
        section.refuse_at(name, message, "keep one of the two");
    }
    if section.boolean("strip_prefix", false) {
        let message = "`strip_prefix` together with forward_auth: the proxy that asks carries the requests";
        section.refuse_at("strip_prefix", message, "take it out, and let that proxy take the prefix off");
    }
    vec![Target::Elsewhere]
}

fn list(setting: &Setting<'_>) -> Vec<Target> {
    let Some(items) = setting.items("[\"http://10.0.0.1:3000\", \"http://10.0.0.2:3000\"]") else { return Vec::new() };
    if items.is_empty() || items.len() > MOST_TARGETS {
        let message = format!("`{}` holds {} targets", setting.path(), items.len());
        setting.refuse(message, format!("write between 1 and {MOST_TARGETS}"));
        return Vec::new();
    }
    let mut targets = Vec::new();
    for item in items {
        let Some(target) = target(&item) else { continue };
        if targets.contains(&target) {
            item.refuse(format!("`{}` is there twice", item.path()), "write every target once");
        }
        targets.push(target);
    }
    targets
}

fn target(setting: &Setting<'_>) -> Option<Target> {
    let text = setting.string(EXAMPLE)?;
    if let Some(path) = text.strip_prefix("unix:") {
        let path = PathBuf::from(path);
        if path.is_absolute() {
            return Some(Target::Unix(path));
        }
        let message = format!("`{}`: the path of the socket must begin with /", setting.path());
        setting.refuse(message, "write for example \"unix:/run/wiki.sock\"");
        return None;
    }
    // `h2c` is not a scheme of the standards; its URLs read like those of http.
    let h2c = text.strip_prefix("h2c://").map(|rest| format!("http://{rest}"));
    let url = web_address::read(setting, h2c.as_deref().unwrap_or(text), EXAMPLE)?;
    if url.path() != "/" || url.query().is_some() {
        let message = format!("`{}` has a path or a query; the path of a request goes on as it came", setting.path());
        setting.refuse(message, "write scheme, host and port alone");
        return None;
    }
    let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
    if port == 0 {
        setting.refuse(format!("`{}` has the port 0", setting.path()), format!("write for example {EXAMPLE}"));
        return None;
    }
    Some(match url.scheme() {
        "https" => Target::Https { host, port },
        _ if h2c.is_some() => Target::H2c { host, port },
        _ => Target::Http { host, port },
    })
}

/// Reads `balance`.
pub(super) fn balance(section: &Section<'_>) -> Balance {
    section.choice("balance", Balance::default(), &[("requests", Balance::Requests), ("session", Balance::Session)])
}

/// Reads `[upstream.health]`.
pub(super) fn health(section: &Section<'_>) -> HealthSettings {
    const MOST: usize = 1000;
    let default = HealthSettings::default();
    let Some(section) = section.section("health", &UPSTREAM_HEALTH) else { return default };
    let count = |name, default| u32::try_from(section.count(name, default as usize, MOST)).unwrap_or(default);
    let path = section.setting("path").and_then(|setting| path(&setting));
    for name in ["interval", "timeout", "successes"].into_iter().filter(|name| section.setting(name).is_some()) {
        if section.setting("path").is_none() {
            let message = format!("`{name}` is for checks, and there is no path to ask for");
            section.refuse_at(name, message, "write for example path = \"/healthz\"");
        }
    }
    HealthSettings {
        path,
        interval: section.duration("interval", default.interval),
        timeout: section.duration("timeout", default.timeout),
        failures: count("failures", default.failures),
        successes: count("successes", default.successes),
        ejection: section.duration("ejection", default.ejection),
    }
}

fn path(setting: &Setting<'_>) -> Option<String> {
    let text = setting.string("\"/healthz\"")?;
    if text.starts_with('/') && http::uri::PathAndQuery::try_from(text).is_ok() {
        return Some(text.to_owned());
    }
    setting.refuse(format!("`{}` is not a path", setting.path()), "write for example \"/healthz\"");
    None
}

/// Reads `[upstream.limits]`.
pub(super) fn limits(section: &Section<'_>) -> TargetLimits {
    const MOST: usize = 1_000_000;
    let default = TargetLimits::default();
    let Some(section) = section.section("limits", &UPSTREAM_LIMITS) else { return default };
    let requests = section.setting("requests").and_then(|setting| setting.count(MOST));
    if section.setting("requests").is_none() {
        section.missing("requests", "write how many requests a target gets at once, for example requests = 50");
    }
    TargetLimits {
        requests,
        queue: section.setting("queue").and_then(|setting| setting.number(0, MOST)).unwrap_or(default.queue),
        queue_timeout: section.duration("queue_timeout", default.queue_timeout),
    }
}
