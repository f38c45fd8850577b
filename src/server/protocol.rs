//! HTTP/1 and HTTP/2 as we speak them with whoever connects.

use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::settings::Limits;

/// hyper reads up to this much of a header, so that our own limits get to answer; past it the parser says 431.
const BUFFER: usize = 64 << 10;
/// As many header fields as hyper keeps without allocating.
const HEADERS_ON_STACK: usize = 100;
/// What HTTP/2 counts for each field besides its bytes (RFC 9113 §6.5.2).
const FIELD_OVERHEAD: usize = 32;
/// Streams that a peer may end before we have looked at them, and those that we may end for what it does wrong; then the
/// connection is closed.
const RESETS_PENDING: usize = 20;
const RESETS_OURS: usize = 100;
/// So much of a request's body is taken in before it is asked for, of a stream and of all streams of a connection.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// So much of an answer is kept for a stream that its peer does not take.
const SEND_BUFFER: usize = 64 << 10;
/// A peer that says nothing is asked whether it is there, and is gone when it does not answer.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

pub(super) fn http1(limits: &Limits) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .preserve_header_case(true)
        // `Deadline` has both deadlines, each in its place.
        .header_read_timeout(None)
        .max_buf_size(BUFFER.max(limits.header_bytes + limits.target_bytes + (16 << 10)));
    if limits.headers != HEADERS_ON_STACK {
        builder.max_headers(limits.headers);
    }
    builder
}

pub(super) fn http2(limits: &Limits) -> http2::Builder<TokioExecutor> {
    // One list holds here what HTTP/1 has in three places; each is held to its own limit by whoever reads the request.
    let list = limits.header_bytes + limits.cookie_bytes + limits.target_bytes + (limits.headers + 8) * FIELD_OVERHEAD;
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(u32::try_from(limits.streams).unwrap_or(u32::MAX))
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_PENDING)
        .max_local_error_reset_streams(RESETS_OURS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        // WebSocket over HTTP/2 (RFC 8441).
        .enable_connect_protocol();
    builder
}
