//! Real Redis servers: alone, under sentinels, as a cluster. They listen on loopback addresses of their own and end with
//! the test. Included by the unit tests of the store as well, so it knows nothing of the crate.

#![allow(clippy::disallowed_methods, reason = "real time is measured, and programs are looked for on the PATH")]

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

/// Every server has an address of its own, so all can have the same port.
pub const PORT: u16 = 6379;

const LIMIT: Duration = Duration::from_secs(20);

/// Makes every key of a server older by some seconds, as if they had passed.
const AGE: &str = "for _, key in ipairs(redis.call('KEYS', '*')) do
  local left = redis.call('PTTL', key) - ARGV[1] * 1000
  if left > 0 then redis.call('PEXPIRE', key, string.format('%.0f', left)) else redis.call('DEL', key) end
end
-- After a write that a full server takes, it takes these as well.
for _, key in ipairs(redis.call('KEYS', '*')) do
  if redis.call('TYPE', key).ok == 'zset' then
    for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
      redis.call('ZINCRBY', key, -ARGV[1] * 1000, member)
    end
  end
end
return 1";

/// Runs this until it is true, and fails when that takes too long.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Certificates of a server and of its clients, from one authority.
pub struct Certificates {
    directory: tempfile::TempDir,
    /// The authority.
    pub ca: Vec<u8>,
    /// The certificate of a client.
    pub client: Vec<u8>,
    /// Its key, in PKCS#8.
    pub client_key: Vec<u8>,
}

impl Certificates {
    /// For servers on the loopback addresses of this process.
    pub fn issue(hosts: &[String]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec![]).unwrap();
        // Another name than that of what it signs, or OpenSSL takes those for signed by themselves.
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "authority of the tests");
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority = rcgen::CertifiedIssuer::self_signed(parameters, key).unwrap();
        let issue = |names: &[String]| {
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate =
                rcgen::CertificateParams::new(names.to_vec()).unwrap().signed_by(&key, &authority).unwrap();
            (certificate, key)
        };
        let (server, server_key) = issue(hosts);
        let (client, client_key) = issue(&["client.example".to_owned()]);
        let keep = |name: &str, pem: String| fs::write(directory.path().join(name), pem).unwrap();
        keep("ca.pem", authority.pem());
        keep("server.pem", server.pem());
        keep("server.key", server_key.serialize_pem());
        keep("client.pem", client.pem());
        keep("client.key", client_key.serialize_pem());
        Self {
            directory,
            ca: authority.der().to_vec(),
            client: client.der().to_vec(),
            client_key: client_key.serialize_der(),
        }
    }

    fn file(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }
}

/// An address on loopback that only this process uses.
pub fn own_host() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed)).to_string()
}

/// A server of any kind.
pub struct RedisServer {
    /// Its address; the port is [`PORT`].
    pub host: String,
    directory: tempfile::TempDir,
    process: Option<Process>,
    cli: Vec<String>,
    is_sentinel: bool,
}

/// A shell that ends the server when its input closes: with the test, however that ends.
struct Process {
    shell: Child,
    server: u32,
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

impl RedisServer {
    /// One without anything.
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// One with more lines in its configuration.
    pub fn with(lines: &[String]) -> Self {
        let mut server = Self::prepare(own_host(), lines, false);
        server.run();
        server
    }

    /// One that speaks TLS alone, and wants certificates of its clients.
    pub fn with_tls(host: String, certificates: &Certificates) -> Self {
        let file = |name| certificates.file(name);
        let lines = [
            "port 0".to_owned(),
            format!("tls-port {PORT}"),
            format!("tls-cert-file {}", file("server.pem")),
            format!("tls-key-file {}", file("server.key")),
            format!("tls-ca-cert-file {}", file("ca.pem")),
            "tls-auth-clients yes".to_owned(),
        ];
        let mut server = Self::prepare(host, &lines, false);
        server.cli.extend(["--tls".into(), "--cacert".into(), file("ca.pem")]);
        server.cli.extend(["--cert".into(), file("client.pem"), "--key".into(), file("client.key")]);
        server.run();
        server
    }

