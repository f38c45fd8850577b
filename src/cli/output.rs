//! Where commands write: standard output for what was asked for, standard error for what went wrong.

use std::fmt::Display;
use std::io::Write;

/// The two streams of a command.
pub struct Output<'a> {
    out: &'a mut dyn Write,
    error: &'a mut dyn Write,
}

impl<'a> Output<'a> {
    /// Writes to these two.
    pub fn new(out: &'a mut dyn Write, error: &'a mut dyn Write) -> Self {
        Self { out, error }
    }

    /// Writes what was asked for. Whoever closed the pipe does not want it any more.
    pub fn line(&mut self, text: impl Display) {
        let _ = writeln!(self.out, "{text}");
    }

    /// Writes what went wrong.
    pub fn error_line(&mut self, text: impl Display) {
        let _ = writeln!(self.error, "{text}");
    }
}
