//! The language of access rules.

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
