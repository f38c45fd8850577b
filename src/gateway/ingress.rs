//! The first type a request becomes: one canonical host, method and path, computed once.
//!
//! Everything after this step decides on these values, and the very same strings go upstream. The raw target is not
//! looked at again.

use std::fmt;
use std::net::IpAddr;

use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Version, header};
use hyper::body::{Body as _, Incoming};

use super::audience::Audience;
use super::canonical_path::CanonicalPath;
use super::code::Code;
use super::field::Field;
use super::grpc;
use super::http2;
use super::method::may_be_forwarded;
use super::provenance::Provenance;
use super::route::RouteTable;
use crate::entropy::{Entropy, NoEntropy};
use crate::origin::{Host, Scheme};
use crate::server::connection_info::ConnectionInfo;
use crate::server::settings::Limits;
use crate::server::trusted_proxies::TrustedProxies;
use crate::telemetry::request_id::RequestId;
use crate::upstream::WebSocketHandshake;

const SEC_WEBSOCKET_KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const SEC_WEBSOCKET_VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The one view of a request: its host, method and path have one meaning. Only [`Ingress::read`] makes one.
pub(super) struct Ingress {
    pub(super) host: Host,
    pub(super) method: Method,
    pub(super) path: CanonicalPath,
    pub(super) query: Option<String>,
    pub(super) provenance: Provenance,
    pub(super) audience: Audience,
    /// The WebSocket that it asks for; there is no other upgrade.
    pub(super) upgrade: Option<WebSocketHandshake>,
    /// It came in the path where proxies ask for a decision, spelled plainly.
    pub(super) is_forward_auth: bool,
    /// A handshake, of this request or of the one that is asked about.
    pub(super) is_handshake: bool,
    pub(super) request_id: RequestId,
    /// A body comes with it, or is to come.
    pub(super) has_body: bool,
    /// It came over HTTP/2, where requests share a connection.
    pub(super) is_http2: bool,
    /// A call of gRPC, whose caller understands no other answer.
    pub(super) is_grpc: bool,
    _read: Read,
}

/// Keeps other files from building an [`Ingress`].
struct Read;

impl fmt::Debug for Ingress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The query may hold an authorization code.
        formatter.debug_struct("Ingress").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// What came with it: headers, extensions and the body. It has no `Debug`: cookies and credentials are in it.
pub(super) struct Inbound {
    pub(super) parts: Parts,
    pub(super) body: Incoming,
}

/// A request that is refused before anything is decided, with where it was going as far as that is known.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) code: Code,
    pub(super) method: Method,
    pub(super) audience: Audience,
    pub(super) is_grpc: bool,
    pub(super) host: Option<Host>,
    pub(super) peer: Option<IpAddr>,
    /// Which rule was broken, for the log.
    pub(super) detail: &'static str,
    pub(super) request_id: RequestId,
}

/// What requests are read against.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) limits: &'a Limits,
    /// That of the public URL; the wire does not decide.
    pub(super) scheme: Scheme,
    pub(super) routes: &'a RouteTable,
    pub(super) trusted_proxies: &'a TrustedProxies,
    pub(super) entropy: &'a dyn Entropy,
}

