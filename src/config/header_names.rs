//! Names of headers in `[upstream.headers]`: which may be written, and why another may not.

use http::HeaderName;

use crate::upstream::managed::ManagedSet;
use crate::upstream::own_names::may_be_set;

use super::setting::Setting;

/// A name that was written, with the key path of its table.
pub(super) struct Written<'a> {
    pub(super) table: String,
    pub(super) name: &'a str,
}

/// Every name that any of these upstreams writes; reports nothing.
pub(super) fn written<'a>(upstreams: &[Setting<'a>]) -> Vec<Written<'a>> {
    let of = |upstream: &Setting<'a>| {
        let table = format!("{}.headers", upstream.path());
        upstream.names_in("headers").into_iter().map(move |name| Written { table: table.clone(), name })
    };
    upstreams.iter().flat_map(of).collect()
}

/// Checks the name of `setting`.
pub(super) fn header_name(name: &str, setting: &Setting<'_>, written: &[Written<'_>]) -> Option<HeaderName> {
    // Underscores are refused too: some servers read them as hyphens, others drop such headers.
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let Some(header) = plain.then(|| HeaderName::try_from(name).ok()).flatten() else {
        let message = format!("`{}` is not a header name{}", setting.path(), collision(name, written));
        setting.refuse(message, "use letters, digits and -");
        return None;
    };
    if !may_be_set(&header) {
        let message =
            format!("`{}` belongs to the message or the connection, or is set by the gateway", setting.path());
        setting.refuse(message, "choose another name, such as x-forwarded-user");
        return None;
    }
    Some(header)
}

/// With what the name would be confused by a server that folds names as CGI does (RFC 3875 §4.1.18).
fn collision(name: &str, written: &[Written<'_>]) -> String {
    if !name.bytes().any(|byte| byte.is_ascii_alphanumeric()) {
        return String::new();
    }
    let (folded, hyphened) = (fold(name, '_').to_ascii_uppercase(), fold(name, '-').to_ascii_lowercase());
    let is_other = |other: &&Written<'_>| !other.name.eq_ignore_ascii_case(name) && fold(other.name, '-') == hyphened;
    let which = if let Some(Written { table, name }) = written.iter().find(is_other) {
        format!("`{name}` of {table}")
    } else if ManagedSet::new([]).governs(&hyphened) {
        format!("the managed header `{hyphened}`")
    } else {
        format!("`{hyphened}`")
    };
    format!(": many servers read it as {folded}, and {which} as well")
}

fn fold(name: &str, other: char) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { other }).collect()
}
