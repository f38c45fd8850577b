use super::*;
use crate::oidc::userinfo::UnverifiedUserinfo;
use serde_json::json;

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => panic!("no object"),
    }
}

fn identity_by(mapping: &ClaimsMapping, trusted: EmailVerified, claims: Value) -> Result<Identity, IdentityError> {
    build(&IdentityRules { issuer: "https://id.example", mapping, email_verified: trusted }, object(claims), false)
}

fn identity(claims: Value) -> Identity {
    identity_by(&ClaimsMapping::default(), EmailVerified::Claim, claims).unwrap()
}

fn plain(claims: &Value, email: Option<Option<&str>>) -> Result<Identity, IdentityError> {
    let mapping = ClaimsMapping { subject: "id".into(), username: "login".into(), ..ClaimsMapping::default() };
    let rules = IdentityRules { issuer: "github", mapping: &mapping, email_verified: EmailVerified::Claim };
    let answer = UnverifiedUserinfo::from_json(claims.to_string().as_bytes(), 10_000).unwrap().of_plain_oauth();
    of_plain_oauth(&rules, &answer, email.map(|email| email.map(str::to_owned)))
}

#[test]
fn the_mapped_claims_are_found() {
    let claims = json!({"sub": "1", "preferred_username": "alice", "groups": ["a", 7], "email": "a@example.com",
        "email_verified": true});
    let found = identity(claims);
    assert_eq!((found.subject.as_str(), found.username.as_deref()), ("1", Some("alice")));
    assert_eq!(found.groups.unwrap(), ["a", "7"]);
    assert_eq!((found.email.as_deref(), found.email_verified), (Some("a@example.com"), true));
    let nested = ClaimsMapping { groups: "realm_access.roles".into(), ..ClaimsMapping::default() };
    let claims = json!({"sub": "1", "realm_access": {"roles": ["admin"]}});
    assert_eq!(identity_by(&nested, EmailVerified::Claim, claims).unwrap().groups.unwrap(), ["admin"]);
}

#[test]
fn jw_36_only_a_true_flag_vouches_for_an_address() {
    for flag in [json!("true"), json!("false"), json!(1), json!(null), json!(false)] {
        assert!(!identity(json!({"sub": "1", "email": "a@example.com", "email_verified": flag})).email_verified);
    }
    let claims = json!({"sub": "1", "email": "a@example.com"});
    assert!(!identity(claims.clone()).email_verified);
    assert!(identity_by(&ClaimsMapping::default(), EmailVerified::Trusted, claims).unwrap().email_verified);
    assert!(
        !identity_by(&ClaimsMapping::default(), EmailVerified::Trusted, json!({"sub": "1"})).unwrap().email_verified
    );
    for bad in ["a@corp.com\n", "a\u{0}@corp.com", "\u{85}a@corp.com", ""] {
        let found = identity(json!({"sub": "1", "email": bad, "email_verified": true}));
        assert_eq!((found.email, found.email_verified), (None, false));
    }
}

#[test]
fn the_flag_vouches_only_for_the_address_beside_it() {
    let merged = |winner: Value, lesser: Value| merge(&object(winner), &object(lesser)).get("email_verified").cloned();
    let (a, b) = (json!({"email": "a@x"}), json!({"email": "b@x", "email_verified": true}));
    assert_eq!(merged(a.clone(), b.clone()), None);
    assert_eq!(merged(b.clone(), a.clone()), Some(json!(true)));
    assert_eq!(merged(a.clone(), json!({"email": "a@x", "email_verified": true})), Some(json!(true)));
    assert_eq!(merged(json!({"email": "a@x", "email_verified": false}), b.clone()), Some(json!(false)));
    assert_eq!(merged(json!({"email_verified": true}), a), None);
    assert_eq!(merged(json!({}), b), Some(json!(true)));
    let upn = ClaimsMapping { email: "upn".into(), ..ClaimsMapping::default() };
    let claims = json!({"sub": "1", "upn": "ceo@corp", "email": "me@home", "email_verified": true});
    assert!(!identity_by(&upn, EmailVerified::Claim, claims).unwrap().email_verified);
}

