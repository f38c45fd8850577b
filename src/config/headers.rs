//! `[upstream.headers]`: what an upstream is told about the person.

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::upstream::template::{Encoding, HeaderTemplate};

use super::header_names::{Written, header_name};
use super::header_presets::{is_basic, preset};
use super::keys::HEADER;
use super::section::Section;
use super::setting::Setting;

const DEFAULT_AUTHORIZATION: &str = "Bearer {access_token}";
const EXAMPLE: &str = "\"{claims.email}\"";

/// Reads the headers of an upstream: the default, those of its preset, and its own, which win.
pub(super) fn headers(section: &Section<'_>, written: &[Written<'_>]) -> Vec<(HeaderName, HeaderTemplate)> {
    let preset = preset(section);
    let basic = is_basic(section);
    let members = section.setting("headers").and_then(|setting| setting.members("a section [upstream.headers]"));
    let mut own: Vec<(HeaderName, Option<HeaderTemplate>)> = Vec::new();
    for (name, setting) in members.unwrap_or_default() {
        mask_fixed(&setting);
        let Some(header) = header_name(name, &setting, written) else { continue };
        if own.iter().any(|(known, _)| *known == header) {
            let message = format!("`{}` is written twice, in upper and lower case", setting.path());
            setting.refuse(message, "keep one of them");
            continue;
        }
        if basic && header == AUTHORIZATION {
            let message = format!("`{}`: identity_headers = \"basic\" is this header already", setting.path());
            setting.refuse(message, "keep one of them");
            continue;
        }
        if setting.as_boolean() == Some(false) {
            if header != AUTHORIZATION && !preset.iter().any(|(known, _)| *known == header) {
                let message = format!("`{}`: there is no such header by default", setting.path());
                let help = "take it out; only `authorization` and the headers of the preset can be false";
                setting.refuse(message, help);
            }
            own.push((header, None));
        } else if let Some(template) = template(&setting) {
            check_identity(&template, &setting, section);
            own.push((header, Some(template)));
        }
    }
    let mut headers = preset;
    if !basic && let Ok(template) = HeaderTemplate::parse(DEFAULT_AUTHORIZATION) {
        headers.insert(0, (AUTHORIZATION, template));
    }
    headers.retain(|(header, _)| !own.iter().any(|(written, _)| written == header));
    headers.extend(own.into_iter().filter_map(|(header, template)| Some((header, template?))));
    headers
}

/// A fixed value is often a key that opens the application.
fn mask_fixed(setting: &Setting<'_>) {
    if setting.as_str().is_some_and(|text| !text.contains('{')) {
        setting.mask();
    }
}

fn template(setting: &Setting<'_>) -> Option<HeaderTemplate> {
    if !setting.is_table() {
        return parse(setting);
    }
    let section = setting.section(&HEADER)?;
    let Some(value) = section.setting("value") else {
        section.missing("value", format!("write value = {EXAMPLE}").as_str());
        return None;
    };
    mask_fixed(&value);
    let mut template = parse(&value)?;
    if section.boolean("required", false) {
        template = template.required();
    }
    if section.choice("list", false, &[("join", false), ("repeat", true)]) {
        let Some(repeated) = template.repeated() else {
            let message = format!("`{}.list`: only one claim alone can be repeated", setting.path());
            section.refuse_at("list", message, "write value = \"{claims.groups}\" and nothing else, or \"join\"");
            return None;
        };
        template = repeated;
    }
    if section.choice("encode", Encoding::AsItIs, &[("percent", Encoding::Percent)]) == Encoding::Percent {
        let Some(encoded) = template.percent_encoded() else {
            let message = format!("`{}.encode`: there is no claim in the value", setting.path());
            section.refuse_at("encode", message, "take it out: nothing but claims is encoded");
            return None;
        };
        template = encoded;
    }
    Some(template)
}

fn parse(setting: &Setting<'_>) -> Option<HeaderTemplate> {
    match HeaderTemplate::parse(setting.string(EXAMPLE)?) {
        Ok(template) => Some(template),
        Err(error) => {
            let help = "values: {claims.NAME} {access_token} {id_token} {identity} {session.created} \
                        {session.expires} {request.id} {request.host}";
            setting.refuse(format!("`{}`: {error}", setting.path()), help);
            None
        }
    }
}

/// The header of an assertion says whether somebody is logged in, so that nothing else may keep it away.
fn check_identity(template: &HeaderTemplate, setting: &Setting<'_>, section: &Section<'_>) {
    if !template.uses_identity() {
        return;
    }
    if section.setting("identity_assertion").is_none() {
        let message = format!("`{}`: {{identity}} is signed only where identity_assertion is written", setting.path());
        setting.refuse(message, "write identity_assertion = { audience = \"wiki\" } into its [[upstream]]");
    }
    if !template.is_identity_and_text() {
        let message = format!("`{}`: {{identity}} stands once, with nothing but text beside it", setting.path());
        setting.refuse(message, "write the rest into a header of its own, or into the claims of identity_assertion");
    }
}
