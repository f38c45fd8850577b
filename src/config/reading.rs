//! One pass over one file: what has been found wrong so far, and what must not be shown.

use std::cell::RefCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::keys;
use super::problem::{Position, Problem, Severity};

struct Found {
    severity: Severity,
    span: Range<usize>,
    key: String,
    message: String,
    help: String,
    /// It says that something is not there, which is no news where the syntax is broken.
    absence: bool,
}

/// The reading of one file.
pub(super) struct Reading<'a> {
    file: &'a str,
    text: &'a str,
    directory: &'a Path,
    environment: &'a dyn Environment,
    found: RefCell<Vec<Found>>,
    masks: RefCell<Vec<Range<usize>>>,
    /// Lines with broken syntax, counted from zero.
    broken_lines: RefCell<Vec<usize>>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(file: &'a str, text: &'a str, directory: &'a Path, environment: &'a dyn Environment) -> Self {
        Self {
            file,
            text,
            directory,
            environment,
            found: RefCell::default(),
            masks: RefCell::default(),
            broken_lines: RefCell::default(),
        }
    }

    pub(super) fn environment(&self) -> &'a dyn Environment {
        self.environment
    }

    /// A path of the file: relative ones are meant from the directory of the file.
    pub(super) fn resolve(&self, path: &str) -> PathBuf {
        self.directory.join(path)
    }

    pub(super) fn error(&self, span: Range<usize>, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Error, span, key, message.into(), help.into(), false);
    }

    pub(super) fn absent(&self, span: Range<usize>, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Error, span, key, message.into(), help.into(), true);
    }

    pub(super) fn warning(&self, span: Range<usize>, key: &str, message: impl Into<String>, help: impl Into<String>) {
        self.push(Severity::Warning, span, key, message.into(), help.into(), false);
    }

    fn push(&self, severity: Severity, span: Range<usize>, key: &str, message: String, help: String, absence: bool) {
        self.found.borrow_mut().push(Found { severity, span, key: key.to_owned(), message, help, absence });
    }

    /// Keeps these bytes out of every line that is shown.
    pub(super) fn mask(&self, span: Range<usize>) {
        self.masks.borrow_mut().push(span);
    }

    /// What the TOML parser says. Its line may hold half a secret, and is then masked.
    pub(super) fn syntax_error(&self, error: &toml::de::Error) {
        let span = error.span().unwrap_or(0..0);
        let line = self.line_of(span.start);
        if self.may_hold_a_secret(line) {
            let (start, text) = self.line_at(line);
            self.mask(start..start + text.len());
        }
        self.error(span, "", format!("this is not TOML: {}", error.message().trim()), "");
        self.broken_lines.borrow_mut().push(line);
    }

    /// Broken syntax hides where a value begins and ends, so that only lines of well-known, harmless keys are shown.
    fn may_hold_a_secret(&self, line: usize) -> bool {
        let (_, text) = self.line_at(line);
        let lower = text.to_ascii_lowercase();
        let key = text.split_once('=').map(|(key, _)| key.trim());
        let harmless = || keys::ALL.iter().filter(|keys| !keys.may_hold_secrets());
        let known = key.is_some_and(|key| harmless().any(|keys| keys.built.contains(&key)));
        let suspicious = ["secret", "password", "token", "key", "auth", "store", "value", "@"]
            .iter()
            .any(|word| lower.contains(word));
        suspicious || !(known || text.trim_start().starts_with(['[', '#']) || text.trim().is_empty())
    }

    fn line_of(&self, offset: usize) -> usize {
        self.text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
    }

    fn line_at(&self, line: usize) -> (usize, &'a str) {
        let mut start = 0;
        for (number, text) in self.text.split('\n').enumerate() {
            if number == line {
                return (start, text);
            }
            start += text.len() + 1;
        }
        (self.text.len(), "")
    }

    /// All problems and all warnings, in the order of the file.
    pub(super) fn finish(self) -> (Vec<Problem>, Vec<Problem>) {
        let broken = self.broken_lines.take();
        let mut found = self.found.take();
        if !broken.is_empty() {
            found.retain(|found| {
                let echo = found.absence || broken.contains(&self.line_of(found.span.start));
                found.message.starts_with("this is not TOML") || !echo
            });
        }
        found.sort_by_key(|found| found.span.start);
        let masked = masked(self.text, &self.masks.take());
        let problems = found.into_iter().map(|found| self.problem(&masked, found));
        problems.partition(|problem| problem.severity == Severity::Error)
    }

    fn problem(&self, masked: &str, found: Found) -> Problem {
        let line = self.line_of(found.span.start);
        let (start, original) = self.line_at(line);
        let text = masked.get(start..start + original.len()).unwrap_or_default().trim_end_matches('\r');
        let from = found.span.start.saturating_sub(start).min(text.len());
        let to = found.span.end.saturating_sub(start).clamp(from, text.len());
        let column = text.get(..from).map_or(0, |before| before.chars().count()) + 1;
        Problem {
            severity: found.severity,
            file: self.file.to_owned(),
            position: Some(Position { line: line + 1, column }),
            key: found.key,
            message: found.message,
            help: found.help,
            excerpt: Some((text.to_owned(), from..to)),
        }
    }
}

/// The text with every masked byte as `*`; offsets and lines stay what they are.
fn masked(text: &str, masks: &[Range<usize>]) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        if !matches!(character, '\n' | '\r') && masks.iter().any(|mask| mask.contains(&at)) {
            shown.extend(std::iter::repeat_n('*', character.len_utf8()));
        } else {
            shown.push(character);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::environment::tests::Fake;

    #[test]
    fn masks_keep_every_offset() {
        assert_eq!(masked("a = \"é\nb\"\nc", std::slice::from_ref(&(4..10))), "a = ***\n**\nc");
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_with_their_positions() {
        let fake = Fake::default();
        let reading = Reading::new("f", "a = 1\né = 22\r\n", Path::new("/"), &fake);
        reading.error(11..13, "é", "second", "");
        reading.warning(0..1, "a", "a warning", "");
        reading.error(4..5, "a", "first", "");
        let (errors, warnings) = reading.finish();
        assert_eq!(warnings.len(), 1);
        assert_eq!(errors.iter().map(|error| error.message.as_str()).collect::<Vec<_>>(), ["first", "second"]);
        assert_eq!(errors[1].position, Some(Position { line: 2, column: 5 }));
        assert_eq!(errors[1].excerpt.as_ref().unwrap().0, "é = 22");
    }
}
