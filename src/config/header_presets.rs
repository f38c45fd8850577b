//! `identity_headers`: the headers that applications behind other gateways know already.

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::secret::BasicPassword;
use crate::upstream::presets::{OAUTH2_PROXY, REMOTE_USER};
use crate::upstream::template::HeaderTemplate;

use super::secret_file::secret;
use super::section::Section;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Preset {
    None,
    Oauth2Proxy,
    RemoteUser,
    Basic,
}

/// Reads `identity_headers` and `basic_password`.
pub(super) fn preset(section: &Section<'_>) -> Vec<(HeaderName, HeaderTemplate)> {
    let preset = section.choice(
        "identity_headers",
        Preset::None,
        &[("oauth2-proxy", Preset::Oauth2Proxy), ("remote-user", Preset::RemoteUser), ("basic", Preset::Basic)],
    );
    let password = section.setting("basic_password");
    if let (Some(setting), true) = (&password, preset != Preset::Basic) {
        if !setting.is_table() {
            setting.mask();
        }
        let message = format!("`{}` is for identity_headers = \"basic\", which is not written", setting.path());
        setting.refuse(message, "take it out, or write identity_headers = \"basic\"");
    }
    let from = |templates: &[(&'static str, &str)]| {
        let named = |(name, text): &(&'static str, &str)| {
            Some((HeaderName::from_static(name), HeaderTemplate::parse(text).ok()?))
        };
        templates.iter().filter_map(named).collect()
    };
    match preset {
        Preset::None => Vec::new(),
        Preset::Oauth2Proxy => from(OAUTH2_PROXY),
        Preset::RemoteUser => from(REMOTE_USER),
        Preset::Basic => {
            let Some(setting) = password else {
                let help =
                    "write basic_password = { file = \"/run/secrets/basic-password\" }, as the application has it";
                section.missing("basic_password", help);
                return Vec::new();
            };
            let password = secret(&setting).map(|secret| BasicPassword::new(secret.as_str().to_owned()));
            password.map(|password| (AUTHORIZATION, HeaderTemplate::basic(password))).into_iter().collect()
        }
    }
}

/// Whether the preset is the one that says who somebody is in `Authorization`.
pub(super) fn is_basic(section: &Section<'_>) -> bool {
    section.setting("identity_headers").and_then(|setting| setting.as_str()) == Some("basic")
}
