//! How a connection to an application is made, within its deadline.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_util::client::legacy::connect::HttpConnector as SystemConnector;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tower::Service;

use super::names::Names;
use super::stream::Stream;
use crate::tls;
use crate::upstream::error::InvalidUpstream;
use crate::upstream::settings::{Target, UpstreamTls};

/// After this much silence the system asks a peer whether it is still there: tunnels have no deadline of their own.
const KEEP_ALIVE_PROBE: Duration = Duration::from_secs(60);

/// The names of protocols in the handshake (RFC 7301).
const HTTP_2: &[u8] = b"h2";
const HTTP_1: &[u8] = b"http/1.1";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
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
    /// The beginning of HTTP.
    #[error("the connection does not speak HTTP")]
    Protocol(#[source] hyper::Error),
    /// It was closed as soon as it was made.
    #[error("the connection was closed at once")]
    Closed,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::upstream) enum Wanted {
    /// Any request.
    Any,
    /// One that only HTTP/1.1 carries: the handshake of a WebSocket.
    Http1,
}

/// What is spoken on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 (RFC 9112).
    Http1,
    /// HTTP/2 (RFC 9113).
    Http2,
}

type HttpConnector = SystemConnector<Names>;

/// Makes connections to one application, whatever address it is asked for.
pub(super) struct Connector {
    route: Route,
    deadline: Duration,
}

enum Route {
    Tcp { http: HttpConnector, address: Uri, protocol: Protocol },
    Tls { http: HttpConnector, address: Uri, tls: Tls },
    Unix(Arc<Path>),
    Nowhere,
}

struct Tls {
    /// Offers HTTP/2 and HTTP/1.1.
    any: TlsConnector,
    http1: TlsConnector,
    name: ServerName<'static>,
}

impl Connector {
    pub(super) fn new(target: &Target, tls: &UpstreamTls, deadline: Duration) -> Result<Self, InvalidUpstream> {
        let route = match target {
            Target::Http { host, port } => Route::tcp(host, *port, Protocol::Http1)?,
            Target::H2c { host, port } => Route::tcp(host, *port, Protocol::Http2)?,
            Target::Https { host, port } => {
                let (http, address) = tcp(host, *port)?;
                Route::Tls { http, address, tls: Tls::new(tls, host)? }
            }
            Target::Unix(path) => Route::Unix(path.as_path().into()),
            Target::Elsewhere => Route::Nowhere,
        };
        Ok(Self { route, deadline })
    }

    /// Makes a connection, and says what is spoken on it.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub(super) async fn connect(&self, wanted: Wanted) -> Result<(Stream, Protocol), ConnectError> {
        tokio::time::timeout(self.deadline, self.route.connect(wanted)).await.unwrap_or(Err(ConnectError::Timeout))
    }

    /// Whether HTTP/2 is spoken without asking.
    pub(super) const fn speaks_only_http2(&self) -> bool {
        matches!(self.route, Route::Tcp { protocol: Protocol::Http2, .. })
    }

    /// The scheme of what is asked there.
    pub(super) const fn scheme(&self) -> &'static Scheme {
        if matches!(self.route, Route::Tls { .. }) { &Scheme::HTTPS } else { &Scheme::HTTP }
    }
}

impl Route {
    fn tcp(host: &str, port: u16, protocol: Protocol) -> Result<Self, InvalidUpstream> {
        let (http, address) = tcp(host, port)?;
        Ok(Self::Tcp { http, address, protocol })
    }

    async fn connect(&self, wanted: Wanted) -> Result<(Stream, Protocol), ConnectError> {
        match self {
            Self::Tcp { http, address, protocol } => {
                let protocol = if wanted == Wanted::Http1 { Protocol::Http1 } else { *protocol };
                Ok((Stream::Tcp(dial(http, address).await?), protocol))
            }
            Self::Tls { http, address, tls } => {
                let tcp = dial(http, address).await?;
                let connector = if wanted == Wanted::Http1 { &tls.http1 } else { &tls.any };
                let stream = connector.connect(tls.name.clone(), tcp).await.map_err(ConnectError::Tls)?;
                let chosen = stream.get_ref().1.alpn_protocol();
                let protocol = if chosen == Some(HTTP_2) { Protocol::Http2 } else { Protocol::Http1 };
                Ok((Stream::Tls(Box::new(stream)), protocol))
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(ConnectError::Unix)?;
                Ok((Stream::Unix(stream), Protocol::Http1))
            }
            Self::Nowhere => Err(ConnectError::Elsewhere),
        }
    }
}

impl Tls {
    fn new(settings: &UpstreamTls, host: &str) -> Result<Self, InvalidUpstream> {
        let name = match &settings.server_name {
            Some(name) => name.clone(),
            None => ServerName::try_from(bare(host).to_owned()).map_err(|_| InvalidUpstream::Host)?,
        };
        let mut http1 = tls::client_config(&settings.ca_certificates, settings.identity.as_deref())
            .map_err(InvalidUpstream::Tls)?;
        http1.alpn_protocols = vec![HTTP_1.to_vec()];
        let mut any = http1.clone();
        any.alpn_protocols.insert(0, HTTP_2.to_vec());
        Ok(Self { any: Arc::new(any).into(), http1: Arc::new(http1).into(), name })
    }
}

fn tcp(host: &str, port: u16) -> Result<(HttpConnector, Uri), InvalidUpstream> {
    let address = Uri::builder()
        .scheme("http")
        .authority(authority(host, port)?)
        .path_and_query("/")
        .build()
        .map_err(|_| InvalidUpstream::Host)?;
    let mut http = SystemConnector::new_with_resolver(Names::default());
    http.set_nodelay(true);
    http.set_keepalive(Some(KEEP_ALIVE_PROBE));
    Ok((http, address))
}

/// Looks the name up and connects to one of its addresses.
async fn dial(http: &HttpConnector, address: &Uri) -> Result<TcpStream, ConnectError> {
    let connected = http.clone().call(address.clone()).await;
    connected.map(TokioIo::into_inner).map_err(|error| ConnectError::Tcp(error.into()))
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
