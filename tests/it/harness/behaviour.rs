//! What a scripted server does with a request: every answer and every way not to answer.

use bytes::Bytes;
use http::{Response, StatusCode};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use super::received::Received;

#[derive(Debug)]
pub enum Behaviour {
    /// A whole answer; `Content-Length` is added unless the headers frame it.
    Respond(Response<Bytes>),
    /// A chunked answer of what comes from the channel; it ends when the sender goes away, and the sender's `closed`
    /// tells when the peer has gone.
    Stream(Response<()>, mpsc::Receiver<Bytes>),
    /// A chunked answer with trailers.
    Chunks(Response<()>, Vec<Bytes>, Vec<(String, String)>),
    /// The same bytes for ever, chunked, until the peer closes.
    Endless(Response<()>, Bytes),
    /// Bytes as they are, then the connection is closed.
    Raw(Vec<u8>),
    /// Bytes as they are, then nothing until the peer closes.
    RawAndHang(Vec<u8>),
    /// Bytes as they are; the connection serves the next request.
    RawAndGoOn(Vec<u8>),
    /// Nothing until the peer closes.
    Hang,
    /// The connection is closed in order, without a byte.
    Close,
    /// The connection is reset.
    Reset,
    /// 101, and every WebSocket message comes back.
    WebSocketEcho,
    /// 101 with this protocol in `Upgrade`, and every byte comes back.
    Tunnel(&'static str),
    /// The same, but only once the gate is open.
    Held(Gate, Box<Self>),
}

/// Keeps a behaviour back until its opener says so; an opener that is dropped opens it too.
#[derive(Debug)]
pub struct Gate(oneshot::Receiver<()>);

#[derive(Debug)]
pub struct Opener(oneshot::Sender<()>);

pub fn gate() -> (Opener, Gate) {
    let (opener, gate) = oneshot::channel();
    (Opener(opener), Gate(gate))
}

impl Opener {
    pub fn open(self) {
        // Whoever was to wait may have been cut off meanwhile.
        let _ = self.0.send(());
    }
}

impl Behaviour {
    pub fn status(status: u16) -> Self {
        Self::Respond(response(status, &[], Bytes::new()))
    }

    pub fn text(status: u16, text: &str) -> Self {
        Self::Respond(response(status, &[("content-type", "text/plain")], text.to_owned()))
    }

    pub fn html(status: u16, text: &str) -> Self {
        Self::Respond(response(status, &[("content-type", "text/html")], text.to_owned()))
    }

    pub fn json(status: u16, value: &Value) -> Self {
        Self::Respond(response(status, &[("content-type", "application/json")], value.to_string()))
    }

    /// JSON that `serde_json` would not write: duplicate members, trailing bytes, another encoding.
    pub fn json_text(status: u16, text: impl Into<Bytes>) -> Self {
        Self::Respond(response(status, &[("content-type", "application/json")], text))
    }

    pub fn redirect(status: u16, location: &str) -> Self {
        Self::Respond(response(status, &[("location", location)], Bytes::new()))
    }

