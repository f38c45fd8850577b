use serde_json::json;

use super::*;
use crate::claims::Claims;

fn person(claims: Value) -> Identity {
    let Value::Object(members) = claims else { unreachable!() };
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    Identity {
        issuer: "https://id.example.com".into(),
        subject: "7".into(),
        username: text("preferred_username"),
        groups: members
            .get("groups")
            .and_then(Value::as_array)
            .map(|groups| groups.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        email: text("email"),
        email_verified: members.get("email_verified") == Some(&Value::Bool(true)),
        claims: Claims::new(members),
    }
}

fn contains(claim: &str, value: &str) -> Access {
    Access::Contains { claim: claim.into(), value: value.into() }
}

fn equals(claim: &str, value: Value) -> Access {
    Access::Equals { claim: claim.into(), value }
}

fn not(rule: Access) -> Access {
    Access::Not(Box::new(rule))
}

fn allowed(access: &Access, claims: Value) -> bool {
    decide(access, &person(claims), &ClaimsMapping::default()) == Decision::Allowed
}

fn reason(access: &Access, claims: Value) -> &'static str {
    match decide(access, &person(claims), &ClaimsMapping::default()) {
        Decision::Allowed => "allowed",
        Decision::Denied(reason) => reason.as_str(),
    }
}

#[test]
fn cf_12_groups_deny() {
    let staff = contains("groups", "staff");
    assert!(allowed(&staff, json!({"groups": ["x", "staff"]})));
    assert_eq!(reason(&staff, json!({"groups": ["staffers", "Staff", "sta"]})), "not-allowed");
    assert_eq!(reason(&staff, json!({"groups": []})), "not-allowed");
    assert_eq!(reason(&staff, json!({})), "claim-missing");
}

#[test]
fn cf_12_email_domain_denies() {
    let corp = Access::EmailDomain("corp.com".into());
    assert!(allowed(&corp, json!({"email": "a@Corp.com", "email_verified": true})));
    for address in ["a@evil.com", "a@sub.corp.com", "a@notcorp.com", "a@corp.com.evil.com"] {
        assert_eq!(reason(&corp, json!({"email": address, "email_verified": true})), "not-allowed", "{address}");
    }
}

#[test]
fn jw_36_only_a_verified_plain_address_has_a_domain() {
    let corp = Access::EmailDomain("corp.com".into());
    for address in
        ["a@evil@corp.com", "a@corp.com\n", "a@corp.com%00", "a@corp.com.", "a@c\u{43e}rp.com", "\"a@corp.com\"@evil"]
    {
        let claims = json!({"email": address, "email_verified": true});
        assert!(!allowed(&corp, claims.clone()), "{address:?}");
        assert!(!allowed(&not(corp.clone()), claims), "{address:?}");
    }
    for unverified in [json!({"email": "a@corp.com", "email_verified": "false"}), json!({"email": "a@corp.com"})] {
        assert_eq!(reason(&corp, unverified.clone()), "email-not-verified");
        assert!(!allowed(&not(corp.clone()), unverified));
    }
}

#[test]
fn cf_12_an_unverified_address_is_no_name_in_a_rule_either() {
    let boss = equals("email", json!("boss@corp.com"));
    assert!(allowed(&boss, json!({"email": "boss@corp.com", "email_verified": true})));
    assert_eq!(reason(&boss, json!({"email": "boss@corp.com"})), "email-not-verified");
    assert_eq!(reason(&boss, json!({"email": "other@corp.com", "email_verified": true})), "not-allowed");
}

#[test]
fn cf_12_equals_is_the_whole_value() {
    let level = equals("level", json!(5));
    assert!(allowed(&level, json!({"level": 5})));
    assert!(allowed(&level, json!({"level": 5.0})));
    for claims in
        [json!({"level": 55}), json!({"level": "5"}), json!({"level": [5]}), json!({"level": null}), json!({})]
    {
        assert!(!allowed(&level, claims));
    }
    let roles = equals("roles", json!(["a", "b"]));
    assert!(allowed(&roles, json!({"roles": ["a", "b"]})));
    assert!(!allowed(&roles, json!({"roles": ["a", "b", "c"]})));
}

