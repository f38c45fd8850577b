//! `[[upstream.rule]]`.

use std::time::Duration;

use http::Method;

use super::*;
use crate::gateway::settings::{Anonymous, RuleSettings, StepUp};
use crate::policy::access::Access;

/// A complete file with rules, each by its lines.
fn with(upstream: &str, rules: &[&str]) -> String {
    let rules: String = rules.iter().map(|lines| format!("[[upstream.rule]]\n{lines}\n")).collect();
    file("", "", &format!("{upstream}\n{rules}"))
}

fn rules(text: &str) -> Vec<RuleSettings> {
    good(text).settings.routes.remove(0).rules
}

#[test]
fn a_rule_says_what_is_different_and_leaves_the_rest_to_its_upstream() {
    let read = rules(&with(
        "",
        &[
            "path = \"/admin/**\"\nmethods = [\"POST\", \"M-SEARCH\"]\naccess = { email_domain = \"example.com\" }\n\
             anonymous = \"deny\"\napi = true\nstep_up = { acr = \"urn:example:gold\", max_age = \"15m\" }",
            "path = \"/assets/*/logo\"\npublic = true",
            "path = \"/assets/private/**\"\npublic = false",
            "path = \"/api/page\"\napi = false",
            "path = \"/money\"\nstep_up = { max_age = \"0s\" }",
        ],
    ));
    let [admin, logo, private, page, money] = &read[..] else { panic!("{read:?}") };
    assert_eq!(admin.methods, [Method::POST, Method::from_bytes(b"M-SEARCH").unwrap()]);
    assert_eq!(admin.access, Some(Access::EmailDomain("example.com".into())));
    assert_eq!((admin.anonymous, admin.api, admin.public), (Some(Anonymous::Deny), Some(true), false));
    let (acr, max_age) = (Some("urn:example:gold".to_owned()), Some(Duration::from_secs(900)));
    assert_eq!(admin.step_up, Some(StepUp { acr, max_age }));
    assert!(logo.public && logo.methods.is_empty() && logo.access.is_none());
    assert_eq!((private.public, private.access.as_ref(), private.anonymous, private.api), (false, None, None, None));
    assert_eq!(page.api, Some(false));
    assert_eq!(money.step_up, Some(StepUp { acr: None, max_age: Some(Duration::ZERO) }));
}

#[test]
fn cf_06_a_tie_is_refused_and_both_are_named() {
    let get = "path = \"/a\"\nmethods = [\"GET\", \"HEAD\"]\napi = true";
    for (upstream, one, other, words) in [
        ("", "path = \"/a\"\napi = true", "path = \"/%61\"\napi = true", "as `upstream[0].rule[0]`"),
        ("", get, "path = \"/a\"\nmethods = [\"HEAD\"]\napi = true", "as `upstream[0].rule[0]`"),
        ("public = [\"/a\"]", "path = \"/a\"\napi = true", "path = \"/b\"\napi = true", "as \"/a\" in `public`"),
        ("public = [\"GET /a\"]", "path = \"/b\"\napi = true", get, "as \"GET /a\" in `public`"),
    ] {
        refused(&with(upstream, &[one, other]), words);
    }
    let mine = bad(&with("", &["path = \"/a/*\"\napi = true", "path = \"/a/*\"\nanonymous = \"deny\""]));
    assert!(mine.contains("`upstream[0].rule[1]` is about the same path and method"), "{mine}");
    // The one that names the method is more specific than the one that does not.
    for fine in [
        with("", &[get, "path = \"/a\"\napi = true"]),
        with("", &[get, "path = \"/a\"\nmethods = [\"POST\"]\napi = true"]),
        with("public = [\"GET /a\"]", &["path = \"/a\"\napi = true"]),
        with("public = [\"/a\"]", &[get]),
        with("", &["path = \"/a\"\napi = true", "path = \"/a/**\"\napi = true", "path = \"/*\"\napi = true"]),
    ] {
        good(&fine);
    }
}

#[test]
fn cf_06_a_public_rule_is_about_something() {
    for everything in ["/", "/**", "/*", "/*/**"] {
        refused(&with("", &[&format!("path = \"{everything}\"\npublic = true")]), "would make everything public");
        good(&with("", &[&format!("path = \"{everything}\"\nanonymous = \"deny\"")]));
    }
    for key in [
        "access = { email_domain = \"example.com\" }",
        "anonymous = \"forward\"",
        "api = true",
        "step_up = { max_age = \"5m\" }",
    ] {
        refused(&with("", &[&format!("path = \"/a\"\npublic = true\n{key}")]), "would have no effect");
    }
}

#[test]
fn a_rule_says_something() {
    refused(&with("", &["path = \"/a\""]), "says nothing about its path");
    refused(&with("", &["path = \"/a\"\nmethods = [\"GET\"]"]), "says nothing about its path");
    refused(&with("", &["api = true"]), "`upstream[0].rule[0].path` is missing");
}

#[test]
fn pa_22_the_path_of_a_rule_is_a_pattern_under_its_upstream() {
    for wrong in ["^/foo/.*/bar$", "(a+)+$", "/a*b", "admin/**", "/a/**/b", "/a;b", "/a/../b"] {
        let messages = bad(&with("", &[&format!("path = '{wrong}'\napi = true")]));
        assert!(messages.contains("upstream[0].rule[0].path"), "{wrong}: {messages}");
    }
    refused(&with("", &["path = \"GET /a\"\napi = true"]), "names a method");
    refused(&with("path = \"/wiki\"", &["path = \"/wikix/**\"\napi = true"]), "does not lie under the path");
    good(&with("path = \"/wiki\"", &["path = \"/wiki/**\"\napi = true"]));
}

