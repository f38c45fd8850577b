//! The files under `deploy/`: that they are what the platforms understand, and that they agree with each other, with the
//! program and with the documentation.

mod configurations;
mod image;
mod kubernetes;
mod log_lines;
mod manifests;
mod systemd;

use std::path::PathBuf;

use tokio::process::Command;

use crate::harness::peer_process::project;
use crate::harness::program::{self, vestibule};

/// A program that `tests/install/python` has installed.
fn python(name: &str) -> PathBuf {
    let program = project().join("target/peers/python/bin").join(name);
    assert!(program.exists(), "{name} is missing; run: tests/install/python");
    program
}

/// Runs a program in the project's directory to its end: exit code, and what it has said on both channels.
async fn ended(mut command: Command) -> (i32, String) {
    command.current_dir(project());
    let ended = program::ended(command).await;
    (ended.code, ended.said())
}

async fn check(configuration: &std::path::Path) -> (i32, String) {
    let mut command = vestibule();
    command.args(["check", "--config"]).arg(configuration);
    ended(command).await
}
