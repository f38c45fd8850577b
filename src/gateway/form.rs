//! A form that was posted without a session: its fields, so that the page can hold them. Nothing is stored here, and
//! nothing is sent on by us.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use super::ingress::Inbound;

/// The longest form that is shown again.
const LIMIT: usize = 64 << 10;
/// How long a form may take to come.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most fields that are shown again.
const FIELDS: usize = 1000;

/// A whole body of at most `limit` bytes that comes in time.
pub(super) async fn read(body: Incoming, limit: usize) -> Option<Bytes> {
    let whole = tokio::time::timeout(PATIENCE, Limited::new(body, limit).collect()).await;
    Some(whole.ok()?.ok()?.to_bytes())
}

/// The decoded fields, if they may be shown again: URL-encoded, from a page of this very origin, not too long.
pub(super) async fn fields(inbound: Inbound) -> Option<Vec<(String, String)>> {
    let Inbound { parts, body } = inbound;
    let media = parts.headers.get(CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim();
    let same_origin = parts.headers.get("sec-fetch-site").map(HeaderValue::as_bytes) == Some(b"same-origin");
    if parts.method != Method::POST || !same_origin || !media.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    {
        return None;
    }
    decode(&read(body, LIMIT).await?)
}

/// The fields of a URL-encoded form; `None` for what could not be posted again as it was, or is too much.
#[must_use]
pub fn decode(body: &[u8]) -> Option<Vec<(String, String)>> {
    let text = std::str::from_utf8(body).ok()?;
    let fields: Vec<(String, String)> = url::form_urlencoded::parse(text.as_bytes()).into_owned().collect();
    // Neither could what was no text in the form, nor a NUL, which no page can hold.
    let lost = |text: &str| text.contains(['\u{fffd}', '\0']);
    (fields.len() <= FIELDS && !fields.iter().any(|(name, value)| lost(name) || lost(value))).then_some(fields)
}
