//! What an upstream is told: templates, presets, the assertion, and which names may be written.

use super::*;
use crate::signing_key::SigningAlgorithm;
use crate::upstream::own_names::{OWN, OWN_PREFIXES};
use crate::upstream::settings::{AssertionSettings, UpstreamSettings};

const RING: &str = "[session]\nkeys = [{ file = \"key\" }]\n";

/// A file system with a session key and a password in it.
fn fake() -> Fake {
    super::fake()
        .with("/etc/vestibule/key", "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA\n")
        .with("/etc/vestibule/password", "open sesame\n")
}

fn text(lines: &str) -> String {
    file(RING, "", lines)
}

fn loaded(lines: &str) -> Loaded {
    read_with(&text(lines), &fake()).unwrap_or_else(|error| panic!("{error}\nin\n{lines}"))
}

fn upstream(lines: &str) -> UpstreamSettings {
    loaded(lines).settings.routes.remove(0).upstream
}

/// Refused for one reason alone, which is this one; nothing secret is shown.
#[track_caller]
fn refused(lines: &str, why: &str) {
    let error = read_with(&text(lines), &fake()).expect_err(lines);
    let messages: Vec<_> = error.problems().iter().map(|problem| problem.message.as_str()).collect();
    assert!(messages.len() == 1 && messages[0].contains(why), "wanted: {why}\ngot: {messages:?}\nin: {lines}");
    assert!(!error.to_string().contains("sesame"), "{error}");
    assert!(error.problems().iter().all(|problem| problem.position.is_some() && !problem.help.is_empty()), "{error}");
}

