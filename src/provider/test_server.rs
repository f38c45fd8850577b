//! A provider for tests that answers with the bytes it is told to, and remembers what it was asked.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

use crate::claims::ClaimsMapping;
use crate::clock::{ManualClock, Timestamp};
use crate::entropy::SystemEntropy;
use crate::oidc::test_keys;
use crate::provider::observer::{CallOutcome, EndpointKind, ProviderObserver};
use crate::provider::settings::{CONCURRENT_CALLS, ClientAuthentication, EmailVerified, Endpoints, ProviderSettings};
use crate::provider::{Provider, ProviderParts};
use crate::secret::ClientSecret;

pub(crate) const NOW: u64 = 1_700_000_000;

type Handler = Arc<dyn Fn(&str) -> Reply + Send + Sync>;

/// What the server does with a request.
#[derive(Clone)]
pub(crate) enum Reply {
    /// Sends these bytes and closes.
    Bytes(Vec<u8>),
    /// Sends these bytes, then nothing more, and keeps the connection.
    Stall(Vec<u8>),
    /// Closes without an answer.
    Reset,
    /// Sends a body that does not end.
    Endless,
}

impl Reply {
    pub(crate) fn with_headers(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let head =
            format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
        Self::Bytes([head.as_bytes(), body].concat())
    }

    pub(crate) fn typed(status: u16, content_type: &str, body: impl AsRef<[u8]>) -> Self {
        Self::with_headers(status, &format!("content-type: {content_type}\r\n"), body)
    }

    pub(crate) fn json(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::typed(status, "application/json", body)
    }

    pub(crate) fn status(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::with_headers(status, "", body)
    }
}

/// Remembers how calls ended.
#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) calls: Mutex<Vec<(EndpointKind, CallOutcome)>>,
    pub(crate) up: Mutex<Vec<bool>>,
    pub(crate) rejected: Mutex<Vec<&'static str>>,
    pub(crate) skew: Mutex<Vec<i64>>,
}

impl ProviderObserver for Recorder {
    fn called(&self, _: &str, endpoint: EndpointKind, outcome: CallOutcome, _: Duration) {
        self.calls.lock().unwrap().push((endpoint, outcome));
    }

    fn up(&self, _: &str, up: bool) {
        self.up.lock().unwrap().push(up);
    }

    fn metadata_rejected(&self, _: &str, reason: &'static str) {
        self.rejected.lock().unwrap().push(reason);
    }

    fn skew(&self, _: &str, seconds: i64) {
        self.skew.lock().unwrap().push(seconds);
    }
}

#[derive(Default)]
struct Shared {
    routes: Mutex<HashMap<String, Handler>>,
    seen: Mutex<Vec<(String, String)>>,
}

pub(crate) struct TestServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) observer: Arc<Recorder>,
}

