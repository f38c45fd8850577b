//! `cross_site`: which sibling hosts may do what with a person's session.

use crate::gateway::settings::CrossSiteSettings;
use crate::origin::{Host, InvalidPublicUrl, PublicUrl};

use super::keys::CROSS_SITE;
use super::patterns;
use super::section::Section;
use super::setting::Setting;

const EXAMPLE: &str = "[\"https://shop.example.com\"]";

/// Reads the exceptions of an upstream that lies at `path` of `host`.
pub(super) fn cross_site(
    upstream: &Section<'_>,
    path: &str,
    host: &Host,
    public_url: Option<&PublicUrl>,
) -> Option<CrossSiteSettings> {
    let section = upstream.section("cross_site", &CROSS_SITE)?;
    for (key, example) in [("origins", EXAMPLE), ("paths", "[\"/cart\"]")] {
        let Some(setting) = section.setting(key) else {
            section.refuse_at(
                key,
                format!("`cross_site` needs `{key}`"),
                format!("write for example {key} = {example}"),
            );
            continue;
        };
        if setting.items(example).is_some_and(|items| items.is_empty()) {
            setting.refuse(format!("`{}` is empty", setting.path()), "take `cross_site` out, or say what is meant");
        }
    }
    let paths = patterns::exceptions(&section, "paths", path);
    let mut origins: Vec<String> = Vec::new();
    for (item, text) in section.setting("origins").and_then(|setting| setting.strings(EXAMPLE)).unwrap_or_default() {
        let Some(origin) = origin(&item, text, host, public_url) else { continue };
        if origins.contains(&origin) {
            item.refuse(format!("`{}` repeats an earlier origin", item.path()), "take it out");
        } else {
            origins.push(origin);
        }
    }
    Some(CrossSiteSettings { origins, paths })
}

/// An origin as browsers write it.
fn origin(item: &Setting<'_>, text: &str, host: &Host, public_url: Option<&PublicUrl>) -> Option<String> {
    if text.contains('@') {
        item.mask();
    }
    let help = format!("write scheme, host and, if there is one, port: for example {EXAMPLE}");
    let refuse = |why: String| item.refuse(format!("`{}` {why}", item.path()), help.as_str());
    let parsed = match PublicUrl::parse(text) {
        Ok(parsed) if parsed.path().is_empty() && !text.ends_with('/') => parsed,
        Ok(_) | Err(InvalidPublicUrl::Path | InvalidPublicUrl::Surplus) => {
            refuse("is more than an origin: no path, query or user information".to_owned());
            return None;
        }
        Err(InvalidPublicUrl::PlainHttp) => {
            refuse("has the scheme http; that is accepted only for hosts of this machine".to_owned());
            return None;
        }
        Err(InvalidPublicUrl::Malformed | InvalidPublicUrl::Scheme) => {
            refuse("is not an origin".to_owned());
            return None;
        }
    };
    if let Some(public_url) = public_url {
        if parsed.scheme() != public_url.scheme() {
            refuse(format!(
                "has another scheme than public_url, {}, so it is another site",
                public_url.scheme().as_str()
            ));
            return None;
        }
        if parsed.host() == host {
            item.refuse(
                format!("`{}` is this upstream's own origin", item.path()),
                "take it out: it needs no exception",
            );
            return None;
        }
    }
    if !may_be_siblings(parsed.host().name(), host.name()) {
        item.warn(
            format!("`{}` is no sibling of {host}: browsers send no session cookie along from there", item.path()),
            "what other sites post to must be in `public` and check for itself",
        );
    }
    Some(parsed.namespace())
}

/// Whether two names can be of one site: the same name, or the same last two labels. Which suffixes are public is not
/// known here, so that some pass that are none.
fn may_be_siblings(one: &str, other: &str) -> bool {
    let site = |name: &str| {
        let mut labels = name.rsplitn(3, '.');
        Some((labels.next()?.to_owned(), labels.next()?.to_owned()))
    };
    let is_address =
        |name: &str| name.starts_with('[') || name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    one == other || (!is_address(one) && !is_address(other) && site(one).is_some_and(|one| site(other) == Some(one)))
}
