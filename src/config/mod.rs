//! The only code that knows TOML: document → sections → settings, gathering every problem with its position.

use std::fmt;
use std::path::Path;

use toml::de::DeTable;

use crate::entropy::Entropy;
use crate::gateway::settings::Settings;
use crate::origin::PublicUrl;

mod access;
mod authorization_parameters;
mod certificates;
mod cross_site;
mod endpoints;
mod environment;
mod header_names;
mod header_presets;
mod headers;
mod identity_assertion;
mod keys;
mod listen;
mod listen_tls;
mod log;
mod memory;
mod mounts;
mod open_issuers;
mod patterns;
mod problem;
mod provider;
mod reading;
mod registration;
mod routes;
mod rules;
mod scopes;
mod secret_file;
mod section;
mod session;
mod session_keys;
mod setting;
mod sources;
mod store;
mod target;
#[cfg(test)]
mod tests;
mod token_file;
mod units;
mod upstream;
mod web_address;

pub use environment::{Environment, NamedFile, SystemEnvironment};
pub use keys::{ALL as ALL_KEYS, Keys};
pub use problem::{Position, Problem, Severity};
pub use registration::{Registration, registrations};
pub use session_keys::{EXAMPLE_KEY, generate_key};
pub use sources::Sources;
pub use token_file::{TokenFileError, token_file};

use reading::Reading;
use section::Section;
use setting::Setting;
use sources::Recording;
use upstream::Surroundings;

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// The settings, checked.
    pub settings: Settings,
    /// What an operator should know about them.
    pub warnings: Vec<Problem>,
    /// The files they come from.
    pub sources: Sources,
}

/// Everything that is wrong with a configuration, in the order of the file.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    sources: Sources,
}

impl ConfigError {
    /// The files that were read until the configuration was refused.
    #[must_use]
    pub const fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The problems for which the file is refused; never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What else an operator should know.
    #[must_use]
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in self.problems.iter().chain(&self.warnings) {
            writeln!(formatter, "{problem}\n")?;
        }
        match self.problems.len() {
            1 => formatter.write_str("1 problem"),
            count => write!(formatter, "{count} problems"),
        }
    }
}

/// Reads and checks a configuration file.
///
/// # Errors
/// [`ConfigError`] with every problem of the file, or the one for which it cannot be read.
pub fn load(path: &Path, environment: &dyn Environment, entropy: &dyn Entropy) -> Result<Loaded, ConfigError> {
    let recording = Recording::new(environment);
    finish(read(path, &recording, entropy), recording.sources(Some(path)))
}

/// What is wrong, before it is known which files have been read.
struct Refused {
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

type Read = Result<(Settings, Vec<Problem>), Refused>;

fn read(path: &Path, environment: &dyn Environment, entropy: &dyn Entropy) -> Read {
    let name = path.display().to_string();
    let refuse = |message: &str, help: &str| Refused {
        problems: vec![Problem::of_file(&name, message.to_owned(), help.to_owned())],
        warnings: Vec::new(),
    };
    let file = environment.file(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => refuse("there is no such file", "name it with --config FILE"),
        std::io::ErrorKind::PermissionDenied => refuse("this user may not read the file", ""),
        std::io::ErrorKind::IsADirectory => refuse("this is a directory, not a file", "name a file with --config FILE"),
        _ => refuse("the file cannot be read", ""),
    })?;
    let text = std::str::from_utf8(&file.bytes).map_err(|_| refuse("the file is not UTF-8 text", ""))?;
    check(text, path, path.parent().unwrap_or(Path::new("")), environment, entropy)
}

/// Reads and checks the text of a configuration; relative paths in it are meant from `directory`, and `file` is what
/// problems call it.
///
/// # Errors
/// [`ConfigError`] with every problem of the text.
pub fn parse(
    text: &str,
    file: &Path,
    directory: &Path,
    environment: &dyn Environment,
    entropy: &dyn Entropy,
) -> Result<Loaded, ConfigError> {
    let recording = Recording::new(environment);
    finish(check(text, file, directory, &recording, entropy), recording.sources(None))
}

fn finish(read: Read, sources: Sources) -> Result<Loaded, ConfigError> {
    match read {
        Ok((settings, warnings)) => Ok(Loaded { settings, warnings, sources }),
        Err(Refused { problems, warnings }) => Err(ConfigError { problems, warnings, sources }),
    }
}

