//! `[log]` and `[pages]`.

use tracing::Level;

use crate::gateway::settings::PagesSettings;
use crate::telemetry::settings::{LogFormat, LogSettings, LogUser};

use super::section::Section;

const LONGEST_PAGE_TEXT: usize = 200;

pub(super) fn log(section: Option<&Section<'_>>) -> LogSettings {
    let default = LogSettings::default();
    let Some(section) = section else { return default };
    if let Some(audit) = section.setting("audit") {
        if audit.is_table() {
            audit.refuse_unbuilt("an audit log in a file of its own", "write audit = \"log\"");
        } else {
            audit.choice(&[("log", ())]);
        }
    }
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
        user: section.choice("user", default.user, &[("pseudonym", LogUser::Pseudonym), ("name", LogUser::Name)]),
    }
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
