use super::*;
use crate::provider::settings::ClientAuthentication;

const OAUTH: &str = r#"public_url = "https://wiki.example.com"
[provider]
authorization_endpoint = "https://id.example.com/authorize"
token_endpoint = "https://id.example.com/token"
userinfo_endpoint = "https://id.example.com/user"
client_id = "wiki"
client_secret = { file = "secret" }
[[upstream]]
target = "http://127.0.0.1:3000"
access = "anyone"
"#;

fn with(lines: &str) -> String {
    file("", lines, "")
}

fn with_issuer(issuer: &str) -> String {
    file("", "", "").replace("https://id.example.com", issuer)
}

fn development(issuer: &str) -> String {
    with_issuer(issuer).replace("https://wiki.example.com", "http://localhost:8080")
}

#[test]
fn di_02_an_issuer_is_https_but_for_development() {
    refused(&with_issuer("http://id.example.com"), "is plain http");
    refused(&with_issuer("http://127.0.0.1:9000"), "is plain http");
    refused(&development("http://id.example.com"), "is plain http");
    assert!(good(&development("http://127.0.0.1:9000")).settings.providers[0].plain_http);
    assert!(!good(&development("https://id.example.com")).settings.providers[0].plain_http);
    refused(&with("token_endpoint = \"http://id.example.com/token\""), "is plain http");
    assert_eq!(
        good(&with_issuer("https://id.example.com/")).settings.providers[0].issuer.as_deref(),
        Some("https://id.example.com/")
    );
}

#[test]
fn di_03_urls_of_no_provider_are_refused() {
    for (bad, why) in [
        ("https://id.example.com/#x", "has a fragment"),
        ("file:///etc/passwd", "is not a URL"),
        ("ftp://id.example.com", "is neither https nor http"),
        ("id.example.com", "is not a URL"),
        ("https:/id.example.com", "is not a URL"),
        ("https://id.example.com?x=1", "has a query"),
    ] {
        refused(&with_issuer(bad), why);
    }
    for bad in ["https://127.0.0.1/token", "https://169.254.169.254/token", "https://[fe80::1]/token"] {
        refused(&with(&format!("token_endpoint = \"{bad}\"")), "an address of this machine, this link or a metadata");
    }
    good(&with("token_endpoint = \"https://elsewhere.example.com/token\""));
    good(&with("token_endpoint = \"https://10.0.0.7/token\""));
}

#[test]
fn lg_03_credentials_in_urls_are_refused_and_not_repeated() {
    for text in [
        with_issuer("https://me:open-sesame@id.example.com"),
        with_issuer("https://open-sesame@id.example.com"),
        with_issuer("https://me:open-sesame@[bad"),
        with("token_endpoint = \"https://me:open-sesame@id.example.com/token\""),
        with("tokn_endpoint = \"https://me:open-sesame@id.example.com/token\""),
        file("", "", "").replace("127.0.0.1:3000", "me:open-sesame@127.0.0.1:3000"),
        file("", "", "host = \"https://me:open-sesame@wiki.example.com\""),
        file("", "", "host = \"me:open-sesame@wiki.example.com\""),
    ] {
        let error = read(&text).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("open-sesame"), "{error}");
    }
}

#[test]
fn plain_oauth_2_0_names_its_endpoints() {
    let provider = &good(OAUTH).settings.providers[0];
    assert!(provider.issuer.is_none() && provider.scopes.is_empty() && provider.endpoints.token.is_some());
    for name in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint"] {
        let without: String =
            OAUTH.lines().filter(|line| !line.starts_with(name)).map(|line| format!("{line}\n")).collect();
        refused(&without, &format!("`provider.{name}` is missing"));
    }
    refused(&file("", "", "").replace("issuer = \"https://id.example.com\"", ""), "`provider.issuer` is missing");
    refused(&OAUTH.replace("client_id", "jwks_uri = \"https://id.example.com/keys\"\nclient_id"), "is for ID tokens");
    refused(&with("email_endpoint = \"https://id.example.com/emails\""), "is for plain OAuth 2.0");
}