fn names(upstream: &UpstreamSettings) -> Vec<&str> {
    upstream.headers.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn a_value_may_be_a_table() {
    let template = |lines: &str| upstream(&format!("headers = {{ x-a = {lines} }}")).headers.remove(1).1;
    let plain = template("\"{claims.groups}\"");
    assert_eq!(template("{ value = \"{claims.groups}\" }"), plain);
    assert_eq!(template("{ value = \"{claims.groups}\", required = false, list = \"join\" }"), plain);
    let all = template("{ value = \"{claims.groups}\", required = true, list = \"repeat\", encode = \"percent\" }");
    assert_eq!(all, plain.clone().required().repeated().unwrap().percent_encoded().unwrap());
    assert!(all.is_required() && !plain.is_required());
    let long = upstream("[upstream.headers.x-a]\nvalue = \"{claims.groups}\"\nrequired = true").headers.remove(1).1;
    assert_eq!(long, plain.required());
    for (wrong, why) in [
        ("{ required = true }", "`upstream[0].headers.x-a.value` is missing"),
        ("{ value = 5 }", "is an integer, but must be a string"),
        ("{ value = \"\" }", "is empty"),
        ("{ value = \"{claims.groups\" }", "a brace is open"),
        ("{ value = \"{claim.groups}\" }", "may stand in braces"),
        ("{ value = \"ü\" }", "only printable ASCII"),
        ("{ value = \"{claims.a}\", required = \"yes\" }", "must be a boolean"),
        ("{ value = \"{claims.a}\", list = \"first\" }", "must be \"join\" or \"repeat\""),
        ("{ value = \"{claims.a} \", list = \"repeat\" }", "only one claim alone can be repeated"),
        ("{ value = \"{access_token}\", list = \"repeat\" }", "only one claim alone can be repeated"),
        ("{ value = \"{claims.a}\", encode = \"base64\" }", "must be \"percent\""),
        ("{ value = \"{id_token}\", encode = \"percent\" }", "there is no claim in the value"),
        ("{ value = \"{claims.a}\", requird = true }", "there is no key `upstream[0].headers.x-a.requird`"),
        ("5", "is an integer, but must be a string"),
    ] {
        refused(&format!("headers = {{ x-a = {wrong} }}"), why);
    }
    refused("headers = { x-a = { value = \"open sesame\", list = \"repeat\" } }", "only one claim alone");
    refused("headers = { x-a = { valu = \"open sesame\", value = \"a\" } }", "there is no key");
}

#[test]
fn presets_add_to_the_default_and_what_is_written_wins() {
    assert_eq!(
        names(&upstream("identity_headers = \"oauth2-proxy\"")),
        [
            "authorization",
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-groups",
            "x-forwarded-preferred-username"
        ]
    );
    let chosen = upstream(
        "identity_headers = \"remote-user\"\n[upstream.headers]\nauthorization = false\nremote-name = false\n\
         Remote-User = \"{claims.sub}\"\nx-team = \"{claims.team}\"",
    );
    assert_eq!(names(&chosen), ["remote-email", "remote-groups", "remote-user", "x-team"]);
    assert!(chosen.headers.iter().any(|(name, template)| {
        name == "remote-user" && *template == crate::upstream::template::HeaderTemplate::parse("{claims.sub}").unwrap()
    }));
    refused("identity_headers = \"remote-user\"\nheaders = { x-a = false }", "there is no such header by default");
    refused("headers = { remote-user = false }", "there is no such header by default");
    refused("identity_headers = \"oauth2proxy\"", "must be \"oauth2-proxy\" or \"remote-user\" or \"basic\"");
    refused("identity_headers = true", "is a boolean, but must be a string");
}

#[test]
fn basic_is_the_authorization_and_needs_no_access_token() {
    let basic = upstream("identity_headers = \"basic\"\nbasic_password = { file = \"password\" }");
    assert_eq!(names(&basic), ["authorization"]);
    assert!(basic.headers.iter().all(|(_, template)| !template.uses_access_token()));
    assert!(!format!("{basic:?}").contains("sesame"));
    let two = format!(
        "identity_headers = \"basic\"\nbasic_password = {{ file = \"password\" }}\n[[upstream]]\npath = \"/b\"\n\
         target = \"http://127.0.0.1:3001\"{}",
        ""
    );
    assert!(loaded(&two).warnings.is_empty(), "only one of them gets the access token");
    refused("identity_headers = \"basic\"", "`upstream[0].basic_password` is missing");
    refused("identity_headers = \"basic\"\nbasic_password = \"open sesame\"", "must not stand in the file itself");
    refused("identity_headers = \"basic\"\nbasic_password = { file = \"none\" }", "does not exist");
    refused("basic_password = { file = \"password\" }", "is for identity_headers = \"basic\"");
    refused("basic_password = \"open sesame\"", "is for identity_headers = \"basic\"");
    for authorization in ["\"Bearer {access_token}\"", "false"] {
        refused(
            &format!(
                "identity_headers = \"basic\"\nbasic_password = {{ file = \"password\" }}\n\
                 headers = {{ Authorization = {authorization} }}"
            ),
            "identity_headers = \"basic\" is this header already",
        );
    }
}

#[test]
fn an_assertion_has_a_header_and_an_audience() {
    let lines = |table: &str| format!("identity_assertion = {table}\nheaders = {{ x-id = \"{{identity}}\" }}");
    let settings = |table: &str| upstream(&lines(table)).identity_assertion.unwrap();
    let default = AssertionSettings { algorithm: SigningAlgorithm::EdDsa, audience: "wiki".into(), claims: vec![] };
    assert_eq!(settings("{ audience = \"wiki\" }"), default);
    assert_eq!(
        settings("{ algorithm = \"ES256\", audience = \"wiki\", claims = [\"email\", \"a.b\"] }"),
        AssertionSettings {
            algorithm: SigningAlgorithm::Es256,
            claims: vec!["email".into(), "a.b".into()],
            ..default.clone()
        }
    );
    assert_eq!(upstream("").identity_assertion, None);
    refused(&lines("{ }"), "`upstream[0].identity_assertion.audience` is missing");
    refused(&lines("{ audience = \" \" }"), "is empty");
    refused(&lines("{ audience = \"wiki\", algorithm = \"HS256\" }"), "must be \"EdDSA\" or \"ES256\"");
    refused(&lines("{ audience = \"wiki\", algorithm = \"none\" }"), "must be \"EdDSA\" or \"ES256\"");
    refused(&lines("{ audience = \"wiki\", lifetime = \"1h\" }"), "there is no key");
    refused(&lines("{ audience = \"wiki\", claims = \"email\" }"), "must be a list");
    refused(&lines("{ audience = \"wiki\", claims = [\"email\", \"email\"] }"), "repeats an earlier item");
    for name in ["iss", "aud", "sub", "iat", "nbf", "exp", "jti"] {
        refused(&lines(&format!("{{ audience = \"wiki\", claims = [\"{name}\"] }}")), "has its own");
    }
    refused("identity_assertion = { audience = \"wiki\" }", "no header of this upstream holds {identity}");
    refused("headers = { x-id = \"{identity}\" }", "is signed only where identity_assertion is written");
    for more in ["{identity} {claims.email}", "{identity}{identity}", "{request.id} {identity}"] {
        let lines = format!("identity_assertion = {{ audience = \"wiki\" }}\nheaders = {{ x-id = \"{more}\" }}");
        refused(&lines, "stands once, with nothing but text beside it");
    }
}

#[test]
fn a_signing_key_that_changes_at_every_start_is_warned_of() {
    let lines = "identity_assertion = { audience = \"wiki\" }\nheaders = { x-id = \"{identity}\" }";
    assert!(loaded(lines).warnings.is_empty());
    let warnings = good(&file("", "", lines)).warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("the signing key changes at every start"), "{}", warnings[0]);
    assert!(warnings[0].position.is_some());
}

