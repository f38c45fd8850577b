//! `identity_assertion`: the signed token that fills `{identity}`.

use http::HeaderName;

use crate::signing_key::SigningAlgorithm;
use crate::upstream::settings::{AssertionSettings, REGISTERED_CLAIMS};
use crate::upstream::template::HeaderTemplate;

use super::keys::IDENTITY_ASSERTION;
use super::section::Section;

/// Reads it, against the headers that are to hold it.
pub(super) fn identity_assertion(
    section: &Section<'_>,
    headers: &[(HeaderName, HeaderTemplate)],
) -> Option<AssertionSettings> {
    let setting = section.setting("identity_assertion")?;
    let table = setting.section(&IDENTITY_ASSERTION)?;
    if !headers.iter().any(|(_, template)| template.uses_identity()) {
        let message = format!("`{}`: no header of this upstream holds {{identity}}", setting.path());
        setting.refuse(message, "write for example x-identity-assertion = \"{identity}\" into its [upstream.headers]");
    }
    let algorithms = SigningAlgorithm::ALL.map(|algorithm| (algorithm.as_str(), algorithm));
    let algorithm = table.choice("algorithm", SigningAlgorithm::EdDsa, &algorithms);
    let Some(audience) = table.setting("audience") else {
        table.missing("audience", "write who is meant, as the application will compare it: audience = \"wiki\"");
        return None;
    };
    let audience = audience.string("who is meant, such as \"wiki\"")?.to_owned();
    let mut claims = Vec::new();
    for (item, name) in table.setting("claims").and_then(|list| list.strings("[\"email\"]")).unwrap_or_default() {
        if REGISTERED_CLAIMS.contains(&name) {
            let message = format!("`{}`: every assertion has its own {name}", item.path());
            item.refuse(message, "take it out; the subject is in it as `sub`");
        } else {
            claims.push(name.to_owned());
        }
    }
    Some(AssertionSettings { algorithm, audience, claims })
}
