//! The rules of the house that no compiler checks: which room may know which, who may touch a secret, how long a file is.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test stops at what it does not expect"
)]

use std::fs;
use std::path::{Path, PathBuf};

const LEAVES: &[&str] =
    &["secret", "clock", "entropy", "signing_key", "claims", "origin", "return_to", "cookie", "tls"];

/// Which other rooms a room may import from, leaves apart; `SETTINGS` stands for the settings types of every room.
const ROOMS: &[(&str, &[&str])] = &[
    ("main", &["app", "cli", "config", "demo"]),
    ("app", EVERYTHING),
    ("cli", &["app", "config", "demo", "gateway", LEAF]),
    ("telemetry", &[]),
    ("oidc", &[LEAF]),
    ("provider", &["oidc", LEAF]),
    ("session", &["oidc", LEAF]),
    ("policy", &[LEAF]),
    ("upstream", &[LEAF]),
    ("server", &["telemetry", LEAF]),
    ("admin", &["session", "provider", "telemetry", LEAF]),
    ("gateway", &["oidc", "provider", "session", "policy", "upstream", "server", "telemetry", LEAF]),
    ("config", &[SETTINGS, LEAF]),
    ("demo", &["oidc", LEAF]),
];
const EVERYTHING: &[&str] = &[
    "admin",
    "cli",
    "config",
    "demo",
    "gateway",
    "oidc",
    "policy",
    "provider",
    "server",
    "session",
    "telemetry",
    "upstream",
    LEAF,
];
const LEAF: &str = "(a leaf)";
const SETTINGS: &str = "(settings)";

/// Modules whose types the configuration builds or checks values with, besides every `settings` module.
const SETTINGS_TYPES: &[&str] = &[
    "policy::access",
    "gateway::canonical_path",
    "gateway::pattern",
    "server::trusted_proxies",
    "upstream::managed",
    "upstream::own_names",
    "upstream::presets",
    "upstream::template",
];

/// Where a secret leaves its type: on the wire, into a seal, or into a derivation.
const MAY_EXPOSE: &[&str] = &[
    "cli/sessions/client.rs",
    "oidc/authorization_request.rs",
    "oidc/client_authentication.rs",
    "oidc/id_token.rs",
    "oidc/logout.rs",
    "oidc/pkce.rs",
    "oidc/revocation.rs",
    "oidc/token_request.rs",
    "oidc/token_response.rs",
    "provider/transport.rs",
    "session/envelope.rs",
    "session/grant.rs",
    "session/key_ring.rs",
    "session/login_attempt.rs",
    "session/login_cookie.rs",
    "session/record.rs",
    "session/sealed_box.rs",
    "session/store/redis/dial.rs",
    "session/ticket.rs",
    "signing_key.rs",
    "upstream/template.rs",
];

/// The one caller of [`FORWARD`], so that nothing goes upstream without a permit.
const FORWARDER: &str = "gateway/forward.rs";
const FORWARD: &[&str] = &["upstream::forward(", "Upstream::forward(", ".forward("];

const LONGEST: usize = 400;

struct Source {
    /// Below `src/`, with `/`.
    path: String,
    /// The whole file.
    text: String,
    /// The file without comments and without the inside of string literals.
    code: String,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path, code: without_comments_and_strings(&text), text });
            }
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.len() > 20, "the sources are not where they should be");
    found
}

/// Where what a browser shows is compared with a secret, and by what.
const IN_CONSTANT_TIME: &[(&str, &str)] = &[
    ("secret.rs", ".ct_eq("),
    ("session/login_cookie.rs", ".verify_slice("),
    ("session/login_attempt.rs", ".ct_eq("),
    ("oidc/id_token.rs", ".ct_eq("),
];

/// Good enough for code that rustfmt has seen: line and block comments, string, raw string and character literals.
fn without_comments_and_strings(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let at = |place: usize| characters.get(place).copied().unwrap_or('\0');
    let mut code = String::new();
    let mut place = 0;
    while place < characters.len() {
        let character = at(place);
        let after_word = code.chars().last().is_some_and(|last| last.is_alphanumeric() || last == '_');
        let hashes = characters[place + 1..].iter().take_while(|character| **character == '#').count();
        if character == '/' && at(place + 1) == '/' {
            place += characters[place..].iter().take_while(|character| **character != '\n').count();
        } else if character == '/' && at(place + 1) == '*' {
            place += 2;
            while place < characters.len() && !(at(place) == '*' && at(place + 1) == '/') {
                place += 1;
            }
            place += 2;
        } else if character == 'r' && (!after_word || code.ends_with('b')) && at(place + 1 + hashes) == '"' {
            place += hashes + 2;
            let ends = |place: usize| at(place) == '"' && (1..=hashes).all(|further| at(place + further) == '#');
            while place < characters.len() && !ends(place) {
                place += 1;
            }
            place += hashes + 1;
            code.push_str("\"\"");
        } else if character == '"' {
            place += 1;
            while place < characters.len() && at(place) != '"' {
                place += if at(place) == '\\' { 2 } else { 1 };
            }
            place += 1;
            code.push_str("\"\"");
        } else if character == '\'' && (at(place + 1) == '\\' || at(place + 2) == '\'') {
            // A character, not a lifetime.
            place += if at(place + 1) == '\\' { 3 } else { 2 };
            while place < characters.len() && at(place) != '\'' {
                place += 1;
            }
            place += 1;
            code.push_str("' '");
        } else {
            code.push(character);
            place += 1;
        }
    }
    code
}

