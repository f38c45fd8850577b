//! The probe listener's answers: liveness, readiness, metrics.

pub mod probe;
pub mod readiness;
