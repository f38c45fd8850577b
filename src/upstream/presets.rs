//! The headers by which applications behind other gateways learn who somebody is.

use http::header::{AUTHORIZATION, HeaderName};

/// A name in lower case, and the template of its value.
pub type PresetHeader = (&'static str, &'static str);

/// What software behind oauth2-proxy gets with its option `pass-user-headers`.
pub const OAUTH2_PROXY: &[PresetHeader] = &[
    ("x-forwarded-user", "{claims.subject}"),
    ("x-forwarded-email", "{claims.email}"),
    ("x-forwarded-groups", "{claims.groups}"),
    ("x-forwarded-preferred-username", "{claims.username}"),
];

/// What software behind Authelia and its like gets, the successors of CGI's `REMOTE_USER`.
pub const REMOTE_USER: &[PresetHeader] = &[
    ("remote-user", "{claims.username}"),
    ("remote-name", "{claims.name}"),
    ("remote-email", "{claims.email}"),
    ("remote-groups", "{claims.groups}"),
];

/// What oauth2-proxy writes besides with its option `pass-access-token`.
const ACCESS_TOKEN: HeaderName = HeaderName::from_static("x-forwarded-access-token");

/// The names by which applications commonly learn who somebody is, whether an upstream of ours is told by them or not.
#[must_use]
pub fn identity_header_names() -> Vec<HeaderName> {
    let presets = OAUTH2_PROXY.iter().chain(REMOTE_USER).map(|(name, _)| HeaderName::from_static(name));
    [AUTHORIZATION, ACCESS_TOKEN].into_iter().chain(presets).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::managed::ManagedSet;
    use crate::upstream::own_names::may_be_set;
    use crate::upstream::template::HeaderTemplate;

    #[test]
    fn hd_01_the_names_of_every_preset_are_managed_without_any_configuration() {
        let managed = ManagedSet::new([]);
        for name in identity_header_names() {
            assert!(managed.governs(name.as_str()) && may_be_set(&name), "{name}");
        }
    }

    #[test]
    fn every_value_of_a_preset_is_a_template() {
        for (name, template) in OAUTH2_PROXY.iter().chain(REMOTE_USER) {
            assert!(HeaderTemplate::parse(template).is_ok(), "{name}");
        }
    }
}