    fn prepare(host: String, lines: &[String], is_sentinel: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut text = format!("bind {host}\nport {PORT}\nprotected-mode no\ndaemonize no\nlogfile log\n");
        let _ = writeln!(text, "dir {}", directory.path().display());
        if !is_sentinel {
            text.push_str("save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\n");
            // All these addresses are one machine: others would see the first of them.
            let _ = writeln!(text, "replica-announce-ip {host}\ncluster-announce-ip {host}");
        }
        for line in lines {
            let _ = writeln!(text, "{line}");
        }
        fs::write(directory.path().join("conf"), text).unwrap();
        let cli = ["--no-auth-warning", "-h", &host, "-p", &PORT.to_string()].map(str::to_owned).to_vec();
        Self { host, directory, process: None, cli, is_sentinel }
    }

    /// Starts it, again if it has been killed, and waits until it answers.
    pub fn run(&mut self) {
        self.process = None;
        let program = program("redis-server");
        let kind = if self.is_sentinel { "--sentinel" } else { "" };
        let mut shell = Command::new("sh")
            .args(["-c", "\"$0\" \"$1\" $2 >/dev/null & echo $!; cat; kill -9 $!"])
            .arg(program)
            .arg(self.directory.path().join("conf"))
            .arg(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.process = Some(Process { shell, server: line.trim().parse().unwrap() });
        let (log, begun) = (self.directory.path().join("log"), Instant::now());
        wait_until(&format!("{} answers", self.host), || match self.try_cli(&["PING"]) {
            Ok(answer) => answer == "PONG",
            Err(answer) => {
                let log = fs::read_to_string(&log).unwrap_or_default();
                assert!(begun.elapsed() < LIMIT / 2, "{answer}\n{log}");
                false
            }
        });
    }

    fn signal(&self, signal: &str) {
        let server = self.process.as_ref().unwrap().server.to_string();
        assert!(Command::new("kill").args([signal, &server]).status().unwrap().success());
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.as_ref().expect("it runs").server
    }

    /// Ends it at once; nothing is written, no connection is closed by it.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// It hangs from here on: the system accepts connections, but nobody answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// It goes on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    /// Runs a command and returns what it answers.
    pub fn cli(&self, arguments: &[&str]) -> String {
        self.try_cli(arguments).unwrap_or_else(|answer| panic!("{arguments:?}: {answer}"))
    }

    fn try_cli(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new(program("redis-cli")).args(&self.cli).arg("-e").args(arguments).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stdout) + &text(&output.stderr))
        }
    }

    /// So many seconds pass for everything that it holds.
    pub fn age(&self, seconds: u64) {
        self.cli(&["EVAL", AGE, "0", &seconds.to_string()]);
    }

    /// Closes the connections of a kind, as a server does with idle ones.
    pub fn close_connections(&self, kind: &str) {
        self.cli(&["CLIENT", "KILL", "TYPE", kind]);
    }

    /// All its keys.
    pub fn keys(&self) -> Vec<String> {
        self.cli(&["KEYS", "*"]).lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
    }

    /// Whether it says of itself that it is a primary.
    pub fn is_primary(&self) -> bool {
        self.try_cli(&["ROLE"]).is_ok_and(|role| role.starts_with("master"))
    }
}

fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain([Path::new("/usr/sbin").to_owned()])
        .map(|directory| directory.join(name))
        .find(|file| file.exists());
    found.unwrap_or_else(|| panic!("{name} is missing; run: tests/install/redis"))
}

/// Two servers, and three sentinels that watch over them.
pub struct SentinelGroup {
    /// The servers; the first is the primary to begin with.
    pub servers: Vec<RedisServer>,
    /// The sentinels.
    pub sentinels: Vec<RedisServer>,
}

