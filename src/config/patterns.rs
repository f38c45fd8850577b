//! `public` and `api`: patterns of paths.

use crate::gateway::pattern::Pattern;

use super::section::Section;
use super::setting::Setting;

const EXAMPLE: &str = "[\"GET /healthz\", \"/assets/**\"]";

/// Reads a list of patterns that lets more pass than usual, so that it must name something.
pub(super) fn exceptions(section: &Section<'_>, name: &str, path: &str) -> Vec<Pattern> {
    let mut patterns = patterns(section, name, path);
    patterns.retain(|(setting, pattern)| {
        let everything = pattern.is_everything() || is_wildcards_alone(setting.as_str().unwrap_or_default());
        if everything {
            setting.refuse(format!("`{}` names every path", setting.path()), "name the paths that are meant");
        }
        !everything
    });
    patterns.into_iter().map(|(_, pattern)| pattern).collect()
}

/// Reads both lists of an upstream that lies at `path`.
pub(super) fn public_and_api(section: &Section<'_>, path: &str) -> (Vec<Pattern>, Vec<Pattern>) {
    let public = patterns(section, "public", path);
    let api = patterns(section, "api", path);
    for (setting, pattern) in &public {
        if pattern.is_everything() || is_wildcards_alone(setting.as_str().unwrap_or_default()) {
            let message = format!("`{}` would make everything public", setting.path());
            setting
                .refuse(message, "name what is public; for an upstream without logins write anonymous = \"forward\"");
        }
        // Two rules for the same requests: which one counts would be anybody's guess.
        if api.iter().any(|(_, other)| other == pattern) {
            let message = format!("`{}` stands in `api` too", setting.path());
            setting.refuse(message, "keep it in one of the two");
        }
    }
    let bare = |patterns: Vec<(Setting<'_>, Pattern)>| patterns.into_iter().map(|(_, pattern)| pattern).collect();
    (bare(public), bare(api))
}

fn patterns<'a>(section: &Section<'a>, name: &str, path: &str) -> Vec<(Setting<'a>, Pattern)> {
    let Some(setting) = section.setting(name) else { return Vec::new() };
    let mut patterns: Vec<(Setting<'a>, Pattern)> = Vec::new();
    for (item, text) in setting.strings(EXAMPLE).unwrap_or_default() {
        let pattern = match Pattern::parse(text) {
            Ok(pattern) => pattern,
            Err(error) => {
                item.refuse(format!("`{}`: {error}", item.path()), format!("write for example {EXAMPLE}"));
                continue;
            }
        };
        if !is_under(text, path) {
            let message = format!("`{}` does not lie under the path of its upstream, {path}", item.path());
            item.refuse(message, "write patterns in full as the browser sees them");
        } else if patterns.iter().any(|(_, known)| *known == pattern) {
            item.refuse(format!("`{}` repeats an earlier pattern", item.path()), "take it out");
        } else {
            patterns.push((item, pattern));
        }
    }
    patterns
}

/// Whether a pattern lies under the path of its upstream.
pub(super) fn is_under(pattern: &str, path: &str) -> bool {
    let prefix = if path == "/" { "" } else { path };
    path_of(pattern).strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A pattern without its method.
fn path_of(text: &str) -> &str {
    text.split_once(' ').map_or(text, |(_, path)| path)
}

/// `/*`, `/*/**` and the like name nothing at all.
pub(super) fn is_wildcards_alone(text: &str) -> bool {
    path_of(text).bytes().all(|byte| matches!(byte, b'/' | b'*'))
}
