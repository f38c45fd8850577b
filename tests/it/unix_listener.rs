//! The gateway on a Unix socket: whoever connects there has no address, and is believed only where the file says so.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use crate::harness::upstream::RecordingUpstream;
use crate::process::{Configured, configuration};

const HOST: &str = "app.localhost:18097";

/// The program on a socket of its own, with an upstream behind it and one that it is only asked about.
struct Scene {
    configured: Configured,
    upstream: RecordingUpstream,
    _provider: TestProvider,
    _program: Child,
}

impl Scene {
    async fn with(listen: &str) -> Self {
        let (provider, upstream) = (TestProvider::start().await, RecordingUpstream::start().await);
        let configured = Configured::with("");
        let socket = format!("unix:{}", configured.file("socket").display());
        let text = configuration(provider.issuer(), &socket, &format!("http://{HOST}"), &upstream.url());
        let asked = "[[upstream]]\nname = \"asked\"\npath = \"/asked\"\nforward_auth = true\npublic = [\"/asked/x\"]\n";
        let text = text.replace("[listen.limits]", &format!("{listen}\n[listen.limits]"));
        let asked = if listen.is_empty() { "" } else { asked };
        let path = configured.write("vestibule.toml", &(text + asked));
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.arg("serve").arg("--config").arg(path).kill_on_drop(true);
        let program = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let scene = Self { configured, upstream, _provider: provider, _program: program };
        patiently("the socket to listen", async {
            while scene.connect().await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        scene
    }

    async fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.configured.file("socket")).await
    }

    async fn status(&self, target: &str, fields: &[&str]) -> u16 {
        let mut stream = self.connect().await.unwrap();
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let request = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{fields}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        patiently("the whole answer", stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).split(' ').nth(1).unwrap().parse().unwrap()
    }
}

const TOLD: [&str; 2] = ["X-Forwarded-For: 203.0.113.9, 198.51.100.7", "X-Forwarded-Host: evil.example"];
const ASKED: [&str; 2] = ["X-Original-Method: GET", "X-Original-URI: /asked/x"];

#[tokio::test]
async fn whoever_is_at_the_socket_is_believed_where_unix_is_trusted() {
    let scene = Scene::with("trusted_proxies = [\"unix\"]").await;
    assert_eq!(scene.status("/public/x", &TOLD).await, 200);
    let received = scene.upstream.last();
    assert_eq!(received.all("x-forwarded-for"), ["198.51.100.7"], "the last one told, and no peer after it");
    assert_eq!(received.all("x-forwarded-host"), [HOST]);
    assert_eq!(scene.status("/oauth2/auth", &ASKED).await, 200);
    let protected = ["X-Original-Method: GET", "X-Original-URI: /asked/y"];
    assert_eq!(scene.status("/oauth2/auth", &protected).await, 401);
}

#[tokio::test]
async fn fa_01_without_unix_the_socket_is_a_stranger_whatever_networks_are_trusted() {
    for listen in ["", "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\", \"fd00::/8\"]"] {
        let scene = Scene::with(listen).await;
        assert_eq!(scene.status("/public/x", &TOLD).await, 200);
        assert_eq!(scene.upstream.last().all("x-forwarded-for"), [""; 0], "nobody's address is known");
        assert_eq!(scene.status("/oauth2/auth", &ASKED).await, 403);
    }
}
