//! `vestibule demo`: provider, sample upstream and the gateway between them, all on this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::{Listeners, StartError, service, start};
use crate::config::{self, Environment};
use crate::demo::banner::banner;
use crate::demo::provider::{DevelopmentProviderSettings, RegisteredClient};
use crate::demo::{start_provider, start_sample_upstream};
use crate::entropy::SystemEntropy;
use crate::gateway::settings::Settings;
use crate::secret::ClientSecret;
use crate::server::Listener;
use crate::telemetry::metrics::Metrics;

/// The ports that are tried first, so that bookmarks and `ssh -L` lines keep working; others when they are taken.
const GATEWAY_PORT: u16 = 8080;
const PROVIDER_PORT: u16 = 8081;
const UPSTREAM_PORT: u16 = 8082;
/// The secret that the gateway and the development provider share; both ends are this process.
const CLIENT_SECRET: &str = "a-secret-for-the-demonstration-only";
const CLIENT_ID: &str = "vestibule-demo";

/// Why the demonstration cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The gateway.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The provider or the sample upstream.
    #[error(transparent)]
    Part(#[from] crate::demo::Error),
    /// The configuration that this file writes.
    #[error(transparent)]
    Configuration(#[from] config::ConfigError),
    /// A listener, a signal or the runtime.
    #[error("the operating system refused: {0}")]
    System(#[from] std::io::Error),
}

/// The one variable that the demonstration's configuration asks for.
struct DemoEnvironment;

impl Environment for DemoEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "VESTIBULE_DEMO_SECRET").then(|| CLIENT_SECRET.to_owned())
    }
}

/// Runs the demonstration until Ctrl-C; `print` shows text to the person at the terminal.
///
/// The gateway listens on `port`; 0 takes any free one, and so do the other parts then.
///
/// # Errors
/// [`DemoError`] when one of its parts cannot start.
pub fn demo(port: Option<u16>, mut print: impl FnMut(&str)) -> Result<(), DemoError> {
    let runtime = service::runtime()?;
    runtime.block_on(async {
        let loopback = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let gateway = match port {
            Some(port) => loopback(port).await?,
            None => bind(GATEWAY_PORT).await?,
        };
        let usual = |usual| if port == Some(0) { 0 } else { usual };
        let provider = bind(usual(PROVIDER_PORT)).await?;
        let upstream = bind(usual(UPSTREAM_PORT)).await?;
        let addresses = (gateway.local_addr()?, provider.local_addr()?, upstream.local_addr()?);
        let (gateway_address, provider_address, upstream_address) = addresses;
        let settings = settings(gateway_address, provider_address, upstream_address)?;

        let metrics = Arc::new(Metrics::new());
        let (world, _, sinks) = service::world(&settings.log, &metrics)?;
        let mut development = DevelopmentProviderSettings::new(&format!("http://{provider_address}"));
        let accounts = development.accounts.clone();
        development.clients.push(client(&settings));
        let _provider =
            start_provider(provider, development, Arc::clone(&world.clock), Arc::clone(&world.entropy)).await?;
        let _upstream = start_sample_upstream(upstream, Arc::clone(&world.clock)).await?;

        let probe = Listener::bind(&settings.listen.probe_address)
            .await
            .map_err(|source| StartError::Bind { key: "probe_address", source })?;
        let public = Listener::from(gateway);
        let public_url = settings.public_url.namespace();
        let running = start(settings, Listeners { public, probe, admin: None }, world).await?;
        let host = std::fs::read_to_string("/etc/hostname").ok();
        print(&banner(
            &public_url,
            gateway_address,
            provider_address,
            upstream_address,
            &accounts,
            host.as_deref().map(str::trim),
        ));
        let stopped = service::until_stopped(running).await;
        sinks.close();
        Ok(stopped?)
    })
}

/// A listener on this port, or on any when it is taken.
async fn bind(port: u16) -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

/// The demonstration's configuration goes through the same reader as everybody's.
fn settings(gateway: SocketAddr, provider: SocketAddr, upstream: SocketAddr) -> Result<Settings, config::ConfigError> {
    let text = format!(
        r#"
public_url = "http://localhost:{port}"

[listen]
address       = "{gateway}"
probe_address = "127.0.0.1:0"

[log]
format = "text"
level  = "warn"
access = false

[pages]
name = "Vestibule demonstration"

[provider]
issuer        = "http://{provider}"
client_id     = "{CLIENT_ID}"
client_secret = {{ env = "VESTIBULE_DEMO_SECRET" }}
scopes        = ["openid", "profile", "email", "offline_access"]

[[upstream]]
name   = "sample"
target = "http://{upstream}"
public = ["/public/**"]
api    = ["/whoami"]
[upstream.headers]
x-forwarded-user               = "{{claims.sub}}"
x-forwarded-preferred-username = "{{claims.username}}"
x-forwarded-email              = "{{claims.email}}"
x-forwarded-groups             = "{{claims.groups}}"
"#,
        port = gateway.port(),
    );
    let loaded = config::parse(&text, Path::new("demo.toml"), Path::new(""), &DemoEnvironment, &SystemEntropy)?;
    Ok(loaded.settings)
}

fn client(settings: &Settings) -> RegisteredClient {
    let host = settings.public_url.host();
    let redirect_uris = settings.providers.iter().map(|provider| settings.redirect_uri(host, provider)).collect();
    RegisteredClient {
        id: CLIENT_ID.to_owned(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.to_owned())),
        redirect_uris,
        post_logout_redirect_uris: vec![settings.post_logout_redirect_uri(host)],
    }
}
