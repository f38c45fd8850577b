//! Programs that are run to their end, our own first of all.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::patiently;

/// `vestibule`, to be given its arguments.
pub fn vestibule() -> Command {
    Command::new(env!("CARGO_BIN_EXE_vestibule"))
}

/// How a program has ended, and what it has said.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub error: String,
}

impl Ended {
    /// What it has said on both channels.
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.error)
    }
}

/// Runs a program to its end, with nothing to read.
pub async fn ended(mut command: Command) -> Ended {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = patiently("a program to end", command.output()).await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, error) = (text(&output.stdout), text(&output.stderr));
    let code = output.status.code().unwrap_or_else(|| panic!("killed: {out}{error}"));
    Ended { code, out, error }
}

/// Writes a file that nobody else may read.
pub fn write_private(folder: &Path, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}
