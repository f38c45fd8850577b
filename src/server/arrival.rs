//! What happens to a connection before it speaks HTTP: whom it is for, TLS, and which HTTP it will be. Each step has a
//! deadline of its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::BytesMut;
use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::connection_info::ConnectionInfo;
use super::entrance::Entrance;
use super::neighbourhood::{Neighbour, Neighbours};
use super::observer::{ConnectionEnd, Malformed};
use super::proxy_protocol::{self, HeaderError, Told};
use super::settings::Limits;
use super::stream::{Plain, Stream, Transport};
use super::tls;

/// What a client sends first when it knows that we speak HTTP/2 (RFC 9113 §3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that is ready for HTTP.
pub(super) struct Arrived {
    pub(super) stream: Stream,
    pub(super) info: ConnectionInfo,
    pub(super) protocol: Protocol,
    pub(super) neighbour: Option<Neighbour>,
}

/// Which HTTP a connection speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// Brings a connection to where its first request may come.
///
/// # Errors
/// How the connection ends instead; nothing is answered then.
pub(super) async fn arrive(
    transport: Transport,
    peer: Option<SocketAddr>,
    entrance: &Entrance,
    limits: &Limits,
    neighbours: &Arc<Neighbours>,
) -> Result<Arrived, ConnectionEnd> {
    let mut plain = Plain::from(transport);
    let mut info = ConnectionInfo { peer, is_direct: false };
    if entrance.proxy_protocol {
        // Nobody else's word is taken, and without it there is no telling who is there.
        if !entrance.trusted_proxies.trusts_peer(peer.map(|peer| peer.ip())) {
            return Err(ConnectionEnd::Malformed(Malformed::Proxy));
        }
        let read = timeout(limits.header_timeout, proxy_protocol::read(&mut plain)).await;
        let (told, ahead) = read.map_err(|_| ConnectionEnd::HeaderTimeout)?.map_err(|error| match error {
            HeaderError::Malformed => ConnectionEnd::Malformed(Malformed::Proxy),
            HeaderError::Io(_) => ConnectionEnd::Broken,
        })?;
        plain.put_back(ahead);
        if let Told::Address(address) = told {
            info = ConnectionInfo { peer: Some(address), is_direct: true };
        }
    }
    info.is_direct |= entrance.tls.is_some();
    // Behind a trusted proxy there are many, whatever its connection looks like.
    let known = info.peer.filter(|peer| info.is_direct && !entrance.trusted_proxies.trusts(peer.ip()));
    let neighbour = match known {
        Some(peer) => {
            let entered = neighbours.enter(peer.ip(), limits.connections_per_address);
            Some(entered.ok_or(ConnectionEnd::TooManyOfAddress)?)
        }
        None => None,
    };
    let (stream, protocol) = match &entrance.tls {
        Some(config) => {
            let accepted = timeout(limits.handshake_timeout, TlsAcceptor::from(Arc::clone(config)).accept(plain)).await;
            let stream =
                accepted.map_err(|_| ConnectionEnd::HandshakeTimeout)?.map_err(|error| handshake_failed(&error))?;
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(tls::HTTP2);
            (Stream::Tls(Box::new(stream)), if is_http2 { Protocol::Http2 } else { Protocol::Http1 })
        }
        None if entrance.h2c => {
            let detected = timeout(limits.header_timeout, detect(&mut plain)).await;
            let protocol = detected.map_err(|_| ConnectionEnd::HeaderTimeout)?.map_err(|_| ConnectionEnd::Broken)?;
            (Stream::Plain(plain), protocol)
        }
        None => (Stream::Plain(plain), Protocol::Http1),
    };
    Ok(Arrived { stream, info, protocol, neighbour })
}

/// Reads until it is certain which HTTP this is, and puts everything back.
async fn detect(plain: &mut Plain) -> io::Result<Protocol> {
    let mut first = BytesMut::with_capacity(4 << 10);
    let protocol = loop {
        let known = first.len().min(PREFACE.len());
        if first.get(..known) != PREFACE.get(..known) {
            break Protocol::Http1;
        }
        if known == PREFACE.len() {
            break Protocol::Http2;
        }
        if plain.read_buf(&mut first).await? == 0 {
            break Protocol::Http1;
        }
    };
    plain.put_back(first);
    Ok(protocol)
}

fn handshake_failed(error: &io::Error) -> ConnectionEnd {
    // What is no TLS, or not ours, is an error of rustls within; the rest is the network's.
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        ConnectionEnd::Malformed(Malformed::Tls)
    } else {
        ConnectionEnd::Broken
    }
}
