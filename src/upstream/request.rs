//! The outgoing request: the inbound one without what must not travel, with what we say.

use std::sync::Arc;

use http::Version;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, HOST, HeaderMap, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{PathAndQuery, Uri};
use hyper::body::{Body as _, Incoming};

use super::body_limits::BodyLimits;
use super::connection_bound;
use super::error::{InvalidUpstream, UpstreamError};
use super::forwarded::ForwardedContext;
use super::hop_by_hop;
use super::identity_assertion::IdentityAssertion;
use super::identity_headers::IdentityHeaders;
use super::managed::ManagedSet;
use super::prefix::Prefix;
use super::principal::{Principal, SharedGuard};
use super::settings::UpstreamSettings;
use super::template::RequestValues;
use super::upgrade::WebSocketHandshake;
use super::via::Via;
use crate::clock::Clock;
use crate::cookie;

/// What the gateway has decided about a request that goes out.
pub struct Outgoing<'a> {
    /// The canonical path, prefix included: what was matched is what is sent.
    pub path: &'a str,
    /// The query as it came.
    pub query: Option<&'a str>,
    /// Who asks; empty for requests without identity.
    pub principal: Principal<'a>,
    /// Whether the caller's own `Authorization` stays: on a public path of an upstream that wants it.
    pub keep_authorization: bool,
    /// How the request came.
    pub forwarded: ForwardedContext<'a>,
    /// The upgrade it asks for.
    pub upgrade: Option<WebSocketHandshake>,
    /// A number for the session, by which it stays at one of several targets.
    pub session: Option<u64>,
    /// The session that carries it, if one does.
    pub guard: Option<SharedGuard>,
    /// What is put up with from the body.
    pub body_limits: &'a Arc<BodyLimits>,
    /// The time that bodies take.
    pub clock: &'a Arc<dyn Clock>,
    /// Given back when the request, or the WebSocket it has become, is over.
    pub place: Option<Box<dyn Send>>,
}

/// How requests to one application are written.
#[derive(Debug)]
pub(super) struct RequestComposer {
    prefix: Option<Prefix>,
    identity_headers: IdentityHeaders,
}

impl RequestComposer {
    pub(super) fn new(
        settings: &UpstreamSettings,
        managed: &ManagedSet,
        assertion: Option<IdentityAssertion>,
    ) -> Result<Self, InvalidUpstream> {
        let identity_headers = IdentityHeaders::new(&settings.headers, managed, assertion)?;
        let prefix = settings.strip_prefix.as_deref().map(Prefix::new).transpose()?;
        Ok(Self { prefix, identity_headers })
    }

    pub(super) const fn prefix(&self) -> Option<&Prefix> {
        self.prefix.as_ref()
    }

    /// What the upstream is told about the person.
    pub(super) const fn identity_headers(&self) -> &IdentityHeaders {
        &self.identity_headers
    }

    /// Rewrites `parts` in place. The order matters: what `Connection` names goes first, then the managed names, and
    /// only then is anything of ours set.
    pub(super) fn compose(
        &self,
        parts: &mut Parts,
        body: &Incoming,
        outgoing: &Outgoing<'_>,
        managed: &ManagedSet,
        via: &Via,
    ) -> Result<(), UpstreamError> {
        parts.uri = self.target(&parts.uri, outgoing)?;
        parts.version = Version::HTTP_11;
        let headers = &mut parts.headers;
        // Over HTTP/2 a body needs no length, and over HTTP/1 one without is chunked.
        let chunked =
            headers.contains_key(TRANSFER_ENCODING) || (!headers.contains_key(CONTENT_LENGTH) && !body.is_end_stream());
        hop_by_hop::strip_request(headers);
        let callers_own = if outgoing.keep_authorization { headers.get(AUTHORIZATION).cloned() } else { None };
        let callers_own = callers_own.filter(|credentials| !connection_bound::binds(credentials));
        managed.strip(headers);
        cookie::remove_gateway_cookies(headers);
        protect(headers);
        frame(headers, chunked, body);
        via.mark(headers).map_err(|_| UpstreamError::Loop)?;
        let host = set_host(headers, outgoing)?;
        outgoing.forwarded.set(headers, &host, self.prefix.as_ref().map(Prefix::value));
        let values = RequestValues { id: outgoing.forwarded.request_id, host: outgoing.forwarded.host.as_str() };
        self.identity_headers.render(&outgoing.principal, values, |name, value| {
            if let Some(value) = value {
                headers.append(name, value);
            }
        })?;
        if let Some(mut value) = callers_own
            && let http::header::Entry::Vacant(entry) = headers.entry(AUTHORIZATION)
        {
            value.set_sensitive(true);
            entry.insert(value);
        }
        if let Some(handshake) = outgoing.upgrade {
            handshake.set(headers);
        }
        Ok(())
    }

    /// The request target: the canonical path and the query, byte for byte.
    fn target(&self, inbound: &Uri, outgoing: &Outgoing<'_>) -> Result<Uri, UpstreamError> {
        let path = self.prefix.as_ref().map_or(outgoing.path, |prefix| prefix.strip_routed(outgoing.path));
        let as_it_came =
            inbound.path_and_query().filter(|_| inbound.path() == path && inbound.query() == outgoing.query);
        let path_and_query = match (as_it_came, outgoing.query) {
            (Some(path_and_query), _) => path_and_query.clone(),
            (None, None) => PathAndQuery::try_from(path).map_err(http::Error::from)?,
            (None, Some(query)) => PathAndQuery::try_from(format!("{path}?{query}")).map_err(http::Error::from)?,
        };
        Ok(Uri::from(path_and_query))
    }
}

/// Sets `Host` to the canonical host the browser asked for.
fn set_host(headers: &mut HeaderMap, outgoing: &Outgoing<'_>) -> Result<HeaderValue, UpstreamError> {
    let canonical = outgoing.forwarded.host.as_str();
    match headers.get(HOST) {
        // Nearly always the same bytes: then the value is shared instead of made.
        Some(value) if value == canonical && headers.get_all(HOST).iter().nth(1).is_none() => Ok(value.clone()),
        _ => {
            let host = HeaderValue::from_str(canonical).map_err(http::Error::from)?;
            headers.insert(HOST, host.clone());
            Ok(host)
        }
    }
}

/// Keeps credentials out of anybody's `Debug`.
fn protect(headers: &mut HeaderMap) {
    if let http::header::Entry::Occupied(mut cookies) = headers.entry(COOKIE) {
        cookies.iter_mut().for_each(|value| value.set_sensitive(true));
    }
}

/// Says once and unmistakably how long the body is.
fn frame(headers: &mut HeaderMap, chunked: bool, body: &Incoming) {
    if chunked {
        // hyper would send a GET without its body unless told that there is one.
        headers.remove(CONTENT_LENGTH);
        if !body.is_end_stream() {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    } else if headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some()
        && let Some(length) = body.size_hint().exact()
    {
        // Equal lengths on several lines: one says it all.
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}
