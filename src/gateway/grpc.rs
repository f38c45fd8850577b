//! Refusals for callers of gRPC, who read no page and no problem: a status of their own in the headers, and HTTP's is 200
//! (gRPC over HTTP/2, "Trailers-Only").

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};

use super::code::Code;

const GRPC: &[u8] = b"application/grpc";
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Whether a request is a call of gRPC. gRPC-Web is none: it reads HTTP's own status.
pub(super) fn is_asked_for(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) else { return false };
    let Some((start, rest)) = value.split_at_checked(GRPC.len()) else { return false };
    start.eq_ignore_ascii_case(GRPC) && rest.first().is_none_or(|next| matches!(next, b'+' | b';' | b' '))
}

/// A refusal as gRPC says it: the status, and the reason code as its message.
pub(super) fn refusal(code: Code) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(GRPC_STATUS, HeaderValue::from(status(code.description().status)));
    // Reason codes need no encoding: letters and `-`.
    headers.insert(GRPC_MESSAGE, HeaderValue::from_static(code.as_str()));
    response
}

/// The status of gRPC that says the most of what one of HTTP says; where there is more than one, so that a caller which
/// tries again by itself does so only where that can help.
const fn status(http: StatusCode) -> u16 {
    const INVALID_ARGUMENT: u16 = 3;
    const DEADLINE_EXCEEDED: u16 = 4;
    const PERMISSION_DENIED: u16 = 7;
    const RESOURCE_EXHAUSTED: u16 = 8;
    const UNIMPLEMENTED: u16 = 12;
    const INTERNAL: u16 = 13;
    const UNAVAILABLE: u16 = 14;
    const UNAUTHENTICATED: u16 = 16;
    match http.as_u16() {
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 | 405 => UNIMPLEMENTED,
        408 | 504 => DEADLINE_EXCEEDED,
        413 | 414 | 429 | 431 => RESOURCE_EXHAUSTED,
        502 | 503 => UNAVAILABLE,
        400..500 => INVALID_ARGUMENT,
        _ => INTERNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_told_by_its_content_type() {
        for (value, expected) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC;v=1", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/json", false),
            ("application/grp", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(value))]);
            assert_eq!(is_asked_for(&headers), expected, "{value}");
        }
        assert!(!is_asked_for(&HeaderMap::new()));
    }

    #[test]
    fn every_reason_has_a_status_of_grpc() {
        for (code, expected) in [
            (Code::Unauthenticated, "16"),
            (Code::AccessDenied, "7"),
            (Code::NotFound, "12"),
            (Code::UpstreamTimeout, "4"),
            (Code::BodyTooLarge, "8"),
            (Code::UpstreamUnreachable, "14"),
            (Code::MalformedPath, "3"),
            (Code::Internal, "13"),
        ] {
            let response = refusal(code);
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[GRPC_STATUS], expected, "{}", code.as_str());
            assert_eq!(response.headers()[GRPC_MESSAGE], code.as_str());
            assert!(response.body().is_empty());
        }
    }
}