impl Ingress {
    /// Reads a request strictly. `request_id` is its id, unless a trusted proxy has given it one.
    ///
    /// # Errors
    /// [`Refused`] for what is over a limit, ambiguous, or meant for somebody else.
    pub(super) fn read(
        request: Request<Incoming>,
        rules: Rules<'_>,
        request_id: RequestId,
    ) -> Result<(Self, Inbound), Box<Refused>> {
        let Rules { limits, scheme, routes, trusted_proxies, entropy } = rules;
        let (mut parts, body) = request.into_parts();
        // Nobody behind this place needs it, and what is kept of a request for a second attempt stays small.
        let connection = parts.extensions.remove::<ConnectionInfo>().unwrap_or_default();
        let is_http2 = parts.version == Version::HTTP_2;
        let is_grpc = is_http2 && grpc::is_asked_for(&parts.headers);
        let asked_over_http2 = if is_http2 { http2::handshake(&mut parts, entropy) } else { Ok(None) };
        if is_http2 {
            http2::join_cookies(&mut parts.headers);
        }
        let provenance = Provenance::read(&parts.headers, connection, trusted_proxies);
        let request_id = if provenance.is_trusted() { id_of(&parts.headers).unwrap_or(request_id) } else { request_id };
        let audience = Audience::of(&parts.method, &parts.headers);
        let peer = provenance.address();
        let refuse = |code: Code, host: Option<Host>, detail: &'static str| {
            Box::new(Refused { code, method: parts.method.clone(), audience, is_grpc, host, peer, detail, request_id })
        };
        if let Err((code, detail)) = within_limits(&parts, limits) {
            return Err(refuse(code, None, detail));
        }
        let is_forward_auth = routes.is_forward_auth(parts.uri.path());
        let asked_host = if provenance.is_trusted() && is_forward_auth {
            forwarded_host(&parts.headers, scheme).map_err(|detail| refuse(Code::MalformedHost, None, detail))?
        } else {
            None
        };
        let host = match asked_host {
            Some(host) => host,
            None => host(&parts, scheme, routes).map_err(|detail| refuse(Code::MalformedHost, None, detail))?,
        };
        if !may_be_forwarded(&parts.method) {
            return Err(refuse(Code::MethodNotAllowed, Some(host), "method"));
        }
        // An authority without a scheme is the form of CONNECT (RFC 9112 §3.2.3), and of other schemes we serve nothing.
        if parts.uri.authority().is_some() && !matches!(parts.uri.scheme_str(), Some("http" | "https")) {
            return Err(refuse(Code::MalformedHost, Some(host), "target-form"));
        }
        if let Err(detail) = authorization(&parts) {
            return Err(refuse(Code::MalformedHeader, Some(host), detail));
        }
        let asked_over_http2 =
            asked_over_http2.map_err(|NoEntropy| refuse(Code::NoEntropy, Some(host.clone()), "entropy"))?;
        let upgrade = match asked_over_http2 {
            None => WebSocketHandshake::recognise(&parts)
                .map_err(|_| refuse(Code::UpgradeRefused, Some(host.clone()), "upgrade"))?,
            asked => asked,
        };
        // No script can follow a handshake to a login, and no person sees its answer.
        let audience = if upgrade.is_some() { Audience::Program } else { audience };
        let Some(policy) = routes.path_policy(&host) else {
            return Err(refuse(Code::Misdirected, Some(host), "host"));
        };
        let path = match CanonicalPath::parse(parts.uri.path(), policy) {
            Ok(path) => path,
            Err(_) => return Err(refuse(Code::MalformedPath, Some(host), "path")),
        };
        let query = parts.uri.query().map(str::to_owned);
        let method = parts.method.clone();
        let has_body = !body.is_end_stream();
        let is_handshake = upgrade.is_some();
        let ingress = Self {
            host,
            method,
            path,
            query,
            provenance,
            audience,
            upgrade,
            is_forward_auth,
            is_handshake,
            request_id,
            has_body,
            is_http2,
            is_grpc,
            _read: Read,
        };
        Ok((ingress, Inbound { parts, body }))
    }

    /// The request that a trusted proxy asks about: of the same user agent to the same host.
    pub(super) fn asked(
        &self,
        headers: &HeaderMap,
        method: Method,
        path: CanonicalPath,
        query: Option<String>,
    ) -> Self {
        // A proxy keeps `Upgrade` to itself, but the key of a handshake comes through. Over HTTP/2 it has none, and its
        // version alone tells (RFC 8441 §5).
        let told = [SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION];
        let is_handshake = self.upgrade.is_some() || told.iter().any(|name| headers.contains_key(name));
        Self {
            host: self.host.clone(),
            audience: if is_handshake { Audience::Program } else { Audience::of(&method, headers) },
            method,
            path,
            query,
            provenance: self.provenance.clone(),
            upgrade: None,
            is_forward_auth: false,
            is_handshake,
            request_id: self.request_id,
            has_body: self.has_body,
            is_http2: self.is_http2,
            is_grpc: false,
            _read: Read,
        }
    }

    /// Path and query, as they are forwarded.
    #[must_use]
    pub(super) fn path_and_query(&self) -> String {
        match &self.query {
            Some(query) => format!("{}?{query}", self.path.as_str()),
            None => self.path.as_str().to_owned(),
        }
    }
}