/// The name of the primary.
pub const PRIMARY: &str = "sessions";

impl SentinelGroup {
    /// Starts them and waits until they have found each other.
    pub fn start() -> Self {
        let first = RedisServer::start();
        let second = RedisServer::with(&[format!("replicaof {} {PORT}", first.host)]);
        let lines = [
            format!("sentinel monitor {PRIMARY} {} {PORT} 2", first.host),
            format!("sentinel down-after-milliseconds {PRIMARY} 1000"),
            format!("sentinel failover-timeout {PRIMARY} 5000"),
        ];
        let prepare = |_| {
            let host = own_host();
            let announce = format!("sentinel announce-ip {host}");
            RedisServer::prepare(host, &[&lines[..], &[announce]].concat(), true)
        };
        let mut sentinels: Vec<_> = (0..3).map(prepare).collect();
        sentinels.iter_mut().for_each(RedisServer::run);
        let group = Self { servers: vec![first, second], sentinels };
        wait_until("the sentinels have found each other and the replica", || {
            group.sentinels.iter().all(|sentinel| {
                let state = sentinel.cli(&["SENTINEL", "MASTER", PRIMARY]);
                let field = |name: &str| state.lines().skip_while(|line| *line != name).nth(1).map(str::to_owned);
                field("num-slaves").as_deref() == Some("1") && field("num-other-sentinels").as_deref() == Some("2")
            })
        });
        group
    }

    /// The place of the server that the first sentinel calls the primary.
    pub fn primary(&self) -> usize {
        let answer = self.sentinels[0].cli(&["SENTINEL", "GET-MASTER-ADDR-BY-NAME", PRIMARY]);
        let host = answer.lines().next().unwrap();
        self.servers.iter().position(|server| server.host == host).unwrap()
    }

    /// Has the replica take over in good order, and waits until all agree.
    pub fn fail_over(&self) {
        let (before, sentinel) = (self.primary(), &self.sentinels[0]);
        wait_until("a failover begins", || sentinel.try_cli(&["SENTINEL", "FAILOVER", PRIMARY]).is_ok());
        wait_until("the other has taken over", || {
            let now = self.primary();
            now != before && self.servers[now].is_primary() && !self.servers[before].is_primary()
        });
    }
}

/// Three primaries with a replica each.
pub struct ClusterGroup {
    /// All six.
    pub servers: Vec<RedisServer>,
}

impl ClusterGroup {
    /// Starts them and waits until every one of them sees a whole cluster.
    pub fn start() -> Self {
        let lines = ["cluster-enabled yes".to_owned(), "cluster-node-timeout 1000".to_owned()];
        let mut servers: Vec<_> = (0..6).map(|_| RedisServer::prepare(own_host(), &lines, false)).collect();
        servers.iter_mut().for_each(RedisServer::run);
        let mut arguments = vec!["--cluster".to_owned(), "create".to_owned()];
        arguments.extend(servers.iter().map(|server| format!("{}:{PORT}", server.host)));
        arguments.extend(["--cluster-replicas", "1", "--cluster-yes"].map(str::to_owned));
        let made = Command::new("timeout").arg("20").arg(program("redis-cli")).args(arguments).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        let group = Self { servers };
        wait_until("the cluster is whole", || {
            group.servers.iter().all(|server| {
                server.cli(&["CLUSTER", "INFO"]).contains("cluster_state:ok")
                    && server.cli(&["CLUSTER", "NODES"]).matches("slave").count() == 3
            }) && group
                .replicas()
                .all(|replica| replica.cli(&["INFO", "replication"]).contains("master_link_status:up"))
        });
        group
    }

    /// Those that are primaries at the moment.
    pub fn primaries(&self) -> impl Iterator<Item = &RedisServer> {
        self.servers.iter().filter(|server| server.is_primary())
    }

    fn replicas(&self) -> impl Iterator<Item = &RedisServer> {
        self.servers.iter().filter(|server| !server.is_primary())
    }
}
