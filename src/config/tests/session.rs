use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::*;
use crate::config::EXAMPLE_KEY;
use crate::cookie::SameSite;

fn key(first: u8) -> String {
    let bytes: Vec<u8> = (0..32).map(|index| first.wrapping_add(index * 7)).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn with_keys(keys: &[String]) -> (String, Fake) {
    let mut environment = fake();
    let mut items = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        environment.put(&format!("/etc/vestibule/key{index}"), key.as_bytes(), 0o600, false);
        items.push(format!("{{ id = \"k{index}\", file = \"key{index}\" }}"));
    }
    (file(&format!("[session]\nkeys = [{}]", items.join(", ")), "", ""), environment)
}

fn error_of(keys: &[String]) -> String {
    let (text, fake) = with_keys(keys);
    read_with(&text, &fake).unwrap_err().to_string()
}

#[test]
fn keys_are_read_in_their_order_and_one_is_made_when_there_is_none() {
    let (text, fake) = with_keys(&[key(1), key(2) + "\n"]);
    let settings = read_with(&text, &fake).unwrap().settings;
    assert!(settings.session_keys_configured && settings.session.keys.len() == 2);
    let loaded = good(&file("", "", ""));
    assert!(!loaded.settings.session_keys_configured && loaded.settings.session.keys.len() == 1);
    assert!(loaded.warnings.is_empty());
}

#[test]
fn cf_02_a_session_key_is_32_bytes_that_nobody_else_knows() {
    for (bad, why) in [
        (key(1).chars().take(42).collect(), "is not 32 bytes in base64url"),
        (key(1) + "AAAA", "is not 32 bytes in base64url"),
        (key(1) + "=", "is not 32 bytes in base64url"),
        ("correct horse battery staple".to_owned(), "is not 32 bytes in base64url"),
        (URL_SAFE_NO_PAD.encode([0; 32]), "a key that everybody knows"),
        (URL_SAFE_NO_PAD.encode([0x61; 32]), "a key that everybody knows"),
        (EXAMPLE_KEY.to_owned(), "a key that everybody knows"),
        (String::new(), "is empty"),
    ] {
        let error = error_of(std::slice::from_ref(&bad));
        assert!(error.contains(why), "{error}");
        assert!(bad.is_empty() || !error.contains(&bad), "{error}");
    }
    let inline = format!("[session]\nkeys = [\"{}\"]", key(1));
    assert!(!read(&file(&inline, "", "")).unwrap_err().to_string().contains(&key(1)));
    let inline = format!("[session]\nkeys = \"{}\"", key(1));
    assert!(!read(&file(&inline, "", "")).unwrap_err().to_string().contains(&key(1)));
    let inline = format!("[session]\nkeys = [{{ id = \"a\", key = \"{}\" }}]", key(1));
    assert!(!read(&file(&inline, "", "")).unwrap_err().to_string().contains(&key(1)));
}

#[test]
fn cf_15_a_ring_holds_each_key_once_and_at_most_eight() {
    assert!(error_of(&[key(1), key(2), key(1)]).contains("the same key as an earlier one"));
    let nine: Vec<_> = (1..=9).map(key).collect();
    assert!(error_of(&nine).contains("more than 8 keys"));
    let (text, fake) = with_keys(&nine[..8]);
    assert!(read_with(&text, &fake).is_ok());
    let (text, fake) = with_keys(&[key(1), key(2)]);
    let error = read_with(&text.replace("k1", "k0"), &fake).unwrap_err().to_string();
    assert!(error.contains("the name of an earlier key"), "{error}");
    refused(&file("[session]\nkeys = []", "", ""), "`session.keys` is empty");
}

#[test]
fn cf_11_a_session_has_sensible_lifetimes() {
    refused(&file("[session]\nlifetime = \"1h\"\nidle_timeout = \"2h\"", "", ""), "is longer than `session.lifetime`");
    for key in ["lifetime", "idle_timeout"] {
        refused(&file(&format!("[session]\n{key} = \"0s\""), "", ""), "must be longer than zero");
        refused(&file(&format!("[session]\n{key} = \"-1h\""), "", ""), "not a duration");
        refused(&file(&format!("[session]\n{key} = \"99999999999d\""), "", ""), "longer than ten years");
    }
    let session = good(&file("[session]\nlifetime = \"30m\"", "", "")).settings.session;
    assert_eq!(session.idle_timeout, Duration::from_secs(1800));
    for key in ["max_sessions", "max_sessions_per_subject"] {
        refused(&file(&format!("[session]\n{key} = 0"), "", ""), "must be between 1 and");
    }
}

#[test]
fn the_cookie_is_lax_unless_said_otherwise() {
    let cookie =
        good(&file("[session]\ncookie = { same_site = \"strict\", persistent = true }", "", "")).settings.cookie;
    assert!(cookie.same_site == SameSite::Strict && cookie.persistent);
    refused(&file("[session]\ncookie = { same_site = \"none\" }", "", ""), "must be ");
}
