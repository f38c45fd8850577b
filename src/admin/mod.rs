//! What operators ask, each on a listener of its own: the probes, and the administration of sessions.

mod admission;
mod answer;
pub mod ends;
mod failures;
mod listing;
mod page;
pub mod probe;
pub mod readiness;
mod revocation;
pub mod sessions;
