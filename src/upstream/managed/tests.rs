use super::*;
use http::HeaderValue;
use proptest::prelude::*;

fn set() -> ManagedSet {
    ManagedSet::new(&[HeaderName::from_static("x_team"), HeaderName::from_static("x-corp-user")])
}

/// How CGI, WSGI and PHP name a header.
fn as_cgi(name: &str) -> String {
    name.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_uppercase()) } else { '_' })
        .collect()
}

fn managed() -> Vec<String> {
    let prefixed = FIXED_PREFIXES.iter().map(|prefix| format!("{prefix}user"));
    FIXED_NAMES
        .iter()
        .map(|name| (*name).to_owned())
        .chain(prefixed)
        .chain(["x-team".into(), "x-corp-user".into()])
        .collect()
}

fn survives(name: &[u8]) -> bool {
    let Ok(name) = HeaderName::from_bytes(name) else { return false };
    let mut headers = HeaderMap::new();
    headers.append(&name, HeaderValue::from_static("evil"));
    headers.append(&name, HeaderValue::from_static("evil"));
    set().strip(&mut headers);
    headers.contains_key(&name)
}

#[test]
fn hd_01_underscores_and_duplicates_do_not_save_a_managed_name() {
    for name in managed() {
        assert!(!survives(name.as_bytes()), "{name}");
        assert!(!survives(name.replace('-', "_").as_bytes()), "{name} with underscores");
        assert!(!survives(name.replacen('-', "_", 1).as_bytes()), "{name} with one underscore");
        assert!(!survives(name.replace('-', ".").as_bytes()), "{name} with dots");
    }
}

#[test]
fn hd_02_no_substitution_of_one_character_folds_to_a_managed_name() {
    let folded: Vec<String> = managed().iter().map(|name| as_cgi(name)).collect();
    for name in managed() {
        for at in 0..name.len() {
            for byte in 0x21..0x7f_u8 {
                let mut changed = name.clone().into_bytes();
                changed[at] = byte;
                if survives(&changed) {
                    let changed = String::from_utf8(changed).unwrap();
                    assert!(!folded.contains(&as_cgi(&changed)), "{changed} passes for {name}");
                }
            }
        }
    }
}

#[test]
fn hd_03_case_does_not_matter() {
    for name in ["X-AUTH-USER", "x-Auth-uSer", "AUTHORIZATION", "X-Forwarded-FOR", "X-CORP-USER", "Cf-Connecting-Ip"] {
        assert!(!survives(name.as_bytes()), "{name}");
    }
}

#[test]
fn hd_05_hd_10_forwarding_headers_and_proxy_are_managed() {
    for suffix in [
        "for",
        "host",
        "proto",
        "port",
        "prefix",
        "uri",
        "method",
        "server",
        "ssl",
        "user",
        "email",
        "groups",
        "client-cert",
        "preferred-username",
        "access-token",
    ] {
        assert!(!survives(format!("X-Forwarded-{suffix}").as_bytes()), "{suffix}");
    }
    for name in [
        "X-Original-URI",
        "X-Original-URL",
        "X-Original-Host",
        "X-Original-Method",
        "X-Rewrite-URL",
        "X-Envoy-External-Address",
        "CF-Connecting-IP",
        "True-Client-IP",
        "Forwarded",
        "Proxy",
        "Remote-User",
        "X-Remote-User",
        "X-HTTP-Method-Override",
        "X-Method-Override",
        "SSL-Client-Cert",
        "X-Vestibule-CSRF",
    ] {
        assert!(!survives(name.as_bytes()), "{name}");
    }
}

#[test]
fn ordinary_headers_stay() {
    for name in [
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "cookie",
        "sec-fetch-site",
        "referer",
        "origin",
        "range",
        "content-type",
        "x-requested-with",
        "x-csrf-token",
        "if-none-match",
        "cache-control",
        "dnt",
        "1-x",
        "via",
        "x-api-key",
        "traceparent",
        "sec-websocket-key",
        "upgrade-insecure-requests",
    ] {
        assert!(survives(name.as_bytes()), "{name}");
    }
}

proptest! {
    #[test]
    fn hd_02_nothing_that_survives_folds_to_a_managed_name(name in "[A-Za-z0-9!#$%&'*+.^_`|~-]{1,24}") {
        if survives(name.as_bytes()) {
            let folded = as_cgi(&name);
            prop_assert!(managed().iter().all(|managed| as_cgi(managed) != folded));
        }
    }
}

/// The words of the first block of text behind a sentence of the page.
fn words_behind(sentence: &str) -> Vec<&'static str> {
    let page = include_str!("../../../docs/headers.md");
    let behind = page.split_once(sentence).unwrap_or_else(|| panic!("{sentence} is not on the page")).1;
    behind.split("```").nth(1).unwrap().strip_prefix("text\n").unwrap().split_whitespace().collect()
}

#[test]
fn the_page_lists_the_fixed_set() {
    assert_eq!(words_behind("By their whole name:"), FIXED_NAMES);
    assert_eq!(words_behind("By how the name begins:"), FIXED_PREFIXES);
}
