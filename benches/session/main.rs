//! What sessions cost: opening them warm and cold, beginning them, their memory, a line of the access log, a
//! signed token; and how long wrong cookies take, which must not tell them apart.
//!
//! `cargo bench --bench session [-- --most 1000000]`. See `docs/benchmarks.md`.

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

mod access_line;
mod fixture;
mod growth;
#[path = "../measure/mod.rs"]
mod measure;
mod secrets;
mod signature;
mod wrong_cookies;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        growth::report(measure::number("--most", 1_000_000)).await;
        access_line::report();
        signature::report();
        wrong_cookies::report().await;
        secrets::report().await;
    });
}
