//! Frames of HTTP/2 byte by byte, for what no library would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::patiently;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const ACK: u8 = 1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM, or of a GOAWAY.
    pub fn error(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A header block without compression: every field literally, none remembered (RFC 7541 §6.2.2).
pub fn block(fields: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            // Seven bits hold up to 126; longer ones go on in seven bits each (§5.1).
            if text.len() < 127 {
                bytes.push(u8::try_from(text.len()).unwrap());
            } else {
                bytes.push(127);
                let mut rest = text.len() - 127;
                while rest >= 128 {
                    bytes.push(u8::try_from(rest % 128).unwrap() | 128);
                    rest /= 128;
                }
                bytes.push(u8::try_from(rest).unwrap());
            }
            bytes.extend(*text);
        }
    }
    bytes
}

/// The fields of a GET at the host of the stages, and more.
pub fn get<'a>(path: &'a [u8], more: &[(&'a [u8], &'a [u8])]) -> Vec<u8> {
    let mut fields: Vec<(&[u8], &[u8])> =
        vec![(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"app.example"), (b":path", path)];
    fields.extend(more);
    block(&fields)
}

pub struct FrameConnection {
    stream: TcpStream,
}

impl FrameConnection {
    /// Connects, and exchanges prefaces and settings.
    pub async fn open(address: SocketAddr) -> Self {
        let mut connection = Self::connect(address).await;
        connection.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await;
        let settings = connection.next().await.expect("SETTINGS of the server");
        assert_eq!((settings.kind, settings.flags), (SETTINGS, 0));
        connection.send(&frame(SETTINGS, ACK, 0, &[])).await;
        connection
    }

    /// Connects alone.
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap() }
    }

    /// A peer that has closed already is no failure.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = patiently("sending", self.stream.write_all(bytes)).await;
    }

    /// Sends a request of one HEADERS frame.
    pub async fn request(&mut self, stream: u32, block: &[u8]) {
        self.send(&frame(HEADERS, END_HEADERS | END_STREAM, stream, block)).await;
    }

    /// The next frame; `None` when the connection has ended.
    pub async fn next(&mut self) -> Option<Frame> {
        patiently("a frame", async {
            let mut head = [0; 9];
            self.stream.read_exact(&mut head).await.ok()?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            let mut payload = vec![0; usize::try_from(length).unwrap()];
            self.stream.read_exact(&mut payload).await.ok()?;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            Some(Frame { kind: head[3], flags: head[4], stream, payload })
        })
        .await
    }

    /// The next frame of one of these kinds.
    pub async fn next_of(&mut self, kinds: &[u8]) -> Option<Frame> {
        loop {
            let frame = self.next().await?;
            if kinds.contains(&frame.kind) {
                return Some(frame);
            }
        }
    }

    /// The status of the answer on a stream, as far as it is one of the static table or literal; `None` when the stream is
    /// reset or the connection ends. DATA is read and forgotten.
    pub async fn status(&mut self, stream: u32) -> Option<u16> {
        loop {
            let frame = self.next().await?;
            match frame.kind {
                HEADERS if frame.stream == stream => return Some(status_in(&frame.payload)),
                RST_STREAM if frame.stream == stream => return None,
                GOAWAY if frame.error() != 0 => return None,
                _ => {}
            }
        }
    }
}

/// The first field of an answer is its status (RFC 7541 appendix A has seven of them).
fn status_in(block: &[u8]) -> u16 {
    match block[0] {
        0x88 => 200,
        0x89 => 204,
        0x8a => 206,
        0x8b => 304,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        // A literal whose name is `:status`; its value may be compressed by Huffman's code, in which digits have 5 or 6 bits.
        _ => digits(block),
    }
}

fn digits(block: &[u8]) -> u16 {
    let (length, text) = (usize::from(block[1] & 0x7f), &block[2..]);
    if block[1] & 0x80 == 0 {
        return std::str::from_utf8(&text[..length]).unwrap().parse().unwrap();
    }
    let bits: String = text[..length].iter().map(|byte| format!("{byte:08b}")).collect();
    let (mut rest, mut number) = (bits.as_str(), 0);
    while rest.contains('0') {
        let (digit, used) = match &rest[..5] {
            "00000" => (0, 5),
            "00001" => (1, 5),
            "00010" => (2, 5),
            _ => (u16::from_str_radix(&rest[..6], 2).unwrap() - 0b01_1001 + 3, 6),
        };
        number = number * 10 + digit;
        rest = &rest[used..];
        if rest.len() < 5 {
            break;
        }
    }
    number
}
