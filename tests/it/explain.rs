//! `vestibule explain`: what a person sees who runs it.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::harness::program::{Ended, ended, vestibule, write_private};
use crate::harness::provider::TestProvider;

const CONFIGURATION: &str = r#"
public_url = "https://wiki.example.com"
[provider]
issuer = "https://id.example.com"
client_id = "wiki"
client_secret = { file = "secret" }
claims = { groups = "roles" }

[[upstream]]
name = "wiki"
target = "http://127.0.0.1:3000"
access = { claim = "groups", contains = "staff" }
public = ["/assets/**", "GET /admin/logo"]
api = ["/api/**"]
[[upstream.rule]]
path = "/admin/**"
access = { any = [{ claim = "groups", contains = "admins" }, { email_domain = "example.com" }] }
[[upstream.rule]]
path = "/admin/**"
methods = ["PUT"]
anonymous = "deny"
[[upstream.rule]]
path = "/money"
step_up = { acr = "urn:example:gold", max_age = "15m" }
[upstream.cross_site]
origins = ["https://shop.example.com"]
paths = ["/cart/**"]
[upstream.headers]
x-user = "{claims.subject}"
x-roles = "{claims.groups}"
x-key = "mark-fixed-key"
x-unit = "{claims.unit}"

[[upstream]]
name = "shop"
path = "/shop"
strip_prefix = true
target = "unix:/run/shop.sock"
anonymous = "forward"
headers = { authorization = false, x-shop = "{request.host}" }
"#;

/// A folder with a configuration, and the program run in it.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("vestibule.toml", CONFIGURATION);
        folder.write("secret", "mark-secret");
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        write_private(self.0.path(), name, text)
    }

    async fn explain(&self, arguments: &[&str]) -> Ended {
        let mut command = vestibule();
        command.arg("explain").args(arguments).current_dir(self.0.path());
        ended(command).await
    }
}

#[tokio::test]
async fn it_names_upstream_rule_and_runners_up_and_what_nobody_gets() {
    let folder = Folder::new();
    for (method, url, lines) in [
        (
            "GET",
            "https://wiki.example.com/admin/%7Elogo?mark=1",
            &[
                "request    GET wiki.example.com/admin/~logo (the query goes on as it is)",
                "upstream   wiki: everything under wiki.example.com/; http://127.0.0.1:3000 is asked for /admin/~logo",
                "rule       /admin/** (upstream[0].rule[0])",
                "           not PUT /admin/** (upstream[0].rule[1]): it is not about GET",
                "access     any of (groups contains \"admins\", a verified e-mail address in example.com)",
                "nobody     303 to the login at provider default for a page in a window, 401 for anything else",
            ][..],
        ),
        (
            "GET",
            "/admin/logo",
            &[
                "rule       GET /admin/logo (upstream[0].public[1])",
                "           not /admin/** (upstream[0].rule[0]): its path is less specific",
                "everybody  forwarded without identity",
                "headers    no authorization: there is no value for it",
                "           x-key: <the configured value>",
            ],
        ),
        (
            "PUT",
            "/admin/logo",
            &[
                "rule       PUT /admin/** (upstream[0].rule[1])",
                "           not /admin/** (upstream[0].rule[0]): it names no method",
                "cross-site a PUT with a session must come from a page of https://wiki.example.com",
                "nobody     401 anonymous-denied, and no login begins",
            ],
        ),
        (
            "POST",
            "/cart/1",
            &[
                "cross-site a POST with a session must come from a page of https://wiki.example.com or https://shop.example.com",
            ],
        ),
        ("GET", "/api/x", &["rule       none: the keys of upstream[0] itself", "api        yes: never a redirect"]),
        (
            "GET",
            "/money",
            &["step_up    the person must have logged in with acr urn:example:gold, at most 900 seconds ago"],
        ),
        (
            "GET",
            "https://WIKI.example.com:443/shop/cart#x",
            &[
                "upstream   shop: everything under wiki.example.com/shop; unix:/run/shop.sock is asked for /cart",
                "nobody     forwarded without identity",
                "headers    x-shop: wiki.example.com",
            ],
        ),
        ("GET", "/oauth2/callback", &["answer     one of the gateway's own endpoints"]),
    ] {
        let ran = folder.explain(&[method, url]).await;
        assert_eq!((ran.code, ran.error.as_str()), (0, ""), "{method} {url}");
        for line in lines {
            assert!(ran.out.lines().any(|said| said.starts_with(line)), "{line}\nis not in\n{}", ran.out);
        }
        assert!(!ran.out.contains("mark"), "{}", ran.out);
    }
}