fn within_limits(parts: &Parts, limits: &Limits) -> Result<(), (Code, &'static str)> {
    let target = parts.uri.path().len() + parts.uri.query().map_or(0, |query| query.len() + 1);
    if target > limits.target_bytes {
        return Err((Code::TargetTooLong, "target"));
    }
    if parts.headers.len() > limits.headers {
        return Err((Code::HeadersTooLarge, "headers"));
    }
    let (mut all, mut cookies) = (0, 0);
    for (name, value) in &parts.headers {
        // Name, colon, space, value, line end.
        all += name.as_str().len() + value.len() + 4;
        if name == header::COOKIE {
            cookies += value.len();
        }
    }
    if all > limits.header_bytes + limits.cookie_bytes || all - cookies > limits.header_bytes {
        return Err((Code::HeadersTooLarge, "header-bytes"));
    }
    if cookies > limits.cookie_bytes {
        return Err((Code::HeadersTooLarge, "cookie-bytes"));
    }
    Ok(())
}

/// One `Host` field (RFC 9112 §3.2), which an absolute-form target must agree with.
fn host(parts: &Parts, scheme: Scheme, routes: &RouteTable) -> Result<Host, &'static str> {
    let field = match Field::of(&parts.headers, &header::HOST) {
        Field::One(field) => {
            let text = field.to_str().map_err(|_| "host-characters")?;
            // A name that is one of ours as it stands need not be taken apart.
            Some(match routes.host(text) {
                Some(known) => known.clone(),
                None => Host::parse(text, scheme).map_err(|_| "host-malformed")?,
            })
        }
        Field::Several => return Err("host-repeated"),
        Field::Absent => None,
    };
    let authority = match parts.uri.authority() {
        Some(authority) => Some(Host::parse(authority.as_str(), scheme).map_err(|_| "authority-malformed")?),
        None => None,
    };
    match (field, authority) {
        (Some(field), Some(authority)) if field != authority => Err("authority-and-host-differ"),
        (Some(field), _) => Ok(field),
        (None, Some(authority)) if parts.version == Version::HTTP_2 => Ok(authority),
        (None, _) => Err("host-missing"),
    }
}

/// The host that a trusted proxy asks about, if it names one.
fn forwarded_host(headers: &HeaderMap, scheme: Scheme) -> Result<Option<Host>, &'static str> {
    match Field::of(headers, &X_FORWARDED_HOST) {
        Field::Absent => Ok(None),
        Field::One(field) => {
            let text = field.to_str().map_err(|_| "forwarded-host")?;
            Host::parse(text, scheme).map(Some).map_err(|_| "forwarded-host")
        }
        Field::Several => Err("forwarded-host-repeated"),
    }
}

/// The id that a proxy has given a request.
fn id_of(headers: &HeaderMap) -> Option<RequestId> {
    match Field::of(headers, &X_REQUEST_ID) {
        Field::One(field) => RequestId::from_proxy(field.as_bytes()),
        Field::Absent | Field::Several => None,
    }
}

/// At most one `Authorization` field, made of visible characters and spaces.
fn authorization(parts: &Parts) -> Result<(), &'static str> {
    match Field::of(&parts.headers, &header::AUTHORIZATION) {
        Field::Absent => Ok(()),
        Field::One(field) if field.as_bytes().iter().all(|byte| (0x20..0x7f).contains(byte)) => Ok(()),
        Field::One(_) => Err("authorization-characters"),
        Field::Several => Err("authorization-repeated"),
    }
}

#[cfg(test)]
mod tests;
