//! Paths, patterns, return paths, hosts.

use std::str;

use http::Method;
use url::Url;
use vestibule::gateway::canonical_path::{CanonicalPath, PathPolicy, as_compared};
use vestibule::gateway::pattern::Pattern;
use vestibule::origin::{Host, PublicUrl, Scheme};
use vestibule::return_to::ReturnTo;

/// A canonical path is a fixed point, means what was written, and holds nothing that two servers read differently.
pub fn canonical_path(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let [strict, permissive] =
        [PathPolicy::Strict, PathPolicy::Permissive].map(|policy| CanonicalPath::parse(text, policy).ok());
    if let Some(path) = &strict {
        assert_eq!(strict, permissive, "what the strict policy lets through, the other one does as it is");
        let decoded = decoded(path.as_str());
        assert!(!decoded.windows(2).any(|pair| pair == b"//") && !decoded.contains(&b';'), "{path:?}");
        assert!(!path.as_str().contains("%2F") && !path.as_str().contains("%3B"), "{path:?}");
        assert_eq!(CanonicalPath::parse(path.as_str(), PathPolicy::Strict).ok().as_ref(), Some(path));
    }
    let Some(path) = permissive else { return };
    assert_eq!(CanonicalPath::parse(path.as_str(), PathPolicy::Permissive).ok().as_ref(), Some(&path));
    let decoded = decoded(path.as_str());
    assert_eq!(decoded, self::decoded(text), "the resource has changed");
    assert!(path.as_str().starts_with('/') && path.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{path:?}");
    assert!(!decoded.iter().any(|byte| matches!(byte, 0..0x20 | 0x7f | b'\\')), "{path:?}");
    let is_dot = |segment: &[u8]| matches!(segment.split(|byte| *byte == b';').next(), Some(b"." | b".."));
    assert!(!decoded.split(|byte| *byte == b'/').any(is_dot), "{path:?}");
    // Whoever makes a URL of it reads the same path.
    let url = Url::parse("http://a.example").unwrap();
    assert_eq!(url.join(&format!("http://a.example{}", path.as_str())).unwrap().path(), path.as_str());
}

/// A pattern and a path, a line each: matching agrees with the plainest reading of both.
pub fn pattern(bytes: &[u8]) {
    let Some((text, path)) = str::from_utf8(bytes).ok().and_then(|text| text.split_once('\n')) else { return };
    let (method, path) = path.split_once(' ').unwrap_or(("GET", path));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let (Ok(pattern), Ok(path)) = (Pattern::parse(text), CanonicalPath::parse(path, PathPolicy::Strict)) else {
        return;
    };
    let (wanted, written) = text.split_once(' ').map_or((None, text), |(method, path)| (Some(method), path));
    let (stem, open) = written.strip_suffix("/**").map_or((written, false), |stem| (stem, true));
    // `/**` alone has nothing before its end.
    let stem = if stem.is_empty() { String::new() } else { canonical(stem) };
    let segments: Vec<&str> = stem.split('/').skip(1).collect();
    let compared = as_compared(path.as_str());
    let given: Vec<&str> = compared.split('/').skip(1).collect();
    let long_enough = if open { given.len() >= segments.len() } else { given.len() == segments.len() };
    let fits = |(wanted, given): (&&str, &&str)| {
        (*wanted == "*" && !given.is_empty()) || (*wanted != "*" && as_compared(wanted) == *given)
    };
    let expected =
        wanted.is_none_or(|wanted| wanted == method.as_str()) && long_enough && segments.iter().zip(&given).all(fits);
    assert_eq!(pattern.matches(&method, path.as_str()), expected, "{text} {method} {}", path.as_str());
    if pattern.is_everything() && wanted.is_none() && open {
        assert!(expected, "{text} is everything but not {}", path.as_str());
    }
}

fn canonical(text: &str) -> String {
    CanonicalPath::parse(text, PathPolicy::Strict).expect("a pattern that has passed").as_str().to_owned()
}

/// Where a browser is sent lies on our own origin, and not at one of our endpoints, for whoever reads it.
pub fn return_path(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for (public_url, endpoints) in
        [("https://good.example", "/oauth2"), ("https://good.example:8443/app", "/app/oauth2")]
    {
        let public_url = PublicUrl::parse(public_url).unwrap();
        let Ok(parsed) = ReturnTo::parse(text, &public_url, public_url.host(), endpoints) else { continue };
        let location = parsed.as_str();
        assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{location}");
        let base = Url::parse(&public_url.origin_of(public_url.host())).unwrap().join("/some/page?x").unwrap();
        let url = base.join(location).unwrap();
        assert_eq!(url.origin(), base.origin(), "{location}");
        assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{location}");
        assert_eq!(&url[url::Position::BeforePath..], location, "a browser changes it");
        if let Ok(path) = CanonicalPath::parse(url.path(), PathPolicy::Permissive) {
            assert!(!path.is_under(endpoints), "{location} is one of ours");
        }
        let again = ReturnTo::parse(location, &public_url, public_url.host(), endpoints);
        assert_eq!(again.as_ref().map(ReturnTo::as_str), Ok(location));
        let bounded = parsed.bounded(64, &public_url);
        assert!(bounded.as_str().len() <= 64 && bounded.as_str().starts_with('/'), "{bounded:?}");
    }
}

/// A host is one word and has one form; a public URL too.
pub fn host(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    for scheme in [Scheme::Http, Scheme::Https] {
        let Ok(host) = Host::parse(text, scheme) else { continue };
        assert_eq!(Host::parse(host.as_str(), scheme).as_ref(), Ok(&host));
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
        assert!(host.as_str().bytes().all(plain), "{host:?}");
        let parts = match host.port() {
            Some(port) => format!("{}:{port}", host.name()),
            None => host.name().to_owned(),
        };
        assert_eq!(parts, host.as_str());
    }
    let Ok(public_url) = PublicUrl::parse(text) else { return };
    let namespace = public_url.namespace();
    assert_eq!(PublicUrl::parse(&namespace).as_ref(), Ok(&public_url));
    // Names that URLs know otherwise, such as numbers that are addresses, are refused by whoever parses one.
    if let Ok(url) = Url::parse(&namespace)
        && url.host_str() == Some(public_url.host().name())
    {
        assert_eq!(url.port(), public_url.host().port());
    }
}

/// Decoded once; what is no triplet stays as it is.
fn decoded(path: &str) -> Vec<u8> {
    let (path, mut decoded, mut at) = (path.as_bytes(), Vec::new(), 0);
    while at < path.len() {
        let hex = |at: usize| path.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        match (path[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}
