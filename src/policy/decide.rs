//! Whether somebody may in: rules over claims with three values, so that what is not known never lets anybody in.

use serde_json::Value;

use crate::claims::{ClaimsMapping, Identity};

use super::access::Access;
use super::email_domain::domain_of;

/// The answer to "may this person in?".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Decision {
    /// Yes.
    Allowed,
    /// No.
    Denied(DenyReason),
}

/// Why somebody may not in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyReason {
    /// The claims are there, and they do not match.
    NotAllowed,
    /// A claim that the rule asks for is missing, or is of another kind than the rule.
    ClaimMissing,
    /// The rule looks at the e-mail address, which the provider does not vouch for.
    EmailNotVerified,
    /// The person is in more groups than the provider puts into a token, so that it put in none.
    GroupsOverage,
}

impl DenyReason {
    /// The stable reason code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotAllowed => "not-allowed",
            Self::ClaimMissing => "claim-missing",
            Self::EmailNotVerified => "email-not-verified",
            Self::GroupsOverage => "groups-overage",
        }
    }
}

/// What a rule comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lets the person in.
    Passes,
    /// It keeps the person out.
    Fails,
    /// Neither: something it needs is not known.
    Unknown(DenyReason),
}

impl Verdict {
    const fn of(passes: bool) -> Self {
        if passes { Self::Passes } else { Self::Fails }
    }
}

/// Whom a rule is asked about.
#[derive(Clone, Copy)]
pub(super) struct Person<'a> {
    pub(super) identity: &'a Identity,
    pub(super) mapping: &'a ClaimsMapping,
}

/// Decides whether `identity`, which was read by `mapping`, may in.
pub fn decide(access: &Access, identity: &Identity, mapping: &ClaimsMapping) -> Decision {
    match verdict(access, Person { identity, mapping }) {
        Verdict::Passes => Decision::Allowed,
        Verdict::Fails => Decision::Denied(DenyReason::NotAllowed),
        Verdict::Unknown(reason) => Decision::Denied(reason),
    }
}

pub(super) fn verdict(access: &Access, person: Person<'_>) -> Verdict {
    match access {
        Access::Anyone => Verdict::Passes,
        Access::All(rules) => combined(rules, person, Verdict::Fails, Verdict::Passes),
        Access::Any(rules) => combined(rules, person, Verdict::Passes, Verdict::Fails),
        Access::Not(rule) => match verdict(rule, person) {
            Verdict::Passes => Verdict::Fails,
            Verdict::Fails => Verdict::Passes,
            unknown @ Verdict::Unknown(_) => unknown,
        },
        Access::Contains { claim, value } => match claim_value(claim, person) {
            Ok(Value::Array(items)) => contains(&items, value),
            Ok(other) => equals(&other, value),
            Err(reason) => Verdict::Unknown(reason),
        },
        Access::Equals { claim, value } => match claim_value(claim, person) {
            Ok(found) => equals(&found, value),
            Err(reason) => Verdict::Unknown(reason),
        },
        Access::EmailDomain(domain) => match verified_email(person.identity) {
            Ok(address) => match domain_of(&address) {
                Some(found) => Verdict::of(found == *domain),
                None => Verdict::Unknown(DenyReason::NotAllowed),
            },
            Err(reason) => Verdict::Unknown(reason),
        },
    }
}

/// `all` ends at the first rule that fails, `any` at the first that passes; else one unknown makes the whole unknown. Of
/// several the reason is that of the first, unless groups were left out: that is what somebody can put right.
fn combined(rules: &[Access], person: Person<'_>, decisive: Verdict, otherwise: Verdict) -> Verdict {
    let mut outcome = match rules {
        // No rule at all is nobody's intention.
        [] => Verdict::Unknown(DenyReason::NotAllowed),
        _ => otherwise,
    };
    for rule in rules {
        match verdict(rule, person) {
            found if found == decisive => return decisive,
            overage @ Verdict::Unknown(DenyReason::GroupsOverage) => outcome = overage,
            unknown @ Verdict::Unknown(_) if outcome == otherwise => outcome = unknown,
            _ => {}
        }
    }
    outcome
}

fn claim_value(name: &str, Person { identity, mapping }: Person<'_>) -> Result<Value, DenyReason> {
    // An address that nobody has verified is whatever its owner typed.
    if name == "email" {
        return verified_email(identity).map(Value::String);
    }
    if mapping.is_groups(name) && identity.has_groups_overage(mapping) {
        return Err(DenyReason::GroupsOverage);
    }
    identity.value(name).filter(|value| !value.is_null()).ok_or(DenyReason::ClaimMissing)
}

fn verified_email(identity: &Identity) -> Result<String, DenyReason> {
    match &identity.email {
        None => Err(DenyReason::ClaimMissing),
        Some(_) if !identity.email_verified => Err(DenyReason::EmailNotVerified),
        Some(address) => Ok(address.clone()),
    }
}

fn contains(items: &[Value], wanted: &Value) -> Verdict {
    let mut outcome = Verdict::Fails;
    for item in items {
        match equals(item, wanted) {
            Verdict::Passes => return Verdict::Passes,
            unknown @ Verdict::Unknown(_) => outcome = unknown,
            Verdict::Fails => {}
        }
    }
    outcome
}

/// Values of different kinds are not comparable: `not` over such a rule must not let anybody in.
fn equals(found: &Value, wanted: &Value) -> Verdict {
    match (found, wanted) {
        (Value::String(found), Value::String(wanted)) => Verdict::of(found == wanted),
        (Value::Bool(found), Value::Bool(wanted)) => Verdict::of(found == wanted),
        (Value::Number(found), Value::Number(wanted)) => {
            Verdict::of(found == wanted || (found.is_f64() && found.as_f64() == wanted.as_f64()))
        }
        (Value::Array(found), Value::Array(wanted)) => Verdict::of(found == wanted),
        _ => Verdict::Unknown(DenyReason::ClaimMissing),
    }
}

#[cfg(test)]
mod tests;
