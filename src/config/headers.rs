//! `[upstream.headers]`: what an upstream is told about the person.

use http::HeaderName;
use http::header::AUTHORIZATION;

use crate::upstream::template::HeaderTemplate;

use super::section::Section;
use super::setting::Setting;

const DEFAULT_AUTHORIZATION: &str = "Bearer {access_token}";

/// Headers that frame messages, belong to one connection, or that the gateway writes itself.
const OWN: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "set-cookie",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-request-id",
];

/// Reads the headers of an upstream, and whether one of them carries the access token.
pub(super) fn headers(section: &Section<'_>) -> (Vec<(HeaderName, HeaderTemplate)>, bool) {
    let members = section.setting("headers").and_then(|setting| setting.members("a section [upstream.headers]"));
    let mut headers: Vec<(HeaderName, HeaderTemplate)> = Vec::new();
    let mut uses_access_token = false;
    let mut authorization_is_written = false;
    for (name, setting) in members.unwrap_or_default() {
        // A fixed value is often a key that opens the application.
        if setting.as_str().is_some_and(|text| !text.contains('{')) {
            setting.mask();
        }
        let Some(header) = header_name(name, &setting) else { continue };
        let is_authorization = header == AUTHORIZATION;
        if headers.iter().any(|(known, _)| *known == header) || (is_authorization && authorization_is_written) {
            let message = format!("`{}` is written twice, in upper and lower case", setting.path());
            setting.refuse(message, "keep one of them");
            continue;
        }
        authorization_is_written |= is_authorization;
        if setting.as_boolean() == Some(false) {
            if !is_authorization {
                let message = format!("`{}`: there is no such header by default", setting.path());
                setting.refuse(message, "take it out; only `authorization` can be false");
            }
            continue;
        }
        let Some((template, token)) = template(&setting) else { continue };
        uses_access_token |= token;
        headers.push((header, template));
    }
    if !authorization_is_written && let Ok(template) = HeaderTemplate::parse(DEFAULT_AUTHORIZATION) {
        headers.insert(0, (AUTHORIZATION, template));
        uses_access_token = true;
    }
    (headers, uses_access_token)
}

fn header_name(name: &str, setting: &Setting<'_>) -> Option<HeaderName> {
    // Underscores are refused too: some servers read them as hyphens, others drop such headers.
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let Some(header) = plain.then(|| HeaderName::try_from(name).ok()).flatten() else {
        let message = format!("`{}` is not a header name", setting.path());
        setting.refuse(message, "use letters, digits and -");
        return None;
    };
    if OWN.contains(&header.as_str()) {
        let message =
            format!("`{}` belongs to the message or the connection, or is set by the gateway", setting.path());
        setting.refuse(message, "choose another name, such as x-forwarded-user");
        return None;
    }
    Some(header)
}

fn template(setting: &Setting<'_>) -> Option<(HeaderTemplate, bool)> {
    if setting.is_table() {
        setting.refuse_unbuilt("a table with value, required, list or encode", "write the value alone, as a string");
        return None;
    }
    let text = setting.string("\"{claims.email}\"")?;
    if text.contains("{identity}") {
        setting.refuse_unbuilt("{identity}", "write another value");
        return None;
    }
    match HeaderTemplate::parse(text) {
        Ok(template) => Some((template, text.contains("{access_token}"))),
        Err(error) => {
            let help = "values: {claims.NAME} {access_token} {id_token} {session.created} {session.expires} \
                        {request.id} {request.host}";
            setting.refuse(format!("`{}`: {error}", setting.path()), help);
            None
        }
    }
}
