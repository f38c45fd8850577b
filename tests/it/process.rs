//! The program itself: started, asked, and told to end.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr, Command};

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::Browser;
use crate::harness::gateway::CLIENT_ID;
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::raw::{self, RawConnection};
use crate::harness::upstream::RecordingUpstream;

pub const SECRET: &str = "mark-secret-of-the-process";

fn vestibule(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub async fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        patiently("the program to end", vestibule(arguments).output()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or_else(|| panic!("it was killed: {status}")), text(stdout), text(stderr))
}

/// A folder with a configuration in it.
pub struct Configured {
    folder: tempfile::TempDir,
}

impl Configured {
    pub fn with(text: &str) -> Self {
        let configured = Self { folder: tempfile::tempdir().unwrap() };
        configured.write("secret", SECRET);
        configured.write("vestibule.toml", text);
        configured
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    pub fn path(&self) -> String {
        self.file("vestibule.toml").display().to_string()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// `address` of the public listener; probes on any port.
pub fn configuration(issuer: &str, address: &str, public_url: &str, upstream: &str) -> String {
    format!(
        "public_url = \"{public_url}\"\n[listen]\naddress = \"{address}\"\nprobe_address = \"127.0.0.1:0\"\n\
         [listen.limits]\ndrain_delay = \"60s\"\n[provider]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = {{ file = \"secret\" }}\n[[upstream]]\ntarget = \"{upstream}\"\npublic = [\"/public/**\"]\n"
    )
}

/// `vestibule serve`, running.
pub struct Serving {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    lines: Vec<String>,
    pub public: SocketAddr,
    pub probe: SocketAddr,
}

impl Serving {
    pub async fn start(path: &str) -> Self {
        let mut child = vestibule(&["serve", "--config", path]).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut lines = Vec::new();
        let listening = patiently("the line that says where it listens", async {
            loop {
                let line = log.next_line().await.unwrap().unwrap_or_else(|| panic!("it has ended: {lines:?}"));
                lines.push(line.clone());
                let line: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not a log line: {line}"));
                if line["event"] == "listening" {
                    break line;
                }
            }
        })
        .await;
        let address = |name: &str| listening[name].as_str().unwrap().parse().unwrap();
        let (public, probe) = (address("public"), address("probe"));
        let serving = Self { child, log, lines, public, probe };
        patiently("readiness", async {
            while serving.ready().await != 200 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        serving
    }

    async fn ready(&self) -> u16 {
        raw::ask(self.probe, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap().status
    }

    pub async fn signal(&self, name: &str) {
        let id = self.child.id().unwrap().to_string();
        assert!(Command::new("kill").args([name, &id]).status().await.unwrap().success());
    }

    /// Waits for a line of the log with this event, and gives it.
    pub async fn logs(&mut self, event: &str) -> Value {
        patiently(&format!("the event {event}"), async {
            loop {
                let line = self.log.next_line().await.unwrap().unwrap_or_else(|| panic!("it has ended"));
                self.lines.push(line.clone());
                let line: Value = serde_json::from_str(&line).unwrap();
                if line["event"] == event {
                    break line;
                }
            }
        })
        .await
    }

    /// What a probe answers.
    pub async fn probe(&self, target: &str) -> String {
        raw::ask(self.probe, format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await.unwrap().text()
    }

    /// Waits for the end: exit code, log, access log.
    pub async fn end(mut self) -> (Option<i32>, String, String) {
        let status = patiently("the end", self.child.wait()).await.unwrap();
        while let Some(line) = self.log.next_line().await.unwrap() {
            self.lines.push(line);
        }
        let mut access = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut access).await.unwrap();
        (status.code(), self.lines.join("\n"), access)
    }
}

/// A port that was free a moment ago; the redirect URI must name it before the program binds it.
pub async fn free_port() -> u16 {
    tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn the_program_serves_logs_in_and_drains_on_sigterm() {
    let (provider, upstream, port) = (TestProvider::start().await, RecordingUpstream::start().await, free_port().await);
    let public_url = format!("http://app.localhost:{port}");
    provider.register_gateway(CLIENT_ID, SECRET, &public_url);
    let address = format!("127.0.0.1:{port}");
    let configured = Configured::with(&configuration(provider.issuer(), &address, &public_url, &upstream.url()));
    let serving = Serving::start(&configured.path()).await;
    assert_eq!(serving.public.port(), port);
    let browser = Browser::new();
    let page = browser.log_in(&format!("{public_url}/deep?a=b"), "alice").await;
    assert_eq!((page.status.as_u16(), page.text().as_str()), (200, "upstream"));
    assert_eq!(provider.hits(Endpoint::Token), 1);

    // A request under way when the signal comes is finished, though nothing new is taken on at the end.
    let (opener, held) = crate::harness::behaviour::gate();
    upstream.answer_once(Behaviour::text(200, "finished").held(held));
    let mut slow = RawConnection::open(serving.public).await;
    slow.send(format!("GET /public/slow HTTP/1.1\r\nHost: app.localhost:{port}\r\n\r\n")).await;
    upstream.hits_reach(2).await;
    serving.signal("-TERM").await;
    patiently("readiness to end", async {
        while serving.ready().await != 503 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // The delay is a minute, and a second signal ends it.
    let during =
        raw::ask(serving.public, format!("GET /public/x HTTP/1.1\r\nHost: app.localhost:{port}\r\n\r\n")).await;
    assert_eq!(during.unwrap().status, 200, "load balancers have not noticed yet");
    serving.signal("-INT").await;
    opener.open();
    assert_eq!(slow.response().await.unwrap().text(), "finished");
    let (code, log, access) = serving.end().await;
    assert_eq!(code, Some(0), "{log}");
    for event in ["listening", "register", "session.key-made", "login.ok", "shutdown.begun", "shutdown.done"] {
        assert_eq!(log.matches(&format!("\"event\":\"{event}\"")).count(), 1, "{event} in {log}");
    }
    assert_eq!(access.lines().filter(|line| line.contains("\"path\":\"/public/slow\"")).count(), 1, "{access}");
    assert!(!log.contains(SECRET) && !access.contains(SECRET) && !access.contains("a=b"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn lg_06_a_running_program_dumps_no_core_and_has_no_secret_in_its_environment() {
    let text = configuration("http://127.0.0.1:9", "127.0.0.1:0", "http://localhost:18083", "http://127.0.0.1:9");
    let configured = Configured::with(&text.replace("[listen.limits]", "startup_grace = \"0s\"\n[listen.limits]"));
    let serving = Serving::start(&configured.path()).await;
    let process = PathBuf::from(format!("/proc/{}", serving.child.id().unwrap()));
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{line}");
    // Root may read it; to anybody else, of the same user too, it is closed.
    match std::fs::read(process.join("environ")) {
        Ok(environment) => assert!(!String::from_utf8_lossy(&environment).contains(SECRET)),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
    serving.signal("-INT").await;
    let (code, log, _) = serving.end().await;
    assert_eq!(code, Some(0), "{log}");
    let said = |line: &&str| line.contains("\"limits.per-address\"") && line.contains("\"apply\":false");
    assert_eq!(log.lines().filter(said).count(), 1, "{log}");
}

#[tokio::test]
async fn sigint_ends_the_program_at_once() {
    let provider = TestProvider::start().await;
    let configured = Configured::with(&configuration(
        provider.issuer(),
        "127.0.0.1:0",
        "http://localhost:18081",
        "http://127.0.0.1:9",
    ));
    let serving = Serving::start(&configured.path()).await;
    serving.signal("-INT").await;
    let (code, log, _) = serving.end().await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn audit_events_go_into_a_file_of_their_own() {
    let provider = TestProvider::start().await;
    let text = configuration(provider.issuer(), "127.0.0.1:0", "http://localhost:18082", "http://127.0.0.1:9");
    let configured = Configured::with(&(text + "[log]\naudit = { file = \"audit.jsonl\" }\n"));
    let serving = Serving::start(&configured.path()).await;
    let request =
        "GET /oauth2/start?rd=https://evil.example HTTP/1.1\r\nHost: localhost:18082\r\nAccept: text/html\r\n\r\n";
    assert_eq!(raw::ask(serving.public, request).await.unwrap().status, 303);
    serving.signal("-INT").await;
    let (code, log, _) = serving.end().await;
    assert_eq!(code, Some(0), "{log}");
    let audit = std::fs::read_to_string(configured.file("audit.jsonl")).unwrap();
    let events: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["return-url.rejected", "login.started"]);
    assert!(!log.contains("login.started") && log.contains("shutdown.done"), "{log}");
}

#[tokio::test]
async fn an_audit_file_that_cannot_be_written_ends_with_69_and_is_named() {
    let text = configuration("https://id.example", "127.0.0.1:0", "https://app.example", "http://127.0.0.1:9");
    let configured = Configured::with(&(text + "[log]\naudit = { file = \"nowhere/audit.jsonl\" }\n"));
    let (code, _, error) = run(&["serve", "--config", &configured.path()]).await;
    assert!(code == 69 && error.contains("log.audit") && error.contains("nowhere/audit.jsonl"), "{code} {error}");
}

#[tokio::test]
async fn a_broken_configuration_ends_with_78_and_names_file_and_line() {
    let text = configuration("https://id.example", "127.0.0.1:0", "https://app.example", "http://127.0.0.1:9");
    for (broken, line, words) in [
        (text.replace("client_id", "client_di"), 9, "did you mean `client_id`?"),
        (text.replace("drain_delay = \"60s\"", "drain_delay = \"60\""), 6, "listen.limits.drain_delay"),
        (text.replace("public_url = \"https", "public_url = \"http"), 1, "public_url"),
        (text.replace("file = \"secret\"", "file = \"./nowhere\""), 10, "./nowhere"),
    ] {
        let configured = Configured::with(&broken);
        let path = configured.path();
        for arguments in [&["serve", "--config", &path][..], &["check", "--config", &path], &["--config", &path]] {
            let (code, out, error) = run(arguments).await;
            assert_eq!((code, out.as_str()), (78, ""), "{error}");
            assert!(error.contains(&format!("vestibule.toml:{line}:")) && error.contains(words), "{error}");
            assert!(!error.contains(SECRET));
        }
    }
}

#[tokio::test]
async fn no_configuration_ends_with_78() {
    let empty = tempfile::tempdir().unwrap();
    let missing = empty.path().join("nowhere.toml").display().to_string();
    let (code, _, error) = run(&["serve", "--config", &missing]).await;
    assert!(code == 78 && error.contains("nowhere.toml"), "{code} {error}");
    let output = patiently("the end", vestibule(&[]).current_dir(empty.path()).output()).await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(78) && error.contains("vestibule demo"), "{error}");
}

#[tokio::test]
async fn a_port_that_is_taken_ends_with_69_and_is_named() {
    let taken = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let text = configuration("https://id.example", &address, "https://app.example", "http://127.0.0.1:9");
    let configured = Configured::with(&text);
    let (code, _, error) = run(&["serve", "--config", &configured.path()]).await;
    assert!(code == 69 && error.contains(&address), "{code} {error}");
}

#[tokio::test]
async fn check_is_fine_with_a_good_file_and_tries_what_it_names_when_asked() {
    let (mut provider, upstream) = (TestProvider::start().await, RecordingUpstream::start().await);
    let text = configuration(provider.issuer(), "127.0.0.1:0", "http://localhost:18082", &upstream.url());
    let configured = Configured::with(&text);
    let path = configured.path();
    let (code, out, error) = run(&["check", "--config", &path]).await;
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("http://localhost:18082/oauth2/callback"), "{out}");
    assert_eq!(provider.hits(Endpoint::Metadata), 0);
    let (code, out, error) = run(&["check", "--online", "--config", &path]).await;
    assert_eq!((code, out.matches(": reachable").count()), (0, 2), "{out}{error}");
    provider.go_down().await;
    let (code, out, error) = run(&["check", "--online", "--config", &path]).await;
    assert_eq!((code, out.matches(": reachable").count()), (69, 1), "{out}{error}");
    assert!(error.contains("provider default (http://127.0.0.1:"), "{error}");
}

#[tokio::test]
async fn a_generated_key_is_accepted() {
    let (code, key, _) = run(&["generate-key"]).await;
    assert_eq!((code, key.trim_end().len()), (0, 43));
    assert_ne!(run(&["generate-key"]).await.1, key);
    let text = configuration("https://id.example", "127.0.0.1:0", "https://app.example", "http://127.0.0.1:9")
        + "[session]\nkeys = [{ id = \"a\", file = \"key\" }]\n";
    let configured = Configured::with(&text);
    let written = configured.write("key", &key);
    assert_eq!(run(&["check", "--config", &configured.path()]).await.0, 0);
    std::fs::write(Path::new(&written), "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8").unwrap();
    let (code, _, error) = run(&["check", "--config", &configured.path()]).await;
    assert_eq!(code, 78, "the key of the documentation is no key: {error}");
}

#[tokio::test]
async fn arguments_that_are_not_understood_end_with_64() {
    for arguments in [&["srve"][..], &["serve", "--confg", "x"], &["generate-key", "more"]] {
        assert_eq!(run(arguments).await.0, 64, "{arguments:?}");
    }
    let (code, out, _) = run(&["--version"]).await;
    assert_eq!((code, out.as_str()), (0, concat!("vestibule ", env!("CARGO_PKG_VERSION"), "\n")));
}
