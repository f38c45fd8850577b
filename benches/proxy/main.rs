//! What a proxied request costs: the gateway with a warm session against the smallest hyper proxy without any
//! authentication, in CPU time of the proxy's process.
//!
//! `cargo bench --bench proxy [-- --rounds 7 --requests 60000 --only "warm session" --under "valgrind --tool=callgrind"]`.
//! The benchmark starts itself again for each proxy, with
//! its role as the first argument; load and upstream stay in this process. See `docs/benchmarks.md`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs,
    unreachable_pub,
    reason = "a benchmark that meets something unexpected stops at once; it reads the real clock and prints"
)]

mod child;
mod gateway;
mod load;
mod login;
#[path = "../measure/mod.rs"]
mod measure;
mod provider;
mod reference;
mod table;
mod upstream;

use std::net::SocketAddr;

use child::Child;
use load::Load;
use measure::{argument, number};
use provider::Provider;
use table::{Measured, Table};
use upstream::Upstream;

/// One runtime for everything in a process, with one thread that works: what is compared differs in nothing else.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let address = |at: usize| arguments[at].parse::<SocketAddr>().unwrap();
    match arguments.first().map(String::as_str) {
        Some("reference") => runtime().block_on(reference::run(address(1), arguments.len() > 2)),
        Some("gateway") => runtime().block_on(gateway::run(address(1), address(2), arguments.get(3))),
        _ => runtime().block_on(async { tokio::spawn(compare()).await.unwrap() }),
    }
}

/// The child that writes an access log.
const LOGGING: usize = 3;

/// One proxy with the load that is put on it.
struct Subject {
    name: &'static str,
    child: usize,
    load: Load,
    /// Whether the upstream must get an access token with each request.
    with_token: bool,
}

async fn compare() {
    let pinned = child::pin_this_process();
    let upstream = Upstream::start().await;
    let provider = Provider::start().await;
    let to_upstream = upstream.address.to_string();
    let to_provider = provider.address.to_string();
    let access_log = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("proxy-bench-access.log");
    let access_log = access_log.to_str().unwrap();
    let children = [
        Child::start(&["reference", &to_upstream]),
        Child::start(&["reference", &to_upstream, "keep-case"]),
        Child::start(&["gateway", &to_upstream, &to_provider]),
        Child::start(&["gateway", &to_upstream, &to_provider, access_log]),
    ];
    let mut cookies = Vec::new();
    for child in &children[2..] {
        provider.register(child.address);
        cookies.push(login::log_in(child.address, provider.address).await);
    }
    let subject = |name, child: usize, path: &str, cookie: &str, with_token| {
        let load = Load::new(children[child].address, path, cookie);
        Subject { name, child, load, with_token }
    };
    let subjects = [
        subject("smallest hyper proxy", 0, "/page", &cookies[0], false),
        subject("the same, keeping header case", 1, "/page", &cookies[0], false),
        subject("gateway, public path", 2, "/public/page", &cookies[0], false),
        subject("gateway, warm session", 2, "/page", &cookies[0], true),
        subject("gateway, warm session, access log", LOGGING, "/page", &cookies[1], true),
    ];
    let only = argument("--only").unwrap_or_default();
    let subjects: Vec<Subject> = subjects.into_iter().filter(|subject| subject.name.contains(&only)).collect();
    println!("Processes are {}.", if pinned { "pinned: proxies to core 0, the rest to core 1" } else { "not pinned" });
    let rounds = number("--rounds", 7);
    let mut logged = 0;
    for (connections, requests) in [(32, number("--requests", 60_000)), (2, number("--requests", 60_000) / 3)] {
        let mut table = Table::new(subjects.iter().map(|subject| subject.name));
        // The first round warms pools, sessions and caches and is not counted.
        for round in 0..=rounds {
            for turn in 0..subjects.len() {
                // Each has its turn at each place of the round.
                let place = (round + turn) % subjects.len();
                let measured = measure_once(&subjects[place], &children, &upstream, connections, requests).await;
                logged += if subjects[place].child == LOGGING { requests } else { 0 };
                if round > 0 {
                    table.note(place, measured);
                }
            }
        }
        println!("\n{connections} connections, {rounds} rounds of {requests} requests; CPU µs per request\n\n{table}");
    }
    println!("\nMemory under load, MiB: {}", memory(&children));
    drop(children);
    // What the login has logged comes on top.
    let lines = std::fs::read_to_string(access_log).unwrap().lines().filter(|line| line.contains("\"/page\"")).count();
    assert!(lines >= logged, "{lines} access lines for {logged} requests");
    println!("Access lines: {lines} for {logged} requests.");
    std::fs::remove_file(access_log).unwrap();
}

/// Puts the load on once, and believes the measurement only if the upstream has seen just that many requests.
async fn measure_once(
    subject: &Subject,
    children: &[Child],
    upstream: &Upstream,
    connections: usize,
    requests: usize,
) -> Measured {
    let child = &children[subject.child];
    let seen = upstream.seen();
    let before = child.usage();
    let answered = subject.load.run(connections, requests).await;
    let after = child.usage();
    let now = upstream.seen();
    assert_eq!(answered, requests, "{}: every answer is 200 with the upstream's body", subject.name);
    assert_eq!(now.requests - seen.requests, requests, "{}: the upstream's own count", subject.name);
    let with_token = if subject.with_token { requests } else { 0 };
    assert_eq!(now.with_token - seen.with_token, with_token, "{}: requests with an access token", subject.name);
    Measured::between(before, after, requests)
}

fn memory(children: &[Child]) -> String {
    let shown =
        children.iter().zip(["smallest hyper proxy", "keeping header case", "gateway", "gateway with access log"]);
    let shown = shown.map(|(child, name)| format!("{name} {:.1}", measure::resident_kib(child.id()) as f64 / 1024.0));
    shown.collect::<Vec<_>>().join(", ")
}