#[test]
fn keep_authorization_is_for_public_paths() {
    assert!(!upstream("public = [\"/hooks/**\"]").keep_authorization);
    assert!(upstream("public = [\"/hooks/**\"]\nkeep_authorization = true").keep_authorization);
    refused("keep_authorization = true", "is for public paths, and this upstream has none");
    refused("public = []\nkeep_authorization = true", "is for public paths, and this upstream has none");
    refused("public = [\"/hooks/**\"]\nkeep_authorization = \"yes\"", "must be a boolean");
    let basic = "public = [\"/hooks/**\"]\nkeep_authorization = true\nidentity_headers = \"basic\"\n\
                 basic_password = { file = \"password\" }";
    let warnings = loaded(basic).warnings;
    assert!(warnings.len() == 1 && warnings[0].message.contains("does not compare the password"), "{warnings:?}");
}

#[test]
fn hd_02_a_name_that_another_could_be_taken_for_is_refused_with_both() {
    let two = |first: &str, second: &str| {
        format!(
            "headers = {{ {first} = \"{{claims.sub}}\", authorization = false }}\n[[upstream]]\npath = \"/b\"\n\
             target = \"http://127.0.0.1:3001\"\nheaders = {{ {second} = \"{{claims.sub}}\" }}"
        )
    };
    let both = "`upstream[1].headers.x_team` is not a header name: many servers read it as X_TEAM, and `X-Team` of \
                upstream[0].headers as well";
    refused(&two("X-Team", "x_team"), both);
    refused(&two("x_team", "X-Team"), "X_TEAM, and `X-Team` of upstream[1].headers as well");
    refused("headers = { x-team = \"a\", \"x.team\" = \"b\" }", "X_TEAM, and `x-team` of upstream[0].headers as well");
    refused("headers = { x_auth_user = \"a\" }", "X_AUTH_USER, and the managed header `x-auth-user` as well");
    refused("headers = { remote_user = \"a\" }", "REMOTE_USER, and the managed header `remote-user` as well");
    refused("headers = { content_length = \"a\" }", "CONTENT_LENGTH, and `content-length` as well");
    refused("headers = { x_new = \"a\" }", "X_NEW, and `x-new` as well");
    for no_name in ["\"x user\"", "\"\"", "\"x\u{e4}\"", "\"x:y\"", "\"x\\ny\"", "\"_\""] {
        refused(&format!("headers = {{ {no_name} = \"x\" }}"), "is not a header name");
    }
    for (upstreams, why) in [("headers = 5", "must be a table"), ("headers = [\"x\"]", "must be a table")] {
        refused(upstreams, why);
    }
}

#[test]
fn the_page_lists_the_names_that_cannot_be_written_and_none_of_them_can() {
    let page = include_str!("../../../docs/headers.md");
    let listed = page.split_once("These cannot be set by a template").unwrap().1.split("```").nth(1).unwrap();
    let listed: Vec<_> = listed.strip_prefix("text\n").unwrap().split_whitespace().collect();
    let mut own: Vec<_> = OWN.iter().chain(OWN_PREFIXES).copied().collect();
    own.sort_unstable();
    assert_eq!(listed, own);
    for name in own {
        let name = if name.ends_with('-') { format!("{name}x") } else { name.to_owned() };
        refused(&format!("headers = {{ {name} = \"x\" }}"), "belongs to the message or the connection");
    }
}
