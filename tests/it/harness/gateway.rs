//! The gateway under test, started through the same path as the program's, and a stage with everybody on it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use vestibule::app::{self, Listeners, ReloadError, Reloaded, Running, World};
use vestibule::clock::OffsetClock;
use vestibule::config::{self, Environment};
use vestibule::entropy::SystemEntropy;
use vestibule::gateway::settings::Settings;
use vestibule::server::Listener;
use vestibule::server::settings::ListenAddress;
use vestibule::session::settings::StoreSettings;
use vestibule::telemetry::access_log::AccessLog;
use vestibule::telemetry::logging;
use vestibule::telemetry::metrics::Metrics;
use vestibule::telemetry::settings::{LogFormat, LogSettings};

use super::browser::Browser;
pub use super::captured::Captured;
use super::failing_entropy::FailingEntropy;
use super::failing_store::FailingStore;
use super::provider::TestProvider;
use super::upstream::RecordingUpstream;

pub const CLIENT_ID: &str = "gateway-under-test";
/// Carries the mark that no output may show; `%`, `:`, `+` and a letter outside ASCII make encoding matter.
pub const CLIENT_SECRET: &str = "mark-secret-%3A:+é/ =&";
/// The key of gateways that are to have the same one.
const SESSION_KEY: &str = "AgkQFx4lLDM6QUhPVl1ka3J5gIeOlZyjqrG4v8bN1Ns";
/// The line of `[session]` by which several gateways open each other's sessions.
pub const SHARED_KEY: &str = "keys = [{ env = \"SESSION_KEY\" }]";
/// Carries the mark as well.
pub const ADMIN_TOKEN: &str = "mark-admin-token-0123456789";
pub const PUBLIC_URL: &str = "https://app.example";

struct TestEnvironment;

impl Environment for TestEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        match name {
            "CLIENT_SECRET" => Some(CLIENT_SECRET.to_owned()),
            "SESSION_KEY" => Some(SESSION_KEY.to_owned()),
            "ADMIN_TOKEN" => Some(ADMIN_TOKEN.to_owned()),
            _ => None,
        }
    }
}

/// How a stage is set; each text goes into its section of the configuration.
#[derive(Debug)]
pub struct Setup {
    /// `{port}` in it is the port on which the gateway listens, for browsers that no harness can lead there.
    pub public_url: String,
    pub listen: String,
    pub session: String,
    pub provider: String,
    /// The line that says where the provider is: an issuer, or endpoints by hand.
    pub issuer: String,
    /// The line with the client secret; nothing for a public client.
    pub client_secret: String,
    pub upstream: String,
    /// Further sections, such as more upstreams.
    pub more: String,
    /// `[provider]`, or `[providers.NAME]`.
    pub provider_section: String,
    /// Whether the redirect URIs are registered at the provider.
    pub register: bool,
    pub log_level: tracing::Level,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            public_url: PUBLIC_URL.to_owned(),
            listen: String::new(),
            session: String::new(),
            provider: String::new(),
            issuer: "issuer = \"https://provider.test\"".to_owned(),
            client_secret: "client_secret = { env = \"CLIENT_SECRET\" }".to_owned(),
            upstream: String::new(),
            more: String::new(),
            provider_section: "provider".to_owned(),
            register: true,
            log_level: tracing::Level::DEBUG,
        }
    }
}

/// Provider, upstream, gateway and a browser that can find them.
pub struct Stage {
    pub provider: TestProvider,
    pub upstream: RecordingUpstream,
    pub gateway: Gateway,
    pub browser: Browser,
}

