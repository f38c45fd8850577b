use super::*;
use crate::gateway::canonical_path::PathPolicy;
use crate::gateway::settings::RouteSettings;
use crate::policy::access::Access;
use crate::upstream::settings::{Balance, HealthSettings, Target, TargetLimits};

fn with(lines: &str) -> String {
    file("", "", lines)
}

fn route(lines: &str) -> RouteSettings {
    good(&with(lines)).settings.routes.remove(0)
}

fn with_target(target: &str) -> String {
    with("").replace("http://127.0.0.1:3000", target)
}

/// A further upstream with its own lines.
fn and(text: &str, lines: &str) -> String {
    format!("{text}\n[[upstream]]\ntarget = \"http://127.0.0.1:3001\"\n{lines}\n")
}

#[test]
fn targets() {
    let target = |text: &str| good(&with_target(text)).settings.routes.remove(0).upstream.targets.remove(0);
    assert_eq!(target("http://wiki"), Target::Http { host: "wiki".into(), port: 80 });
    assert_eq!(target("https://[::1]:8443/"), Target::Https { host: "[::1]".into(), port: 8443 });
    assert_eq!(target("h2c://[::1]:50051"), Target::H2c { host: "[::1]".into(), port: 50051 });
    assert_eq!(target("unix:/run/wiki.sock"), Target::Unix("/run/wiki.sock".into()));
    for (bad, why) in [
        ("http://wiki/base", "has a path or a query"),
        ("http://wiki?x", "has a path or a query"),
        ("h2c://wiki/base", "has a path or a query"),
        ("h2c://alice:pw@wiki", "holds a user name or a password"),
        ("wiki:3000", "is not a URL"),
        ("http://wiki:0", "has the port 0"),
        ("unix:wiki.sock", "must begin with /"),
        ("ws://wiki", "is neither https nor http"),
    ] {
        refused(&with_target(bad), why);
    }
}

#[test]
fn cf_07_and_ad_02_a_target_that_is_the_gateway_itself_is_refused() {
    for target in [
        "http://127.0.0.1:8080",
        "http://localhost:8080",
        "http://[::1]:8080",
        "http://0.0.0.0:8080",
        "http://127.0.0.1:9091",
        "https://wiki.example.com",
        "https://WIKI.example.com:443",
    ] {
        refused(&with_target(target), "is the gateway itself");
    }
    refused(
        &file("[listen]\naddress = \"unix:/run/v.sock\"", "", "").replace("http://127.0.0.1:3000", "unix:/run/v.sock"),
        "is the gateway itself",
    );
    let administered = file("[listen]\nadmin_address = \"unix:/run/admin.sock\"", "", "");
    refused(&administered.replace("http://127.0.0.1:3000", "unix:/run/admin.sock"), "is the gateway itself");
    for fine in ["http://wiki.example.com:8080", "http://10.0.0.1:8080", "https://wiki.example.com:8443"] {
        good(&with_target(fine));
    }
    let own = file("[listen]\naddress = \"10.0.0.1:80\"", "", "");
    refused(&own.replace("http://127.0.0.1:3000", "http://10.0.0.1"), "is the gateway itself");
}

#[test]
fn hosts_have_the_scheme_of_the_public_url() {
    assert_eq!(route("host = \"Tools.Example.com:443\"").host.as_str(), "tools.example.com");
    assert_eq!(route("").host.as_str(), "wiki.example.com");
    refused(&with("host = \"http://wiki.example.com\""), "the scheme is always that of public_url");
    refused(&with("host = \"wiki.example.com/x\""), "is not a host");
}

#[test]
fn paths_lie_under_the_public_url() {
    assert_eq!(route("").path, "/");
    let under = |lines: &str| file("public_url = \"https://a.example/tools\"", "", lines);
    assert_eq!(good(&under("")).settings.routes[0].path, "/tools");
    assert_eq!(good(&under("path = \"/tools/wiki/\"")).settings.routes[0].path, "/tools/wiki");
    refused(&under("path = \"/wiki\""), "does not lie under the path of public_url");
    refused(&under("path = \"/toolsx\""), "does not lie under the path of public_url");
    refused(&under("path = \"/tools/oauth2\""), "lies under the gateway's own endpoints");
    refused(&with("path = \"/oauth2/x\""), "lies under the gateway's own endpoints");
    for bad in ["wiki", "/a/../b", "/a//b", "/%61", "/a;b", "/*", "/wiki/**"] {
        refused(&with(&format!("path = \"{bad}\"")), "is not a canonical path without wildcards");
    }
    assert_eq!(route("path = \"/wiki\"\nstrip_prefix = true").upstream.strip_prefix.as_deref(), Some("/wiki"));
    assert_eq!(route("strip_prefix = true").upstream.strip_prefix, None);
}

