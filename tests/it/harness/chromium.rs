//! Chromium, driven by the scripts in `tests/node/browser`.

use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;

use super::peer_process::project;

/// For a whole script; each step in it has a shorter limit of its own.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs a script of `tests/node/browser` and fails with all that it printed unless it exits with 0.
pub async fn run_script(script: &str, arguments: &[&str], environment: &[(&str, &str)]) {
    assert!(
        project().join("tests/node/node_modules/playwright-core").exists(),
        "the npm packages are not there; run tests/run, or: npm ci --prefix tests/node"
    );
    let running = Command::new("node")
        .arg(project().join("tests/node/browser").join(script))
        .args(arguments)
        .envs(environment.iter().copied())
        .current_dir(project())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = match tokio::time::timeout(LIMIT, running).await {
        Ok(output) => output.unwrap_or_else(|error| panic!("node cannot be started: {error}")),
        Err(_) => panic!("{script} has not ended within {LIMIT:?}"),
    };
    assert!(
        output.status.success(),
        "{script}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
}

/// Takes pictures of pages at both widths and in dark colours (into `tests/screenshots`), and checks that nothing is wider
/// than the window and no accessibility rule is broken. Each page: `name`, `url` or `html`, and if wanted `status`,
/// `heading`, `cookies` (a list of `name`, `value`, `url`) and `alike` (one of many that differ in their text alone).
pub async fn look_at(pages: &Value) {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    // More than an argument may hold.
    let name = format!("pages-{}-{}.json", std::process::id(), CALLS.fetch_add(1, Ordering::Relaxed));
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, pages.to_string()).unwrap();
    run_script("pages.mjs", &[path.to_str().unwrap()], &[]).await;
    std::fs::remove_file(&path).unwrap();
}
