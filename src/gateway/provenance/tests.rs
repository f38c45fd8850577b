use http::HeaderValue;
use proptest::prelude::*;

use super::*;

const PROXY: &str = "10.0.0.1";

fn read(peer: &str, fields: &[(&'static str, &str)]) -> Provenance {
    let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()], false);
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let peer = Some(std::net::SocketAddr::new(peer.parse().unwrap(), 1));
    Provenance::read(&headers, ConnectionInfo { peer, is_direct: false }, &proxies)
}

fn chain(provenance: &Provenance) -> Vec<String> {
    provenance.hops().iter().chain(&provenance.peer()).map(ToString::to_string).collect()
}

#[test]
fn hd_05_a_stranger_is_not_believed() {
    let told = read(
        "192.0.2.9",
        &[
            ("x-forwarded-for", "198.51.100.7"),
            ("forwarded", "for=198.51.100.7;proto=http"),
            ("x-forwarded-proto", "http"),
        ],
    );
    assert_eq!(chain(&told), ["192.0.2.9"]);
    assert_eq!(told.user_agent(), None, "nobody says whether that is a browser");
    assert!(!told.is_plain_http() && !told.is_trusted());
}

#[test]
fn hd_05_the_chain_is_read_from_the_right() {
    for fields in [
        vec![("x-forwarded-for", "203.0.113.66, 198.51.100.7, 10.9.9.9")],
        vec![("x-forwarded-for", "203.0.113.66, 198.51.100.7"), ("x-forwarded-for", "10.9.9.9")],
        vec![("forwarded", "for=203.0.113.66, for=198.51.100.7;proto=https, for=10.9.9.9")],
        vec![("forwarded", "For=\"203.0.113.66\", FOR=\"198.51.100.7:4711\";by=_x , for=10.9.9.9")],
    ] {
        let told = read(PROXY, &fields);
        assert_eq!(chain(&told), ["198.51.100.7", "10.9.9.9", PROXY], "{fields:?}");
        assert_eq!(told.user_agent(), Some("198.51.100.7".parse().unwrap()));
    }
}

#[test]
fn hd_05_two_stories_are_no_story() {
    let told = read(PROXY, &[("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=203.0.113.66")]);
    assert_eq!((chain(&told), told.user_agent()), (vec![PROXY.to_owned()], None));
    let same = read(PROXY, &[("x-forwarded-for", "198.51.100.7"), ("forwarded", "for=198.51.100.7")]);
    assert_eq!(chain(&same), ["198.51.100.7", PROXY]);
}

#[test]
fn hd_07_an_element_has_few_parameters() {
    let with = |further: usize| {
        let parameters: String = (0..further).map(|number| format!(";n{number}=x")).collect();
        read(PROXY, &[("forwarded", &format!("for=198.51.100.7{parameters}"))]).user_agent()
    };
    assert_eq!(with(15), Some("198.51.100.7".parse().unwrap()));
    // Every name is compared with all before it: a whole header of them would cost a tenth of a second.
    assert_eq!(with(16), None);
}

#[test]
fn hd_07_what_is_no_address_leaves_the_peer() {
    let long = vec!["10.1.1.1"; 10_000].join(",");
    for malformed in [
        "a",
        "",
        ",",
        "198.51.100.7,",
        ", 198.51.100.7",
        "1.2.3.4:port",
        "1.2.3.4:",
        "1.2.3.4:99999",
        "[::1%25lo]",
        "fe80::1%eth0",
        "[::1",
        "::1]",
        "[::1]x",
        "[1.2.3.4]",
        "1.2.3",
        "01.2.3.4",
        "0x7f.1.1.1",
        "198.51.100.7 10.0.0.1",
        "\"198.51.100.7\"",
        "unknown",
        "_hidden",
        "198.51.100.7, é",
        &long,
    ] {
        let told = read(PROXY, &[("x-forwarded-for", malformed)]);
        assert_eq!((chain(&told), told.user_agent()), (vec![PROXY.to_owned()], None), "{malformed:?}");
    }
    for malformed in [
        "for",
        "for=",
        "for=1.2.3.4;",
        "for=1.2.3.4,",
        "for=1.2.3.4;for=5.6.7.8",
        "for=1.2.3.4;FOR=1.2.3.4",
        "for=\"1.2.3.4",
        "for=[::1]",
        "for=unknown",
        "for=_gw",
        "proto=https",
        "=1.2.3.4",
        "for =1.2.3.4",
        "for=1.2.3.4 x",
        "for=1.2.3.4 ;; proto=http",
    ] {
        let told = read(PROXY, &[("forwarded", malformed)]);
        assert_eq!((chain(&told), told.user_agent()), (vec![PROXY.to_owned()], None), "{malformed:?}");
    }
}

#[test]
fn hd_07_addresses_are_read_in_each_of_their_forms() {
    for (text, address) in [
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:443", "1.2.3.4"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
    ] {
        assert_eq!(read(PROXY, &[("x-forwarded-for", text)]).user_agent(), Some(address.parse().unwrap()), "{text}");
    }
    assert_eq!(
        read(PROXY, &[("forwarded", r#"for="[2001:db8::1]:443";proto=https"#)]).user_agent(),
        Some("2001:db8::1".parse().unwrap())
    );
}

#[test]
fn cb_21_the_scheme_is_believed_when_all_say_the_same() {
    for (fields, plain) in [
        (vec![("x-forwarded-proto", "http")], true),
        (vec![("x-forwarded-proto", "HTTP")], true),
        (vec![("x-forwarded-proto", "ws")], true),
        (vec![("x-forwarded-proto", "https")], false),
        (vec![("x-forwarded-proto", "https, http")], false),
        (vec![("x-forwarded-proto", "http, http")], true),
        (vec![("x-forwarded-proto", "gopher")], false),
        (vec![("forwarded", "for=198.51.100.7;proto=http")], true),
        (vec![("forwarded", "for=203.0.113.66;proto=http, for=198.51.100.7;proto=https")], false),
        (vec![("forwarded", "proto=http")], true),
        (vec![("x-forwarded-proto", "https"), ("forwarded", "for=198.51.100.7;proto=http")], true),
        (vec![], false),
    ] {
        assert_eq!(read(PROXY, &fields).is_plain_http(), plain, "{fields:?}");
    }
}

proptest! {
    /// Whatever is written, the last address is the peer's and every one between it and the first is a trusted proxy's.
    #[test]
    fn nothing_that_is_written_gets_past_the_trusted_proxies(list in "[0-9a-f.:, \\[\\]\"_;=for]{0,80}", forwarded: bool) {
        let name = if forwarded { "forwarded" } else { "x-forwarded-for" };
        let told = read(PROXY, &[(name, &list)]);
        let chain: Vec<IpAddr> = told.hops().iter().copied().chain(told.peer()).collect();
        prop_assert_eq!(chain.last().copied(), Some(PROXY.parse().unwrap()));
        let proxies = TrustedProxies::new(vec!["10.0.0.0/8".parse().unwrap()], false);
        prop_assert!(chain.iter().skip(1).all(|address| proxies.trusts(*address)));
    }

    /// What a client writes in front of what the proxy adds changes nothing.
    #[test]
    fn a_prefix_of_the_list_is_without_effect(prefix in "[0-9a-z.:\\[\\]\"_;=]{1,40}") {
        let told = read(PROXY, &[("x-forwarded-for", &format!("{prefix}, 198.51.100.7"))]);
        prop_assert_eq!(told.user_agent(), Some("198.51.100.7".parse().unwrap()));
    }
}