#[test]
fn jw_37_groups_that_cannot_be_read_are_unknown_not_none() {
    for (groups, expected) in [
        (json!("staff"), Some(vec!["staff".to_owned()])),
        (json!([]), Some(vec![])),
        (json!(["a,b", "c\"d"]), Some(vec!["a,b".to_owned(), "c\"d".to_owned()])),
        (json!(["a", ["b"]]), None),
        (json!(["a", null]), None),
        (json!({"a": true}), None),
        (json!(7), None),
        (json!(""), None),
        (json!(null), None),
    ] {
        assert_eq!(identity(json!({"sub": "1", "groups": groups})).groups, expected, "{groups}");
    }
    assert_eq!(identity(json!({"sub": "1"})).groups, None);
}

#[test]
fn jw_37_groups_that_are_elsewhere_are_unknown() {
    let mapping = ClaimsMapping::default();
    for overage in [
        json!({"sub": "1", "_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x"}}}),
        json!({"sub": "1", "_claim_names": {"groups": "src1"}, "groups": []}),
        json!({"sub": "1", "hasgroups": true}),
        json!({"sub": "1", "hasgroups": "true", "groups": ["a"]}),
        json!({"sub": "1", "hasgroups": "True", "groups": []}),
    ] {
        let found = identity(overage);
        assert!(found.has_groups_overage(&mapping));
        assert_eq!(found.groups, None);
    }
    let other = identity(json!({"sub": "1", "_claim_names": {"address": "src1"}, "groups": ["a"]}));
    assert!(!other.has_groups_overage(&mapping));
    for flag in [json!(false), json!("false"), json!(null)] {
        let all_there = identity(json!({"sub": "1", "hasgroups": flag, "groups": ["a"]}));
        assert_eq!(all_there.groups, Some(vec!["a".to_owned()]));
    }
}

#[test]
fn jw_37_groups_under_another_name_can_be_elsewhere_too() {
    for (groups, elsewhere, overage) in [
        ("roles", "roles", true),
        ("realm_access.roles", "realm_access", true),
        ("https://example.com/roles", "https://example.com/roles", true),
        ("roles", "groups", false),
    ] {
        let mapping = ClaimsMapping { groups: groups.to_owned(), ..ClaimsMapping::default() };
        let claims = json!({"sub": "1", "roles": ["a"], "_claim_names": {elsewhere: "src1"}});
        let found = identity_by(&mapping, EmailVerified::Claim, claims).unwrap();
        assert_eq!(found.has_groups_overage(&mapping), overage, "{groups} {elsewhere}");
    }
    let mapping = ClaimsMapping { groups: "roles".to_owned(), ..ClaimsMapping::default() };
    for (claims, overage) in [
        (json!({"sub": "1", "hasgroups": true, "roles": ["a"]}), false),
        (json!({"sub": "1", "hasgroups": true}), true),
    ] {
        let found = identity_by(&mapping, EmailVerified::Claim, claims).unwrap();
        assert_eq!((found.has_groups_overage(&mapping), found.groups.is_none()), (overage, overage));
    }
}

#[test]
fn a_subject_is_required() {
    for subject in [json!(null), json!(""), json!(7), json!("a\nb"), json!(["a"]), json!("x".repeat(256))] {
        let built = identity_by(&ClaimsMapping::default(), EmailVerified::Claim, json!({"sub": subject}));
        assert_eq!(built, Err(IdentityError::Subject));
    }
}

#[test]
fn claims_are_bounded_when_they_have_been_merged() {
    let groups: Vec<String> = (0..10_000).map(|number| format!("group-{number}")).collect();
    let built = identity_by(&ClaimsMapping::default(), EmailVerified::Claim, json!({"sub": "1", "groups": groups}));
    assert_eq!(built, Err(IdentityError::ClaimsSize));
}

#[test]
fn a_plain_oauth_server_may_have_integers_for_subjects() {
    let found = plain(&json!({"id": 583231, "login": "octocat", "email": "x@evil.example"}), None).unwrap();
    assert_eq!((found.subject.as_str(), found.issuer.as_str()), ("583231", "github"));
    assert!(!found.email_verified);
    for id in [json!(1.5), json!(null), json!(true)] {
        assert_eq!(plain(&json!({"id": id}), None), Err(IdentityError::Subject));
    }
}

#[test]
fn the_list_of_addresses_replaces_what_the_user_resource_says() {
    let user = json!({"id": 1, "email": "public@evil.example", "email_verified": true});
    let found = plain(&user, Some(Some("me@example.com"))).unwrap();
    assert_eq!((found.email.as_deref(), found.email_verified), (Some("me@example.com"), true));
    let found = plain(&user, Some(None)).unwrap();
    assert_eq!((found.email, found.email_verified), (None, false));
}
