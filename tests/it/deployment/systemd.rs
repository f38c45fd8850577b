//! The unit, and what a service manager is told.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixDatagram;
use tokio::process::{Child, ChildStderr, Command};

use super::ended;
use crate::harness::gateway::CLIENT_ID;
use crate::harness::patiently;
use crate::harness::peer_process::project;
use crate::harness::provider::TestProvider;
use crate::harness::raw;

const UNIT: &str = "deploy/systemd/vestibule.service";
/// `systemd-analyze security` counts from 0 (safe) to 10, times ten here.
const MOST_EXPOSED: &str = "15";

/// `systemd-analyze`, on a copy of the unit whose program is there.
async fn analyze(arguments: &[&str], change: impl Fn(String) -> String) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(project().join(UNIT)).unwrap();
    let unit = change(unit.replace("/usr/local/bin/vestibule", env!("CARGO_BIN_EXE_vestibule")));
    let path = folder.path().join("vestibule.service");
    std::fs::write(&path, unit).unwrap();
    let mut command = Command::new("systemd-analyze");
    let there = Command::new("systemd-analyze").arg("--version").output().await;
    assert!(there.is_ok(), "systemd-analyze is missing; run: tests/install/systemd");
    command.args(arguments).arg(&path).env("SYSTEMD_COLORS", "0").env("SYSTEMD_PAGER", "");
    ended(command).await
}

#[tokio::test]
async fn the_unit_is_one_that_systemd_understands() {
    assert_eq!(analyze(&["verify", "--man=no"], |unit| unit).await, (0, String::new()));
    let (_, said) = analyze(&["verify", "--man=no"], |unit| unit.replace("NoNewPrivileges", "NoNewPrivilege")).await;
    assert!(said.contains("NoNewPrivilege"), "a misspelt setting is seen: {said}");
}

#[tokio::test]
async fn the_unit_gives_the_service_next_to_nothing() {
    let arguments = ["security", "--offline=true", "--threshold", MOST_EXPOSED, "--no-pager"];
    let (code, said) = analyze(&arguments, |unit| unit).await;
    assert_eq!(code, 0, "{said}");
    let (code, said) = analyze(&arguments, |unit| unit.replace("\nCapabilityBoundingSet=\n", "\n")).await;
    assert_ne!(code, 0, "with the capabilities of root it would be too much: {said}");
}

#[test]
fn the_unit_waits_longer_than_the_gateway_drains() {
    let unit = std::fs::read_to_string(project().join(UNIT)).unwrap();
    let setting = |name: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap();
        line.parse::<u64>().unwrap_or_else(|_| panic!("{name} is {line}"))
    };
    let defaults = vestibule::server::settings::Limits::default();
    let revocations = Duration::from_secs(3);
    let drained = defaults.drain_delay + defaults.drain_timeout + revocations;
    assert!(Duration::from_secs(setting("TimeoutStopSec")) > drained);
    assert!(setting("TimeoutStartSec") > 30, "startup_grace is 30 s");
    assert!(setting("LimitNOFILE") > 25_000, "docs/operations.md says so");
}

/// Writes a configuration and the secret it names.
fn configured(folder: &Path, issuer: &str) -> PathBuf {
    std::fs::write(folder.join("secret"), "mark-secret-of-the-service\n").unwrap();
    let text = format!(
        "public_url = \"http://localhost:18083\"\n[listen]\naddress = \"127.0.0.1:0\"\nprobe_address = \"127.0.0.1:0\"\n\
         [listen.limits]\ndrain_delay = \"0s\"\n[provider]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = {{ file = \"secret\" }}\n[[upstream]]\ntarget = \"http://127.0.0.1:9\"\n"
    );
    let path = folder.join("vestibule.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// The program under a service manager; the start may take as long as it wants.
struct Serving {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    probe: SocketAddr,
}

impl Serving {
    async fn start(configuration: &Path, socket: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["serve", "--config"])
            .arg(configuration)
            .env("NOTIFY_SOCKET", socket)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut serving = Self { child, log, probe: SocketAddr::from(([127, 0, 0, 1], 0)) };
        serving.probe = serving.logs("listening").await["probe"].as_str().unwrap().parse().unwrap();
        serving
    }

    /// Waits for a line of the log with this event, and gives it.
    async fn logs(&mut self, event: &str) -> Value {
        loop {
            let line = patiently(event, self.log.next_line()).await.unwrap().expect("it has ended");
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["event"] == event {
                return line;
            }
        }
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }
}

async fn told(manager: &UnixDatagram) -> String {
    let mut buffer = [0; 256];
    let length = patiently("a word to the service manager", manager.recv(&mut buffer)).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

async fn readiness(probe: SocketAddr) -> u16 {
    raw::ask(probe, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap().status
}

#[tokio::test]
async fn a_service_manager_is_told_of_readiness_when_the_probe_says_so_and_of_the_end_when_it_begins() {
    let mut provider = TestProvider::start().await;
    provider.go_down().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let mut serving = Serving::start(&configured(folder.path(), provider.issuer()), &socket).await;
    // The provider is not there, so the start is not over.
    assert_eq!(readiness(serving.probe).await, 503);
    assert!(manager.try_recv(&mut [0; 16]).is_err(), "told of readiness too early");
    provider.come_back().await;
    assert_eq!(told(&manager).await, "READY=1");
    assert_eq!(readiness(serving.probe).await, 200);
    assert!(manager.try_recv(&mut [0; 16]).is_err(), "told twice");

    serving.signal("-TERM").await;
    assert_eq!(told(&manager).await, "STOPPING=1");
    assert_eq!(patiently("the end", serving.child.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn a_service_manager_is_told_when_a_reload_begins_and_when_it_is_over_whatever_came_of_it() {
    let mut provider = TestProvider::start().await;
    provider.go_down().await;
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("notify");
    let manager = UnixDatagram::bind(&socket).unwrap();
    let path = configured(folder.path(), provider.issuer());
    let text = std::fs::read_to_string(&path).unwrap();
    let mut serving = Serving::start(&path, &socket).await;
    // A reload before the start is over must not say that it is.
    serving.signal("-HUP").await;
    serving.logs("config.unchanged").await;
    assert!(manager.try_recv(&mut [0; 16]).is_err(), "told before the start is over");
    provider.come_back().await;
    assert_eq!(told(&manager).await, "READY=1");

    serving.signal("-HUP").await;
    assert_eq!([told(&manager).await, told(&manager).await], ["RELOADING=1", "READY=1"]);
    serving.logs("config.unchanged").await;
    for (text, event) in [
        (format!("{text}[pages]\nname = \"Corp\"\n"), "config.reloaded"),
        (format!("{text}[pages]\nnmae = \"Corp\"\n"), "config.rejected"),
    ] {
        std::fs::write(&path, text).unwrap();
        assert_eq!([told(&manager).await, told(&manager).await], ["RELOADING=1", "READY=1"], "{event}");
        serving.logs(event).await;
    }
    serving.signal("-TERM").await;
    assert_eq!(told(&manager).await, "STOPPING=1");
    assert_eq!(patiently("the end", serving.child.wait()).await.unwrap().code(), Some(0));
}
