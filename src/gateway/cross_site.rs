//! The defence against requests that another site makes with our person's cookie.
//!
//! Checked is only what would be forwarded with the authority of a session cookie, and our own endpoints that change
//! something. Fetch Metadata decides where it is there, then `Origin`, then a header that no form can send.

use http::{HeaderMap, HeaderName, Method, header};

use super::field::Field;
use super::pattern::Pattern;
use super::settings::CrossSiteSettings;
use crate::origin::{Host, PublicUrl};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const X_VESTIBULE_CSRF: HeaderName = HeaderName::from_static("x-vestibule-csrf");

/// Which rule a request broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CrossSite {
    /// `Sec-Fetch-Site` is neither `same-origin` nor `none`.
    FetchMetadata,
    /// `Origin` is not ours, or there are several.
    Origin,
    /// Neither is there, nor the header that says "not a browser".
    Unmarked,
}

impl CrossSite {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::FetchMetadata => "fetch-metadata",
            Self::Origin => "origin",
            Self::Unmarked => "unmarked",
        }
    }
}

/// A request with the authority of a session cookie, as the application would get it.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    /// The canonical path.
    pub(super) path: &'a str,
    pub(super) headers: &'a HeaderMap,
    /// Whether it is a WebSocket handshake.
    pub(super) web_socket: bool,
}

/// Whether a method may change something (RFC 9110 §9.2.1).
pub(super) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Checks a request to an application on `host`; what changes nothing passes, but for WebSocket handshakes.
///
/// `exceptions` are those of the application, for its sibling hosts.
pub(super) fn judge(
    asked: &Asked<'_>,
    public_url: &PublicUrl,
    host: &Host,
    exceptions: Option<&CrossSiteSettings>,
) -> Result<(), CrossSite> {
    let judged = if asked.web_socket {
        // Browsers need not say anything but `Origin` there, and Chromium does not.
        origin(asked.headers, public_url, host)
    } else if is_unsafe(asked.method) {
        check(asked.headers, public_url, host)
    } else {
        return Ok(());
    };
    judged.or_else(|rule| if exceptions.is_some_and(|listed| listed.admits(asked)) { Ok(()) } else { Err(rule) })
}

/// Checks a request that may change something and has no exceptions.
pub(super) fn check(headers: &HeaderMap, public_url: &PublicUrl, host: &Host) -> Result<(), CrossSite> {
    match Field::of(headers, &SEC_FETCH_SITE) {
        Field::One(site) if matches!(site.as_bytes(), b"same-origin" | b"none") => return Ok(()),
        Field::One(_) | Field::Several => return Err(CrossSite::FetchMetadata),
        Field::Absent => {}
    }
    if headers.contains_key(header::ORIGIN) {
        return origin(headers, public_url, host);
    }
    match Field::of(headers, &X_VESTIBULE_CSRF) {
        Field::One(mark) if mark == "1" => Ok(()),
        _ => Err(CrossSite::Unmarked),
    }
}

/// What the browser says about where a request comes from, as a literal for the log.
pub(super) fn site_in_logs(headers: &HeaderMap) -> Option<&'static str> {
    let site = headers.get(SEC_FETCH_SITE)?.as_bytes();
    ["cross-site", "same-site", "same-origin", "none"].into_iter().find(|known| known.as_bytes() == site)
}

/// Exactly one `Origin`, and it is ours.
fn origin(headers: &HeaderMap, public_url: &PublicUrl, host: &Host) -> Result<(), CrossSite> {
    match Field::of(headers, &header::ORIGIN) {
        Field::One(origin) if is_own(origin.as_bytes(), public_url, host) => Ok(()),
        _ => Err(CrossSite::Origin),
    }
}

/// The exact tuple of scheme, host and port (RFC 6454 §6.2), as browsers write it.
fn is_own(origin: &[u8], public_url: &PublicUrl, host: &Host) -> bool {
    let rest = origin.strip_prefix(public_url.scheme().as_str().as_bytes());
    rest.and_then(|rest| rest.strip_prefix(b"://")) == Some(host.as_str().as_bytes())
}

impl CrossSiteSettings {
    /// Whether a sibling host may make this request: exactly one listed `Origin`, a listed path, and nothing that says
    /// that it comes from farther away.
    fn admits(&self, asked: &Asked<'_>) -> bool {
        let near = match Field::of(asked.headers, &SEC_FETCH_SITE) {
            Field::Absent => true,
            Field::One(site) => site == "same-site",
            Field::Several => false,
        };
        let Field::One(origin) = Field::of(asked.headers, &header::ORIGIN) else { return false };
        let matches = |pattern: &Pattern| pattern.matches(asked.method, asked.path);
        near && self.origins.iter().any(|listed| listed.as_bytes() == origin.as_bytes())
            && self.paths.iter().any(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).fold(
            HeaderMap::new(),
            |mut headers, (name, value)| {
                headers.append(name, value);
                headers
            },
        )
    }

