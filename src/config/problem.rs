//! A problem of a configuration file, shown under its line.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

/// Whether the file can be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The file is refused.
    Error,
    /// The file is used.
    Warning,
}

/// A place in a file; both numbers begin at one, and columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// One problem: where it is, what is wrong, what to write. No secret is repeated in any part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether the file can be used in spite of it.
    pub severity: Severity,
    /// The file as it was named to the program.
    pub file: String,
    /// Where in the file; `None` when it concerns the file as a whole.
    pub position: Option<Position>,
    /// The path of the key: `upstream[0].target`; empty when there is none.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub help: String,
    /// The line itself, with secrets masked, and the bytes of it that are meant.
    pub(super) excerpt: Option<(String, Range<usize>)>,
}

impl Problem {
    /// A problem of the file as a whole.
    pub(super) fn of_file(file: &str, message: String, help: String) -> Self {
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            position: None,
            key: String::new(),
            message,
            help,
            excerpt: None,
        }
    }
}

impl Problem {
    /// The problem on one line, for logs.
    #[must_use]
    pub fn one_line(&self) -> String {
        let place = match self.position {
            Some(Position { line, column }) => format!("{}:{line}:{column}", self.file),
            None => self.file.clone(),
        };
        let help = if self.help.is_empty() { String::new() } else { format!(" ({})", self.help) };
        format!("{place}: {}{help}", self.message)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(self.message.as_str());
        let mut group = match (&self.excerpt, self.position) {
            (Some((line, mark)), Some(position)) => title.element(
                Snippet::source(line.as_str())
                    .line_start(position.line)
                    .path(self.file.as_str())
                    .annotation(AnnotationKind::Primary.span(mark.clone()).label(self.key.as_str())),
            ),
            _ => title.element(Origin::path(self.file.as_str())),
        };
        if !self.help.is_empty() {
            group = group.element(Level::HELP.message(self.help.as_str()));
        }
        formatter.write_str(&Renderer::plain().render(&[group]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_shown_under_its_line() {
        let problem = Problem {
            severity: Severity::Error,
            file: "vestibule.toml".into(),
            position: Some(Position { line: 7, column: 9 }),
            key: "listen.address".into(),
            message: "not an address".into(),
            help: "write \"0.0.0.0:8080\"".into(),
            excerpt: Some(("address = 5".into(), 10..11)),
        };
        assert_eq!(problem.one_line(), "vestibule.toml:7:9: not an address (write \"0.0.0.0:8080\")");
        let shown = problem.to_string();
        for part in
            ["error: not an address", "vestibule.toml:7:11", "7 | address = 5", "^ listen.address", "help: write"]
        {
            assert!(shown.contains(part), "{part} in\n{shown}");
        }
    }

    #[test]
    fn a_problem_of_the_whole_file_names_the_file() {
        let shown = Problem::of_file("x.toml", "cannot be read".into(), String::new()).to_string();
        assert!(shown.contains("error: cannot be read") && shown.contains("x.toml"), "{shown}");
    }
}