#[tokio::test]
async fn what_is_refused_is_explained_too() {
    let folder = Folder::new();
    for (method, url, line) in [
        ("GET", "/admin/../x", "answer     400 malformed-path: the path holds . or .."),
        ("GET", "/admin/%2e%2E/x", "answer     400 malformed-path: the path holds . or .."),
        ("GET", "/a%2fb", "answer     400 malformed-path: the path is ambiguous"),
        ("GET", "/a;b", "answer     400 malformed-path: the path is ambiguous"),
        ("GET", "/a%00b", "answer     400 malformed-path: the path holds an encoded control"),
        ("GET", "/a b", "answer     400 malformed-path: path or query hold a character"),
        ("GET", "https://other.example/", "answer     421 misdirected: no upstream has the host other.example"),
        ("GET", "https://a@wiki.example.com/", "answer     400 malformed-host"),
        ("TRACE", "/", "answer     405 method-not-allowed"),
        ("get", "/", "answer     405 method-not-allowed"),
    ] {
        let ran = folder.explain(&[method, url]).await;
        assert_eq!((ran.code, ran.error.as_str()), (0, ""), "{method} {url}");
        assert!(ran.out.starts_with(line), "{line}\n{}", ran.out);
    }
    let long = format!("/{}", "a".repeat(9000));
    assert!(folder.explain(&["GET", &long]).await.out.starts_with("answer     414 target-too-long"));
}

