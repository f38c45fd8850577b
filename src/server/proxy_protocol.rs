//! The PROXY protocol, versions 1 and 2, by which a proxy in front tells the address that it was connected from.
//!
//! How long a header is, is decided here, so that not a byte behind it is touched; what it says is read by `ppp`.

use std::io;
use std::net::SocketAddr;

use bytes::{Bytes, BytesMut};
use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;
/// What every header of version 2 begins with, up to its length.
const FIXED_PART: usize = 16;
/// The most that may follow it: addresses take up to 216 bytes, the rest is for extensions nobody reads here.
const LONGEST_REST: usize = 2048;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// The connection is made for somebody at this address.
    Address(SocketAddr),
    /// It is the proxy's own, such as a look at whether we are well, or for somebody without an IP address.
    Nothing,
}

/// Why a connection is not believed.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeaderError {
    /// There is no header, or a broken one.
    #[error("no header of the PROXY protocol")]
    Malformed,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the header that a connection must begin with, and gives back what was read beyond it.
///
/// # Errors
/// [`HeaderError`]; the connection must be closed then.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<(Told, Bytes), HeaderError> {
    let mut buffer = BytesMut::with_capacity(512);
    loop {
        if let Some(end) = end_of(&buffer)? {
            let header = buffer.split_to(end);
            return Ok((said_by(&header)?, buffer.freeze()));
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(HeaderError::Malformed);
        }
    }
}

/// How long the header is; `None` while there is not enough of it to know or to have.
fn end_of(bytes: &[u8]) -> Result<Option<usize>, HeaderError> {
    let (first, second) = (v1::PROTOCOL_PREFIX.as_bytes(), v2::PROTOCOL_PREFIX);
    let begins = |prefix: &[u8]| {
        let known = bytes.len().min(prefix.len());
        bytes.get(..known) == prefix.get(..known)
    };
    if begins(first) {
        let line = bytes.get(..LONGEST_LINE).unwrap_or(bytes);
        return match line.windows(2).position(|pair| pair == b"\r\n") {
            Some(at) => Ok(Some(at + 2)),
            None if bytes.len() < LONGEST_LINE => Ok(None),
            None => Err(HeaderError::Malformed),
        };
    }
    if !begins(second) {
        return Err(HeaderError::Malformed);
    }
    let Some(fixed) = bytes.first_chunk::<FIXED_PART>() else { return Ok(None) };
    let [.., high, low] = *fixed;
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > LONGEST_REST {
        return Err(HeaderError::Malformed);
    }
    let end = FIXED_PART + rest;
    Ok((bytes.len() >= end).then_some(end))
}

fn said_by(header: &[u8]) -> Result<Told, HeaderError> {
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        let header = v2::Header::try_from(header).map_err(|_| HeaderError::Malformed)?;
        return Ok(match (header.command, header.addresses) {
            (v2::Command::Local, _) => Told::Nothing,
            (v2::Command::Proxy, v2::Addresses::IPv4(told)) => address(told.source_address, told.source_port),
            (v2::Command::Proxy, v2::Addresses::IPv6(told)) => address(told.source_address, told.source_port),
            (v2::Command::Proxy, v2::Addresses::Unspecified | v2::Addresses::Unix(_)) => Told::Nothing,
        });
    }
    Ok(match v1::Header::try_from(header).map_err(|_| HeaderError::Malformed)?.addresses {
        v1::Addresses::Tcp4(told) => address(told.source_address, told.source_port),
        v1::Addresses::Tcp6(told) => address(told.source_address, told.source_port),
        v1::Addresses::Unknown => Told::Nothing,
    })
}

fn address(ip: impl Into<std::net::IpAddr>, port: u16) -> Told {
    Told::Address(SocketAddr::new(ip.into(), port))
}

/// Reads a header out of `bytes` alone, for fuzzing: the address it tells, and how many bytes it took.
#[doc(hidden)]
#[must_use]
pub fn read_bytes(bytes: &[u8]) -> Option<(Option<SocketAddr>, usize)> {
    let end = end_of(bytes).ok()??;
    match said_by(bytes.get(..end)?).ok()? {
        Told::Address(address) => Some((Some(address), end)),
        Told::Nothing => Some((None, end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Version 2 with this command and these addresses.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header
    }

    async fn told(mut bytes: &[u8]) -> Option<(Told, Bytes)> {
        read(&mut bytes).await.ok()
    }

    fn somebody(text: &str) -> Told {
        Told::Address(text.parse().unwrap())
    }

    #[tokio::test]
    async fn both_versions_tell_an_address_and_what_follows_is_left_alone() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x1f, 0x90, 0, 80];
        let mut six = [0; 36];
        six[..2].copy_from_slice(&[0x20, 0x01]);
        six[32..34].copy_from_slice(&[0, 9]);
        let extended: Vec<u8> = four.iter().copied().chain([0x04, 0, 2, 1, 2]).collect();
        for (header, expected) in [
            (b"PROXY TCP4 192.0.2.7 10.0.0.1 8080 80\r\n".to_vec(), somebody("192.0.2.7:8080")),
            (b"PROXY TCP6 2001:: ::1 9 80\r\n".to_vec(), somebody("[2001::]:9")),
            (b"PROXY UNKNOWN ffff::1 ::2 1 2\r\n".to_vec(), Told::Nothing),
            (b"PROXY UNKNOWN\r\n".to_vec(), Told::Nothing),
            (binary(1, 0x11, &four), somebody("192.0.2.7:8080")),
            (binary(1, 0x11, &extended), somebody("192.0.2.7:8080")),
            (binary(1, 0x21, &six), somebody("[2001::]:9")),
            (binary(0, 0, &[]), Told::Nothing),
            (binary(1, 0x31, &[0; 216]), Told::Nothing),
        ] {
            for rest in [&b""[..], b"GET / HTTP/1.1\r\n\r\n", b"\r\nPROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n"] {
                let bytes = [&header, rest].concat();
                assert_eq!(told(&bytes).await, Some((expected, Bytes::copy_from_slice(rest))), "{header:?}");
                // Nothing is known before the last byte of the header.
                assert!(told(&header[..header.len() - 1]).await.is_none());
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused_as_soon_as_that_is_certain() {
        let long = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
        let mut endless = v2::PROTOCOL_PREFIX.to_vec();
        endless.extend([0x21, 0x11, 0xff, 0xff]);
        for bytes in [
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            b"\x16\x03\x01",
            b"PROXX",
            b"proxy TCP4 192.0.2.7 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 1\r\n",
            b"PROXY TCP4 192.0.2.7.1 10.0.0.1 1 2\r\n",
            b"PROXY TCP4 192.0.2.7 10.0.0.1 65536 2\r\n",
            b"PROXY TCP4 2001::1 10.0.0.1 1 2\r\n",
            b"PROXY TCP9 192.0.2.7 10.0.0.1 1 2\r\n",
            &long,
            &endless,
            &binary(2, 0x11, &[0; 12]),
            &binary(1, 0x11, &[0; 11]),
        ] {
            // It does not wait for more.
            let (mut near, far) = tokio::io::duplex(4096);
            tokio::io::AsyncWriteExt::write_all(&mut near, bytes).await.unwrap();
            let mut far = far;
            assert!(matches!(read(&mut far).await, Err(HeaderError::Malformed)), "{bytes:?}");
        }
    }
}