#[test]
fn contains_is_an_item_or_the_whole_string_and_never_a_part() {
    let admin = contains("role", "admin");
    assert!(allowed(&admin, json!({"role": "admin"})));
    for role in [json!("administrator"), json!("admin user"), json!("nadmin"), json!({"admin": true}), json!(1)] {
        assert!(!allowed(&admin, json!({"role": role})));
    }
}

#[test]
fn claims_are_nested_by_dots_and_the_mapped_ones_win() {
    assert!(allowed(&contains("realm_access.roles", "x"), json!({"realm_access": {"roles": ["x"]}})));
    assert!(allowed(&equals("subject", json!("7")), json!({"subject": "8"})));
    assert!(!allowed(&equals("subject", json!("8")), json!({"subject": "8"})));
}

#[test]
fn a_missing_claim_is_neither_true_nor_false() {
    let missing = contains("department", "it");
    let present = contains("groups", "staff");
    let claims = || json!({"groups": ["staff"]});
    assert!(!allowed(&missing, claims()));
    assert!(!allowed(&not(missing.clone()), claims()));
    assert!(!allowed(&not(not(missing.clone())), claims()));
    assert!(allowed(&Access::Any(vec![missing.clone(), present.clone()]), claims()));
    assert!(!allowed(&Access::All(vec![present.clone(), missing.clone()]), claims()));
    assert!(!allowed(&not(Access::Any(vec![missing.clone(), contains("groups", "other")])), claims()));
    // One rule of `all` fails for certain, whatever the missing claim may be.
    assert!(allowed(&not(Access::All(vec![missing, contains("groups", "other")])), claims()));
}

#[test]
fn values_of_another_kind_let_nobody_in_by_not() {
    let blocked = equals("blocked", json!(true));
    assert!(allowed(&not(blocked.clone()), json!({"blocked": false})));
    assert!(!allowed(&not(blocked.clone()), json!({"blocked": "true"})));
    assert!(!allowed(&not(blocked), json!({"blocked": 1})));
    assert!(!allowed(&not(contains("role", "guest")), json!({"role": {"guest": true}})));
}

#[test]
fn no_rule_at_all_lets_nobody_in() {
    for empty in [Access::All(vec![]), Access::Any(vec![])] {
        assert!(!allowed(&empty, json!({})));
        assert!(!allowed(&not(empty), json!({})));
    }
    assert!(allowed(&Access::Anyone, json!({})));
}

#[test]
fn cf_12_groups_that_the_provider_left_out_deny_and_say_so() {
    let not_guest = not(contains("groups", "guests"));
    for overage in
        [json!({"_claim_names": {"groups": "src1"}}), json!({"hasgroups": true}), json!({"hasgroups": "true"})]
    {
        assert_eq!(reason(&contains("groups", "staff"), overage.clone()), "groups-overage");
        assert_eq!(reason(&not_guest, overage), "groups-overage");
    }
    assert!(allowed(&not_guest, json!({"groups": ["staff"]})));
}

#[test]
fn jw_37_what_passes_without_groups_passes_and_nothing_else() {
    let overage = || json!({"hasgroups": true, "level": 5});
    let (staff, level, missing) = (contains("groups", "staff"), equals("level", json!(5)), contains("unit", "x"));
    assert!(allowed(&Access::Any(vec![staff.clone(), level.clone()]), overage()));
    assert!(allowed(&not(Access::All(vec![staff.clone(), not(level.clone())])), overage()));
    assert_eq!(reason(&Access::All(vec![level.clone(), staff.clone()]), overage()), "groups-overage");
    assert_eq!(reason(&Access::All(vec![not(level), staff.clone()]), overage()), "not-allowed");
    for rules in [vec![missing.clone(), staff.clone()], vec![staff, missing]] {
        assert_eq!(reason(&Access::Any(rules.clone()), overage()), "groups-overage");
        assert_eq!(reason(&not(Access::Any(rules)), overage()), "groups-overage");
    }
}

#[test]
fn jw_37_the_providers_own_name_of_the_groups_is_no_way_around() {
    let mapping = ClaimsMapping { groups: "roles".into(), ..ClaimsMapping::default() };
    let identity = Identity { groups: None, ..person(json!({"roles": [], "_claim_names": {"roles": "src1"}})) };
    for name in ["groups", "roles"] {
        let banned = not(contains(name, "banned"));
        assert_eq!(decide(&banned, &identity, &mapping), Decision::Denied(DenyReason::GroupsOverage), "{name}");
    }
}
