//! What the stores cost: each operation, a login, a request with a cold and a warm cache, and the room that a session
//! takes up.
//!
//! `cargo bench --bench stores [-- --most 1000000] [-- --only memory|file|redis]`. Redis is started for it; `tests/install/redis`
//! installs it. See `docs/benchmarks.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark that meets something unexpected stops at once; it reads the real clock and prints"
)]

#[path = "../session/fixture.rs"]
#[allow(dead_code, reason = "each benchmark uses its part of this")]
mod fixture;
#[path = "../measure/mod.rs"]
mod measure;
mod operations;
#[path = "../../tests/it/harness/redis_server.rs"]
#[allow(dead_code, reason = "each benchmark uses its part of this")]
mod redis_server;
mod requests;
mod room;
mod subject;

use std::process::Command;

use subject::Subject;

const NAMES: [&str; 3] = ["memory", "file", "redis"];

fn main() {
    let most = measure::number("--most", 100_000);
    let only = measure::argument("--only");
    let room_of = measure::argument("--room");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    if let Some(name) = NAMES.into_iter().find(|name| room_of.as_deref() == Some(name)) {
        return runtime.block_on(room::report(name, most));
    }
    let names = NAMES.into_iter().filter(|name| only.as_deref().is_none_or(|only| only == *name));
    runtime.block_on(async {
        let mut subjects = Vec::new();
        for name in names.clone() {
            subjects.push(Subject::start(name).await);
        }
        operations::report(&subjects).await;
        requests::report(&subjects).await;
    });
    for name in names {
        // In a process of its own: memory that this one has let go of would hide what sessions take up.
        let mut itself = Command::new(std::env::current_exe().unwrap());
        assert!(itself.args(["--room", name, "--most", &most.to_string()]).status().unwrap().success());
    }
}
