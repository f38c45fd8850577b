//! How a connection to an application is made, within its deadline.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::Uri;
use http::uri::Authority;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::UnixStream;
use tokio_rustls::TlsConnector;
use tower::Service;

use super::error::InvalidUpstream;
use super::settings::{Target, UpstreamSettings};
use super::stream::Stream;
use super::tls;

/// After this much silence the system asks a peer whether it is still there: tunnels have no deadline of their own.
const KEEP_ALIVE_PROBE: Duration = Duration::from_secs(60);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    /// The deadline has passed.
    #[error("no connection in time")]
    Timeout,
    /// Another proxy carries the requests of this application.
    #[error("this application is reached through another proxy")]
    Elsewhere,
    /// Name resolution or TCP.
    #[error("no TCP connection")]
    Tcp(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The Unix socket.
    #[error("no connection to the Unix socket")]
    Unix(#[source] io::Error),
    /// The handshake, the certificate among it.
    #[error("the TLS handshake failed")]
    Tls(#[source] io::Error),
}

/// Makes connections to one application, whatever address it is asked for.
#[derive(Clone)]
pub(super) struct Connector {
    route: Route,
    deadline: Duration,
}

#[derive(Clone)]
enum Route {
    Tcp { http: HttpConnector, address: Uri, tls: Option<Tls> },
    Unix(Arc<Path>),
    Nowhere,
}

#[derive(Clone)]
struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Connector {
    pub(super) fn new(settings: &UpstreamSettings) -> Result<Self, InvalidUpstream> {
        let route = match &settings.target {
            Target::Http { host, port } => Route::tcp(&authority(host, *port)?, None)?,
            Target::Https { host, port } => {
                let name = match &settings.tls.server_name {
                    Some(name) => name.clone(),
                    None => ServerName::try_from(bare(host).to_owned()).map_err(|_| InvalidUpstream::Host)?,
                };
                let config = tls::client_config(&settings.tls.ca_certificates)?;
                Route::tcp(&authority(host, *port)?, Some(Tls { config, name }))?
            }
            Target::Unix(path) => Route::Unix(path.as_path().into()),
            Target::Elsewhere => Route::Nowhere,
        };
        Ok(Self { route, deadline: settings.timeouts.connect })
    }
}

impl Route {
    fn tcp(authority: &Authority, tls: Option<Tls>) -> Result<Self, InvalidUpstream> {
        let address = Uri::builder()
            .scheme("http")
            .authority(authority.clone())
            .path_and_query("/")
            .build()
            .map_err(|_| InvalidUpstream::Host)?;
        let mut http = HttpConnector::new();
        http.set_nodelay(true);
        http.set_keepalive(Some(KEEP_ALIVE_PROBE));
        Ok(Self::Tcp { http, address, tls })
    }

    async fn connect(self) -> Result<Stream, ConnectError> {
        match self {
            Self::Tcp { mut http, address, tls } => {
                let tcp = http.call(address).await.map_err(|error| ConnectError::Tcp(error.into()))?.into_inner();
                match tls {
                    None => Ok(Stream::Tcp(tcp)),
                    Some(Tls { config, name }) => {
                        let stream = TlsConnector::from(config).connect(name, tcp).await.map_err(ConnectError::Tls)?;
                        Ok(Stream::Tls(Box::new(stream)))
                    }
                }
            }
            Self::Nowhere => Err(ConnectError::Elsewhere),
            Self::Unix(path) => UnixStream::connect(path).await.map(Stream::Unix).map_err(ConnectError::Unix),
        }
    }
}

/// Host and port as in a URL; an IPv6 address may come with or without its brackets.
pub(super) fn authority(host: &str, port: u16) -> Result<Authority, InvalidUpstream> {
    let host = bare(host);
    let text = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Authority::try_from(text).map_err(|_| InvalidUpstream::Host)
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

impl Service<Uri> for Connector {
    type Response = TokioIo<Stream>;
    type Error = ConnectError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let route = self.route.clone();
        let deadline = self.deadline;
        Box::pin(async move {
            let connected = tokio::time::timeout(deadline, route.connect()).await;
            connected.unwrap_or(Err(ConnectError::Timeout)).map(TokioIo::new)
        })
    }
}
