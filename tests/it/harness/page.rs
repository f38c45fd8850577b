//! What a browser got: every request on the way to a page, and the page.

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use url::Url;

use super::html::{self, Form};

/// One request and its answer.
#[derive(Clone, Debug)]
pub struct Hop {
    pub method: Method,
    pub url: Url,
    pub request_headers: HeaderMap,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Hop {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The `Set-Cookie` lines.
    pub fn set_cookies(&self) -> Vec<&str> {
        self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect()
    }

    /// Where it redirects to, resolved.
    pub fn location(&self) -> Option<Url> {
        Some(self.url.join(self.header("location")?).unwrap())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }
}

/// Where a request ended: its last answer, and every hop on the way there, the last one included.
#[derive(Clone, Debug)]
pub struct Page {
    pub hops: Vec<Hop>,
}

impl std::ops::Deref for Page {
    type Target = Hop;

    fn deref(&self) -> &Hop {
        self.hops.last().unwrap()
    }
}

impl Page {
    pub fn forms(&self) -> Vec<Form> {
        html::forms(&self.text())
    }

    pub fn links(&self) -> Vec<(String, String)> {
        html::links(&self.text())
    }

    /// The first hop to this path.
    pub fn hop(&self, path: &str) -> &Hop {
        self.hops.iter().find(|hop| hop.url.path() == path).unwrap_or_else(|| panic!("nobody asked for {path}"))
    }
}