    fn checked(fields: &[(&'static str, &str)]) -> Result<(), CrossSite> {
        let public_url = PublicUrl::parse("https://good.example").unwrap();
        check(&headers(fields), &public_url, public_url.host())
    }

    /// A POST, or a handshake, to `path` of an application that lets its shop fill the cart.
    fn judged(path: &str, web_socket: bool, fields: &[(&'static str, &str)]) -> Result<(), CrossSite> {
        let public_url = PublicUrl::parse("https://wiki.good.example").unwrap();
        let exceptions = CrossSiteSettings {
            origins: vec!["https://shop.good.example".to_owned()],
            paths: vec![Pattern::parse("/cart").unwrap(), Pattern::parse("POST /orders/**").unwrap()],
        };
        let method = if web_socket { Method::GET } else { Method::POST };
        let asked = Asked { method: &method, path, headers: &headers(fields), web_socket };
        let without = judge(&asked, &public_url, public_url.host(), None);
        assert!(without.is_err() || fields.is_empty(), "{fields:?} passes without an exception");
        judge(&asked, &public_url, public_url.host(), Some(&exceptions))
    }

    #[test]
    fn cs_01_and_cs_02_fetch_metadata_decides_where_it_is_there() {
        assert_eq!(checked(&[("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(checked(&[("sec-fetch-site", "none")]), Ok(()));
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            let fields = [("sec-fetch-site", site), ("origin", "https://good.example")];
            assert_eq!(checked(&fields), Err(CrossSite::FetchMetadata), "{site}");
        }
    }

    #[test]
    fn cs_05_an_origin_is_compared_exactly() {
        assert_eq!(checked(&[("origin", "https://good.example")]), Ok(()));
        for origin in [
            "http://good.example",
            "https://GOOD.example",
            "https://good.example.",
            "https://good.example:443",
            "https://good.example:8443",
            "https://good.example.evil",
            "https://evil",
            "null",
        ] {
            assert_eq!(checked(&[("origin", origin)]), Err(CrossSite::Origin), "{origin}");
        }
        let twice = [("origin", "https://good.example"), ("origin", "https://good.example")];
        assert_eq!(checked(&twice), Err(CrossSite::Origin));
    }

    #[test]
    fn cs_04_a_script_says_that_it_is_no_form() {
        assert_eq!(checked(&[]), Err(CrossSite::Unmarked));
        assert_eq!(checked(&[("x-vestibule-csrf", "1")]), Ok(()));
        assert_eq!(checked(&[("x-vestibule-csrf", "yes")]), Err(CrossSite::Unmarked));
        let twice = [("x-vestibule-csrf", "1"), ("x-vestibule-csrf", "1")];
        assert_eq!(checked(&twice), Err(CrossSite::Unmarked));
    }

    #[test]
    fn cs_02_an_exception_is_one_listed_origin_on_a_listed_path() {
        const SHOP: (&str, &str) = ("origin", "https://shop.good.example");
        for path in ["/cart", "/orders", "/orders/7"] {
            assert_eq!(judged(path, false, &[SHOP, ("sec-fetch-site", "same-site")]), Ok(()), "{path}");
            assert_eq!(judged(path, false, &[SHOP]), Ok(()), "{path}");
        }
        // A handshake is a GET, so that the pattern with a method does not name it.
        assert_eq!(judged("/cart", true, &[SHOP]), Ok(()));
        assert_eq!(judged("/cart", true, &[SHOP, ("sec-fetch-site", "same-site")]), Ok(()));
        assert_eq!(judged("/orders/7", true, &[SHOP]), Err(CrossSite::Origin));
        for path in ["/", "/cart/", "/cart/x", "/Cart", "/ordersx"] {
            assert_eq!(judged(path, false, &[SHOP]), Err(CrossSite::Origin), "{path}");
            assert_eq!(judged(path, true, &[SHOP]), Err(CrossSite::Origin), "{path}");
        }
        for site in ["cross-site", "", "Same-Site", "same-site, same-site"] {
            let fields = [SHOP, ("sec-fetch-site", site)];
            assert_eq!(judged("/cart", false, &fields), Err(CrossSite::FetchMetadata), "{site}");
            assert_eq!(judged("/cart", true, &fields), Err(CrossSite::Origin), "{site}");
        }
        for origin in ["https://shop.good.example.", "http://shop.good.example", "https://SHOP.good.example", "null"] {
            let fields = [("origin", origin), ("sec-fetch-site", "same-site")];
            assert_eq!(judged("/cart", false, &fields), Err(CrossSite::FetchMetadata), "{origin}");
            assert_eq!(judged("/cart", true, &fields[..1]), Err(CrossSite::Origin), "{origin}");
        }
        for twice in [[SHOP, SHOP], [SHOP, ("origin", "https://wiki.good.example")]] {
            assert_eq!(judged("/cart", false, &twice), Err(CrossSite::Origin));
            assert_eq!(judged("/cart", true, &twice), Err(CrossSite::Origin));
        }
        let none = [("sec-fetch-site", "same-site")];
        assert_eq!(judged("/cart", false, &none), Err(CrossSite::FetchMetadata), "an exception needs its origin");
    }

    #[test]
    fn reading_is_not_checked_but_for_handshakes() {
        let public_url = PublicUrl::parse("https://good.example").unwrap();
        let foreign = headers(&[("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]);
        let judge = |method: &Method, web_socket| {
            let asked = Asked { method, path: "/", headers: &foreign, web_socket };
            judge(&asked, &public_url, public_url.host(), None)
        };
        for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
            assert_eq!(judge(&method, false), Ok(()), "{method}");
        }
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::from_bytes(b"get").unwrap()] {
            assert_eq!(judge(&method, false), Err(CrossSite::FetchMetadata), "{method}");
        }
        assert_eq!(judge(&Method::GET, true), Err(CrossSite::Origin));
    }
}
