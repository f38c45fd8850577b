//! The reader from outside: a text goes in, settings or problems come out.

mod cross_site;
mod examples;
mod files;
mod general;
mod headers;
mod listen;
mod provider;
mod rules;
mod session;
mod store;
mod upstream;

use std::path::Path;

use super::environment::tests::Fake;
use super::{ConfigError, Loaded, parse};
use crate::entropy::{Entropy, NoEntropy};

/// Counts instead of drawing.
pub(super) struct Counting;

impl Entropy for Counting {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), NoEntropy> {
        bytes.iter_mut().zip(1..).for_each(|(byte, number)| *byte = number);
        Ok(())
    }
}

pub(super) const PROVIDER: &str = r#"
[provider]
issuer = "https://id.example.com"
client_id = "wiki"
client_secret = { file = "secret" }
"#;

pub(super) const UPSTREAM: &str = r#"
[[upstream]]
target = "http://127.0.0.1:3000"
"#;

/// A file system with one good secret in it.
pub(super) fn fake() -> Fake {
    Fake::default().with("/etc/vestibule/secret", "hunter2\n")
}

pub(super) fn read_with(text: &str, fake: &Fake) -> Result<Loaded, ConfigError> {
    parse(text, Path::new("vestibule.toml"), Path::new("/etc/vestibule"), fake, &Counting)
}

pub(super) fn read(text: &str) -> Result<Loaded, ConfigError> {
    read_with(text, &fake())
}

/// A complete file around some lines at its top, in `[provider]` and in `[[upstream]]`.
pub(super) fn file(top: &str, provider: &str, upstream: &str) -> String {
    let url = if top.contains("public_url") { "" } else { "public_url = \"https://wiki.example.com\"\n" };
    format!("{url}{top}\n{PROVIDER}{provider}\n{UPSTREAM}{upstream}\n")
}

pub(super) fn good(text: &str) -> Loaded {
    read(text).unwrap_or_else(|error| panic!("{error}\nin\n{text}"))
}

/// The messages of all problems, one a line.
pub(super) fn bad(text: &str) -> String {
    let error = read(text).err().unwrap_or_else(|| panic!("accepted:\n{text}"));
    error.problems().iter().map(|problem| problem.message.clone() + "\n").collect()
}

/// Refused for one reason alone, which is this one.
#[track_caller]
pub(super) fn refused(text: &str, why: &str) {
    let messages = bad(text);
    assert!(messages.contains(why) && messages.lines().count() == 1, "wanted: {why}\ngot: {messages}in\n{text}");
}
