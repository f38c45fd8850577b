//! What is logged, and how.

use std::path::PathBuf;

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Whether names of people appear in logs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogUser {
    /// A keyed hash of issuer and subject.
    #[default]
    Pseudonym,
    /// The user name.
    Name,
}

/// Where audit events go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AuditSink {
    /// Among the other events.
    #[default]
    Log,
    /// Into a file of their own, as JSON whatever the form of the log.
    File(PathBuf),
}

/// The `[log]` section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of lines.
    pub format: LogFormat,
    /// The least severe level that is written.
    pub level: tracing::Level,
    /// One line per request.
    pub access: bool,
    /// Where audit events go.
    pub audit: AuditSink,
    /// Whether names of people appear.
    pub user: LogUser,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Json,
            level: tracing::Level::INFO,
            access: true,
            audit: AuditSink::Log,
            user: LogUser::Pseudonym,
        }
    }
}