    pub fn with_headers(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Self {
        Self::Respond(response(status, headers, body))
    }

    /// A stream and the end that feeds it.
    pub fn stream(headers: &[(&str, &str)]) -> (mpsc::Sender<Bytes>, Self) {
        let (sender, receiver) = mpsc::channel(16);
        (sender, Self::Stream(response(200, headers, Bytes::new()).map(|_| ()), receiver))
    }

    /// Server-sent events and the end that feeds them.
    pub fn events() -> (mpsc::Sender<Bytes>, Self) {
        Self::stream(&[("content-type", "text/event-stream")])
    }

    pub fn held(self, gate: Gate) -> Self {
        Self::Held(gate, Box::new(self))
    }
}

pub fn response(status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response<Bytes> {
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}

/// What becomes of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    GoOn,
    Ended,
}

/// Does to `stream` what `behaviour` says.
pub async fn perform(behaviour: Behaviour, stream: &mut TcpStream, received: &Received) -> std::io::Result<Afterwards> {
    let mut behaviour = behaviour;
    while let Behaviour::Held(gate, inner) = behaviour {
        let _ = gate.0.await;
        behaviour = *inner;
    }
    match behaviour {
        Behaviour::Respond(response) => {
            let (parts, body) = response.into_parts();
            let head = Response::from_parts(parts, ());
            let bare = head.status().is_informational() || head.status() == StatusCode::NO_CONTENT;
            let framed = bare
                || head.headers().contains_key("content-length")
                || head.headers().contains_key("transfer-encoding");
            let length = if framed { String::new() } else { format!("content-length: {}\r\n", body.len()) };
            let mut bytes = head_bytes(&head, &length);
            if received.method != "HEAD" {
                bytes.extend_from_slice(&body);
            }
            stream.write_all(&bytes).await?;
            let close = head.headers().get("connection").is_some_and(|value| value == "close");
            return Ok(if close { Afterwards::Ended } else { Afterwards::GoOn });
        }
        Behaviour::Chunks(head, chunks, trailers) => {
            stream.write_all(&head_bytes(&head, "transfer-encoding: chunked\r\n")).await?;
            for chunk in chunks {
                write_chunk(stream, &chunk).await?;
            }
            let trailers: String = trailers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            stream.write_all(format!("0\r\n{trailers}\r\n").as_bytes()).await?;
            return Ok(Afterwards::GoOn);
        }
        Behaviour::Stream(head, mut chunks) => {
            stream.write_all(&head_bytes(&head, "transfer-encoding: chunked\r\n")).await?;
            let mut unused = [0; 1024];
            loop {
                tokio::select! {
                    chunk = chunks.recv() => match chunk {
                        Some(chunk) => write_chunk(stream, &chunk).await?,
                        None => break,
                    },
                    read = stream.read(&mut unused) => if read? == 0 { return Ok(Afterwards::Ended) },
                }
            }
            stream.write_all(b"0\r\n\r\n").await?;
            return Ok(Afterwards::GoOn);
        }
        Behaviour::Endless(head, chunk) => {
            stream.write_all(&head_bytes(&head, "transfer-encoding: chunked\r\n")).await?;
            loop {
                write_chunk(stream, &chunk).await?;
            }
        }
        Behaviour::RawAndGoOn(bytes) => {
            stream.write_all(&bytes).await?;
            return Ok(Afterwards::GoOn);
        }
        Behaviour::Raw(bytes) => stream.write_all(&bytes).await?,
        Behaviour::RawAndHang(bytes) => {
            stream.write_all(&bytes).await?;
            until_closed(stream).await;
        }
        Behaviour::Hang => until_closed(stream).await,
        Behaviour::Close => {}
        Behaviour::Reset => stream.set_zero_linger()?,
        Behaviour::WebSocketEcho => super::upstream::echo_web_socket(stream, received).await?,
        Behaviour::Tunnel(protocol) => {
            let head =
                format!("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            let (mut reading, mut writing) = stream.split();
            tokio::io::copy(&mut reading, &mut writing).await?;
        }
        Behaviour::Held(..) => unreachable!("gates have been passed"),
    }
    Ok(Afterwards::Ended)
}

fn head_bytes<B>(head: &Response<B>, framing: &str) -> Vec<u8> {
    let status = head.status();
    let mut bytes =
        format!("HTTP/1.1 {} {}\r\n", status.as_str(), status.canonical_reason().unwrap_or("")).into_bytes();
    for (name, value) in head.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(framing.as_bytes());
    bytes.extend_from_slice(b"\r\n");
    bytes
}

async fn write_chunk(stream: &mut TcpStream, chunk: &[u8]) -> std::io::Result<()> {
    if chunk.is_empty() {
        return Ok(());
    }
    let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
    framed.extend_from_slice(chunk);
    framed.extend_from_slice(b"\r\n");
    stream.write_all(&framed).await
}

async fn until_closed(stream: &mut TcpStream) {
    let mut unused = [0; 1024];
    while stream.read(&mut unused).await.is_ok_and(|length| length > 0) {}
}