#[test]
fn pa_22_patterns_are_no_regular_expressions() {
    for wrong in ["^/foo/.*/bar$", "(a+)+$", "/a*b", "assets/**", "/a/**/b"] {
        for key in ["public", "api"] {
            let messages = bad(&with(&format!("{key} = ['{wrong}']")));
            assert!(messages.contains(&format!("upstream[0].{key}[0]")), "{wrong}: {messages}");
        }
    }
    assert_eq!(route("public = [\"GET /healthz\", \"/assets/**\"]").public.len(), 2);
    refused(&with("path = \"/wiki\"\npublic = [\"/assets/**\"]"), "does not lie under the path of its upstream");
    refused(&with("path = \"/wiki\"\napi = [\"/wikix/**\"]"), "does not lie under the path of its upstream");
    assert_eq!(route("path = \"/wiki\"\napi = [\"/wiki/**\"]").api.len(), 1);
}

#[test]
fn cf_06_not_everything_is_public_and_no_pattern_stands_twice() {
    for everything in ["/", "/**", "GET /**", "/*/**", "/*"] {
        refused(&with(&format!("public = [\"{everything}\"]")), "would make everything public");
    }
    refused(&with("public = [\"/a\"]\napi = [\"/a\"]"), "stands in `api` too");
    refused(&with("public = [\"/a\", \"/a\"]"), "repeats an earlier");
    refused(&with("api = [\"/a\", \"/%61\"]"), "repeats an earlier");
    assert_eq!(route("api = [\"/**\"]").api.len(), 1);
}

#[test]
fn a_permissive_path_policy_stands_alone() {
    assert_eq!(route("path_policy = \"permissive\"").path_policy, PathPolicy::Permissive);
    refused(&with("path_policy = \"permissive\"\npublic = [\"/a\"]"), "together with `public`");
    refused(
        &with("path_policy = \"permissive\"\ncross_site = { origins = [\"https://a.example.com\"], paths = [\"/a\"] }"),
        "together with `cross_site`",
    );
    let two =
        and(&with("name = \"a\"\npath_policy = \"permissive\""), "path = \"/b\"\nheaders = { authorization = false }");
    refused(&two, "on a host with several upstreams");
    good(&two.replace("path = \"/b\"", "host = \"b.example.com\""));
}

#[test]
fn one_host_and_path_has_one_upstream() {
    refused(&and(&with(""), ""), "has the same host and path, wiki.example.com/");
    refused(&and(&with("path = \"/a\""), "path = \"/a/\"\nhost = \"WIKI.example.com\""), "has the same host and path");
    refused(&and(&with("name = \"x\""), "name = \"x\"\npath = \"/b\""), "an earlier upstream has this name");
}

#[test]
fn one_host_has_one_provider() {
    let providers = PROVIDER.replace("[provider]", "[providers.a]") + &PROVIDER.replace("[provider]", "[providers.b]");
    let text = format!("public_url = \"https://wiki.example.com\"\n{providers}{UPSTREAM}");
    let two = and(&text, "path = \"/b\"\nprovider = \"b\"");
    refused(&two, "have different providers, but a host is one login");
    good(&two.replace("path = \"/b\"", "host = \"b.example.com\""));
}

#[test]
fn access_rules() {
    let access = |text: &str| route(&format!("access = {text}")).access;
    assert_eq!(access("\"anyone\""), Access::Anyone);
    assert_eq!(access("{ email_domain = \"Example.com\" }"), Access::EmailDomain("example.com".into()));
    let staff = Access::Contains { claim: "groups".into(), value: "staff".into() };
    assert_eq!(access("{ claim = \"groups\", contains = \"staff\" }"), staff);
    assert_eq!(
        access(
            "{ any = [{ not = { claim = \"groups\", contains = \"staff\" } }, { all = [{ claim = \"n\", equals = 5 }] }] }"
        ),
        Access::Any(vec![
            Access::Not(Box::new(staff)),
            Access::All(vec![Access::Equals { claim: "n".into(), value: 5.into() }])
        ])
    );
}

