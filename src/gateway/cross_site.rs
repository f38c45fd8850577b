//! The defence against requests that another site makes with our person's cookie.
//!
//! Checked is only what would be forwarded with the authority of a session cookie, and our own endpoints that change
//! something. Fetch Metadata decides where it is there, then `Origin`, then a header that no form can send.

use http::{HeaderMap, Method, header};

use crate::origin::{Host, PublicUrl};

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

/// Whether a method may change something (RFC 9110 §9.2.1).
pub(super) fn is_unsafe(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Checks a request that may change something.
pub(super) fn check(headers: &HeaderMap, public_url: &PublicUrl, host: &Host) -> Result<(), CrossSite> {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    if let Some(site) = sites.next() {
        let ours = matches!(site.as_bytes(), b"same-origin" | b"none") && sites.next().is_none();
        return if ours { Ok(()) } else { Err(CrossSite::FetchMetadata) };
    }
    if headers.contains_key(header::ORIGIN) {
        return origin(headers, public_url, host);
    }
    if headers.get("x-vestibule-csrf").is_some_and(|value| value.as_bytes() == b"1") {
        Ok(())
    } else {
        Err(CrossSite::Unmarked)
    }
}

/// What the browser says about where a request comes from, as a literal for the log.
pub(super) fn site_in_logs(headers: &HeaderMap) -> Option<&'static str> {
    let site = headers.get("sec-fetch-site")?.as_bytes();
    ["cross-site", "same-site", "same-origin", "none"].into_iter().find(|known| known.as_bytes() == site)
}

/// Checks that there is exactly one `Origin` and that it is ours: a WebSocket handshake with a session needs it,
/// because browsers send no Fetch Metadata there.
pub(super) fn origin(headers: &HeaderMap, public_url: &PublicUrl, host: &Host) -> Result<(), CrossSite> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    match (origins.next(), origins.next()) {
        (Some(origin), None) if origin.as_bytes() == public_url.origin_of(host).as_bytes() => Ok(()),
        _ => Err(CrossSite::Origin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(fields: &[(&'static str, &str)]) -> Result<(), CrossSite> {
        let public_url = PublicUrl::parse("https://good.example").unwrap();
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        check(&headers, &public_url, public_url.host())
    }

    #[test]
    fn cs_01_and_cs_02_fetch_metadata_decides_where_it_is_there() {
        assert_eq!(judge(&[("sec-fetch-site", "same-origin")]), Ok(()));
        assert_eq!(judge(&[("sec-fetch-site", "none")]), Ok(()));
        for site in ["cross-site", "same-site", "", "Same-Origin"] {
            let fields = [("sec-fetch-site", site), ("origin", "https://good.example")];
            assert_eq!(judge(&fields), Err(CrossSite::FetchMetadata), "{site}");
        }
    }

    #[test]
    fn cs_05_an_origin_is_compared_exactly() {
        assert_eq!(judge(&[("origin", "https://good.example")]), Ok(()));
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
            assert_eq!(judge(&[("origin", origin)]), Err(CrossSite::Origin), "{origin}");
        }
        let twice = [("origin", "https://good.example"), ("origin", "https://good.example")];
        assert_eq!(judge(&twice), Err(CrossSite::Origin));
    }

    #[test]
    fn cs_04_a_script_says_that_it_is_no_form() {
        assert_eq!(judge(&[]), Err(CrossSite::Unmarked));
        assert_eq!(judge(&[("x-vestibule-csrf", "1")]), Ok(()));
        assert_eq!(judge(&[("x-vestibule-csrf", "yes")]), Err(CrossSite::Unmarked));
    }
}
