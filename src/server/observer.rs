//! Who is told that connections come and go.

use std::error::Error as _;

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConnectionEnd {
    /// One side closed it between two requests, it was idle for long, or it became a tunnel.
    Finished,
    /// What came was refused by the parser, with 400 or 431 and without a page.
    Malformed(Malformed),
    /// No request's header was complete in time.
    HeaderTimeout,
    /// The handshake of TLS was not over in time.
    HandshakeTimeout,
    /// Its address has as many connections as one may have.
    TooManyOfAddress,
    /// The peer did not take its answer.
    WriteTimeout,
    /// It broke in the middle of a request or an answer.
    Broken,
    /// It was idle, and made room for another.
    Displaced,
    /// It was still busy when the time to shut down was over.
    Drained,
}

/// What was malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Malformed {
    /// Not HTTP/1, or not well-formed.
    Syntax,
    /// More header fields or bytes than are read at all.
    TooLarge,
    /// HTTP/2 where HTTP/1 is spoken.
    Http2,
    /// Frames of HTTP/2 that break its rules, or come in a flood.
    Frames,
    /// Not TLS, or nothing that both sides speak.
    Tls,
    /// No header of the PROXY protocol from a trusted proxy.
    Proxy,
}

impl Malformed {
    /// The kind as metrics name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::TooLarge => "too-large",
            Self::Http2 => "http2",
            Self::Frames => "http2-frames",
            Self::Tls => "tls",
            Self::Proxy => "proxy-protocol",
        }
    }
}

/// Counts connections.
pub trait ConnectionObserver: Send + Sync + 'static {
    /// A connection has been accepted.
    fn opened(&self);
    /// Its HTTP has ended; as a tunnel it may live on.
    fn closed(&self, end: ConnectionEnd);
    /// A connection was closed as soon as it was accepted: there are too many, and none is idle.
    fn turned_away(&self);
}

impl ConnectionEnd {
    /// Sorts hyper's errors.
    pub(super) fn of(error: &hyper::Error) -> Self {
        if error.is_parse_version_h2() {
            Self::Malformed(Malformed::Http2)
        } else if error.is_parse_too_large() {
            Self::Malformed(Malformed::TooLarge)
        } else if error.is_parse() {
            Self::Malformed(Malformed::Syntax)
        } else if is_our_verdict(error) {
            Self::Malformed(Malformed::Frames)
        } else {
            Self::Broken
        }
    }
}

/// Whether it is us who have ended a connection of HTTP/2 for what came.
fn is_our_verdict(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<h2::Error>());
    cause.is_some_and(|cause| cause.is_library() && (cause.is_go_away() || cause.is_reset()))
}
