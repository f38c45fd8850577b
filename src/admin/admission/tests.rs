//! What gets in at the admin listener and what does not.

use super::*;

const LOOPBACK: ListensAt = ListensAt::Tcp(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
const ANYWHERE: ListensAt = ListensAt::Tcp(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED));

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn judged(method: Method, at: ListensAt, fields: &[(&'static str, &str)]) -> Result<(), Denied> {
    check_provenance(&method, &headers(fields), at, at != ListensAt::Unix)
}

#[test]
fn ad_03_a_name_that_somebody_else_can_have_does_not_lead_here() {
    for host in ["localhost", "localhost:9092", "LOCALHOST.:1", "a.localhost", "127.0.0.1:9092", "[::1]:9092"] {
        for at in [LOOPBACK, ANYWHERE, ListensAt::Unix] {
            assert_eq!(judged(Method::GET, at, &[("host", host)]), Ok(()), "{host}");
        }
    }
    for host in
        ["evil.example", "evil.example:9092", "127.0.0.1.evil.example", "localhost.evil.example", "", "a b", "x@y"]
    {
        for at in [LOOPBACK, ANYWHERE, ListensAt::Unix] {
            assert_eq!(judged(Method::GET, at, &[("host", host)]), Err(Denied::Host), "{host}");
        }
    }
    assert_eq!(judged(Method::GET, LOOPBACK, &[("host", "192.0.2.1")]), Err(Denied::Host));
    assert_eq!(judged(Method::GET, ListensAt::Unix, &[("host", "192.0.2.1")]), Err(Denied::Host));
    assert_eq!(judged(Method::GET, ANYWHERE, &[("host", "192.0.2.1:9092")]), Ok(()));
    let own = ListensAt::Tcp("192.0.2.1".parse().unwrap());
    assert_eq!(judged(Method::GET, own, &[("host", "192.0.2.1:9092")]), Ok(()));
    assert_eq!(judged(Method::GET, own, &[("host", "192.0.2.2:9092")]), Err(Denied::Host));
    assert_eq!(judged(Method::GET, LOOPBACK, &[]), Err(Denied::Host));
    assert_eq!(judged(Method::GET, LOOPBACK, &[("host", "localhost"), ("host", "localhost")]), Err(Denied::Host));
}

#[test]
fn ad_03_another_page_is_turned_away_whatever_it_sends() {
    let host = ("host", "localhost:9092");
    for at in [LOOPBACK, ListensAt::Unix] {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            for origin in
                ["https://evil.example", "null", "http://localhost", "https://localhost:9092", "http://localhost:9093"]
            {
                let fields = [host, ("origin", origin), ("authorization", "Bearer x")];
                assert_eq!(judged(method.clone(), at, &fields), Err(Denied::Origin), "{origin}");
            }
            for site in ["cross-site", "same-site", "", "Same-Origin"] {
                let fields = [host, ("sec-fetch-site", site), ("authorization", "Bearer x")];
                assert_eq!(judged(method.clone(), at, &fields), Err(Denied::FetchMetadata), "{site}");
            }
        }
    }
    let own = ("origin", "http://localhost:9092");
    assert_eq!(judged(Method::POST, LOOPBACK, &[host, own, own]), Err(Denied::Origin));
    let same = ("sec-fetch-site", "same-origin");
    assert_eq!(judged(Method::POST, LOOPBACK, &[host, same, same]), Err(Denied::FetchMetadata));
}

#[test]
fn ad_03_what_changes_something_says_that_no_other_page_has_made_it() {
    let host = ("host", "localhost:9092");
    let basic = ("authorization", "Basic YTpi");
    for unmarked in [&[host][..], &[host, basic], &[host, basic, ("sec-fetch-site", "none")]] {
        assert_eq!(judged(Method::POST, LOOPBACK, unmarked), Err(Denied::Unmarked));
        assert_eq!(judged(Method::GET, LOOPBACK, unmarked), Ok(()));
        assert_eq!(judged(Method::POST, ListensAt::Unix, unmarked), Ok(()), "nothing is sent there unasked");
    }
    for mark in [("origin", "http://localhost:9092"), ("sec-fetch-site", "same-origin"), ("authorization", "bearer x")]
    {
        assert_eq!(judged(Method::POST, LOOPBACK, &[host, mark]), Ok(()), "{mark:?}");
    }
}

#[test]
fn ad_06_only_the_token_itself_opens() {
    let token = AdminToken::new("0123456789:abcdef é".to_owned());
    let check = |value: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in value {
            headers.append("authorization", HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        check_token(&headers, &token)
    };
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    assert_eq!(check(&[]), Err(Denied::NoToken));
    assert_eq!(check(&[&basic("any:0123456789:abcdef é")]), Ok(()));
    assert_eq!(check(&[&basic(":0123456789:abcdef é")]), Ok(()));
    for wrong in [
        "Bearer 0123456789",
        "Bearer ",
        "Bearer",
        "Token x",
        &basic("0123456789:abcdef é"),
        &basic("no colon"),
        "Basic !",
        "",
    ] {
        assert_eq!(check(&[wrong]), Err(Denied::WrongToken), "{wrong}");
    }
    let token = AdminToken::new("0123456789abcdef".to_owned());
    let two = headers(&[("authorization", "Bearer 0123456789abcdef"), ("authorization", "Bearer 0123456789abcdef")]);
    assert_eq!(check_token(&two, &token), Err(Denied::WrongToken));
    let one = headers(&[("authorization", "Bearer 0123456789abcdef")]);
    assert_eq!(check_token(&one, &token), Ok(()));
    let cookie = headers(&[("cookie", "__Host-Http-vestibule=0123456789abcdef")]);
    assert_eq!(check_token(&cookie, &token), Err(Denied::NoToken));
}