fn check(text: &str, file: &Path, directory: &Path, environment: &dyn Environment, entropy: &dyn Entropy) -> Read {
    let file = file.display().to_string();
    // TOML knows no byte order mark, but editors do.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (document, syntax_errors) = DeTable::parse_recoverable(text);
    let reading = Reading::new(&file, text, directory, environment);
    syntax_errors.iter().for_each(|error| reading.syntax_error(error));
    let settings = {
        let root = Section::open(&reading, document.get_ref(), "", 0..0, &keys::ROOT);
        let written = memory::Written {
            sessions: is_written(document.get_ref(), &["session", "max_sessions"]),
            connections: is_written(document.get_ref(), &["listen", "limits", "connections"]),
        };
        let mut settings = settings(&root);
        if let (Some(settings), Some(limit)) = (&mut settings, reading.environment().memory_limit()) {
            memory::fit(settings, written, limit);
        }
        settings
    };
    let (mut problems, warnings) = reading.finish();
    let Some(mut settings) = settings.filter(|_| problems.is_empty()) else {
        if problems.is_empty() {
            problems.push(Problem::of_file(&file, "the file has no usable public_url".to_owned(), String::new()));
        }
        return Err(Refused { problems, warnings });
    };
    if !settings.session_keys_configured {
        // The store does not outlive the process, so that nothing is lost with this key.
        let Ok(key) = session_keys::key_for_this_run(entropy) else {
            let message = "no session key can be made: the system gives no randomness".to_owned();
            return Err(Refused { problems: vec![Problem::of_file(&file, message, String::new())], warnings });
        };
        settings.session.keys.push(key);
    }
    Ok((settings, warnings))
}

/// Whether there is something under these keys.
fn is_written(table: &DeTable<'_>, path: &[&str]) -> bool {
    match path {
        [key] => table.contains_key(*key),
        [key, rest @ ..] => {
            let inner = table.get(*key).and_then(|inner| inner.get_ref().as_table());
            inner.is_some_and(|inner| is_written(inner, rest))
        }
        [] => false,
    }
}

/// Reads every section; what is wrong has been reported, and then the result is of no use.
fn settings(root: &Section<'_>) -> Option<Settings> {
    let public_url = public_url(root);
    let url = public_url.as_ref();
    let listen_section = root.section("listen", &keys::LISTEN);
    let (listen, endpoint_prefix) = listen::listen(listen_section.as_ref(), url);
    let (session, cookie) = session::session(root.section("session", &keys::SESSION).as_ref());
    let providers = provider::providers(root, url);
    listen::check_token(listen_section.as_ref(), &listen, &providers);
    let upstreams = upstreams(root);
    let headers = header_names::written(&upstreams);
    let around = Surroundings {
        public_url: url,
        endpoint_prefix: &endpoint_prefix,
        providers: &providers,
        trusted_proxies: &listen.trusted_proxies,
        headers: &headers,
    };
    let read: Vec<_> = upstreams
        .into_iter()
        .enumerate()
        .filter_map(|(index, setting)| upstream::upstream(setting.section(&keys::UPSTREAM)?, index, &around))
        .collect();
    routes::check_together(&read, &providers);
    routes::check_loops(&read, &listen, url);
    if session.keys.is_empty() {
        routes::warn_about_signing_keys(&read);
    }
    Some(Settings {
        endpoint_prefix,
        listen,
        log: log::log(root.section("log", &keys::LOG).as_ref()),
        pages: log::pages(root.section("pages", &keys::PAGES).as_ref()),
        session_keys_configured: !session.keys.is_empty(),
        session,
        cookie,
        memory: None,
        providers,
        routes: read.into_iter().map(|route| route.settings).collect(),
        public_url: public_url?,
    })
}

fn public_url(root: &Section<'_>) -> Option<PublicUrl> {
    let Some(setting) = root.setting("public_url") else {
        root.missing("public_url", "write how browsers reach the gateway, such as \"https://wiki.example.com\"");
        return None;
    };
    let text = setting.string("\"https://wiki.example.com\"")?;
    if text.contains('@') {
        setting.mask();
    }
    PublicUrl::parse(text)
        .map_err(|error| {
            setting.refuse(format!("`public_url`: {error}"), "write for example \"https://wiki.example.com\"")
        })
        .ok()
}

fn upstreams<'a>(root: &Section<'a>) -> Vec<Setting<'a>> {
    let help = "write a section [[upstream]] with target = \"http://127.0.0.1:3000\"";
    let Some(setting) = root.setting("upstream") else {
        root.missing("upstream", help);
        return Vec::new();
    };
    let items = setting.items("a section [[upstream]], in double brackets").unwrap_or_default();
    if items.is_empty() && setting.is_array() {
        setting.refuse("there is no upstream", help);
    }
    items
}
