//! Raw bytes over TCP, for what no HTTP library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::patiently;
use super::received::{field, line, named, position};

/// What bytes go over: TCP, or TLS over it.
pub trait Bytestream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytestream for S {}

pub struct RawConnection {
    stream: Box<dyn Bytestream>,
    pending: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct RawResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl RawResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        named(&self.headers, name).first().copied()
    }

    pub fn all(&self, name: &str) -> Vec<&str> {
        named(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl RawConnection {
    pub async fn open(address: SocketAddr) -> Self {
        let stream = patiently("a connection", TcpStream::connect(address)).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self::over(stream)
    }

    /// A connection that is open already.
    pub fn over(stream: impl Bytestream + 'static) -> Self {
        Self { stream: Box::new(stream), pending: Vec::new() }
    }

    /// Sends bytes; a peer that has closed already is no failure, its answer may still be there to read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = patiently("sending", self.stream.write_all(bytes.as_ref())).await;
    }

    /// Closes the sending half.
    pub async fn half_close(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next response with its body; `None` when the connection ends before one is whole.
    pub async fn response(&mut self) -> Option<RawResponse> {
        patiently("a response", self.read_response(false)).await
    }

    /// The next response, to a HEAD request: whatever its length says, there is no body.
    pub async fn response_to_head(&mut self) -> Option<RawResponse> {
        patiently("a response", self.read_response(true)).await
    }

    /// The head of the next response alone, for streams and upgrades.
    pub async fn response_head(&mut self) -> Option<RawResponse> {
        patiently("the head of a response", self.read_head()).await
    }

    /// Everything until the peer closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        patiently("the end of the connection", async {
            // A reset ends it as well.
            while self.stream.read_buf(&mut self.pending).await.is_ok_and(|length| length > 0) {}
        })
        .await;
        std::mem::take(&mut self.pending)
    }

    /// Reads until `mark` has come; gives what came up to and with it.
    pub async fn until(&mut self, mark: &[u8]) -> Vec<u8> {
        patiently("a mark", async {
            loop {
                if let Some(at) = position(&self.pending, mark) {
                    return self.pending.drain(..at + mark.len()).collect();
                }
                let length = self.stream.read_buf(&mut self.pending).await.unwrap();
                assert_ne!(length, 0, "closed before the mark: {:?}", String::from_utf8_lossy(&self.pending));
            }
        })
        .await
    }

    /// Waits for the peer to close; fails when bytes come instead.
    pub async fn is_closed(&mut self) -> bool {
        self.rest().await.is_empty()
    }

    async fn read_head(&mut self) -> Option<RawResponse> {
        let first = line(&mut self.stream, &mut self.pending).await?;
        let status = first.split(' ').nth(1)?.parse().ok()?;
        let mut headers = Vec::new();
        loop {
            let next = line(&mut self.stream, &mut self.pending).await?;
            if next.is_empty() {
                return Some(RawResponse { status, headers, body: Vec::new() });
            }
            headers.push(field(&next));
        }
    }

    async fn read_response(&mut self, to_head: bool) -> Option<RawResponse> {
        let mut response = self.read_head().await?;
        if to_head || matches!(response.status, 100..=199 | 204 | 304) {
            return Some(response);
        }
        if response.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let size = line(&mut self.stream, &mut self.pending).await?;
                let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
                let chunk = self.take(size).await?;
                response.body.extend(chunk);
                if size == 0 {
                    break;
                }
                line(&mut self.stream, &mut self.pending).await?;
            }
            while !line(&mut self.stream, &mut self.pending).await?.is_empty() {}
        } else if let Some(length) = response.header("content-length") {
            response.body = self.take(length.parse().ok()?).await?;
        } else {
            response.body = self.rest().await;
        }
        Some(response)
    }

    async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.pending.len() < length {
            if self.stream.read_buf(&mut self.pending).await.ok()? == 0 {
                return None;
            }
        }
        Some(self.pending.drain(..length).collect())
    }
}

/// Sends `bytes` on a connection of its own and gives everything that comes back until the peer closes.
pub async fn exchange(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut connection = RawConnection::open(address).await;
    connection.send(bytes).await;
    connection.rest().await
}

/// Sends `bytes` on a connection of its own and gives the first response.
pub async fn ask(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Option<RawResponse> {
    let mut connection = RawConnection::open(address).await;
    connection.send(bytes).await;
    connection.response().await
}