#[test]
fn pa_17_methods_are_upper_case_words() {
    for wrong in ["get", "G ET", "*", "GET,POST", ""] {
        bad(&with("", &[&format!("path = \"/a\"\nmethods = [\"{wrong}\"]\napi = true")]));
    }
    refused(&with("", &["path = \"/a\"\nmethods = []\napi = true"]), "names no method");
    refused(&with("", &["path = \"/a\"\nmethods = \"GET\"\napi = true"]), "must be a list");
    refused(&with("", &["path = \"/a\"\nmethods = [\"PUT\", \"PUT\"]\napi = true"]), "repeats an earlier item");
}

#[test]
fn a_step_up_asks_for_something() {
    for (step_up, why) in [
        ("{}", "asks for nothing"),
        ("{ acr = \"\" }", "is empty"),
        ("{ acr = \"a b\" }", "is not the name of one context class"),
        ("{ acr = \"a\\u0000\" }", "is not the name of one context class"),
        ("{ acr = \"\u{fc}\" }", "is not the name of one context class"),
        ("{ acr = [\"a\"] }", "must be a string"),
        ("{ max_age = 900 }", "must be a duration"),
        ("{ max_age = \"15\" }", "not a duration"),
        ("{ max_age = \"-5s\" }", "not a duration"),
        ("{ max_age = \"4000d\" }", "longer than ten years"),
        ("{ amr = \"otp\" }", "there is no key"),
        ("true", "must be a table"),
    ] {
        let messages = bad(&with("", &[&format!("path = \"/a\"\nstep_up = {step_up}")]));
        assert!(messages.contains(why), "{step_up}: {messages}");
    }
    refused(&file("", "", "step_up = { max_age = \"5m\" }"), "there is no key `upstream[0].step_up`");
}

#[test]
fn a_step_up_needs_a_provider_that_can_prove_it() {
    let oauth = "authorization_endpoint = \"https://id.example.com/authorize\"\n\
                 token_endpoint = \"https://id.example.com/token\"\nuserinfo_endpoint = \"https://id.example.com/user\"";
    for step_up in ["{ acr = \"gold\" }", "{ max_age = \"5m\" }"] {
        let rule = format!("path = \"/a\"\nstep_up = {step_up}");
        let text = with("access = \"anyone\"", &[&rule]).replace("issuer = \"https://id.example.com\"", oauth);
        refused(&text, "`upstream[0].rule[0]` wants a step-up, which only an OpenID Connect provider can prove");
    }
}

#[test]
fn cf_12_a_rule_whose_access_is_not_understood_is_refused() {
    for wrong in ["\"everyone\"", "{}", "{ any = [] }", "{ group = \"staff\" }", "{ claim = \"groups\" }"] {
        bad(&with("", &[&format!("path = \"/a\"\naccess = {wrong}")]));
    }
    refused(
        &with("", &["path = \"/a\"\nacces = \"anyone\"\napi = true"]),
        "there is no key `upstream[0].rule[0].acces`",
    );
    refused(&with("", &["path = \"/a\"\nanonymous = \"allow\""]), "must be \"login\" or \"forward\" or \"deny\"");
    refused(&with("", &["path = \"/a\"\npublic = \"yes\""]), "must be a boolean");
    refused(&file("", "", "rule = { path = \"/a\" }"), "must be a list");
}

#[test]
fn rules_need_paths_that_have_one_meaning() {
    let text = with("path_policy = \"permissive\"", &["path = \"/a\"\napi = true"]);
    refused(&text, "a permissive path_policy together with `rule`");
}

#[test]
fn cf_17_rules_do_not_replace_the_access_of_an_upstream_that_is_open_to_everybody() {
    let rule = "path = \"/**\"\naccess = { email_domain = \"example.com\" }";
    let text = with("", &[rule]).replace("https://id.example.com", "https://accounts.google.com");
    refused(&text, "this upstream does not say who may in");
    good(&text.replace("[[upstream]]", "[[upstream]]\naccess = { email_domain = \"example.com\" }"));
}

#[test]
fn a_rule_for_get_alone_is_doubted() {
    let restricted = "path = \"/a/**\"\nmethods = [\"GET\"]\naccess = { email_domain = \"example.com\" }";
    let warnings = good(&with("", &[restricted])).warnings;
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].message.contains("names GET but not HEAD"), "{}", warnings[0]);
    assert!(warnings[0].position.is_some());
    for fine in [
        vec![restricted.replace("\"GET\"", "\"GET\", \"HEAD\"")],
        vec![restricted.replace("\"GET\"", "\"POST\"")],
        vec!["path = \"/a/**\"\nmethods = [\"GET\"]\napi = true".to_owned()],
        vec![restricted.to_owned(), "path = \"/a/**\"\nanonymous = \"deny\"".to_owned()],
    ] {
        let fine: Vec<&str> = fine.iter().map(String::as_str).collect();
        assert!(good(&with("", &fine)).warnings.is_empty(), "{fine:?}");
    }
}