impl TestServer {
    /// An OpenID provider with the keys of `test_keys`; the token endpoint has no route yet.
    pub(crate) async fn openid() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let accepting = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&accepting)));
            }
        });
        let clock = Arc::new(ManualClock::at(Timestamp::from_seconds(NOW)));
        let server = Self { address, shared, clock, observer: Arc::default() };
        server.on_discovery(|_| ());
        server.on("/keys", |_| Reply::json(200, test_keys::public_keys().to_string()));
        server
    }

    pub(crate) fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}{path}", self.issuer())).unwrap()
    }

    pub(crate) fn on(&self, path: &str, handler: impl Fn(&str) -> Reply + Send + Sync + 'static) {
        self.shared.routes.lock().unwrap().insert(path.to_owned(), Arc::new(handler));
    }

    /// Serves the usual metadata, changed by `change`.
    pub(crate) fn on_discovery(&self, change: impl Fn(&mut Value)) {
        let mut document = json!({
            "issuer": self.issuer(),
            "authorization_endpoint": self.url("/auth").as_str(),
            "token_endpoint": self.url("/token").as_str(),
            "userinfo_endpoint": self.url("/userinfo").as_str(),
            "revocation_endpoint": self.url("/revoke").as_str(),
            "end_session_endpoint": self.url("/logout").as_str(),
            "jwks_uri": self.url("/keys").as_str(),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        });
        change(&mut document);
        self.on("/.well-known/openid-configuration", move |_| Reply::json(200, document.to_string()));
    }

    /// The requests to a path, heads in lower case as they came, bodies at the end.
    pub(crate) fn requests(&self, path: &str) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|(to, _)| to == path).map(|(_, request)| request.clone()).collect()
    }

    pub(crate) fn hits(&self, path: &str) -> usize {
        self.requests(path).len()
    }

    pub(crate) fn settings(&self) -> ProviderSettings {
        ProviderSettings {
            name: None,
            issuer: Some(self.issuer()),
            endpoints: Endpoints::default(),
            client_id: "app".into(),
            client_authentication: ClientAuthentication::SecretBasic(ClientSecret::new("s".into())),
            scopes: vec!["openid".into()],
            authorization_parameters: Vec::new(),
            claims: ClaimsMapping::default(),
            email_verified: EmailVerified::Claim,
            clock_leeway: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(5),
            total_timeout: Duration::from_secs(20),
            concurrent_calls: CONCURRENT_CALLS,
            ca_certificates: Vec::new(),
            plain_http: true,
        }
    }

    /// Settings of a plain OAuth 2.0 provider with integer subjects, like GitHub's.
    pub(crate) fn plain_settings(&self) -> ProviderSettings {
        let endpoints = Endpoints {
            authorization: Some(self.url("/auth")),
            token: Some(self.url("/token")),
            userinfo: Some(self.url("/userinfo")),
            email: Some(self.url("/emails")),
            ..Endpoints::default()
        };
        let claims = ClaimsMapping { subject: "id".into(), username: "login".into(), ..ClaimsMapping::default() };
        ProviderSettings { name: Some("github".into()), issuer: None, endpoints, claims, ..self.settings() }
    }

    pub(crate) fn parts(&self) -> ProviderParts {
        ProviderParts {
            clock: Arc::clone(&self.clock) as _,
            entropy: Arc::new(SystemEntropy),
            observer: Arc::clone(&self.observer) as _,
        }
    }

    pub(crate) fn provider(&self) -> Arc<Provider> {
        Provider::new(self.settings(), self.parts()).unwrap()
    }

    pub(crate) async fn ready_provider(&self) -> Arc<Provider> {
        let provider = self.provider();
        self.discover(&provider).await.unwrap();
        provider
    }

    pub(crate) async fn discover(&self, provider: &Provider) -> Result<(), crate::provider::discovery::DiscoveryError> {
        provider.discover(&self.url("/.well-known/openid-configuration")).await
    }
}

async fn serve(mut socket: TcpStream, shared: Arc<Shared>) {
    let Some(request) = read_request(&mut socket).await else { return };
    let path = request.split([' ', '?']).nth(1).unwrap_or_default().to_owned();
    shared.seen.lock().unwrap().push((path.clone(), request.clone()));
    let handler = shared.routes.lock().unwrap().get(&path).cloned();
    match handler.map_or_else(|| Reply::status(404, ""), |handler| handler(&request)) {
        Reply::Bytes(bytes) => {
            let _ = socket.write_all(&bytes).await;
            let _ = socket.shutdown().await;
        }
        Reply::Stall(bytes) => {
            let _ = socket.write_all(&bytes).await;
            std::future::pending::<()>().await;
        }
        Reply::Reset => {}
        Reply::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n";
            let mut sent = socket.write_all(head).await;
            while sent.is_ok() {
                sent = socket.write_all(&[b' '; 4096]).await;
            }
        }
    }
}

async fn read_request(socket: &mut TcpStream) -> Option<String> {
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Some(text);
            }
        }
        let mut chunk = [0; 4096];
        match socket.read(&mut chunk).await {
            Ok(read @ 1..) => received.extend_from_slice(&chunk[..read]),
            _ => return None,
        }
    }
}
