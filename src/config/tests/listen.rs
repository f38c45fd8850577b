use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::server::settings::ListenAddress;
use crate::server::settings::TlsVersion;
use crate::session::settings::StoreSettings;
use crate::telemetry::settings::{AuditSink, LogFormat, LogUser};

fn with(lines: &str) -> String {
    file(&format!("[listen]\n{lines}"), "", "")
}

#[test]
fn ck_15_plain_http_is_for_this_machine() {
    refused(
        &file("public_url = \"http://wiki.example.com\"", "", ""),
        "http is accepted only when the host is this machine",
    );
    refused(
        &file("public_url = \"http://localhost:8080\"", "", "host = \"wiki.example.com\""),
        "only hosts of this machine can be served",
    );
    let loaded = good(&file("public_url = \"http://localhost:8080\"", "", "host = \"wiki.localhost:8080\""));
    assert_eq!(loaded.settings.listen.address, ListenAddress::Tcp("127.0.0.1:8080".parse().unwrap()));
    let loaded = good(&file("", "", ""));
    assert_eq!(loaded.settings.listen.address, ListenAddress::Tcp("0.0.0.0:8080".parse().unwrap()));
}

#[test]
fn lg_03_credentials_in_the_public_url_are_refused_and_not_repeated() {
    let error = read(&file("public_url = \"https://me:open-sesame@wiki.example.com\"", "", "")).unwrap_err();
    assert!(!error.to_string().contains("open-sesame"), "{error}");
}

#[test]
fn addresses_are_sockets() {
    let address = |text: &str| good(&with(&format!("address = \"{text}\""))).settings.listen.address;
    assert_eq!(address("[::]:8443"), ListenAddress::Tcp("[::]:8443".parse().unwrap()));
    assert_eq!(address("unix:/run/v.sock"), ListenAddress::Unix(PathBuf::from("/run/v.sock")));
    for bad in ["localhost:8080", "8080", ":8080", "0.0.0.0", "0.0.0.0:99999"] {
        refused(&with(&format!("address = \"{bad}\"")), "is not an IP address with a port");
    }
    refused(&with("address = \"unix:v.sock\""), "must begin with /");
    refused(&with("address = \"127.0.0.1:9091\""), "are the same");
    good(&with("address = \"127.0.0.1:0\"\nprobe_address = \"127.0.0.1:0\""));
}

