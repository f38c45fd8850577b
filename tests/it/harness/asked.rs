//! What a browser is asked to send.

use bytes::Bytes;
use http::Method;
use url::form_urlencoded;

/// What kind of request it is, and so what the browser says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The whole window, by an act of the person.
    Navigation,
    /// A speculative load of a document (`Sec-Purpose: prefetch`).
    Prefetch,
    /// A document in a frame.
    Frame,
    /// `fetch()` from the page.
    Fetch,
    /// `<img>`, and everything else that is loaded without asking.
    Image,
}

/// A request that the browser is to send.
#[derive(Clone, Debug)]
pub struct Asked {
    pub kind: Kind,
    pub method: Method,
    pub headers: Vec<(String, String)>,
    pub body: Option<(String, Bytes)>,
    /// Typed into the address bar, or a bookmark: no page has begun it.
    pub typed: bool,
    pub follow: bool,
    /// `credentials: "include"` of `fetch()`.
    pub include_credentials: bool,
}

impl Asked {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            method: Method::GET,
            headers: Vec::new(),
            body: None,
            typed: false,
            follow: true,
            include_credentials: false,
        }
    }

    pub fn typed(mut self) -> Self {
        self.typed = true;
        self
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = method.parse().unwrap();
        self
    }

    /// A header that the page's script sets; it wins over the browser's own.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn body(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = Some((content_type.into(), body.into()));
        self
    }

    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.method("POST").body("application/x-www-form-urlencoded", encoded)
    }

    /// Stop at the first answer.
    pub fn once(mut self) -> Self {
        self.follow = false;
        self
    }

    pub fn include_credentials(mut self) -> Self {
        self.include_credentials = true;
        self
    }
}