impl Stage {
    pub async fn set() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Setup)) -> Self {
        Self::with_provider(TestProvider::start().await, adjust).await
    }

    pub async fn with_provider(provider: TestProvider, adjust: impl FnOnce(&mut Setup)) -> Self {
        Self::with_settings(provider, adjust, |_| {}).await
    }

    /// `change` alters the checked settings: what no configuration file may say.
    pub async fn with_settings(
        provider: TestProvider,
        adjust: impl FnOnce(&mut Setup),
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let upstream = RecordingUpstream::start().await;
        let mut setup = Setup::default();
        adjust(&mut setup);
        let gateway = Gateway::start(&setup, provider.issuer(), upstream.address(), change).await;
        if setup.register {
            provider.register_gateway(CLIENT_ID, CLIENT_SECRET, &gateway.public_url);
        }
        let browser = gateway.browser();
        Self { provider, upstream, gateway, browser }
    }

    /// Puts the configuration of another setup in the place of the one in force.
    pub async fn reload(&self, adjust: impl FnOnce(&mut Setup)) -> Result<Reloaded, ReloadError> {
        let mut setup = Setup::default();
        adjust(&mut setup);
        let settings = Gateway::settings(&setup, self.provider.issuer(), self.upstream.address(), |_| {});
        self.gateway.running.as_ref().unwrap().reload(settings).await
    }

    /// Another gateway on the same store; the setups of both have to say [`SHARED_KEY`].
    pub async fn replica(&self, adjust: impl FnOnce(&mut Setup)) -> Gateway {
        let mut setup = Setup::default();
        adjust(&mut setup);
        let settings = Gateway::settings(&setup, self.provider.issuer(), self.upstream.address(), |_| {});
        assert!(settings.session_keys_configured, "replicas share their key");
        self.gateway.replica(settings).await
    }

    /// The full URL of a path behind the gateway.
    pub fn url(&self, path: &str) -> String {
        self.gateway.url(path)
    }

    /// Logs alice in at `/`.
    pub async fn log_in(&self) {
        self.log_in_as("alice").await;
    }

    pub async fn log_in_as(&self, username: &str) {
        let page = self.browser.log_in(&self.url("/"), username).await;
        assert_eq!(page.status, 200, "{}", page.text());
    }
}

pub struct Gateway {
    pub address: SocketAddr,
    pub probe_address: SocketAddr,
    /// Where sessions are administered, if that is on TCP.
    pub admin_address: Option<SocketAddr>,
    pub public_url: String,
    /// The gateway's own clock; moving it moves nobody else's.
    pub clock: Arc<OffsetClock>,
    pub log: Captured,
    pub access_log: Captured,
    pub metrics: Arc<Metrics>,
    pub running: Option<Running>,
    /// Where sessions are kept; it fails when told to.
    pub store: Arc<FailingStore>,
    /// Where randomness comes from; it fails when told to.
    pub entropy: Arc<FailingEntropy>,
    access: Arc<AccessLog>,
    _logging: Option<tracing::subscriber::DefaultGuard>,
}

impl Gateway {
    pub async fn start(setup: &Setup, issuer: &str, upstream: SocketAddr, change: impl FnOnce(&mut Settings)) -> Self {
        let gateway = Self::launch(setup, issuer, upstream, change).await;
        gateway.ready().await;
        gateway
    }

    /// The same without waiting until the start is over.
    pub async fn launch(setup: &Setup, issuer: &str, upstream: SocketAddr, change: impl FnOnce(&mut Settings)) -> Self {
        let public = Listener::bind(&loopback()).await.unwrap();
        let public_url = setup.public_url.replace("{port}", &public.local_address().unwrap().port().to_string());
        let settings = Self::settings_at(&public_url, setup, issuer, upstream, change);
        Self::run_on(public, settings, setup.log_level).await
    }

    /// The checked settings of a setup.
    pub fn settings(setup: &Setup, issuer: &str, upstream: SocketAddr, change: impl FnOnce(&mut Settings)) -> Settings {
        Self::settings_at(&setup.public_url, setup, issuer, upstream, change)
    }

    fn settings_at(
        public_url: &str,
        setup: &Setup,
        issuer: &str,
        upstream: SocketAddr,
        change: impl FnOnce(&mut Settings),
    ) -> Settings {
        // The reader refuses a plain http issuer beside an https public URL, as it must; the harness has no TLS in
        // front of its provider and says so in the checked settings.
        let text = format!(
            "public_url = \"{}\"\n[listen]\n{}\n[session]\n{}\n[{}]\n{}\n\
             client_id = \"{CLIENT_ID}\"\n{}\n{}\n\
             [[upstream]]\nname = \"app\"\ntarget = \"http://{upstream}\"\n{}\n{}",
            public_url,
            setup.listen,
            setup.session,
            setup.provider_section,
            setup.issuer,
            setup.client_secret,
            setup.provider,
            setup.upstream,
            setup.more,
        );
        let loaded = config::parse(&text, Path::new("test.toml"), Path::new(""), &TestEnvironment, &SystemEntropy);
        let mut settings = loaded.unwrap_or_else(|error| panic!("{error}\n{text}")).settings;
        for provider in &mut settings.providers {
            if provider.issuer.as_deref() == Some("https://provider.test") {
                provider.issuer = Some(issuer.to_owned());
                provider.plain_http = true;
            }
        }
        change(&mut settings);
        settings
    }

    /// Runs settings that are made already.
    pub async fn run(settings: Settings, level: tracing::Level) -> Self {
        let gateway = Self::launch_with(settings, level).await;
        gateway.ready().await;
        gateway
    }

