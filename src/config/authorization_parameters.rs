//! `authorization_parameters`: fixed extras of the authorization request.

use super::section::Section;

/// What the protocol itself sends, or what would change how the answer comes or is verified.
const OWN: &[&str] = &[
    "client_id",
    "client_secret",
    "client_assertion",
    "client_assertion_type",
    "code",
    "code_challenge",
    "code_challenge_method",
    "code_verifier",
    "dpop_jkt",
    "grant_type",
    "id_token_hint",
    "iss",
    "max_age",
    "nonce",
    "redirect_uri",
    "request",
    "request_uri",
    "resource",
    "response_mode",
    "response_type",
    "scope",
    "state",
];

/// Reads the parameters in the order of the file.
pub(super) fn authorization_parameters(section: &Section<'_>) -> Vec<(String, String)> {
    let Some(setting) = section.setting("authorization_parameters") else { return Vec::new() };
    let Some(members) = setting.members("{ prompt = \"select_account\" }") else { return Vec::new() };
    let mut parameters = Vec::new();
    for (name, setting) in members {
        if OWN.contains(&name.to_ascii_lowercase().as_str()) {
            let message = format!("`{}` is set by the gateway itself", setting.path());
            setting.refuse(message, "take it out");
            continue;
        }
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            setting.refuse(format!("`{}` is not the name of a parameter", setting.path()), "take it out");
            continue;
        }
        let Some(value) = setting.string("a string") else { continue };
        if name == "prompt" && value.split(' ').any(|word| word == "none") {
            let message = format!("`{}`: with \"none\" nobody could ever log in", setting.path());
            setting.refuse(message, "write for example \"select_account\"");
            continue;
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    parameters
}
