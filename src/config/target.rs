//! `target`: where an application listens.

use std::path::PathBuf;

use crate::upstream::settings::Target;

use super::section::Section;
use super::web_address;

const EXAMPLE: &str = "\"http://127.0.0.1:3000\"";

/// Reads `target`, or reports why there is none.
pub(super) fn target(section: &Section<'_>) -> Option<Target> {
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
    if text.starts_with("h2c:") {
        setting.mask();
        setting.refuse_unbuilt("h2c", "write http");
        return None;
    }
    let url = web_address::url(&setting, EXAMPLE)?;
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
    Some(if url.scheme() == "https" { Target::Https { host, port } } else { Target::Http { host, port } })
}
