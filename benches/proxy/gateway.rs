//! The gateway, composed as the program composes it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use vestibule::app::{self, Listeners, World};
use vestibule::clock::SystemClock;
use vestibule::config::{self, Environment};
use vestibule::entropy::SystemEntropy;
use vestibule::server::Listener;
use vestibule::server::settings::ListenAddress;
use vestibule::telemetry::access_log::AccessLog;
use vestibule::telemetry::line_queue::LineQueue;
use vestibule::telemetry::logging;
use vestibule::telemetry::metrics::Metrics;

use crate::child::serve_until_parent_ends;
use crate::provider::{CLIENT_ID, CLIENT_SECRET};

struct BenchmarkEnvironment;

impl Environment for BenchmarkEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "CLIENT_SECRET").then(|| CLIENT_SECRET.to_owned())
    }
}

/// Runs a gateway until the parent ends; with a file for it, the access log is on.
pub async fn run(upstream: SocketAddr, provider: SocketAddr, access_log: Option<&String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let text = format!(
        "public_url = \"http://localhost:{}\"\n\
         [provider]\nissuer = \"http://{provider}\"\nclient_id = \"{CLIENT_ID}\"\n\
         client_secret = {{ env = \"CLIENT_SECRET\" }}\n\
         [[upstream]]\nname = \"app\"\ntarget = \"http://{upstream}\"\npublic = [\"/public/**\"]\n",
        address.port(),
    );
    let path = Path::new("benchmark.toml");
    let loaded = config::parse(&text, path, Path::new(""), &BenchmarkEnvironment, &SystemEntropy);
    let settings = loaded.unwrap_or_else(|error| panic!("{error}\n{text}")).settings;
    let metrics = Arc::new(Metrics::new());
    // As the program has it: what a subscriber costs per request is part of the cost.
    let events = LineQueue::start("log", std::io::stderr(), metrics.log_dropped.clone()).unwrap();
    logging::init(&settings.log, events, None).unwrap();

    let log = access_log.map(|path| {
        let (sink, dropped) = (File::create(path).unwrap(), metrics.access_log_dropped.clone());
        Arc::new(AccessLog::start(settings.log.format, sink, dropped).unwrap())
    });
    let probe = Listener::bind(&ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))).await.unwrap();
    let world = World {
        clock: Arc::new(SystemClock::default()),
        entropy: Arc::new(SystemEntropy),
        metrics: Arc::clone(&metrics),
        readiness: Arc::default(),
        access_log: log.clone(),
    };
    let running =
        app::start(settings, Listeners { public: Listener::from(listener), probe, admin: None }, world).await.unwrap();
    serve_until_parent_ends(address).await;
    running.shut_down(true).await;
    assert!(log.is_none_or(|log| log.close(Duration::from_secs(5))));
    assert_eq!(metrics.access_log_dropped.get(), 0, "no line was lost");
}