#[test]
fn trusted_proxies_are_networks_and_nobody_by_default() {
    let proxies = |list: &str| good(&with(&format!("trusted_proxies = {list}"))).settings.listen.trusted_proxies;
    assert!(good(&with("")).settings.listen.trusted_proxies.is_empty());
    assert!(proxies("[]").is_empty());
    let named = proxies(r#"["10.0.0.0/8", "192.0.2.7", "fd00::/8", "unix"]"#);
    for inside in ["10.9.9.9", "192.0.2.7", "fd00::7"] {
        assert!(named.trusts(inside.parse().unwrap()), "{inside}");
    }
    assert!(named.trusts_peer(None) && !named.trusts("192.0.2.8".parse().unwrap()));
    for (list, why) in [
        (r#"["10.0.0.1/8"]"#, "has bits of a host"),
        (r#"["0.0.0.0/0"]"#, "would believe whoever connects"),
        (r#"["::/0"]"#, "would believe whoever connects"),
        (r#"["ingress.internal"]"#, "is neither a network"),
        (r#"["10.0.0.0/33"]"#, "is neither a network"),
        (r#""10.0.0.0/8""#, "must be a list"),
    ] {
        refused(&with(&format!("trusted_proxies = {list}")), why);
    }
}

#[test]
fn the_endpoint_prefix_is_a_plain_path() {
    assert_eq!(good(&with("endpoint_prefix = \"/-/auth\"")).settings.endpoints(), "/-/auth");
    for bad in ["oauth2", "/", "/oauth2/", "//a", "/a/../b", "/a b", "/%61", "/*"] {
        refused(&with(&format!("endpoint_prefix = \"{bad}\"")), "is not a path of plain segments");
    }
}

#[test]
fn cf_11_limits_have_bounds() {
    for line in ["headers = 0", "headers = -1", "connections = 0", "header_bytes = \"1B\"", "target_bytes = \"1GiB\""] {
        refused(&file(&format!("[listen.limits]\n{line}"), "", ""), "must be between");
    }
    for key in ["header_timeout", "keep_alive"] {
        refused(&file(&format!("[listen.limits]\n{key} = \"0s\""), "", ""), "must be longer than zero");
        refused(&file(&format!("[listen.limits]\n{key} = \"-1s\""), "", ""), "not a duration");
    }
    for line in
        ["body_bytes = \"0B\"", "body_rate = \"1GiB\"", "callbacks_per_second = 0", "websockets_per_session = 0"]
    {
        refused(&file(&format!("[listen.limits]\n{line}"), "", ""), "must be between");
    }
    let limits = |lines: &str| good(&file(&format!("[listen.limits]\n{lines}"), "", "")).settings.listen.limits;
    assert_eq!((limits("").body_bytes, limits("").body_rate), (None, Some(1 << 10)));
    let set =
        limits("body_bytes = \"5MiB\"\nbody_rate = \"0B\"\ncallbacks_per_address = 3\nwebsockets_per_address = 4");
    assert_eq!((set.body_bytes, set.body_rate), (Some(5 << 20), None));
    assert_eq!((set.callbacks_per_address, set.websockets_per_address), (3, 4));
    let limits = good(&file("[listen.limits]\ndrain_delay = \"0s\"", "", "")).settings.listen.limits;
    assert_eq!(limits.drain_delay, Duration::ZERO);
}

#[test]
fn logs_and_pages() {
    let text = "[log]\nformat = \"text\"\nlevel = \"debug\"\naccess = false\nuser = \"name\"\n[pages]\nname = \"Example Corp\"";
    let settings = good(&file(text, "", "")).settings;
    assert_eq!((settings.log.format, settings.log.user), (LogFormat::Text, LogUser::Name));
    assert_eq!((settings.log.level, settings.log.access), (tracing::Level::DEBUG, false));
    assert_eq!(settings.pages.name.as_deref(), Some("Example Corp"));
    assert_eq!(settings.log.audit, AuditSink::Log);
    let audit = |value: &str| format!("[log]\naudit = {value}");
    for (path, resolved) in
        [("/var/log/audit.jsonl", "/var/log/audit.jsonl"), ("audit.jsonl", "/etc/vestibule/audit.jsonl")]
    {
        let settings = good(&file(&audit(&format!("{{ file = \"{path}\" }}")), "", "")).settings;
        assert_eq!(settings.log.audit, AuditSink::File(PathBuf::from(resolved)));
    }
    refused(&file(&audit("{}"), "", ""), "is missing");
    refused(&file(&audit("\"syslog\""), "", ""), "`log.audit` is neither \"log\" nor a table");
    refused(&file(&audit("true"), "", ""), "`log.audit` is a boolean");
    refused(&file(&audit("{ path = \"x\", file = \"y\" }"), "", ""), "there is no key `log.audit.path`");
    refused(&file("[log]\nlevel = \"verbose\"", "", ""), "`log.level` must be");
    refused(&file("[pages]\nname = \"a\\nb\"", "", ""), "must be one line");
}

#[test]
fn cf_10_an_administrators_address_on_tcp_wants_its_token() {
    let token = "admin_token = { file = \"token\" }";
    let with_token = |token: &str| fake().with("/etc/vestibule/token", token);
    let good_token = with_token("0123456789abcdef\n");
    let listen = |lines: &str| file(&format!("[listen]\n{lines}"), "", "");
    for address in ["127.0.0.1:9092", "[::1]:9092", "0.0.0.0:9092"] {
        let lines = format!("admin_address = \"{address}\"");
        refused(&listen(&lines), "on TCP without `listen.admin_token`");
        let loaded = read_with(&listen(&format!("{lines}\n{token}")), &good_token).unwrap();
        assert_eq!(loaded.settings.listen.admin_address, Some(ListenAddress::Tcp(address.parse().unwrap())));
        assert_eq!(loaded.settings.listen.admin_token.unwrap().expose(), "0123456789abcdef");
    }
    let unix = "admin_address = \"unix:/run/vestibule/admin.sock\"";
    let settings = good(&listen(unix)).settings;
    assert_eq!(settings.listen.admin_address, Some(ListenAddress::Unix("/run/vestibule/admin.sock".into())));
    assert!(settings.listen.admin_token.is_none());
    assert!(good(&listen("")).settings.listen.admin_address.is_none(), "off unless it is written");
    let messages = |text: &str, fake: &Fake| {
        let error = read_with(text, fake).err().unwrap_or_else(|| panic!("accepted:\n{text}"));
        assert!(!error.to_string().contains("0123456789"), "{error}");
        error.problems().iter().map(|problem| problem.message.clone() + "\n").collect::<String>()
    };
    let lines = format!("{unix}\n{token}");
    for (text, why) in [
        ("0123456789abcde", "is shorter than 16 characters"),
        ("0123456789 abcdef", "holds blanks or characters outside ASCII"),
        ("0123456789abcdef\u{e9}", "holds blanks or characters outside ASCII"),
        ("", "is empty"),
    ] {
        assert!(messages(&listen(&lines), &with_token(text)).contains(why), "{why}");
    }
    let inline = listen(&format!("{unix}\nadmin_token = \"0123456789abcdef\""));
    assert!(messages(&inline, &fake()).contains("must not stand in the file itself"));
    assert!(messages(&listen(token), &good_token).contains("there is no `listen.admin_address`"));
}

#[test]
fn ad_06_the_admin_token_is_no_other_secret() {
    let text = file("[listen]\nadmin_address = \"127.0.0.1:9092\"\nadmin_token = { file = \"token\" }", "", "");
    let fake = Fake::default()
        .with("/etc/vestibule/token", "one-secret-for-everything")
        .with("/etc/vestibule/secret", "one-secret-for-everything\n");
    let error = read_with(&text, &fake).unwrap_err();
    assert!(error.to_string().contains("`listen.admin_token` is a client secret as well"), "{error}");
    assert!(!error.to_string().contains("one-secret"), "{error}");
}

#[test]
fn the_listeners_have_addresses_of_their_own() {
    for (lines, other) in [
        ("address = \"unix:/run/v.sock\"\nadmin_address = \"unix:/run/v.sock\"", "address"),
        ("probe_address = \"unix:/run/v.sock\"\nadmin_address = \"unix:/run/v.sock\"", "probe_address"),
    ] {
        refused(&with(lines), &format!("`listen.admin_address` and `listen.{other}` are the same"));
    }
}

#[test]
fn certificates_of_a_listener_come_with_their_keys() {
    let files = || fake().with_identity("/etc/vestibule/a").with_identity("/etc/vestibule/b");
    let listen = |lines: &str| file(&format!("[listen]\n{lines}"), "", "");
    let identities = |lines: &str| {
        let tls = read_with(&listen(lines), &files()).unwrap().settings.listen.tls.unwrap();
        (tls.identities.len(), tls.minimum_version)
    };
    let (a, b) = ("{ certificate = \"a.crt\", key = \"a.key\" }", "{ certificate = \"b.crt\", key = \"b.key\" }");
    assert_eq!(identities(&format!("tls = {a}")), (1, TlsVersion::Tls12));
    assert_eq!(identities(&format!("tls = [{a}, {b}]\ntls_minimum_version = \"1.3\"")), (2, TlsVersion::Tls13));
    assert!(good(&listen("")).settings.listen.tls.is_none());
    for (lines, why) in [
        ("tls = { certificate = \"a.crt\", key = \"b.key\" }", "is not the key of the certificate"),
        ("tls = { certificate = \"a.crt\" }", "stands alone"),
        ("tls = {}", "names no certificate"),
        ("tls = []", "names no certificate"),
        ("tls = true", "must be a table"),
        ("tls = [true]", "must be a table"),
        ("tls = { certificate = \"none.crt\", key = \"a.key\" }", "does not exist"),
        ("tls = { certificate = \"a.key\", key = \"a.key\" }", "holds no certificate in PEM"),
        ("tls = { certificate = \"a.crt\", key = \"a.crt\" }", "holds no private key in PEM"),
        ("tls_minimum_version = \"1.3\"", "says nothing without `listen.tls`"),
        (&format!("tls = {a}\ntls_minimum_version = \"1.1\""), "\"1.2\""),
        (&format!("tls = {a}\nh2c = true"), "`listen.h2c` is HTTP/2 without TLS"),
        ("proxy_protocol = true", "nobody's header would be believed"),
        ("address = \"unix:/run/v.sock\"\nreuse_port = true", "`listen.reuse_port` is for a port"),
    ] {
        let error = read_with(&listen(lines), &files()).err().unwrap_or_else(|| panic!("accepted: {lines}"));
        assert!(error.to_string().contains(why) && error.problems().len() == 1, "{why}\n{error}");
    }
    let development = format!("public_url = \"http://localhost:8080\"\n[listen]\ntls = {a}");
    let error = read_with(&file(&development, "", ""), &files()).unwrap_err();
    assert!(error.to_string().contains("for a public_url that begins with https"), "{error}");
    let settings = good(&listen("h2c = true\nproxy_protocol = true\ntrusted_proxies = [\"10.0.0.0/8\"]")).settings;
    assert!(settings.listen.h2c && settings.listen.proxy_protocol && !settings.listen.reuse_port);
}

#[test]
fn under_a_limit_of_memory_only_what_is_not_written_is_smaller() {
    let read = |text: &str, limit: Option<u64>| {
        let settings = read_with(text, &Fake { memory_limit: limit, ..fake() }).unwrap().settings;
        let StoreSettings::Memory { max_sessions } = settings.session.store else { panic!() };
        (max_sessions, settings.session.cache, settings.listen.limits.connections, settings.memory.is_some())
    };
    let (plain, usual) = (file("", "", ""), (100_000, 50_000, 10_000, false));
    assert_eq!(read(&plain, None), usual);
    assert_eq!(read(&plain, Some(4 << 30)), usual);
    for limit in [64_u64 << 20, 128 << 20, 512 << 20, 2 << 30] {
        let (sessions, cache, connections, told) = read(&plain, Some(limit));
        let full = sessions as u64 * 4_800 + cache * 9_600 + connections as u64 * (64 << 10) + (24 << 20);
        assert!(told && full <= limit / 100 * 70, "{limit}: {full}");
        assert!(full > limit / 100 * 60, "{limit}: more would fit than {full}");
    }
    let written = file("[session]\nmax_sessions = 20_000\n[listen.limits]\nconnections = 1_000", "", "");
    let (sessions, cache, connections, _) = read(&written, Some(256 << 20));
    assert_eq!((sessions, connections), (20_000, 1_000));
    assert!(cache < 1_000, "{cache}");
    assert_eq!(read(&plain, Some(1 << 20)), (64, 64, 64, true));
}
