//! A request as it came over the wire: raw target, names in their case, order kept.

use bytes::Bytes;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use url::form_urlencoded;

/// How much of a body is kept; the rest is counted only.
const KEPT: usize = 1024 * 1024;

#[derive(Clone, Debug, Default)]
pub struct Received {
    pub method: String,
    /// The request target, byte for byte.
    pub target: String,
    pub version: String,
    /// Names as on the wire, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body without its framing; at most a mebibyte of it.
    pub body: Vec<u8>,
    pub body_length: u64,
    pub trailers: Vec<(String, String)>,
    /// Whether the body came to its end.
    pub complete: bool,
    /// The head byte for byte, with the empty line.
    pub head: Vec<u8>,
}

impl Received {
    /// All values of a name, in any case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        named(&self.headers, name)
    }

    /// The only value of a name; two of them fail the test.
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() <= 1, "{name} came {} times: {all:?}", all.len());
        all.first().copied()
    }

    pub fn trailer(&self, name: &str) -> Option<&str> {
        named(&self.trailers, name).first().copied()
    }

    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.target.split_once('?').map(|(_, query)| query).unwrap_or_default();
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    pub fn query_value(&self, name: &str) -> Option<String> {
        only(self.query(), name)
    }

    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    pub fn form_value(&self, name: &str) -> Option<String> {
        only(self.form(), name)
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The head as the provider under the wrapper takes it.
    pub fn parts(&self) -> http::request::Parts {
        let mut request = http::Request::builder().method(self.method.as_str()).uri(self.target.as_str());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    /// Reads a head; `None` when the peer has closed or what came is no head.
    pub async fn read<S: AsyncRead + Unpin>(stream: &mut S, pending: &mut Vec<u8>) -> Option<Self> {
        let end = loop {
            if let Some(end) = position(pending, b"\r\n\r\n") {
                break end + 4;
            }
            if stream.read_buf(pending).await.ok()? == 0 {
                return None;
            }
        };
        let head: Vec<u8> = pending.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next()?.splitn(3, ' ');
        let (method, target, version) = (words.next()?.into(), words.next()?.into(), words.next()?.into());
        let headers = lines.map(field).collect();
        Some(Self { method, target, version, headers, head, ..Self::default() })
    }

    /// Reads the body that the head announces; an early end leaves `complete` false.
    pub async fn read_body<S: AsyncRead + Unpin>(&mut self, stream: &mut S, pending: &mut Vec<u8>) {
        let chunked = self.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked"));
        self.complete = if chunked {
            self.read_chunks(stream, pending).await.is_some()
        } else {
            let length = self.header("content-length").map_or(0, |value| value.parse().unwrap());
            self.take(stream, pending, length).await.is_some()
        };
    }

    async fn read_chunks<S: AsyncRead + Unpin>(&mut self, stream: &mut S, pending: &mut Vec<u8>) -> Option<()> {
        loop {
            let size = line(stream, pending).await?;
            let size = u64::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
            if size == 0 {
                break;
            }
            self.take(stream, pending, size).await?;
            line(stream, pending).await?;
        }
        loop {
            let trailer = line(stream, pending).await?;
            if trailer.is_empty() {
                return Some(());
            }
            self.trailers.push(field(&trailer));
        }
    }

    async fn take<S: AsyncRead + Unpin>(&mut self, stream: &mut S, pending: &mut Vec<u8>, length: u64) -> Option<()> {
        let mut left = length;
        while left > 0 {
            if pending.is_empty() && stream.read_buf(pending).await.ok()? == 0 {
                return None;
            }
            let part = pending.len().min(usize::try_from(left).unwrap());
            let room = KEPT.saturating_sub(self.body.len()).min(part);
            self.body.extend_from_slice(&pending[..room]);
            pending.drain(..part);
            self.body_length += part as u64;
            left -= part as u64;
        }
        Some(())
    }
}

/// A response body or a form as bytes.
pub fn bytes(text: impl Into<Bytes>) -> Bytes {
    text.into()
}

pub fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// A line without its end.
pub async fn line<S: AsyncRead + Unpin>(stream: &mut S, pending: &mut Vec<u8>) -> Option<String> {
    loop {
        if let Some(end) = position(pending, b"\r\n") {
            let line: Vec<u8> = pending.drain(..end + 2).collect();
            return Some(String::from_utf8_lossy(&line[..end]).into_owned());
        }
        if stream.read_buf(pending).await.ok()? == 0 {
            return None;
        }
    }
}

pub fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

pub fn named<'a>(fields: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    fields.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
}

fn only(pairs: Vec<(String, String)>, name: &str) -> Option<String> {
    let mut values = pairs.into_iter().filter(|(known, _)| known == name).map(|(_, value)| value);
    let first = values.next();
    assert!(values.next().is_none(), "{name} is repeated");
    first
}
