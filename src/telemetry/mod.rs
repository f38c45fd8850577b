//! Logs, access log, audit events and metrics; takes plain values, so it cannot reach a token.

pub mod access_line;
pub mod access_log;
pub mod audit;
pub mod audit_file;
mod escape;
pub mod labels;
pub mod line_queue;
pub mod logging;
pub mod metrics;
pub mod panics;
pub mod reload_metrics;
pub mod request_id;
pub mod settings;