#[tokio::test]
async fn there_is_one_answer_and_for_forward_auth_it_is_that_to_the_proxy() {
    let folder = Folder::new();
    let configuration = CONFIGURATION.replace("\"{claims.unit}\"", "{ value = \"{claims.unit}\", required = true }");
    let carried = "target = \"http://127.0.0.1:3000\"";
    let asked = configuration.replace(carried, "forward_auth = true");
    let asked = asked.replace("[provider]", "[listen]\ntrusted_proxies = [\"10.0.0.7\"]\n[provider]");
    folder.write("with.json", r#"{"sub": "7", "roles": ["staff"], "unit": "it"}"#);
    folder.write("without.json", r#"{"sub": "7", "roles": ["staff"]}"#);
    for (text, claims, answer) in [
        (&configuration, "with.json", "answer     forwarded with identity"),
        (&configuration, "without.json", "answer     403 claim-missing: x-unit"),
        (&asked, "with.json", "answer     200 to the proxy that asks, with identity"),
        (&asked, "without.json", "answer     403 claim-missing: x-unit"),
    ] {
        folder.write("vestibule.toml", text);
        let ran = folder.explain(&["GET", "/x", "--claims", claims]).await;
        let answers: Vec<_> = ran.out.lines().filter(|line| line.starts_with("answer")).collect();
        assert_eq!((answers, ran.code), (vec![answer], 0), "{}{}", ran.out, ran.error);
    }
    let ran = folder.explain(&["GET", "/assets/x"]).await;
    for line in [
        "upstream   wiki: everything under wiki.example.com/; another proxy carries it and asks about /assets/x",
        "everybody  200 to the proxy that asks, without identity",
        "           every other managed name is there too, empty, for the proxy to copy",
    ] {
        assert!(ran.out.lines().any(|said| said == line), "{line}\nis not in\n{}", ran.out);
    }
}

#[tokio::test]
async fn with_claims_it_says_who_may_in_and_shows_the_headers_without_tokens() {
    let folder = Folder::new();
    folder.write("staff.json", r#"{"sub": "7", "preferred_username": "ann", "roles": ["staff"], "unit": "it"}"#);
    let ran = folder.explain(&["GET", "/", "--claims", "staff.json", "--config", "vestibule.toml"]).await;
    for line in [
        "person     ann",
        "verdict    groups contains \"staff\": passes; it is [\"staff\"]",
        "answer     forwarded with identity",
        "headers    authorization: Bearer <access token>",
        "           x-user: 7",
        "           x-roles: staff",
        "           x-key: <the configured value>",
        "           x-unit: it",
    ] {
        assert!(ran.out.lines().any(|said| said == line), "{line}\nis not in\n{}", ran.out);
    }
    let ran = folder.explain(&["GET", "/admin/x", "--claims", "staff.json"]).await;
    for line in [
        "             groups contains \"admins\": fails; it is [\"staff\"]",
        "             a verified e-mail address in example.com: cannot be told (claim-missing)",
        "answer     403 forbidden: claim-missing",
    ] {
        assert!(ran.out.lines().any(|said| said == line), "{line}\nis not in\n{}", ran.out);
    }
    for (claims, line) in [
        (json!({"sub": "7", "_claim_names": {"roles": "x"}}), "answer     403 groups-overage: the provider left"),
        (json!({"roles": ["staff"]}), "person     there is no login: the claim sub is missing"),
        (json!({"sub": "7", "roles": ["staff", "a,b"]}), "answer     502 claim-not-a-header: x-roles"),
        (json!({"sub": "7", "preferred_username": "a\u{1b}[2Jb"}), "person     a\u{fffd}[2Jb"),
    ] {
        folder.write("claims.json", &claims.to_string());
        let ran = folder.explain(&["GET", "/", "--claims", "claims.json"]).await;
        assert!(ran.out.lines().any(|said| said.starts_with(line)), "{line}\nis not in\n{}", ran.out);
    }
}

#[tokio::test]
async fn what_it_cannot_read_ends_with_64_and_a_broken_configuration_with_78() {
    let folder = Folder::new();
    folder.write("broken.json", "{\"sub\": 1, \"sub\": 2}");
    folder.write("list.json", "[]");
    for (arguments, words) in [
        (&["GET", "wiki"][..], "write a URL such as"),
        (&["GET", "ftp://wiki.example.com/"], "write a URL such as"),
        (&["G T", "/"], "the method is not a word"),
        (&["GET", "/", "--claims", "nowhere.json"], "nowhere.json: there is no such file"),
        (&["GET", "/", "--claims", "broken.json"], "a member occurs twice"),
        (&["GET", "/", "--claims", "list.json"], "not a JSON object"),
        (&["GET"], "Usage"),
    ] {
        let ran = folder.explain(arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{arguments:?}");
        assert!(ran.error.contains(words), "{arguments:?}: {}", ran.error);
    }
    folder.write("wrong.toml", &CONFIGURATION.replace("methods", "method"));
    let ran = folder.explain(&["GET", "/", "--config", "wrong.toml"]).await;
    assert!(ran.code == 78 && ran.error.contains("did you mean `methods`?"), "{} {}", ran.code, ran.error);
}

#[tokio::test]
async fn nobody_is_asked_and_nothing_is_started() {
    let provider = TestProvider::start().await;
    let folder = Folder::new();
    let here = CONFIGURATION
        .replace("https://id.example.com", provider.issuer())
        .replace("https://wiki.example.com", "http://localhost:18085")
        .replace("https://shop.example.com", "http://shop.localhost:18085");
    folder.write("here.toml", &here);
    let ran = folder.explain(&["GET", "/", "--config", "here.toml"]).await;
    assert_eq!(ran.code, 0, "{}", ran.error);
    assert_eq!(provider.connections(), 0);
    assert!(Path::new(folder.0.path()).read_dir().unwrap().count() == 3, "nothing is written");
}

#[tokio::test]
async fn the_page_about_access_rules_is_right() {
    const PAGE: &str = include_str!("../../docs/access-rules.md");
    let upstream = PAGE.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let (before, _) = CONFIGURATION.split_once("claims = ").unwrap();
    let folder = Folder::new();
    folder.write("vestibule.toml", &format!("{before}{upstream}"));
    let rows: Vec<&str> = PAGE.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(rows.len(), 7);
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let (method, target) = cells[1].trim_matches('`').split_once(' ').unwrap();
        let rule = cells[2].split('`').nth(1).unwrap_or(cells[2]);
        let ran = folder.explain(&[method, target]).await;
        let said = ran.out.lines().find(|line| line.starts_with("rule")).unwrap();
        assert!(said.starts_with(&format!("rule       {rule}")), "{row}\n{}", ran.out);
    }
    let shown = PAGE.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let (command, output) = shown.split_once('\n').unwrap();
    folder.write(
        "ann.json",
        PAGE.split("and `{")
            .nth(1)
            .and_then(|rest| rest.split("`:").next())
            .map(|json| format!("{{{json}"))
            .unwrap()
            .as_str(),
    );
    let arguments: Vec<&str> = command.trim_start_matches("$ vestibule explain ").split(' ').collect();
    assert_eq!(folder.explain(&arguments).await.out, output);
}

#[tokio::test]
async fn it_names_scopes_and_says_when_nobody_can_have_them() {
    let folder = Folder::new();
    for (scopes, told, answer) in [
        ("[\"email\"]", "the login must have been granted email", "forwarded with identity"),
        (
            "[\"calendar.read\"]",
            "the provider is not asked for calendar.read, so nobody may in",
            "403 scope-not-granted",
        ),
    ] {
        let text = CONFIGURATION.replacen("api = [", &format!("scopes = {scopes}\napi = ["), 1);
        folder.write("vestibule.toml", &text);
        folder.write("claims.json", &json!({ "sub": "a", "roles": ["staff"] }).to_string());
        let said = folder.explain(&["GET", "https://wiki.example.com/page", "--claims", "claims.json"]).await;
        assert!(said.out.contains(told) && said.out.contains(answer), "{}{}", said.out, said.error);
    }
}
