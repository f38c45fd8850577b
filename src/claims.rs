//! Who somebody is, as a provider has said and as has been verified. Nothing here parses or verifies.

use serde_json::{Map, Value};

/// The claims of an ID token and a userinfo answer, merged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims(Map<String, Value>);

impl Claims {
    /// Takes verified claims in.
    #[must_use]
    pub const fn new(members: Map<String, Value>) -> Self {
        Self(members)
    }

    /// Looks a claim up: by its whole name first (`https://example.com/roles`), then as a path nested by dots
    /// (`realm_access.roles`). `null` is as good as absent.
    #[must_use]
    pub fn lookup(&self, path: &str) -> Option<&Value> {
        let found = match self.0.get(path) {
            Some(value) => Some(value),
            None => {
                let mut steps = path.split('.');
                let first = self.0.get(steps.next()?)?;
                steps.try_fold(first, |value, step| value.as_object()?.get(step))
            }
        };
        found.filter(|value| !value.is_null())
    }

    /// Whether the provider says that the groups are somewhere else (OpenID Connect Core §5.6.2, Entra ID's overage): then
    /// nobody knows them, which is not the same as having none.
    #[must_use]
    pub fn groups_overage(&self, mapping: &ClaimsMapping) -> bool {
        let first_step = mapping.groups.split('.').next().unwrap_or_default();
        let elsewhere = |names: &Value| {
            names.as_object().is_some_and(|names| names.contains_key(&mapping.groups) || names.contains_key(first_step))
        };
        let flag = |flag: &Value| *flag == true || flag.as_str().is_some_and(|text| text.eq_ignore_ascii_case("true"));
        // `hasgroups` speaks of the claim `groups`; roles that are there under another name are there.
        let flagged = self.0.get("hasgroups").is_some_and(flag)
            && (first_step == "groups" || self.lookup(&mapping.groups).is_none());
        flagged || self.0.get("_claim_names").is_some_and(elsewhere)
    }

    /// All members, for sealing.
    #[must_use]
    pub const fn members(&self) -> &Map<String, Value> {
        &self.0
    }
}

/// Where in the claims an identity is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimsMapping {
    /// Path of the subject.
    pub subject: String,
    /// Path of the user name.
    pub username: String,
    /// Path of the groups.
    pub groups: String,
    /// Path of the e-mail address.
    pub email: String,
}

impl Default for ClaimsMapping {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            username: "preferred_username".into(),
            groups: "groups".into(),
            email: "email".into(),
        }
    }
}

impl ClaimsMapping {
    /// Whether whoever asks for this claim asks for the groups: by their mapped name or by that of the provider.
    #[must_use]
    pub fn is_groups(&self, name: &str) -> bool {
        name == "groups" || name == self.groups
    }
}

/// A person or a machine, as verified at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Identity {
    /// The issuer identifier; for plain OAuth 2.0 the provider's name in the configuration.
    pub issuer: String,
    /// The subject: unique at the issuer.
    pub subject: String,
    /// The mapped user name.
    pub username: Option<String>,
    /// The mapped groups; `None` when the claim is missing, which is not the same as no groups.
    pub groups: Option<Vec<String>>,
    /// The mapped e-mail address.
    pub email: Option<String>,
    /// Whether the provider vouches for the address.
    pub email_verified: bool,
    /// Everything the provider said.
    pub claims: Claims,
}

impl Identity {
    /// A claim by the name that rules and header templates use: `subject`, `username`, `groups` and `email` are the
    /// mapped ones and win over a claim of that name; any other name is the provider's. An address is one that the
    /// provider vouches for.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<Value> {
        match name {
            "subject" => Some(Value::String(self.subject.clone())),
            "username" => self.username.clone().map(Value::String),
            "groups" => self.groups.clone().map(Value::from),
            "email" => self.verified_email().map(Value::from),
            _ => self.claims.lookup(name).cloned(),
        }
    }

    /// Whether the provider has left the groups out because there are too many.
    #[must_use]
    pub fn has_groups_overage(&self, mapping: &ClaimsMapping) -> bool {
        self.groups.is_none() && self.claims.groups_overage(mapping)
    }

    /// The mapped e-mail address, if the provider vouches for it: any other is whatever its owner typed, and an
    /// application that knows people by their address must not be told it.
    #[must_use]
    pub fn verified_email(&self) -> Option<&str> {
        self.email.as_deref().filter(|_| self.email_verified)
    }

    /// What to call this person on a page: the user name, else the address, else the subject.
    #[must_use]
    pub fn display_name(&self) -> &str {
        self.username.as_deref().or(self.email.as_deref()).unwrap_or(&self.subject)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn whole_names_come_before_paths() {
        let Value::Object(members) =
            json!({"a.b": 1, "a": {"b": 2, "c": {"d": 3}}, "https://x.example/roles": ["r"], "n": null})
        else {
            unreachable!()
        };
        let claims = Claims::new(members);
        assert_eq!(claims.lookup("a.b"), Some(&json!(1)));
        assert_eq!(claims.lookup("a.c.d"), Some(&json!(3)));
        assert_eq!(claims.lookup("https://x.example/roles"), Some(&json!(["r"])));
        assert_eq!(claims.lookup("a.x"), None);
        assert_eq!(claims.lookup("n"), None);
    }
}
