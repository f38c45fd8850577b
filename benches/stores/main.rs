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

use subject::Subject;

fn main() {
    let most = measure::number("--most", 100_000);
    let only = measure::argument("--only");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut subjects = Vec::new();
        for name in ["memory", "file", "redis"] {
            if only.as_deref().is_none_or(|only| only == name) {
                subjects.push(Subject::start(name).await);
            }
        }
        operations::report(&subjects).await;
        requests::report(&subjects).await;
        drop(subjects);
        for name in ["memory", "file", "redis"] {
            if only.as_deref().is_none_or(|only| only == name) {
                room::report(name, most).await;
            }
        }
    });
}
