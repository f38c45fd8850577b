//! Real servers behind the gateway, each of which says what it sees of a request: started by `tests/servers/run`.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::process::Command;

use super::loopback::free_address;
use super::peer_process::{PeerProcess, project};
use super::raw::RawResponse;

const START_LIMIT: Duration = Duration::from_secs(60);

/// The servers that there are.
pub const ALL: [&str; 5] = ["nginx", "apache", "node", "gunicorn", "go"];

/// A server, until it is dropped.
#[derive(Debug)]
pub struct RealServer {
    _process: PeerProcess,
    pub name: &'static str,
    pub address: SocketAddr,
}

impl RealServer {
    pub async fn start(name: &'static str) -> Self {
        let mut command = Command::new(project().join("tests/servers/run"));
        command.arg(name);
        if matches!(name, "nginx" | "apache") {
            command.arg(free_address().to_string());
        }
        let (process, line) = PeerProcess::start(name, command, START_LIMIT).await;
        let address = line["address"].as_str().unwrap().parse().unwrap();
        Self { _process: process, name, address }
    }

    /// All of them.
    pub async fn start_all() -> Vec<Self> {
        let mut servers = Vec::new();
        for name in ALL {
            servers.push(Self::start(name).await);
        }
        servers
    }

    /// The host that the gateway has for it.
    pub fn host(&self) -> String {
        format!("{}.example", self.name)
    }

    /// Its section of the gateway's configuration.
    pub fn upstream(&self, keys: &str) -> String {
        let Self { name, address, .. } = self;
        format!("[[upstream]]\nname = \"{name}\"\nhost = \"{}\"\ntarget = \"http://{address}\"\n{keys}\n", self.host())
    }
}

/// What a server has seen of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct View {
    /// The request target as it arrived.
    pub target: String,
    /// The path as the server decoded it.
    pub path: String,
    /// What it would serve: the public place or another; `None` when it answered by itself.
    pub public: Option<bool>,
    /// Whether the gateway had said who asks.
    pub identity: bool,
}

impl View {
    /// `None`: the answer is not the server's.
    pub fn of(response: &RawResponse) -> Option<Self> {
        let framed = |name| response.header(name)?.strip_prefix('[')?.strip_suffix(']').map(str::to_owned);
        let target = framed("x-target")?;
        // Apache knows the whole request line.
        let target = target.strip_prefix("GET ").and_then(|line| line.strip_suffix(" HTTP/1.1")).unwrap_or(&target);
        Some(Self {
            target: target.to_owned(),
            path: framed("x-path")?,
            public: response.header("x-place").map(|place| place == "public"),
            identity: response.header("x-identity")? == "yes",
        })
    }
}
