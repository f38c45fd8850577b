//! `[log]` and `[pages]`.

use tracing::Level;

use crate::gateway::settings::PagesSettings;
use crate::telemetry::settings::{AuditSink, LogFormat, LogSettings, LogUser};

use super::keys::AUDIT;
use super::section::Section;
use super::setting::Setting;

const LONGEST_PAGE_TEXT: usize = 200;

pub(super) fn log(section: Option<&Section<'_>>) -> LogSettings {
    let default = LogSettings::default();
    let Some(section) = section else { return default };
    LogSettings {
        format: section.choice("format", default.format, &[("json", LogFormat::Json), ("text", LogFormat::Text)]),
        level: section.choice(
            "level",
            default.level,
            &[
                ("error", Level::ERROR),
                ("warn", Level::WARN),
                ("info", Level::INFO),
                ("debug", Level::DEBUG),
                ("trace", Level::TRACE),
            ],
        ),
        access: section.boolean("access", default.access),
        audit: section.setting("audit").and_then(|setting| audit(&setting)).unwrap_or_default(),
        user: section.choice("user", default.user, &[("pseudonym", LogUser::Pseudonym), ("name", LogUser::Name)]),
    }
}

const AUDIT_EXAMPLE: &str = "\"log\" or { file = \"/var/log/vestibule/audit.jsonl\" }";

fn audit(setting: &Setting<'_>) -> Option<AuditSink> {
    if !setting.is_table() {
        return match setting.string(AUDIT_EXAMPLE)? {
            "log" => Some(AuditSink::Log),
            _ => {
                let message = format!("`{}` is neither \"log\" nor a table that names a file", setting.path());
                setting.refuse(message, format!("write {AUDIT_EXAMPLE}"));
                None
            }
        };
    }
    let section = setting.section(&AUDIT)?;
    let Some(file) = section.setting("file") else {
        section.missing("file", &format!("write {AUDIT_EXAMPLE}"));
        return None;
    };
    let text = file.string("\"/var/log/vestibule/audit.jsonl\"")?;
    Some(AuditSink::File(file.reading().resolve(text)))
}

pub(super) fn pages(section: Option<&Section<'_>>) -> PagesSettings {
    let text = |name: &str| {
        let setting = section?.setting(name)?;
        let text = setting.string("a short text")?;
        if text.chars().any(char::is_control) || text.chars().count() > LONGEST_PAGE_TEXT {
            let message = format!("`{}` must be one line of at most {LONGEST_PAGE_TEXT} characters", setting.path());
            setting.refuse(message, "write a short text");
            return None;
        }
        Some(text.to_owned())
    };
    PagesSettings { name: text("name"), contact: text("contact") }
}