#[test]
fn cf_12_a_rule_that_is_not_understood_is_refused_and_never_anyone() {
    for wrong in [
        "\"everyone\"",
        "true",
        "[]",
        "{}",
        "{ claim = \"groups\" }",
        "{ contains = \"staff\" }",
        "{ claim = \"groups\", contains = \"a\", equals = \"a\" }",
        "{ claim = \"groups\", contains = \"a\", email_domain = \"example.com\" }",
        "{ any = [] }",
        "{ all = [] }",
        "{ any = [\"anyone\"] }",
        "{ any = [{ claim = \"groups\", contian = \"a\" }] }",
        "{ group = \"staff\" }",
        "{ claim = \"groups\", contains = \"\" }",
        "{ claim = \"groups\", contains = [\"a\"] }",
        "{ claim = \"n\", equals = 1.5 }",
        "{ email_domain = \"@example.com\" }",
        "{ email_domain = \"example.com.\" }",
        "{ email_domain = \"*.example.com\" }",
        "{ email_domain = \"ex\u{e4}mple.com\" }",
        "{ email_domain = \"com\" }",
        "{ not = [] }",
    ] {
        bad(&with(&format!("access = {wrong}")));
    }
    let deep = format!("access = {}{{ email_domain = \"a.example\" }}{}", "{ not = ".repeat(20), " }".repeat(20));
    refused(&with(&deep), "is nested too deeply");
}

#[test]
fn headers_have_a_default_and_names_of_their_own() {
    let names = |lines: &str| -> Vec<String> {
        route(lines).upstream.headers.iter().map(|(name, _)| name.as_str().to_owned()).collect()
    };
    assert_eq!(names(""), ["authorization"]);
    assert_eq!(names("headers = { X-User = \"{claims.sub}\" }"), ["authorization", "x-user"]);
    assert!(names("headers = { authorization = false }").is_empty());
    for own in ["host", "Connection", "transfer-encoding", "content-length", "cookie", "x-forwarded-for", "Forwarded"] {
        refused(&with(&format!("headers = {{ {own} = \"x\" }}")), "belongs to the message or the connection");
    }
    for no_name in ["x_user", "\"x user\""] {
        refused(&with(&format!("headers = {{ {no_name} = \"x\" }}")), "is not a header name");
    }
    refused(&with("headers = { x-a = \"1\", X-A = \"2\" }"), "is written twice");
    refused(&with("headers = { authorization = false, Authorization = \"x\" }"), "is written twice");
    refused(&with("headers = { x-a = false }"), "there is no such header by default");
    refused(&with("headers = { x-a = 5 }"), "must be a string");
}

#[test]
fn least_privilege_upstreams_that_share_a_token_are_named() {
    let loaded = good(&and(&with("name = \"a\""), "name = \"b\"\npath = \"/b\""));
    assert_eq!(loaded.warnings.len(), 1);
    let warning = &loaded.warnings[0];
    assert!(warning.message.contains("same access token of provider default: a, b"), "{warning}");
    assert!(warning.position.is_some());
    let loaded = good(&and(&with("name = \"a\""), "path = \"/b\"\nheaders = { authorization = false }"));
    assert!(loaded.warnings.is_empty());
}

#[test]
fn cf_11_timeouts_of_upstreams_are_above_zero() {
    for key in ["connect", "response_header", "idle"] {
        refused(&with(&format!("timeouts = {{ {key} = \"0s\" }}")), "must be longer than zero");
    }
}

#[test]
fn tls_is_for_https_targets() {
    refused(&with("tls = { server_name = \"wiki.internal\" }"), "is for https targets");
    let text = with("tls = { server_name = \"wiki.internal\" }").replace("http://127", "https://127");
    assert!(good(&text).settings.routes[0].upstream.tls.server_name.is_some());
    refused(&text.replace("wiki.internal", "not a name"), "is neither a DNS name nor an IP address");
    refused(&text.replace("server_name = \"wiki.internal\"", "ca_file = \"none.pem\""), "does not exist");
}

#[test]
fn fa_01_forward_auth_needs_somebody_who_may_ask_and_no_target() {
    let whole = |listen: &str, upstream: &str| {
        format!("public_url = \"https://wiki.example.com\"\n[listen]\n{listen}\n{PROVIDER}[[upstream]]\n{upstream}\n")
    };
    let trusted = "trusted_proxies = [\"10.0.0.0/8\"]";
    let route = |text: &str| good(text).settings.routes.remove(0);
    assert!(route(&whole(trusted, "forward_auth = true")).forward_auth());
    assert!(!route(&whole(trusted, "target = \"http://127.0.0.1:3000\"\nforward_auth = false")).forward_auth());
    refused(&whole("", "forward_auth = true"), "nobody may ask about this upstream");
    refused(&whole("trusted_proxies = []", "forward_auth = true"), "nobody may ask about this upstream");
    for line in [
        "target = \"http://127.0.0.1:3000\"",
        "pass_host = false",
        "timeouts = { idle = \"1m\" }",
        "strip_prefix = true",
    ] {
        refused(&whole(trusted, &format!("forward_auth = true\n{line}")), "together with forward_auth");
    }
}

