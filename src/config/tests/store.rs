use super::*;
use crate::session::settings::{RedisAccess, RedisSettings, RedisTopology, ServerAddress, StoreSettings};

const KEYS: &str = "keys = [{ id = \"a\", file = \"key\" }]";

fn with_keys() -> Fake {
    fake().with("/etc/vestibule/key", "AgkQFx4lLDM6QUhPVl1ka3J5gIeOlZyjqrG4v8bN1Ns\n")
}

fn text(lines: &str) -> String {
    file(&format!("[session]\n{KEYS}\n{lines}"), "", "")
}

fn store(lines: &str) -> StoreSettings {
    let loaded = read_with(&text(lines), &with_keys()).unwrap_or_else(|error| panic!("{error}"));
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    loaded.settings.session.store
}

fn redis(lines: &str) -> RedisSettings {
    match store(lines) {
        StoreSettings::Redis(settings) => settings,
        other => panic!("{other:?}"),
    }
}

fn problem(lines: &str) -> String {
    let error = read_with(&text(lines), &with_keys()).err().unwrap_or_else(|| panic!("accepted: {lines}"));
    assert_eq!(error.problems().len(), 1, "{error}");
    error.to_string()
}

fn server(host: &str, port: u16) -> ServerAddress {
    ServerAddress { host: host.into(), port }
}

#[test]
fn every_kind_of_store_is_read() {
    assert_eq!(store("store = \"memory\""), StoreSettings::Memory { max_sessions: 100_000 });
    assert_eq!(store("store = \"file:/var/lib/v\""), StoreSettings::File { directory: "/var/lib/v".into() });
    for (written, at, database) in [
        ("redis://r.example", server("r.example", 6379), 0),
        ("redis://10.0.0.7:7000/3", server("10.0.0.7", 7000), 3),
        ("redis://[::1]:6380/", server("::1", 6380), 0),
        ("redis://[fd00::1]", server("fd00::1", 6379), 0),
    ] {
        let settings = redis(&format!("store = \"{written}\""));
        assert_eq!(settings.topology, RedisTopology::Single { server: at, database }, "{written}");
        assert_eq!(settings.access, RedisAccess::default());
    }
    let sentinel = redis("store = \"redis+sentinel://a,b:1/main-1\"").topology;
    let sentinels = vec![server("a", 26379), server("b", 1)];
    assert_eq!(sentinel, RedisTopology::Sentinel { sentinels, master: "main-1".into() });
    let cluster = redis("store = \"rediss+cluster://a:1,[::1]:2\"");
    assert_eq!(cluster.topology, RedisTopology::Cluster { seeds: vec![server("a", 1), server("::1", 2)] });
    assert!(cluster.access.tls.is_some_and(|tls| tls.ca_certificates.is_empty() && tls.identity.is_none()));
}

#[test]
fn credentials_stand_beside_the_url() {
    let access = redis("store = \"rediss://r\"\nstore_username = \"v\"\nstore_password = { file = \"secret\" }").access;
    let user = access.user.unwrap();
    assert_eq!((user.name.as_deref(), user.password.expose()), (Some("v"), "hunter2"));
    let access = redis("store = \"redis+sentinel://s/m\"\nstore_sentinel_password = { file = \"secret\" }").access;
    let user = access.sentinel_user.unwrap();
    assert_eq!((user.name, user.password.expose(), access.user), (None, "hunter2", None));
    let message = problem("store = \"redis://r\"\nstore_username = \"v\"");
    assert!(message.contains("has no password beside it"), "{message}");
}

#[test]
fn rd_07_user_info_is_refused_and_never_repeated() {
    for url in ["redis://user:hunter2-x@r", "redis://:hunter2-x@r:1", "rediss+sentinel://hunter2-x@r/m", "hunter2-x@r"]
    {
        let message = problem(&format!("store = \"{url}\""));
        assert!(message.contains("store_password") && !message.contains("hunter2-x"), "{message}");
    }
    let message = problem("store = [\"hunter2-x\"]");
    assert!(message.contains("must be a string") && !message.contains("hunter2-x"), "{message}");
}

