use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::gateway::canonical_path::PathPolicy;
use crate::origin::{Host, Scheme};
use crate::upstream::settings::{
    Balance, HealthSettings, Target, TargetLimits, UpstreamSettings, UpstreamTimeouts, UpstreamTls,
};

fn route(public: &[&str], rules: Vec<RuleSettings>) -> RouteSettings {
    RouteSettings {
        host: Host::parse("wiki.example.com", Scheme::Https).unwrap(),
        path: "/".to_owned(),
        provider: 0,
        scopes: Vec::new(),
        access: Access::Anyone,
        anonymous: Anonymous::Login,
        public: public.iter().map(|text| Pattern::parse(text).unwrap()).collect(),
        api: vec![Pattern::parse("/api/**").unwrap()],
        cross_site: None,
        rules,
        path_policy: PathPolicy::Strict,
        upstream: UpstreamSettings {
            name: "wiki".to_owned(),
            targets: vec![Target::Unix(Default::default())],
            balance: Balance::Requests,
            health: HealthSettings::default(),
            limits: TargetLimits::default(),
            tls: UpstreamTls::default(),
            pass_host: true,
            strip_prefix: None,
            headers: Vec::new(),
            identity_assertion: None,
            keep_authorization: false,
            timeouts: UpstreamTimeouts::default(),
        },
    }
}

fn rule(methods: &[&str], path: &str) -> RuleSettings {
    RuleSettings {
        pattern: Pattern::parse(path).unwrap(),
        methods: methods.iter().map(|method| Method::from_bytes(method.as_bytes()).unwrap()).collect(),
        access: Some(Access::EmailDomain("example.com".to_owned())),
        anonymous: None,
        public: false,
        api: None,
        step_up: None,
    }
}

fn path(text: &str) -> CanonicalPath {
    CanonicalPath::parse(text, PathPolicy::Strict).unwrap()
}

/// The name of the rule that wins.
fn winner(route: &RouteSettings, method: &str, text: &str) -> Option<String> {
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    RuleTable::new(route).requirements(route, &method, &path(text)).rule_name().map(str::to_owned)
}

#[test]
fn the_most_specific_path_wins_from_the_left() {
    let patterns = ["/**", "/*/b", "/*/**", "/a/**", "/a/*", "/a/*/c", "/a/b", "/a/b/**", "/a/b/c", "/a"];
    let route = route(&[], patterns.iter().map(|path| rule(&[], path)).collect());
    for (text, wanted) in [
        ("/", "/**"),
        ("/x", "/*/**"),
        ("/x/b", "/*/b"),
        ("/x/y", "/*/**"),
        ("/a", "/a"),
        ("/a/x", "/a/*"),
        ("/a/x/c", "/a/*/c"),
        ("/a/x/d", "/a/**"),
        ("/a/", "/a/**"),
        ("/a/b", "/a/b"),
        ("/a/b/c", "/a/b/c"),
        ("/a/b/", "/a/b/**"),
        ("/a/b/c/d", "/a/b/**"),
    ] {
        assert_eq!(winner(&route, "GET", text).as_deref(), Some(wanted), "{text}");
    }
}

#[test]
fn pa_17_among_rules_of_one_path_the_one_that_names_the_method_wins_and_methods_are_exact() {
    let route = route(&["GET /a"], vec![rule(&[], "/a"), rule(&["POST", "PUT"], "/a"), rule(&["GET"], "/**")]);
    for (method, wanted) in [
        ("GET", Some("GET /a")),
        ("POST", Some("POST,PUT /a")),
        ("HEAD", Some("/a")),
        ("get", Some("/a")),
        ("FOO", Some("/a")),
    ] {
        assert_eq!(winner(&route, method, "/a").as_deref(), wanted, "{method}");
    }
    assert_eq!(winner(&route, "GET", "/b").as_deref(), Some("GET /**"));
    assert_eq!(winner(&route, "POST", "/b"), None);
}

#[test]
fn what_a_rule_does_not_say_is_the_upstreams() {
    let mut route = route(&["/assets/**"], vec![rule(&[], "/assets/private/**")]);
    let mut only_api = rule(&[], "/api/page");
    (only_api.access, only_api.api) = (None, Some(false));
    let mut stepped = rule(&[], "/money/**");
    (stepped.access, stepped.anonymous) = (None, Some(Anonymous::Deny));
    stepped.step_up = Some(StepUp { acr: Some("gold".to_owned()), max_age: None });
    route.rules.extend([only_api, stepped]);
    let table = RuleTable::new(&route);
    let find = |text: &str| table.requirements(&route, &Method::GET, &path(text));

    assert!(find("/assets/a.css").public);
    let private = find("/assets/private/a.css");
    assert!(!private.public);
    assert_eq!(*private.access, Access::EmailDomain("example.com".to_owned()));
    assert_eq!(private.anonymous, Anonymous::Login);

    assert!(find("/api/x").api);
    assert!(!find("/api/page").api);
    assert_eq!(*find("/api/page").access, Access::Anyone);

    let money = find("/money/all");
    assert_eq!((money.anonymous, money.access), (Anonymous::Deny, &Access::Anyone));
    assert_eq!(money.step_up.and_then(|step_up| step_up.acr.as_deref()), Some("gold"));
    assert_eq!(money.rule.map(Rule::written), Some(Written::Rule(2)));
    assert!(find("/elsewhere").rule.is_none());
}

fn segment() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("a"), Just("b"), Just("*")]
}

fn pattern() -> impl Strategy<Value = String> {
    (proptest::collection::vec(segment(), 0..4), any::<bool>()).prop_map(|(segments, open)| {
        let path: String = segments.iter().map(|segment| format!("/{segment}")).collect();
        match (path.as_str(), open) {
            (_, true) => path + "/**",
            ("", false) => "/".to_owned(),
            (_, false) => path,
        }
    })
}

fn contender() -> impl Strategy<Value = (Option<&'static str>, String)> {
    (proptest::option::of(prop_oneof![Just("GET"), Just("POST")]), pattern())
}

proptest! {
    #[test]
    fn the_winner_does_not_depend_on_the_order_in_the_file(
        contenders in proptest::collection::vec(contender(), 1..8),
        turn in 0_usize..8,
        segments in proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c")], 0..4),
    ) {
        let mut seen = HashSet::new();
        let rules: Vec<RuleSettings> = contenders
            .iter()
            .filter(|contender| seen.insert((*contender).clone()))
            .map(|(method, path)| rule(method.as_slice(), path))
            .collect();
        let mut turned = rules.clone();
        turned.rotate_left(turn % rules.len());
        turned.reverse();
        let path = format!("/{}", segments.join("/"));
        for method in ["GET", "POST", "HEAD"] {
            prop_assert_eq!(
                winner(&route(&[], rules.clone()), method, &path),
                winner(&route(&[], turned.clone()), method, &path)
            );
        }
    }
}
