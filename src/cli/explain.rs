//! `vestibule explain`.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::clock::{Clock as _, SystemClock};
use crate::gateway::explain::{Question, Supposed, explain as explanation};

use super::{Exit, FileArgument, Output};

#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    #[command(flatten)]
    pub(super) file: FileArgument,
    /// The method of the request, such as GET.
    method: String,
    /// The URL of the request, or its path on the host of public_url.
    url: String,
    /// A JSON file with the claims of a person, as in the payload of an ID token.
    #[arg(long, value_name = "FILE")]
    claims: Option<PathBuf>,
}

pub(super) fn explain(arguments: &ExplainArguments, file: &FileArgument, output: &mut Output<'_>) -> Exit {
    let question = match Question::new(&arguments.method, &arguments.url) {
        Ok(question) => question,
        Err(error) => {
            output.error_line(format_args!("vestibule explain: {error}"));
            return Exit::Usage;
        }
    };
    let supposed = match arguments.claims.as_deref().map(supposed).transpose() {
        Ok(supposed) => supposed,
        Err(problem) => {
            output.error_line(format_args!("vestibule explain: {problem}"));
            return Exit::Usage;
        }
    };
    let loaded = match file.load(output) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    output.line(explanation(&loaded.settings, &question, supposed.as_ref()));
    Exit::Fine
}

fn supposed(path: &Path) -> Result<Supposed, String> {
    let problem = |why: &str| format!("{}: {why}", path.display());
    let text = std::fs::read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => problem("there is no such file"),
        _ => problem("the file cannot be read"),
    })?;
    Supposed::from_json(&text, SystemClock::default().now()).map_err(|error| problem(&error.to_string()))
}
