//! Lists of scopes (RFC 6749 §3.3).

use super::setting::Setting;

/// The scopes of a list, each checked; `None` when it is no list of strings.
pub(super) fn scopes<'a>(setting: &Setting<'a>, example: &str) -> Option<Vec<&'a str>> {
    let items = setting.strings(example)?;
    for (item, scope) in &items {
        if !scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            item.refuse(format!("`{}` is not a scope", item.path()), "write every scope as an item of its own");
        }
    }
    Some(items.into_iter().map(|(_, scope)| scope).collect())
}
