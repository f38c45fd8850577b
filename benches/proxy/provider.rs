//! The development provider, in the process of the load: once everybody is logged in it has nothing to do.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use vestibule::clock::SystemClock;
use vestibule::demo::provider::{DevelopmentProvider, DevelopmentProviderSettings, RegisteredClient};
use vestibule::demo::{self, Running};
use vestibule::entropy::SystemEntropy;
use vestibule::secret::ClientSecret;

pub const CLIENT_ID: &str = "benchmark";
pub const CLIENT_SECRET: &str = "a-secret-for-the-benchmark-only";

pub struct Provider {
    pub address: SocketAddr,
    provider: Arc<DevelopmentProvider>,
    _running: Running,
}

impl Provider {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = DevelopmentProviderSettings::new(&format!("http://{address}"));
        // No refresh falls into the measurement.
        settings.access_token_lifetime = Duration::from_secs(24 * 3600);
        let (clock, entropy) = (Arc::new(SystemClock::default()), Arc::new(SystemEntropy));
        let (running, provider) = demo::start_provider(listener, settings, clock, entropy).await.unwrap();
        Self { address, provider, _running: running }
    }

    /// Lets the gateway at this address log people in.
    pub fn register(&self, gateway: SocketAddr) {
        self.provider.register(RegisteredClient {
            id: CLIENT_ID.to_owned(),
            secret: Some(ClientSecret::new(CLIENT_SECRET.to_owned())),
            redirect_uris: vec![format!("http://localhost:{}/oauth2/callback", gateway.port())],
            post_logout_redirect_uris: Vec::new(),
        });
    }
}
