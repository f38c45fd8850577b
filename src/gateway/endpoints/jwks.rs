//! `/oauth2/jwks.json`: our public keys (RFC 7517 §5), for everybody who verifies what we sign.

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::super::Gateway;

/// So long a verifier may keep the keys: a new one is there that long before every verifier knows it.
const CACHE_CONTROL: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(super) fn jwks(gateway: &Gateway) -> Response<Bytes> {
    let mut response = Response::new(gateway.jwk_set.clone());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    headers.insert(header::CACHE_CONTROL, CACHE_CONTROL);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
