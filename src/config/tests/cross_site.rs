use super::*;
use crate::gateway::pattern::Pattern;
use crate::gateway::settings::CrossSiteSettings;

fn with(exceptions: &str) -> String {
    file("", "", &format!("path = \"/shop\"\ncross_site = {exceptions}"))
}

fn origins(list: &str) -> String {
    with(&format!("{{ origins = [{list}], paths = [\"/shop/cart\"] }}"))
}

fn paths(list: &str) -> String {
    with(&format!("{{ origins = [\"https://shop.example.com\"], paths = [{list}] }}"))
}

fn read_settings(text: &str) -> CrossSiteSettings {
    good(text).settings.routes.remove(0).cross_site.unwrap()
}

#[test]
fn origins_are_kept_as_browsers_write_them() {
    let read = read_settings(&origins("\"https://SHOP.example.com:443\", \"https://pay.example.com:8443\""));
    assert_eq!(read.origins, ["https://shop.example.com", "https://pay.example.com:8443"]);
    assert_eq!(read.paths, [Pattern::parse("/shop/cart").unwrap()]);
    assert_eq!(good(&file("", "", "")).settings.routes[0].cross_site, None);
    let text = file(
        "public_url = \"http://localhost:8080\"",
        "",
        "cross_site = { origins = [\"http://localhost:3000\"], paths = [\"POST /cart/**\"] }",
    );
    assert_eq!(read_settings(&text).origins, ["http://localhost:3000"]);
}

#[test]
fn what_is_no_origin_is_refused() {
    for (wrong, why) in [
        ("*", "is not an origin"),
        ("null", "is not an origin"),
        ("shop.example.com", "is not an origin"),
        ("ftp://shop.example.com", "is not an origin"),
        ("https://*.example.com", "is not an origin"),
        ("https://", "is not an origin"),
        ("https://shop.example.com/", "is more than an origin"),
        ("https://shop.example.com/cart", "is more than an origin"),
        ("https://shop.example.com?x", "is more than an origin"),
        ("https://me@shop.example.com", "is more than an origin"),
        ("http://shop.example.com", "only for hosts of this machine"),
        ("http://localhost:3000", "has another scheme than public_url"),
        ("https://wiki.example.com", "is this upstream's own origin"),
        ("https://WIKI.example.com:443", "is this upstream's own origin"),
    ] {
        refused(&origins(&format!("\"{wrong}\"")), why);
    }
    refused(&origins("\"https://a.example.com\", \"https://A.example.com\""), "repeats an earlier origin");
    refused(&origins("5"), "must be a string");
    let shown = read(&origins("\"https://me:hunter2@shop.example.com\"")).unwrap_err().to_string();
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn paths_are_named_and_lie_under_their_upstream() {
    assert_eq!(read_settings(&paths("\"POST /shop/cart/**\", \"/shop/*/pay\"")).paths.len(), 2);
    refused(&paths("\"/cart\""), "does not lie under the path of its upstream");
    refused(&paths("\"^/shop/.*\""), "cross_site.paths[0]");
    for everything in ["/**", "/*/**", "POST /**"] {
        let text = file(
            "",
            "",
            &format!("cross_site = {{ origins = [\"https://shop.example.com\"], paths = [\"{everything}\"] }}"),
        );
        refused(&text, "names every path");
    }
}

#[test]
fn both_keys_are_needed_and_no_other() {
    refused(&with("{ origins = [\"https://shop.example.com\"] }"), "needs `paths`");
    refused(&with("{ paths = [\"/shop/cart\"] }"), "needs `origins`");
    refused(&origins(""), "origins` is empty");
    refused(&paths(""), "paths` is empty");
    refused(&with("[\"https://shop.example.com\"]"), "must be a table");
    let more = "{ origins = [\"https://shop.example.com\"], paths = [\"/shop/cart\"], method = \"POST\" }";
    refused(&with(more), "there is no key");
}

#[test]
fn an_origin_from_where_no_cookie_comes_is_warned_about() {
    for (origin, warned) in [
        ("https://shop.example.com", false),
        ("https://example.com", false),
        ("https://wiki.example.com:8443", false),
        ("https://idp.example.org", true),
        ("https://com", true),
        ("https://10.0.0.1", true),
    ] {
        let warnings = good(&origins(&format!("\"{origin}\""))).warnings;
        let sibling = warnings.iter().filter(|warning| warning.message.contains("is no sibling of")).count();
        assert_eq!(sibling, usize::from(warned), "{origin}");
    }
}
