//! `target`: where an application listens.

use std::path::PathBuf;

use crate::server::trusted_proxies::TrustedProxies;
use crate::upstream::settings::Target;

use super::section::Section;
use super::web_address;

const EXAMPLE: &str = "\"http://127.0.0.1:3000\"";

/// What says how requests are carried, which another proxy does where forward-auth is on.
const FOR_CARRYING: [&str; 4] = ["target", "pass_host", "timeouts", "tls"];

/// Reads `target`, or reports why there is none. With `forward_auth` nothing is carried by us.
pub(super) fn target(section: &Section<'_>, proxies: &TrustedProxies) -> Option<Target> {
    if section.boolean("forward_auth", false) {
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
        return Some(Target::Elsewhere);
    }
    let Some(setting) = section.setting("target") else {
        section.missing("target", &format!("write where the application listens, such as {EXAMPLE}"));
        return None;
    };
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
    let url = web_address::read(&setting, h2c.as_deref().unwrap_or(text), EXAMPLE)?;
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