#[test]
fn cf_01_what_is_no_store_is_refused() {
    for (written, why) in [
        ("disk", "is no store"),
        ("postgres://r", "has an unknown scheme"),
        ("file:relative", "must begin with one /"),
        ("file:///var/lib/v", "must begin with one /"),
        ("redis://", "is not complete"),
        ("redis://r:0", "is not complete"),
        ("redis://r:99999", "is not complete"),
        ("redis://r:", "is not complete"),
        ("redis://r/x", "is not complete"),
        ("redis://r/0?x=y", "is not complete"),
        ("redis://r r", "is not complete"),
        ("redis://[::g]", "is not complete"),
        ("redis+sentinel://a,b", "is not complete"),
        ("redis+sentinel://a,,b/m", "is not complete"),
        ("redis+cluster://a/1", "is not complete"),
    ] {
        let message = problem(&format!("store = \"{written}\""));
        assert!(message.contains(why), "{written}: {message}");
    }
}

#[test]
fn what_belongs_to_another_store_is_refused() {
    for (lines, why) in [
        ("store_password = { file = \"secret\" }", "is for a store in Redis"),
        ("store = \"file:/v\"\nstore_tls = { ca_file = \"ca\" }", "is for a store in Redis"),
        ("store = \"redis://r\"\nstore_sentinel_password = { file = \"secret\" }", "is for a store under sentinels"),
        ("store = \"file:/v\"\nmax_sessions = 7", "is for the store in memory"),
        ("store = \"redis://r\"\nstore_tls = {}", "has no TLS"),
        ("store = \"rediss://r\"\nstore_tls = { key = \"secret\" }", "stands alone"),
        ("store = \"rediss://r\"\nstore_tls = { ca_file = \"nothing\" }", "does not exist"),
    ] {
        let message = problem(lines);
        assert!(message.contains(why), "{lines}: {message}");
    }
}

#[test]
fn a_key_is_the_key_of_its_certificate() {
    let pair = || rcgen::generate_simple_self_signed(["v".to_owned()]).unwrap();
    let (ours, other) = (pair(), pair());
    let mut files = with_keys().with("/etc/vestibule/v.crt", &ours.cert.pem());
    files.put("/etc/vestibule/v.key", ours.signing_key.serialize_pem().as_bytes(), 0o600, false);
    files.put("/etc/vestibule/other.key", other.signing_key.serialize_pem().as_bytes(), 0o600, false);
    let lines = |key: &str| {
        text(&format!(
            "store = \"rediss://r\"\nstore_tls = {{ ca_file = \"v.crt\", certificate = \"v.crt\", key = \"{key}\" }}"
        ))
    };
    let StoreSettings::Redis(settings) = read_with(&lines("v.key"), &files).unwrap().settings.session.store else {
        panic!("not Redis")
    };
    let tls = settings.access.tls.unwrap();
    assert_eq!((tls.ca_certificates.len(), tls.identity.unwrap().chain.len()), (1, 1));
    let message = read_with(&lines("other.key"), &files).unwrap_err().to_string();
    assert!(message.contains("is not the key of the certificate"), "{message}");
    let message = read_with(&lines("secret"), &files).unwrap_err().to_string();
    assert!(message.contains("no private key") && !message.contains("hunter2"), "{message}");
}

#[test]
fn a_store_that_outlives_the_process_without_keys_is_warned_of() {
    for store in ["file:/v", "redis://r"] {
        let loaded = good(&file(&format!("[session]\nstore = \"{store}\""), "", ""));
        assert!(loaded.warnings[0].message.contains("outlives the process"), "{:?}", loaded.warnings);
    }
    assert!(good(&file("[session]\nstore = \"memory\"", "", "")).warnings.is_empty());
}
