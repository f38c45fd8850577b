//! Access rules over claims: pure decisions.

pub mod access;
mod decide;
mod email_domain;
mod findings;

pub use decide::{Decision, DenyReason, Verdict, decide};
pub use findings::{Finding, findings};