#[test]
fn cf_17_who_may_in_must_be_said_where_anybody_has_an_account() {
    refused(&OAUTH.replace("access = \"anyone\"", ""), "does not say who may in");
    good(OAUTH);
    for issuer in ["https://accounts.google.com", "https://login.microsoftonline.com/common/v2.0", "https://gitlab.com"]
    {
        refused(&with_issuer(issuer), "anybody can make an account");
        good(&(with_issuer(issuer) + "access = \"anyone\"\n"));
        good(&(with_issuer(issuer) + "access = { email_domain = \"example.com\" }\n"));
        // One upstream that says it does not speak for another.
        let second =
            "access = \"anyone\"\n[[upstream]]\nname = \"b\"\npath = \"/b\"\ntarget = \"http://127.0.0.1:3001\"\n";
        refused(&(with_issuer(issuer) + second), "anybody can make an account");
    }
    refused(
        &(with_issuer("https://login.microsoftonline.com/common/v2.0")
            .replace("client_id", "email_verified = \"trusted\"\nclient_id")
            + "access = { email_domain = \"example.com\" }\n"),
        "any address that the provider does not vouch for",
    );
}

#[test]
fn a_client_has_a_secret_exactly_when_it_authenticates() {
    let text = with("client_authentication = \"none\"");
    refused(&text, "has no secret");
    let public = text.replace("client_secret = { file = \"secret\" }", "");
    assert!(matches!(good(&public).settings.providers[0].client_authentication, ClientAuthentication::None));
    refused(&with("").replace("client_secret = { file = \"secret\" }", ""), "`provider.client_secret` is missing");
    let post = good(&with("client_authentication = \"client_secret_post\""));
    assert!(matches!(post.settings.providers[0].client_authentication, ClientAuthentication::SecretPost(_)));
    refused(&with("client_authentication = \"client_secret_jwt\""), "must be ");
}

#[test]
fn cf_12_scopes_are_checked() {
    refused(&with("scopes = [\"profile\"]"), "must hold \"openid\"");
    refused(&with("scopes = [\"openid\", \"openid\"]"), "repeats an earlier item");
    refused(&with("scopes = [\"openid\", \"a b\"]"), "`provider.scopes[1]` is not a scope");
    assert_eq!(good(&with("")).settings.providers[0].scopes, ["openid", "profile", "email"]);
}

#[test]
fn parameters_of_the_protocol_are_not_the_operators() {
    for name in [
        "client_id",
        "state",
        "nonce",
        "redirect_uri",
        "response_type",
        "response_mode",
        "code_challenge",
        "State",
        "max_age",
    ] {
        refused(&with(&format!("authorization_parameters = {{ {name} = \"x\" }}")), "is set by the gateway itself");
    }
    refused(&with("authorization_parameters = { prompt = \"none\" }"), "nobody could ever log in");
    let loaded = good(&with("authorization_parameters = { prompt = \"consent\", access_type = \"offline\" }"));
    let names: Vec<_> =
        loaded.settings.providers[0].authorization_parameters.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["prompt", "access_type"]);
}

#[test]
fn cf_11_times_of_calls_have_bounds() {
    refused(&with("timeouts = { total = \"11s\" }"), "at most 10 seconds");
    refused(&with("timeouts = { total = \"0s\" }"), "must be longer than zero");
    refused(&with("timeouts = { connect = \"5s\", total = \"4s\" }"), "longer than that for the whole call");
    refused(&with("clock_leeway = \"1h\""), "longer than ten minutes");
    refused(&with("concurrent_calls = 0"), "must be between 1 and 1000");
    assert_eq!(good(&with("concurrent_calls = 8")).settings.providers[0].concurrent_calls, 8);
}

#[test]
fn cf_13_several_providers_have_names_of_their_own() {
    let named = |first: &str, second: &str| {
        let section = PROVIDER.replace("[provider]", &format!("[providers.{first}]"));
        let other = PROVIDER.replace("[provider]", &format!("[providers.{second}]"));
        format!("public_url = \"https://wiki.example.com\"\n{section}{other}{UPSTREAM}provider = \"zeta\"\n")
    };
    let settings = good(&named("zeta", "alpha")).settings;
    let names: Vec<_> = settings.providers.iter().filter_map(|provider| provider.name.as_deref()).collect();
    assert_eq!(names, ["zeta", "alpha"], "the first of the file is the default");
    let uris: Vec<_> =
        settings.providers.iter().map(|provider| settings.redirect_uri(settings.public_url.host(), provider)).collect();
    assert_eq!(uris[0], "https://wiki.example.com/oauth2/callback/zeta");
    assert_ne!(uris[0], uris[1]);
    assert!(bad(&named("zeta", "zeta")).contains("duplicate key"));
    refused(&named("zeta", "Alpha"), "becomes part of the redirect URI");
    refused(&named("zeta", "\"a/b\""), "becomes part of the redirect URI");
    refused(&named("alpha", "beta"), "is not the name of a provider");
    let both = file("", "", "") + &PROVIDER.replace("[provider]", "[providers.corp]");
    refused(&both, "stands beside [providers.NAME]");
    refused(&file("", "", "provider = \"corp\""), "is not the name of a provider");
}
