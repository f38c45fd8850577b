//! What is kept of a request that may have to be sent a second time.
//!
//! Nearly never it is, so what is kept must cost little: the fields are copied into one buffer, side by side. A copy of
//! the header map would take as long as all the rest of the connection pool.

use std::ops::Range;

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, Method, Request, Uri, Version};

use crate::upstream::request_body::RequestBody;

/// So much room for the fields to begin with: those of a browser with its cookies and a token.
const ROOM: usize = 2 << 10;

/// A request without its body, which it must not have.
pub(super) struct Repeat {
    method: Method,
    uri: Uri,
    version: Version,
    extensions: Extensions,
    /// Names and values, one after the other.
    text: Vec<u8>,
    fields: Vec<Field>,
}

/// Where a field lies in the text: its value follows its name.
struct Field {
    name: usize,
    value: usize,
    sensitive: bool,
}

impl Repeat {
    pub(super) fn of(request: &Request<RequestBody>) -> Self {
        let headers = request.headers();
        let (mut text, mut fields) = (Vec::with_capacity(ROOM), Vec::with_capacity(headers.len()));
        for (name, value) in headers {
            let (name, bytes) = (name.as_str().as_bytes(), value.as_bytes());
            text.extend_from_slice(name);
            text.extend_from_slice(bytes);
            fields.push(Field { name: name.len(), value: bytes.len(), sensitive: value.is_sensitive() });
        }
        Self {
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            extensions: request.extensions().clone(),
            text,
            fields,
        }
    }

    pub(super) fn into_request(self) -> Request<RequestBody> {
        let mut request = Request::new(RequestBody::none());
        *request.headers_mut() = headers(Bytes::from(self.text), &self.fields);
        *request.method_mut() = self.method;
        *request.uri_mut() = self.uri;
        *request.version_mut() = self.version;
        *request.extensions_mut() = self.extensions;
        request
    }
}

fn headers(text: Bytes, fields: &[Field]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut at = 0;
    let mut next = |length: usize| -> Range<usize> {
        let start = at;
        at += length;
        start..at
    };
    for field in fields {
        let (name, value) = (text.slice(next(field.name)), text.slice(next(field.value)));
        // Both have been a name and a value before.
        if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(&name), HeaderValue::from_maybe_shared(value)) {
            value.set_sensitive(field.sensitive);
            headers.append(name, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_comes_back_as_it_was() {
        let mut request = Request::new(RequestBody::none());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = Uri::from_static("/a?b");
        request.extensions_mut().insert(7_u8);
        let mut token = HeaderValue::from_static("Bearer t");
        token.set_sensitive(true);
        let headers = request.headers_mut();
        headers.insert("authorization", token);
        headers.append("x-several", HeaderValue::from_static("one"));
        headers.append("x-several", HeaderValue::from_static(""));
        headers.append("accept", HeaderValue::from_bytes(b"\xe4").unwrap());
        headers.append("x-several", HeaderValue::from_static("three"));
        let again = Repeat::of(&request).into_request();
        assert_eq!(again.headers(), request.headers());
        assert!(again.headers().get("authorization").unwrap().is_sensitive());
        assert!(!again.headers().get("accept").unwrap().is_sensitive());
        assert_eq!(
            (again.method(), again.uri(), again.version()),
            (request.method(), request.uri(), request.version())
        );
        assert_eq!(again.extensions().get::<u8>(), Some(&7));
    }
}