/// Every path behind `crate::` or `vestibule::`, with groups written out to their first two segments.
fn imports(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for start in ["crate::", "vestibule::"] {
        for (position, _) in code.match_indices(start) {
            let before = code[..position].chars().last();
            if before.is_some_and(|character| character.is_alphanumeric() || character == '_' || character == ':') {
                continue;
            }
            let rest = &code[position + start.len()..];
            if let Some(group) = rest.strip_prefix('{') {
                found.extend(group_members(group));
            } else {
                found.push(path_of(rest));
            }
        }
    }
    found
}

/// The members of `{a::b, c::{d, e}}`, from behind the first brace.
fn group_members(group: &str) -> Vec<String> {
    let (mut depth, mut member, mut members) = (0, String::new(), Vec::new());
    for character in group.chars() {
        match character {
            '}' if depth == 0 => break,
            ',' if depth == 0 => members.push(std::mem::take(&mut member)),
            other => {
                depth += i32::from(other == '{') - i32::from(other == '}');
                member.push(other);
            }
        }
    }
    members.push(member);
    members.iter().map(|member| path_of(member.trim())).filter(|path| !path.is_empty()).collect()
}

fn path_of(rest: &str) -> String {
    let end = rest.find(|character: char| !(character.is_alphanumeric() || character == '_' || character == ':'));
    rest[..end.unwrap_or(rest.len())].trim_end_matches(':').to_owned()
}

fn room_of(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap()
}

fn may_import(room: &str, import: &str) -> bool {
    let target = import.split("::").next().unwrap();
    if target == room || target == "lib" || room == "lib" {
        return true;
    }
    if let Some(place) = LEAVES.iter().position(|leaf| *leaf == room) {
        return LEAVES.iter().take(place).any(|leaf| *leaf == target);
    }
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        panic!("the room `{room}` stands in no rule of tests/tidy.rs");
    };
    if LEAVES.contains(&target) {
        return allowed.contains(&LEAF);
    }
    let is_settings = import.split("::").nth(1) == Some("settings")
        || SETTINGS_TYPES.iter().any(|path| import == *path || import.starts_with(&format!("{path}::")));
    allowed.contains(&target) || (is_settings && allowed.contains(&SETTINGS))
}

#[test]
fn imports_point_one_way() {
    let mut wrong = Vec::new();
    for source in sources() {
        for import in imports(&source.code) {
            if !may_import(room_of(&source.path), &import) {
                wrong.push(format!("{}: crate::{import}", source.path));
            }
        }
        if leaves_its_room(&source) {
            wrong.push(format!("{}: `super::` reaches out of the room; write `crate::`", source.path));
        }
    }
    assert!(wrong.is_empty(), "imports against the direction of the rooms:\n{}", wrong.join("\n"));
}

#[test]
fn secrets_leave_their_types_in_listed_files_only() {
    let sources = sources();
    let exposes = |source: &Source| before_tests(&source.code).contains(".expose()");
    for source in sources.iter().filter(|source| source.path != "secret.rs" && !is_test(&source.path)) {
        let listed = MAY_EXPOSE.contains(&source.path.as_str());
        assert!(listed || !exposes(source), "{} calls `.expose()` and is not listed", source.path);
        assert!(!listed || exposes(source), "{} is listed and does not call `.expose()`", source.path);
    }
}

#[test]
fn tm_01_secrets_are_compared_in_constant_time_alone() {
    let sources = sources();
    for source in sources.iter().filter(|source| !is_test(&source.path)) {
        // A secret that has left its type is only bytes, and `==` on those stops at the first that differs.
        let compares = |part: &&str| part.contains(".expose()") && (part.contains(" == ") || part.contains(" != "));
        let found = before_tests(&source.code).split([';', '{', '}']).find(compares);
        assert!(found.is_none(), "{}: {}", source.path, found.unwrap_or_default());
    }
    for (path, how) in IN_CONSTANT_TIME {
        let source = sources.iter().find(|source| source.path == *path).unwrap();
        assert!(before_tests(&source.code).contains(how), "{path} no longer compares by `{how}`");
    }
}

