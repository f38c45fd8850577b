//! What holds for every parser of bytes from outside, whatever the bytes: one function for each, which fails when it does
//! not hold.
//!
//! The fuzz targets run them with bytes that libFuzzer thinks of, and `tests/it/replayed.rs`, which includes these very
//! files, with the corpora and with mutations of them.

// The names are those of the directories in `corpus/` and of the targets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "a property that does not hold must stop the run at once"
)]

mod configuration;
mod cookies;
mod headers;
mod messages;
mod paths;
mod sealed;
mod tokens;

/// A property of one parser.
pub type Property = fn(&[u8]);

/// All of them.
pub const ALL: &[(&str, Property)] = &[
    ("authorization_response", messages::authorization_response),
    ("canonical_path", paths::canonical_path),
    ("card", sealed::card),
    ("configuration", configuration::configuration),
    ("cookie_header", cookies::cookie_header),
    ("form", messages::form),
    ("forwarded", headers::forwarded),
    ("header_folding", headers::header_folding),
    ("host", paths::host),
    ("id_token", tokens::id_token),
    ("jws", tokens::jws),
    ("key_set", tokens::key_set),
    ("login_cookie", cookies::login_cookie),
    ("login_state", sealed::login_state),
    ("logout_state", sealed::logout_state),
    ("logout_token", tokens::logout_token),
    ("pattern", paths::pattern),
    ("provider_metadata", messages::provider_metadata),
    ("query", messages::query),
    ("record", sealed::record),
    ("return_path", paths::return_path),
    ("session_cookie", sealed::session_cookie),
    ("token_response", messages::token_response),
    ("userinfo", messages::userinfo),
    ("web_socket_handshake", headers::web_socket_handshake),
];

/// Runs one by its name.
pub fn run(name: &str, bytes: &[u8]) {
    let (_, property) = ALL.iter().find(|(known, _)| *known == name).expect("a property of this name");
    property(bytes);
}
