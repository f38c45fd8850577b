//! nginx, Caddy and Envoy in front, each with its recipe out of `docs/forward-auth.md`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use super::patiently;
use super::peer_process::project;

const PAGE: &str = include_str!("../../../docs/forward-auth.md");
const INSTALL: &str = "run tests/install/proxies";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
    Envoy,
}

/// A proxy that runs until this is dropped.
pub struct FrontingProxy {
    pub address: SocketAddr,
    _process: Child,
    _folder: tempfile::TempDir,
}

/// The first block of code under a heading of the page.
pub fn recipe(heading: &str) -> &'static str {
    let section = PAGE.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}")).1;
    let block = section.split_once("\n```").unwrap().1.split_once('\n').unwrap().1;
    block.split_once("\n```").unwrap().0
}

/// Replaces what stands for somebody's own names; each of them has to be there.
fn filled(heading: &str, replacements: &[(&str, String)]) -> String {
    let mut text = recipe(heading).to_owned();
    for (placeholder, value) in replacements {
        assert!(text.contains(placeholder), "the recipe for {heading} does not hold {placeholder}");
        text = text.replace(placeholder, value);
    }
    text
}

impl FrontingProxy {
    /// Starts the recipe of a proxy at `address`, in front of a gateway and an application.
    pub async fn start(kind: Kind, address: SocketAddr, gateway: SocketAddr, application: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (gateway_at, application_at) = (gateway.to_string(), application.to_string());
        let text = match kind {
            Kind::Nginx => {
                let server = filled(
                    "nginx",
                    &[
                        ("listen 443 ssl;", format!("listen {address};")),
                        ("server_name wiki.example.com;", String::new()),
                        ("ssl_certificate     /etc/ssl/wiki.crt;", String::new()),
                        ("ssl_certificate_key /etc/ssl/wiki.key;", String::new()),
                        ("vestibule.internal:8080", gateway_at),
                        ("wiki.internal:3000", application_at),
                    ],
                );
                let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                    .iter()
                    .map(|name| format!("{name}_temp_path {}/{name};\n", folder.path().display()))
                    .collect();
                format!(
                    "daemon off; master_process off; pid {0}/pid; error_log {0}/log;\nevents {{}}\n\
                     http {{\naccess_log off;\n{temporary}{server}\n}}\n",
                    folder.path().display()
                )
            }
            Kind::Caddy => {
                let site = filled(
                    "Caddy",
                    &[
                        (
                            "wiki.example.com {",
                            format!("http://localhost:{} {{\nbind {}", address.port(), address.ip()),
                        ),
                        ("vestibule.internal:8080", gateway_at),
                        ("wiki.internal:3000", application_at),
                    ],
                );
                format!("{{\nadmin off\nauto_https off\n}}\n{site}\n")
            }
            Kind::Envoy => filled(
                "Envoy",
                &[
                    ("address: 0.0.0.0, port_value: 8443", at(address)),
                    ("http://vestibule.internal:8080", format!("http://{gateway_at}")),
                    ("address: vestibule.internal, port_value: 8080", at(gateway)),
                    ("address: wiki.internal, port_value: 3000", at(application)),
                ],
            ),
        };
        let file = folder.path().join(match kind {
            Kind::Nginx => "nginx.conf",
            Kind::Caddy => "Caddyfile",
            Kind::Envoy => "envoy.yaml",
        });
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(program(kind));
        match kind {
            Kind::Nginx => command.arg("-p").arg(folder.path()).arg("-c").arg(&file),
            Kind::Caddy => command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file),
            Kind::Envoy => command.arg("-c").arg(&file).args([
                "--use-dynamic-base-id",
                "--disable-hot-restart",
                "--concurrency",
                "1",
            ]),
        };
        let complaints = std::fs::File::create(folder.path().join("complaints")).unwrap();
        let mut process = command
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(complaints.try_clone().unwrap())
            .stderr(complaints)
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} cannot be started ({error}): {INSTALL}"));
        patiently("the proxy in front", async {
            while TcpStream::connect(address).await.is_err() {
                if let Some(status) = process.try_wait().unwrap() {
                    let said = std::fs::read_to_string(folder.path().join("complaints")).unwrap_or_default();
                    let log = std::fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                    panic!("{kind:?} has ended with {status}:\n{said}\n{log}");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Self { address, _process: process, _folder: folder }
    }
}

fn at(address: SocketAddr) -> String {
    format!("address: {}, port_value: {}", address.ip(), address.port())
}

fn program(kind: Kind) -> PathBuf {
    let found = match kind {
        Kind::Nginx => ["/usr/sbin/nginx", "/usr/bin/nginx"].iter().map(PathBuf::from).find(|path| path.exists()),
        Kind::Caddy => Some(PathBuf::from("/usr/bin/caddy")).filter(|path| path.exists()),
        Kind::Envoy => Some(project().join("target/peers/envoy-1.40.0/envoy")).filter(|path| path.exists()),
    };
    found.unwrap_or_else(|| panic!("{kind:?} is not there: {INSTALL}"))
}