#[test]
fn only_one_file_forwards() {
    let callers: Vec<String> = sources()
        .into_iter()
        .filter(|source| source.path != FORWARDER && knows_upstreams(&source.path) && !is_test(&source.path))
        .filter(|source| FORWARD.iter().any(|call| before_tests(&source.code).contains(call)))
        .map(|source| source.path)
        .collect();
    assert!(callers.is_empty(), "only {FORWARDER} may forward, not {callers:?}");
}

#[test]
fn a_file_is_one_idea() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path))
        .filter(|(lines, _)| *lines > LONGEST)
        .map(|(lines, path)| format!("{path}: {lines} lines"))
        .collect();
    assert!(long.is_empty(), "files over {LONGEST} lines: {long:?}");
}

#[test]
fn nothing_is_left_for_another_day() {
    for source in sources() {
        for word in ["TODO", "FIXME", "todo!(", "unimplemented!("] {
            assert!(!source.text.contains(word), "{word} in {}", source.path);
        }
    }
}

#[test]
fn every_file_says_what_it_is() {
    // A module of tests is a part of the file it tests.
    for source in sources().into_iter().filter(|source| !is_test(&source.path)) {
        assert!(source.text.starts_with("//! "), "{} begins without `//!`", source.path);
    }
}

/// Only these rooms can name an upstream; elsewhere `.forward(` is a method of streams.
fn knows_upstreams(path: &str) -> bool {
    ["gateway", "app"].contains(&room_of(path))
}

/// The code in front of a file's test module.
fn before_tests(code: &str) -> &str {
    let is_module = |rest: &str| {
        let item = rest.lines().skip(1).find(|line| !line.trim_start().starts_with("#["));
        item.is_some_and(|line| line.contains("mod "))
    };
    let tests = code.match_indices("#[cfg(test)]").map(|(position, _)| code.split_at(position));
    tests.filter(|(_, rest)| is_module(rest)).map(|(before, _)| before).next().unwrap_or(code)
}

/// Whether a chain of `super::` ends at the root of the crate, where every room can be reached.
fn leaves_its_room(source: &Source) -> bool {
    let depth = source.path.trim_end_matches("/mod.rs").split('/').count();
    let before = before_tests(&source.code);
    let (_, tests) = source.code.split_at(before.len());
    before.contains(&"super::".repeat(depth)) || tests.contains(&"super::".repeat(depth + 1))
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

#[test]
fn the_reader_of_code_is_not_fooled() {
    let text = "use crate::a::b; // crate::no\n/* crate::no */ let s = \"crate::no \\\" crate::no\";\n\
                let r = r#\"crate::no \" \"#; let c = '\"'; let d: &'static str = crate::yes();\nlet q = '\\'';";
    assert_eq!(imports(&without_comments_and_strings(text)), ["a::b", "yes"]);
    assert_eq!(imports("use crate::{a::x, b::{c, d}, e};"), ["a::x", "b", "e"]);
    assert_eq!(imports("use other_crate::a; pub(crate) fn x() {}"), [""; 0]);
}

#[test]
fn a_chain_that_leaves_its_room_is_seen() {
    let source = |path: &str, code: &str| Source { path: path.into(), text: String::new(), code: code.into() };
    let tests = "#[cfg(test)]\nmod tests { use super::super::config; }";
    assert!(leaves_its_room(&source("clock.rs", "use super::secret;")));
    assert!(leaves_its_room(&source("clock.rs", tests)));
    assert!(leaves_its_room(&source("gateway/mod.rs", "use super::config;")));
    assert!(leaves_its_room(&source("gateway/route.rs", "use super::super::config;")));
    assert!(!leaves_its_room(&source("gateway/route.rs", tests)));
    assert!(!leaves_its_room(&source("session/store/memory.rs", "use super::super::envelope;")));
}

#[test]
fn the_table_of_rooms_says_what_it_means() {
    assert!(may_import("gateway", "upstream::settings"));
    assert!(may_import("config", "upstream::template::HeaderTemplate"));
    assert!(may_import("cookie", "origin::Host"));
    for (room, import) in [
        ("telemetry", "secret::AccessToken"),
        ("oidc", "provider::settings"),
        ("upstream", "session::Session"),
        ("server", "gateway::Gateway"),
        ("gateway", "config::read"),
        ("gateway", "admin::probe"),
        ("config", "gateway::forward"),
        ("secret", "cookie::Cookie"),
        ("demo", "gateway::Gateway"),
    ] {
        assert!(!may_import(room, import), "{room} must not know {import}");
    }
}
