//! A user agent that came without TLS to a site that has it, as a trusted proxy tells.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

use super::Gateway;
use super::code::Code;
use super::ingress::Ingress;
use super::refusal::Refusal;
use crate::origin::Scheme;

/// The answer to a request that came in clear: 308 (RFC 9110 §15.4.9) to the same place for what only reads, a refusal
/// for everything else, which has told its secrets already.
pub(super) fn insist(gateway: &Gateway, ingress: &Ingress) -> Option<Result<Response<Bytes>, Refusal>> {
    if !ingress.provenance.is_plain_http() || gateway.public_url.scheme() != Scheme::Https {
        return None;
    }
    if ingress.method != Method::GET && ingress.method != Method::HEAD {
        return Some(Err(Refusal::of(Code::InsecureTransport)));
    }
    let location = format!("{}{}", gateway.public_url.origin_of(&ingress.host), ingress.path_and_query());
    Some(HeaderValue::from_str(&location).map_err(|_| Refusal::of(Code::InsecureTransport)).map(|location| {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
        response.headers_mut().insert(header::LOCATION, location);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }))
}
