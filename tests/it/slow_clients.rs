//! slowhttptest, which nobody here wrote: hundreds of slow clients at once are closed one by one, and others are served
//! meanwhile. What each of its attacks comes to is compared with a list.

use std::time::Duration;

use tokio::process::Command;

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::{Setup, Stage};
use crate::harness::provider::TestProvider;

const EXPECTED: &str = include_str!("../suites/slowhttptest/expected.txt");
const CONNECTIONS: &str = "300";

/// How an attack has ended, and whether the server answered its probes all the time.
async fn attack(stage: &Stage, mode: &str, more: &[&str]) -> String {
    let url = format!("http://127.0.0.1:{}/public/large", stage.gateway.address.port());
    let mut command = Command::new("slowhttptest");
    command.args([mode, "-c", CONNECTIONS, "-r", CONNECTIONS, "-i", "1", "-l", "10", "-p", "3", "-v", "1", "-u", &url]);
    let output = command.args(more).output().await.expect("slowhttptest is not there; run: tests/install/suites");
    let text = String::from_utf8_lossy(&output.stdout);
    let plain: String = text
        .split('\u{1b}')
        .map(|part| part.strip_prefix('[').and_then(|code| code.split_once('m')).map_or(part, |(_, rest)| rest))
        .collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let after = |mark: &[&str]| words.windows(mark.len()).position(|window| window == mark).map(|at| at + mark.len());
    let always = !words.windows(3).any(|window| window == ["service", "available:", "NO"]);
    assert!(words.windows(3).any(|window| window == ["service", "available:", "YES"]), "{plain}");
    let end = after(&["Exit", "status:"]).unwrap_or_else(|| panic!("{plain}"));
    format!("{}; {}", if always { "available" } else { "not available" }, words[end..end + 4].join(" "))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sl_01_sl_03_slow_clients_are_closed_and_others_are_served() {
    let adjust = |setup: &mut Setup| {
        setup.public_url = "http://127.0.0.1:{port}".to_owned();
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    };
    let stage = Stage::with_settings(TestProvider::start().await, adjust, |settings| {
        let limits = &mut settings.listen.limits;
        limits.header_timeout = Duration::from_secs(2);
        limits.keep_alive = Duration::from_secs(2);
        limits.body_grace = Duration::from_secs(1);
    })
    .await;
    let large = "x".repeat(4 << 20);
    stage.upstream.answer(move |_| Behaviour::text(200, &large));
    let mut found = String::new();
    for (name, mode, more) in [
        ("headers", "-H", &[][..]),
        ("body", "-B", &["-s", "8192", "-x", "10"]),
        ("read", "-X", &["-w", "512", "-y", "1024", "-n", "5", "-z", "16", "-k", "3"]),
        ("range", "-R", &["-a", "1", "-b", "500"]),
    ] {
        found += &format!("{name}: {}\n", attack(&stage, mode, more).await);
    }
    let expected: String =
        EXPECTED.lines().filter(|line| !line.starts_with('#')).map(|line| line.to_owned() + "\n").collect();
    assert_eq!(found, expected);
}
