//! Access rules over claims: pure decisions.

pub mod access;
mod decide;
mod email_domain;

pub use decide::{Decision, DenyReason, decide};
