//! What each part of a rule comes to, for operators who ask why.

use serde_json::Value;

use crate::claims::{ClaimsMapping, Identity};

use super::access::Access;
use super::decide::{Person, Verdict, verdict};

/// One part of a rule and what it comes to.
#[derive(Clone, Debug)]
pub struct Finding<'a> {
    /// How deep it lies in the rule.
    pub depth: usize,
    /// The part.
    pub access: &'a Access,
    /// What it comes to, by the same code that decides.
    pub verdict: Verdict,
    /// The claim that it looks at, as the person has it.
    pub found: Option<Value>,
}

/// Every part of `access`, each before its own parts.
#[must_use]
pub fn findings<'a>(access: &'a Access, identity: &Identity, mapping: &ClaimsMapping) -> Vec<Finding<'a>> {
    let mut findings = Vec::new();
    add(&mut findings, 0, access, Person { identity, mapping });
    findings
}

fn add<'a>(findings: &mut Vec<Finding<'a>>, depth: usize, access: &'a Access, person: Person<'_>) {
    let found = match access {
        Access::Contains { claim, .. } | Access::Equals { claim, .. } if claim != "email" => {
            person.identity.value(claim)
        }
        // Shown even if nobody vouches for it, which the verdict says.
        Access::Contains { .. } | Access::Equals { .. } | Access::EmailDomain(_) => {
            person.identity.email.clone().map(Value::String)
        }
        Access::Anyone | Access::All(_) | Access::Any(_) | Access::Not(_) => None,
    };
    findings.push(Finding { depth, access, verdict: verdict(access, person), found });
    let parts = match access {
        Access::All(rules) | Access::Any(rules) => rules.as_slice(),
        Access::Not(rule) => std::slice::from_ref(rule.as_ref()),
        _ => &[],
    };
    for part in parts {
        add(findings, depth + 1, part, person);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::DenyReason;
    use super::*;
    use crate::claims::Claims;

    #[test]
    fn every_part_has_its_own_verdict() {
        let identity = Identity {
            issuer: "https://id.example.com".into(),
            subject: "7".into(),
            username: None,
            groups: Some(vec!["staff".into()]),
            email: None,
            email_verified: false,
            claims: Claims::default(),
        };
        let staff = Access::Contains { claim: "groups".into(), value: "staff".into() };
        let rule = Access::All(vec![Access::Not(Box::new(staff)), Access::EmailDomain("example.com".into())]);
        let found: Vec<_> = findings(&rule, &identity, &ClaimsMapping::default())
            .into_iter()
            .map(|finding| (finding.depth, finding.access.to_string(), finding.verdict, finding.found))
            .collect();
        let missing = Verdict::Unknown(DenyReason::ClaimMissing);
        let (staff, mail) = ("groups contains \"staff\"", "a verified e-mail address in example.com");
        assert_eq!(
            found,
            [
                (0, format!("all of (not ({staff}), {mail})"), Verdict::Fails, None),
                (1, format!("not ({staff})"), Verdict::Fails, None),
                (2, staff.to_owned(), Verdict::Passes, Some(json!(["staff"]))),
                (1, mail.to_owned(), missing, None),
            ]
        );
    }
}
