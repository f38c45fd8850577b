use super::*;
use http::Response;

static TOLD: AtomicBool = AtomicBool::new(false);

fn parts(fields: &[(&str, &str)]) -> Parts {
    let mut response = Response::builder();
    for (name, value) in fields {
        response = response.header(*name, *value);
    }
    response.body(()).unwrap().into_parts().0
}

fn filter<'a>(prefix: Option<&'a Prefix>, authority: Option<&'a Authority>, authenticated: bool) -> ResponseFilter<'a> {
    let origin = PublicOrigin { scheme: Scheme::Https, host: Host::parse("wiki.example.com", Scheme::Https).unwrap() };
    ResponseFilter { prefix, authority, authenticated, origin: Some(origin), upstream: "wiki", told_of_binding: &TOLD }
}

fn location(prefix: Option<&Prefix>, authority: Option<&Authority>, location: &str) -> String {
    let mut parts = parts(&[("location", location)]);
    filter(prefix, authority, false).apply(&mut parts);
    parts.headers.get(LOCATION).unwrap().to_str().unwrap().to_owned()
}

#[test]
fn ck_09_gateway_cookies_of_an_upstream_are_dropped() {
    let mut parts = parts(&[
        ("set-cookie", "a=b; Path=/"),
        ("set-cookie", "__Host-Http-vestibule=v; Path=/; Secure"),
        ("set-cookie", " __HOST-http-Vestibule-login=v"),
        ("set-cookie", "vestibule-dev-8080=v"),
        ("set-cookie", "=vestibule-dev-8080=v"),
        ("set-cookie", " = __Host-Http-vestibule=v"),
        ("set-cookie", "c=__Host-Http-vestibule"),
    ]);
    filter(None, None, false).apply(&mut parts);
    let kept: Vec<_> = parts.headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(kept, ["a=b; Path=/", "c=__Host-Http-vestibule"]);
}

#[test]
fn what_belongs_to_the_connection_stays_behind() {
    let mut parts = parts(&[
        ("connection", "close, x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("transfer-encoding", "chunked"),
        ("alt-svc", "h3=\":443\""),
        ("trailer", "x-sum"),
        ("strict-transport-security", "max-age=1"),
        ("content-security-policy", "default-src 'self'"),
    ]);
    filter(None, None, false).apply(&mut parts);
    let mut names: Vec<_> = parts.headers.keys().map(|name| name.as_str().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["content-security-policy", "strict-transport-security", "trailer"]);
}

#[test]
fn ur_02_what_is_somebodys_own_is_not_for_shared_caches() {
    let mut own = parts(&[("vary", "Accept")]);
    filter(None, None, true).apply(&mut own);
    assert_eq!(own.headers.get(CACHE_CONTROL).unwrap(), "private");
    let vary: Vec<_> = own.headers.get_all(VARY).iter().collect();
    assert_eq!(vary, ["Accept", "Cookie"]);
    let mut said = parts(&[("cache-control", "max-age=60")]);
    filter(None, None, true).apply(&mut said);
    assert_eq!(said.headers.get(CACHE_CONTROL).unwrap(), "max-age=60");
    let mut public = parts(&[]);
    filter(None, None, false).apply(&mut public);
    assert!(public.headers.is_empty());
}

#[test]
fn locations_get_the_prefix_back() {
    let wiki = Prefix::new("/wiki").unwrap();
    for (from, to) in [
        ("/login?a=b", "/wiki/login?a=b"),
        ("/", "/wiki/"),
        ("/wiki/login", "/wiki/login"),
        ("login", "login"),
        ("?a", "?a"),
        ("//evil.example/a", "//evil.example/a"),
        ("https://wiki.example.com/a", "https://wiki.example.com/wiki/a"),
        ("https://WIKI.example.com:443", "https://wiki.example.com/wiki/"),
        ("https://wiki.example.com/wiki/a", "https://wiki.example.com/wiki/a"),
        ("https://other.example.com/a", "https://other.example.com/a"),
        ("https://wiki.example.com.evil/a", "https://wiki.example.com.evil/a"),
    ] {
        assert_eq!(location(Some(&wiki), None, from), to, "{from}");
    }
}

#[test]
fn a_location_on_the_target_leads_back_to_the_gateway() {
    let wiki = Prefix::new("/wiki").unwrap();
    let target = Authority::from_static("127.0.0.1:3000");
    assert_eq!(location(None, Some(&target), "http://127.0.0.1:3000/a?b"), "https://wiki.example.com/a?b");
    assert_eq!(location(Some(&wiki), Some(&target), "http://127.0.0.1:3000/a"), "https://wiki.example.com/wiki/a");
    assert_eq!(location(None, Some(&target), "http://127.0.0.1:3001/a"), "http://127.0.0.1:3001/a");
    assert_eq!(location(None, Some(&target), "/a"), "/a");
}

#[test]
fn hp_20_ambiguous_framing_is_no_answer() {
    let check = |status: u16, fields: &[(&str, &str)]| {
        let mut parts = parts(fields);
        parts.status = StatusCode::from_u16(status).unwrap();
        check_framing(&parts).is_ok()
    };
    assert!(!check(200, &[("content-length", "5"), ("transfer-encoding", "chunked")]));
    assert!(!check(200, &[("content-length", "5"), ("content-length", "5")]));
    for length in ["6, 6", "+6", "6 ", "", "0x6"] {
        assert!(!check(200, &[("content-length", length)]), "{length}");
    }
    assert!(!check(204, &[("content-length", "5")]));
    assert!(!check(204, &[("transfer-encoding", "chunked")]));
    assert!(check(204, &[("content-length", "0")]));
    assert!(check(304, &[("content-length", "5")]));
    assert!(check(200, &[("transfer-encoding", "chunked")]));
}

#[test]
fn streams_of_events_are_known_by_their_type() {
    let stream = |kind: &str| is_stream(&parts(&[("content-type", kind)]).headers);
    assert!(
        stream("text/event-stream") && stream("Text/Event-Stream; charset=utf-8") && stream("application/grpc+proto")
    );
    assert!(!stream("text/html") && !stream("text/event"));
}
