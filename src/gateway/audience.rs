//! Who waits for the answer of a request.

use http::{HeaderMap, HeaderName, Method, header};

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");
const SEC_PURPOSE: HeaderName = HeaderName::from_static("sec-purpose");
const X_REQUESTED_WITH: HeaderName = HeaderName::from_static("x-requested-with");

/// Who waits for the answer, as far as the request tells: it decides the form of a refusal, never whether to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Audience {
    /// A person who opens a page in a window.
    Navigation,
    /// A page inside another one.
    Frame,
    /// A person who submits a form.
    Form,
    /// A script or a program.
    Program,
}

impl Audience {
    /// Who has asked, by Fetch Metadata, or by `Accept` where a browser sends none.
    pub(super) fn of(method: &Method, headers: &HeaderMap) -> Self {
        let field = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let reading = method == Method::GET || method == Method::HEAD;
        let fetch_metadata = [SEC_FETCH_MODE, SEC_FETCH_DEST, SEC_FETCH_SITE, SEC_FETCH_USER];
        if fetch_metadata.iter().any(|name| headers.contains_key(name)) {
            if field(SEC_FETCH_MODE) != Some("navigate") || headers.contains_key(SEC_PURPOSE) {
                return Self::Program;
            }
            return match field(SEC_FETCH_DEST) {
                Some("document") if reading => Self::Navigation,
                Some("document") if *method == Method::POST => Self::Form,
                Some("iframe" | "frame" | "embed" | "object") => Self::Frame,
                _ => Self::Program,
            };
        }
        let html = field(header::ACCEPT).is_some_and(|accept| {
            accept.split(',').any(|range| range.split(';').next().is_some_and(|media| media.trim() == "text/html"))
        });
        if !html || headers.contains_key(X_REQUESTED_WITH) || headers.contains_key(SEC_PURPOSE) {
            return Self::Program;
        }
        match *method {
            Method::GET | Method::HEAD => Self::Navigation,
            Method::POST => Self::Form,
            _ => Self::Program,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(method: &str, headers: &[(&'static str, &'static str)]) -> Audience {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        Audience::of(&method.parse().unwrap(), &headers.collect())
    }

    #[test]
    fn a_navigation_is_what_a_person_sees_in_a_window() {
        let navigate = |dest| [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", dest)];
        assert_eq!(of("GET", &navigate("document")), Audience::Navigation);
        assert_eq!(of("HEAD", &navigate("document")), Audience::Navigation);
        assert_eq!(of("POST", &navigate("document")), Audience::Form);
        assert_eq!(of("GET", &navigate("iframe")), Audience::Frame);
        assert_eq!(of("GET", &navigate("image")), Audience::Program);
        assert_eq!(of("OPTIONS", &navigate("document")), Audience::Program);
        assert_eq!(of("GET", &[("accept", "text/html,application/xml;q=0.9")]), Audience::Navigation);
        assert_eq!(of("POST", &[("accept", "text/html")]), Audience::Form);
        assert_eq!(of("GET", &[("accept", "*/*")]), Audience::Program);
    }

    #[test]
    fn scripts_and_prefetches_are_programs_whatever_they_accept() {
        for extra in [("x-requested-with", "XMLHttpRequest"), ("sec-purpose", "prefetch"), ("sec-fetch-mode", "cors")] {
            assert_eq!(of("GET", &[("accept", "text/html"), extra]), Audience::Program, "{extra:?}");
        }
        let prefetch =
            [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-purpose", "prefetch;prerender")];
        assert_eq!(of("GET", &prefetch), Audience::Program);
    }
}
