//! Secrets: `{ file = "…" }` or `{ env = "…" }`, never inline, never repeated.

use std::io;
use std::path::Path;

use zeroize::Zeroizing;

use super::keys::SECRET;
use super::section::Section;
use super::setting::Setting;

pub(super) const WRITABLE_BY_GROUP_OR_OTHERS: u32 = 0o022;
const READABLE_BY_OTHERS: u32 = 0o004;
const WHERE_TO: &str = "put it into a file of its own and write { file = \"/path/to/it\" }";

/// Reads the secret of a setting, or reports why there is none.
pub(super) fn secret(setting: &Setting<'_>) -> Option<Zeroizing<String>> {
    if !setting.is_table() {
        setting.mask();
        setting.refuse(format!("`{}` must not stand in the file itself", setting.path()), WHERE_TO);
        return None;
    }
    secret_of(&setting.section(&SECRET)?, setting)
}

/// Reads the secret that `file` or `env` of a table names.
pub(super) fn secret_of(section: &Section<'_>, whole: &Setting<'_>) -> Option<Zeroizing<String>> {
    let (file, env) = (section.setting("file"), section.setting("env"));
    let (secret, setting) = match (file, env) {
        (Some(file), None) => (secret_text(&file)?, file),
        (None, Some(env)) => (from_variable(&env)?, env),
        (Some(file), Some(env)) => {
            hide_unless(&file, is_like_a_path);
            hide_unless(&env, is_like_a_variable);
            env.refuse(format!("`{}` has both a file and an environment variable", whole.path()), "keep `file`");
            return None;
        }
        (None, None) => {
            whole.refuse(format!("`{}` names no file", whole.path()), WHERE_TO);
            return None;
        }
    };
    let bare = without_line_end(&secret);
    if bare.is_empty() {
        setting.refuse(format!("the secret of `{}` is empty", whole.path()), "write the secret into it");
        return None;
    }
    if bare.chars().any(char::is_control) {
        let message = format!("the secret of `{}` holds line ends or control characters", whole.path());
        setting.refuse(message, "the secret alone belongs there, on one line");
        return None;
    }
    Some(Zeroizing::new(bare.to_owned()))
}

/// One line end is what editors and `echo` leave behind; it is not part of the secret.
pub(super) fn without_line_end(secret: &str) -> &str {
    secret.strip_suffix('\n').map_or(secret, |rest| rest.strip_suffix('\r').unwrap_or(rest))
}

fn from_variable(setting: &Setting<'_>) -> Option<Zeroizing<String>> {
    let name = setting.string("the name of an environment variable")?;
    let Some(value) = setting.reading().environment().variable(name) else {
        hide_unless(setting, is_like_a_variable);
        let message = format!("`{}`: there is no such environment variable", setting.path());
        setting.refuse(message, "set it, or better: write { file = \"/path/to/it\" }");
        return None;
    };
    setting.warn(
        format!("`{}`: every process of the same user can read this environment variable", setting.path()),
        "write { file = \"/path/to/it\" }",
    );
    Some(Zeroizing::new(value))
}

/// Reads the text of a secret file: who may write or read it is looked at as for every secret.
pub(super) fn secret_text(setting: &Setting<'_>) -> Option<Zeroizing<String>> {
    let written = setting.string("the path of a file")?;
    let path = setting.reading().resolve(written);
    let file = match setting.reading().environment().file(&path) {
        Ok(file) => file,
        Err(error) if is_like_a_path(written) => {
            refuse_unreadable(setting, &path, &error, "put the secret there");
            return None;
        }
        Err(error) => {
            setting.mask();
            let help = "write the path of a file that holds the secret, beginning with / or ./";
            setting.refuse(format!("`{}`: this file {}", setting.path(), why_unreadable(&error)), help);
            return None;
        }
    };
    let bytes = Zeroizing::new(file.bytes);
    if file.mode & WRITABLE_BY_GROUP_OR_OTHERS != 0 {
        let message = format!("`{}`: others than its owner may write {}", setting.path(), path.display());
        setting.refuse(message, format!("chmod go-w {}", path.display()));
        return None;
    }
    if file.mode & READABLE_BY_OTHERS != 0 && !file.private_mount {
        let message = format!("`{}`: everybody on this machine may read {}", setting.path(), path.display());
        setting.warn(message, format!("chmod o-r {}", path.display()));
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| {
            let message = format!("`{}`: {} is not text", setting.path(), path.display());
            setting.refuse(message, "the secret alone belongs there, as text on one line");
        })
        .ok()?;
    Some(Zeroizing::new(text.to_owned()))
}

/// Reports a file that cannot be read.
pub(super) fn refuse_unreadable(setting: &Setting<'_>, path: &Path, error: &io::Error, help: &str) {
    setting.refuse(format!("`{}`: {} {}", setting.path(), path.display(), why_unreadable(error)), help);
}

fn why_unreadable(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist",
        io::ErrorKind::PermissionDenied => "may not be read by this user",
        io::ErrorKind::IsADirectory => "is a directory",
        io::ErrorKind::InvalidInput => "is not a regular file",
        io::ErrorKind::FileTooLarge => "is larger than 1 MiB",
        _ => "cannot be read",
    }
}

/// Where the name of a variable or a file belongs, the secret itself may stand by mistake: a template has put it there.
fn hide_unless(setting: &Setting<'_>, is_harmless: impl Fn(&str) -> bool) {
    if !setting.as_str().is_some_and(is_harmless) {
        setting.mask();
    }
}

fn is_like_a_variable(name: &str) -> bool {
    name.len() <= 64
        && !name.starts_with(|first: char| first.is_ascii_digit())
        && name.bytes().all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'))
}

/// Not any `/` will do: base64 has it too.
fn is_like_a_path(path: &str) -> bool {
    ["/", "./", "../"].iter().any(|start| path.starts_with(start))
}
