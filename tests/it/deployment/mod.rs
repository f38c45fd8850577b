//! The files under `deploy/`: that they are what the platforms understand, and that they agree with each other, with the
//! program and with the documentation.

mod configurations;
mod image;
mod kubernetes;
mod log_lines;
mod manifests;
mod systemd;

use std::path::PathBuf;
use std::process::Stdio;

use tokio::process::Command;

use crate::harness::patiently;
use crate::harness::peer_process::project;

/// A program that `tests/install/python` has installed.
fn python(name: &str) -> PathBuf {
    let program = project().join("target/peers/python/bin").join(name);
    assert!(program.exists(), "{name} is missing; run: tests/install/python");
    program
}

/// Runs a program to its end: exit code, and what it has said on both channels.
async fn ended(mut command: Command) -> (i32, String) {
    command.current_dir(project()).stdin(Stdio::null()).kill_on_drop(true);
    let output = patiently("a program to end", command.output()).await;
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or_else(|| panic!("killed: {said}")), said.into_owned())
}

async fn check(configuration: &std::path::Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(["check", "--config"]).arg(configuration);
    ended(command).await
}
