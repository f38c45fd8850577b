//! A request to the admin listener of a gateway.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::secret::AdminToken;

const CONNECT: Duration = Duration::from_secs(5);
/// The end of a hundred thousand sessions takes a while.
const ANSWER: Duration = Duration::from_secs(120);
/// A thousand sessions with long names and many scopes.
const LONGEST_ANSWER: usize = 64 << 20;

/// Where an admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminAddress {
    Tcp(String),
    Unix(PathBuf),
}

/// Neither a socket nor a host with a port.
#[derive(Debug, thiserror::Error)]
#[error("write unix:/PATH or HOST:PORT")]
pub(super) struct InvalidAddress;

impl FromStr for AdminAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() { Ok(Self::Unix(path)) } else { Err(InvalidAddress) };
        }
        let (host, port) = text.rsplit_once(':').ok_or(InvalidAddress)?;
        let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
        if host.is_empty() || host.contains('/') || !is_port {
            Err(InvalidAddress)
        } else {
            Ok(Self::Tcp(text.to_owned()))
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => formatter.write_str(address),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AdminError {
    /// Nobody listens there, or not for us.
    Connect(io::Error),
    /// It took too long.
    Silent,
    /// What listens there speaks otherwise.
    NotAdmin,
    /// The gateway said no.
    Refused { status: u16, title: String, detail: String },
}

/// Asks one admin listener.
pub(super) struct AdminClient<'a> {
    address: &'a AdminAddress,
    token: Option<AdminToken>,
}

impl<'a> AdminClient<'a> {
    pub(super) const fn new(address: &'a AdminAddress, token: Option<AdminToken>) -> Self {
        Self { address, token }
    }

    /// Sends one request, with a body of JSON if there is one, and reads the JSON of its answer.
    pub(super) async fn ask(&self, method: Method, target: &str, body: Option<&Value>) -> Result<Value, AdminError> {
        match self.address {
            AdminAddress::Unix(path) => {
                let stream = connected(UnixStream::connect(path)).await?;
                self.exchange(stream, "localhost", method, target, body).await
            }
            AdminAddress::Tcp(address) => {
                let stream = connected(TcpStream::connect(address)).await?;
                // The listener answers to addresses, not to names that anybody could lead to it.
                let host = stream.peer_addr().map_err(AdminError::Connect)?.to_string();
                self.exchange(stream, &host, method, target, body).await
            }
        }
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        host: &str,
        method: Method,
        target: &str,
        body: Option<&Value>,
    ) -> Result<Value, AdminError> {
        let mut request =
            Request::builder().method(method).uri(target).header(HOST, host).header(ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
            let mut bearer = HeaderValue::from_str(&bearer).map_err(|_| AdminError::NotAdmin)?;
            bearer.set_sensitive(true);
            request = request.header(AUTHORIZATION, bearer);
        }
        let body = Bytes::from(body.map(Value::to_string).unwrap_or_default());
        let request = request.body(Full::new(body)).map_err(|_| AdminError::NotAdmin)?;
        let exchange = async {
            let (mut sender, connection) =
                http1::handshake(TokioIo::new(stream)).await.map_err(|_| AdminError::NotAdmin)?;
            let answering = async {
                let answer = sender.send_request(request).await.map_err(|_| AdminError::NotAdmin)?;
                let status = answer.status();
                let body = Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await;
                let body = body.map_err(|_| AdminError::NotAdmin)?.to_bytes();
                let said: Value = serde_json::from_slice(&body).map_err(|_| AdminError::NotAdmin)?;
                if status.is_success() {
                    return Ok(said);
                }
                let text = |name: &str| said.get(name).and_then(Value::as_str).map(ToOwned::to_owned);
                let title = text("title").ok_or(AdminError::NotAdmin)?;
                Err(AdminError::Refused { status: status.as_u16(), title, detail: text("detail").unwrap_or_default() })
            };
            let mut answering = std::pin::pin!(answering);
            tokio::select! {
                answer = &mut answering => answer,
                // The connection may end with the answer's last byte; it is all there then.
                _ = connection => answering.await,
            }
        };
        timeout(ANSWER, exchange).await.map_err(|_| AdminError::Silent)?
    }
}

async fn connected<S>(connecting: impl Future<Output = io::Result<S>>) -> Result<S, AdminError> {
    timeout(CONNECT, connecting).await.map_err(|_| AdminError::Silent)?.map_err(AdminError::Connect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_socket_or_a_host_with_a_port() {
        for good in ["unix:/run/vestibule/admin.sock", "127.0.0.1:9092", "[::1]:9092", "gateway.internal:9092"] {
            assert_eq!(good.parse::<AdminAddress>().unwrap().to_string(), good);
        }
        for bad in [
            "",
            "unix:",
            "unix:admin.sock",
            "/run/admin.sock",
            "9092",
            "localhost",
            "localhost:",
            ":9092",
            "a:0",
            "a:99999",
            "http://a:1",
        ] {
            assert!(bad.parse::<AdminAddress>().is_err(), "{bad}");
        }
    }
}
