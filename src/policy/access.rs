//! The language of access rules.

use std::fmt;

use serde_json::Value;

/// Who may use an upstream.
#[derive(Clone, Debug, PartialEq)]
pub enum Access {
    /// Every account of the provider.
    Anyone,
    /// All of them must pass.
    All(Vec<Access>),
    /// One of them must pass.
    Any(Vec<Access>),
    /// It must fail, on claims that are there.
    Not(Box<Access>),
    /// An item of a list, or the whole of a string.
    Contains {
        /// Name of the claim, as [`crate::claims::Identity::value`] reads it.
        claim: String,
        /// The item.
        value: Value,
    },
    /// The whole value.
    Equals {
        /// Name of the claim.
        claim: String,
        /// The value.
        value: Value,
    },
    /// A verified address in this domain (lower-case, ASCII).
    EmailDomain(String),
}

impl fmt::Display for Access {
    /// In words, for operators.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |formatter: &mut fmt::Formatter<'_>, name: &str, rules: &[Self]| {
            write!(formatter, "{name} (")?;
            for (index, rule) in rules.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                write!(formatter, "{comma}{rule}")?;
            }
            formatter.write_str(")")
        };
        match self {
            Self::Anyone => formatter.write_str("anyone with an account at the provider"),
            Self::All(rules) => list(formatter, "all of", rules),
            Self::Any(rules) => list(formatter, "any of", rules),
            Self::Not(rule) => write!(formatter, "not ({rule})"),
            Self::Contains { claim, value } => write!(formatter, "{claim} contains {value}"),
            Self::Equals { claim, value } => write!(formatter, "{claim} equals {value}"),
            Self::EmailDomain(domain) => write!(formatter, "a verified e-mail address in {domain}"),
        }
    }
}
