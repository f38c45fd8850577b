//! The answer on its way back: without what belongs to one connection, to the gateway alone, or to another origin.

use std::sync::atomic::{AtomicBool, Ordering};

use http::header::{
    ALT_SVC, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, SET_COOKIE,
    TRANSFER_ENCODING, VARY,
};
use http::response::Parts;
use http::{StatusCode, Version, uri::Authority};

use super::connection_bound;
use super::error::BadAnswer;
use super::hop_by_hop;
use super::prefix::Prefix;
use crate::cookie;
use crate::origin::{Host, Scheme};

/// The gateway's own view of a place, for `Location`.
#[derive(Clone, Debug)]
pub(super) struct PublicOrigin {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
}

/// How an answer is rewritten.
pub(super) struct ResponseFilter<'a> {
    /// What was taken off the path.
    pub(super) prefix: Option<&'a Prefix>,
    /// What the application believes to be called, when that is not what the browser calls it.
    pub(super) authority: Option<&'a Authority>,
    /// Whether the answer is somebody's own.
    pub(super) authenticated: bool,
    /// Where the browser is.
    pub(super) origin: Option<PublicOrigin>,
    /// For the log.
    pub(super) upstream: &'a str,
    /// Whether the log has been told of authentication that holds for a connection.
    pub(super) told_of_binding: &'a AtomicBool,
}

/// Whether a message is framed so that everybody reads the same (RFC 9112 §6.3).
pub(super) fn check_framing(parts: &Parts) -> Result<(), BadAnswer> {
    let headers = &parts.headers;
    let chunked = headers.contains_key(TRANSFER_ENCODING);
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let first = lengths.next();
    let several = lengths.next().is_some();
    // A list of lengths is legal where they are equal, but not everybody reads it so.
    let plain = first.is_none_or(|length| length.as_bytes().iter().all(u8::is_ascii_digit) && !length.is_empty());
    let ambiguous = match parts.status {
        StatusCode::NO_CONTENT | StatusCode::SWITCHING_PROTOCOLS => {
            chunked || first.is_some_and(|length| length != "0")
        }
        // A length with 304 is that of the answer to GET, and legal.
        _ => chunked && first.is_some(),
    };
    if ambiguous || several || !plain { Err(BadAnswer::Framing) } else { Ok(()) }
}

/// Whether an answer is a stream of events that may be silent for long and never ends by itself.
pub(super) fn is_stream(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| {
        let value = value.as_bytes();
        [&b"text/event-stream"[..], b"application/grpc"]
            .iter()
            .any(|kind| value.get(..kind.len()).is_some_and(|start| start.eq_ignore_ascii_case(kind)))
    })
}

impl ResponseFilter<'_> {
    pub(super) fn apply(&self, parts: &mut Parts) {
        // Ours, whatever the application speaks: hyper makes it the browser's.
        parts.version = Version::HTTP_11;
        let headers = &mut parts.headers;
        hop_by_hop::strip_response(headers);
        if connection_bound::strip_challenges(headers) && !self.told_of_binding.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                event = "upstream.connection-bound",
                upstream = self.upstream,
                "the application offers NTLM or Negotiate, which hold for a connection: such offers are left out"
            );
        }
        // It would lead browsers around the gateway.
        headers.remove(ALT_SVC);
        if headers.contains_key(SET_COOKIE) {
            self.filter_cookies(headers);
        }
        if let Some(location) = headers.get(LOCATION).and_then(|location| self.rewrite_location(location)) {
            headers.insert(LOCATION, location);
        }
        if self.authenticated && !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("private"));
            headers.append(VARY, HeaderValue::from_static("Cookie"));
        }
    }

    fn filter_cookies(&self, headers: &mut HeaderMap) {
        let ours = headers.get_all(SET_COOKIE).iter().any(|value| is_gateway_cookie(value.as_bytes()));
        if !ours && self.prefix.is_none() {
            return;
        }
        if ours {
            tracing::warn!(upstream = self.upstream, "the upstream tried to set a cookie of the gateway");
        }
        let kept: Vec<HeaderValue> = headers
            .get_all(SET_COOKIE)
            .iter()
            .filter(|value| !is_gateway_cookie(value.as_bytes()))
            .map(|value| self.scope_cookie(value).unwrap_or_else(|| value.clone()))
            .collect();
        headers.remove(SET_COOKIE);
        for value in kept {
            headers.append(SET_COOKIE, value);
        }
    }

    fn scope_cookie(&self, value: &HeaderValue) -> Option<HeaderValue> {
        let scoped = self.prefix?.add_to_cookie(value.to_str().ok()?)?;
        HeaderValue::try_from(scoped).ok()
    }

    /// A `Location` on the application itself, as the browser must see it; `None` when it stays as it is.
    fn rewrite_location(&self, location: &HeaderValue) -> Option<HeaderValue> {
        let origin = self.origin.as_ref()?;
        let location = location.to_str().ok()?;
        if location.starts_with('/') && !location.starts_with("//") {
            return HeaderValue::try_from(self.prefix?.add(location)?).ok();
        }
        let (scheme, rest) = location.split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
            return None;
        }
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let internal = self.authority.is_some_and(|own| {
            own.as_str().eq_ignore_ascii_case(authority)
                || (own.port_u16().is_some_and(|port| port == 80 || port == 443)
                    && own.host().eq_ignore_ascii_case(authority))
        });
        let public = scheme.eq_ignore_ascii_case(origin.scheme.as_str())
            && Host::parse(authority, origin.scheme).is_ok_and(|host| host == origin.host);
        if !internal && !public {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let path = match self.prefix.and_then(|prefix| prefix.add(&path)) {
            Some(prefixed) => prefixed,
            None if internal => path,
            None => return None,
        };
        HeaderValue::try_from(format!("{}://{}{path}", origin.scheme.as_str(), origin.host)).ok()
    }
}

/// A cookie without a name is sent back as its value alone, so the value is judged like a name.
fn is_gateway_cookie(set_cookie: &[u8]) -> bool {
    let name = cookie::set_cookie_name(set_cookie);
    if !name.trim_ascii().is_empty() {
        return cookie::is_gateway_name(name);
    }
    let value = set_cookie.split(|&byte| byte == b'=').nth(1).unwrap_or_default();
    cookie::is_gateway_name(value)
}

#[cfg(test)]
mod tests;
