//! A request on its way through redirects, and what a browser says about it at each hop.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use url::Url;

use super::asked::{Asked, Kind};
use super::cookie_jar::Carriage;
use super::site::{relation, same_origin};

/// A request with the redirects behind it.
pub struct Journey {
    pub asked: Asked,
    /// The page that began it; none when somebody typed the address.
    pub initiator: Option<Url>,
    /// The page's policy keeps its address to itself.
    pub hides_referrer: bool,
    /// Every URL so far, the present one last.
    pub chain: Vec<Url>,
}

impl Journey {
    pub fn url(&self) -> &Url {
        self.chain.last().unwrap()
    }

    pub fn redirect(&mut self, status: StatusCode, next: Url) {
        let keeps = matches!(status.as_u16(), 307 | 308);
        if !keeps && !matches!(self.asked.method, Method::GET | Method::HEAD) {
            self.asked.method = Method::GET;
            self.asked.body = None;
        }
        self.chain.push(next);
    }

    pub fn carriage(&self) -> Carriage {
        let safe = matches!(self.asked.method, Method::GET | Method::HEAD | Method::OPTIONS);
        Carriage {
            same_site: relation(self.initiator.as_ref(), &self.chain) != "cross-site",
            safe_navigation: safe && matches!(self.asked.kind, Kind::Navigation | Kind::Prefetch),
        }
    }

    /// `fetch()` sends and keeps cookies for its own origin only, unless told otherwise.
    pub fn with_credentials(&self) -> bool {
        let own = self.initiator.as_ref().is_none_or(|initiator| same_origin(initiator, self.url()));
        self.asked.kind != Kind::Fetch || self.asked.include_credentials || own
    }

    /// The headers by which a browser tells what the request is for.
    pub fn describe(&self, headers: &mut HeaderMap, fetch_metadata: bool) {
        let foreign = self.initiator.as_ref().is_some_and(|initiator| !same_origin(initiator, self.url()));
        let document = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";
        let (mode, destination, accept) = match self.asked.kind {
            Kind::Navigation | Kind::Prefetch => ("navigate", "document", document),
            Kind::Frame => ("navigate", "iframe", document),
            Kind::Fetch => ("cors", "empty", "*/*"),
            Kind::Image => ("no-cors", "image", "image/*,*/*;q=0.8"),
        };
        let mut put = |name: &'static str, value: &str| headers.insert(name, HeaderValue::from_str(value).unwrap());
        put("accept", accept);
        put("user-agent", "Mozilla/5.0 (a test)");
        if fetch_metadata {
            put("sec-fetch-site", relation(self.initiator.as_ref(), &self.chain));
            put("sec-fetch-mode", mode);
            put("sec-fetch-dest", destination);
            if self.asked.kind == Kind::Navigation {
                put("sec-fetch-user", "?1");
            }
            if self.asked.kind == Kind::Prefetch {
                put("sec-purpose", "prefetch");
            }
        }
        if let Some((content_type, _)) = &self.asked.body {
            put("content-type", content_type);
        }
        let unsafe_method = !matches!(self.asked.method, Method::GET | Method::HEAD);
        if unsafe_method || (self.asked.kind == Kind::Fetch && foreign) {
            // A script's requests name their origin always; a form's hide it together with the referrer.
            let hidden = self.hides_referrer && self.asked.kind != Kind::Fetch;
            let origin = self.initiator.as_ref().filter(|_| !hidden).map(|url| url.origin().ascii_serialization());
            put("origin", origin.as_deref().unwrap_or("null"));
        }
    }
}