    /// The same without waiting until the start is over.
    pub async fn launch_with(settings: Settings, level: tracing::Level) -> Self {
        Self::run_on(Listener::bind(&loopback()).await.unwrap(), settings, level).await
    }

    async fn run_on(public: Listener, settings: Settings, level: tracing::Level) -> Self {
        let log = Captured::default();
        let log_settings = LogSettings { level, ..LogSettings::default() };
        let logging = tracing::subscriber::set_default(logging::subscriber(&log_settings, log.clone()));
        let clock = Arc::new(OffsetClock::default());
        let StoreSettings::Memory { max_sessions } = settings.session.store else { panic!("not for this harness") };
        let store = Arc::new(FailingStore::new(max_sessions, Arc::clone(&clock) as Arc<_>));
        Self { _logging: Some(logging), ..Self::put_up(public, settings, log, clock, store).await }
    }

    /// Another replica: it has the store of this one, its clock and its log. Its settings must name the same session keys.
    pub async fn replica(&self, settings: Settings) -> Self {
        let (log, clock, store) = (self.log.clone(), Arc::clone(&self.clock), Arc::clone(&self.store));
        let public = Listener::bind(&loopback()).await.unwrap();
        let replica = Self::put_up(public, settings, log, clock, store).await;
        replica.ready().await;
        replica
    }

    async fn put_up(
        public: Listener,
        settings: Settings,
        log: Captured,
        clock: Arc<OffsetClock>,
        store: Arc<FailingStore>,
    ) -> Self {
        let access_log = Captured::default();
        let metrics = Arc::new(Metrics::new());
        let dropped = metrics.access_log_dropped.clone();
        let access = Arc::new(AccessLog::start(LogFormat::Json, access_log.clone(), dropped).unwrap());
        let admin = match &settings.listen.admin_address {
            Some(address) => Some(Listener::bind_private(address).await.unwrap()),
            None => None,
        };
        let listeners = Listeners { public, probe: Listener::bind(&loopback()).await.unwrap(), admin };
        let admin_address = listeners.admin.as_ref().and_then(Listener::local_address);
        let address = listeners.public.local_address().unwrap();
        let probe_address = listeners.probe.local_address().unwrap();
        let public_url = settings.public_url.namespace();
        let entropy = Arc::new(FailingEntropy::default());
        let world = World {
            clock: Arc::clone(&clock) as Arc<_>,
            entropy: Arc::clone(&entropy) as Arc<_>,
            metrics: Arc::clone(&metrics),
            readiness: Arc::default(),
            access_log: Some(Arc::clone(&access)),
        };
        let running = app::start_with_store(settings, listeners, world, Arc::clone(&store) as Arc<_>).await.unwrap();
        Self {
            address,
            probe_address,
            admin_address,
            public_url,
            clock,
            log,
            access_log,
            metrics,
            running: Some(running),
            store,
            entropy,
            access,
            _logging: None,
        }
    }

    /// Waits until the start is over; a provider that is away is waited for as long as `startup_grace` says.
    pub async fn ready(&self) {
        let probe = format!("http://localhost:{}/readyz", self.probe_address.port());
        super::patiently("readiness", async {
            while Browser::old().fetch(&probe).await.status != 200 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Waits until so many lines of the log hold all of these.
    pub async fn log_reaches(&self, parts: &[&str], wanted: usize) {
        super::patiently(&format!("{wanted} lines with {parts:?}"), async {
            while self.log.lines_with(parts) < wanted {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.public_url)
    }

    /// A browser that finds the gateway.
    pub fn browser(&self) -> Browser {
        let browser = Browser::new();
        self.introduce_to(&browser);
        browser
    }

    pub fn introduce_to(&self, browser: &Browser) {
        let url = url::Url::parse(&self.public_url).unwrap();
        browser.resolve(url.host_str().unwrap(), self.address);
    }

    /// The metrics page.
    pub async fn metrics_page(&self) -> String {
        let url = format!("http://localhost:{}/metrics", self.probe_address.port());
        Browser::old().fetch(&url).await.text()
    }

    /// All that it has written so far, the last access lines included.
    pub fn everything_written(&self) -> String {
        assert!(self.access.close(Duration::from_secs(5)));
        format!("{}\n{}\n{}", self.log.text(), self.access_log.text(), self.metrics.encode())
    }

    pub fn sessions(&self) -> &Arc<vestibule::session::Sessions> {
        self.running.as_ref().unwrap().sessions()
    }
}

fn loopback() -> ListenAddress {
    ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
}