#[test]
fn scopes_of_an_upstream_are_checked_and_one_that_nobody_asks_for_is_doubtful() {
    assert_eq!(route("scopes = [\"openid\", \"email\"]").scopes, ["openid", "email"]);
    assert!(route("").scopes.is_empty());
    refused(&with("scopes = [\"a b\"]"), "`upstream[0].scopes[0]` is not a scope");
    refused(&with("scopes = \"openid\""), "must be a list");
    let loaded = good(&with("scopes = [\"openid\", \"calendar.read\"]"));
    let warning = loaded.warnings.first().unwrap().to_string();
    assert!(warning.contains("provider default is not asked for: calendar.read; nobody may in"), "{warning}");
    assert!(good(&with("scopes = [\"openid\"]")).warnings.is_empty());
}

/// The upstream of this text.
fn upstream_of(text: &str) -> crate::upstream::settings::UpstreamSettings {
    good(text).settings.routes.remove(0).upstream
}

/// A file whose one upstream has these lines instead of a target.
fn with_targets(lines: &str) -> String {
    with(lines).replace("target = \"http://127.0.0.1:3000\"\n", "")
}

#[test]
fn several_targets() {
    let list = "targets = [\"http://10.0.0.1:3000\", \"h2c://10.0.0.2\", \"unix:/run/a.sock\"]";
    let several = upstream_of(&with_targets(list));
    assert_eq!((several.targets.len(), several.balance), (3, Balance::Requests));
    assert_eq!(several.targets[1], Target::H2c { host: "10.0.0.2".into(), port: 80 });
    assert_eq!(upstream_of(&with_targets(&format!("{list}\nbalance = \"session\""))).balance, Balance::Session);
    let many: Vec<_> = (1..=65).map(|port| format!("\"http://10.0.0.1:{port}\"")).collect();
    for (lines, why) in [
        ("targets = []", "holds 0 targets"),
        (&format!("targets = [{}]", many.join(", ")), "holds 65 targets"),
        ("targets = [\"http://a\", \"http://a:80\"]", "is there twice"),
        ("targets = [\"http://a\", \"http://b/path\"]", "has a path or a query"),
        ("targets = \"http://a\"", "must be a list"),
        ("targets = [\"http://10.0.0.1\", \"http://127.0.0.1:8080\"]", "is the gateway itself"),
        (&format!("{list}\nbalance = \"random\""), "must be \"requests\" or \"session\""),
    ] {
        refused(&with_targets(lines), why);
    }
    refused(&with(list), "`target` and `targets` together");
    refused(&with("balance = \"session\""), "chooses among several targets");
}

#[test]
fn health_and_limits_of_targets() {
    let defaults = upstream_of(&with(""));
    assert_eq!((defaults.health, defaults.limits), (HealthSettings::default(), TargetLimits::default()));
    let seconds = std::time::Duration::from_secs;
    let written = upstream_of(&with(
        "health = { path = \"/up?a\", interval = \"1s\", timeout = \"2s\", failures = 3, successes = 4, ejection = \"5s\" }\n\
         limits = { requests = 6, queue = 0, queue_timeout = \"7s\" }",
    ));
    let (interval, timeout, ejection) = (seconds(1), seconds(2), seconds(5));
    let health = HealthSettings { path: Some("/up?a".into()), interval, timeout, failures: 3, successes: 4, ejection };
    assert_eq!(written.health, health);
    assert_eq!(written.limits, TargetLimits { requests: Some(6), queue: 0, queue_timeout: seconds(7) });
    for (lines, why) in [
        ("health = { path = \"up\" }", "is not a path"),
        ("health = { path = \"/u p\" }", "is not a path"),
        ("health = { interval = \"1s\" }", "is for checks"),
        ("health = { failures = 0 }", "must be between 1 and"),
        ("limits = { queue = 7 }", "`upstream[0].limits.requests` is missing"),
        ("limits = { requests = 0 }", "must be between 1 and"),
    ] {
        refused(&with(lines), why);
    }
}

#[test]
fn our_own_certificate_for_an_upstream_comes_with_its_key() {
    let pair = rcgen::generate_simple_self_signed(["v".to_owned()]).unwrap();
    let mut files = fake().with("/etc/vestibule/v.crt", &pair.cert.pem());
    files.put("/etc/vestibule/v.key", pair.signing_key.serialize_pem().as_bytes(), 0o600, false);
    let text = |tls: &str| with(&format!("tls = {{ {tls} }}")).replace("http://127.0.0.1:3000", "https://wiki");
    let loaded = read_with(&text("certificate = \"v.crt\", key = \"v.key\""), &files).unwrap();
    assert_eq!(loaded.settings.routes[0].upstream.tls.identity.as_ref().unwrap().chain.len(), 1);
    let message = read_with(&text("certificate = \"v.crt\""), &files).unwrap_err().to_string();
    assert!(message.contains("stands alone"), "{message}");
}
