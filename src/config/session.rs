//! `[session]`, but for its keys.

use std::time::Duration;

use crate::cookie::SameSite;
use crate::gateway::settings::CookieSettings;
use crate::secret::SealingKey;
use crate::session::settings::{DEFAULT_CACHE, SessionSettings, StoreSettings};

use super::keys::COOKIE;
use super::section::Section;
use super::session_keys::session_keys;
use super::store::{MAX_SESSIONS, store};

const LIFETIME: Duration = Duration::from_secs(10 * 3600);
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
const OUTAGE_GRACE: Duration = Duration::from_secs(60);
const MAX_SESSIONS_PER_SUBJECT: usize = 20;

/// Reads `[session]`. No keys in the result means that none were written.
pub(super) fn session(section: Option<&Section<'_>>) -> (SessionSettings, CookieSettings) {
    let Some(section) = section else {
        let store = StoreSettings::Memory { max_sessions: MAX_SESSIONS };
        let settings = SessionSettings {
            store,
            lifetime: LIFETIME,
            idle_timeout: IDLE_TIMEOUT,
            outage_grace: OUTAGE_GRACE,
            keys: Vec::new(),
            max_sessions_per_subject: MAX_SESSIONS_PER_SUBJECT,
            cache: DEFAULT_CACHE,
        };
        return (settings, CookieSettings::default());
    };
    let lifetime = section.duration("lifetime", LIFETIME);
    // A lifetime shorter than the default idle timeout shortens that too.
    let idle_timeout = section.duration("idle_timeout", IDLE_TIMEOUT.min(lifetime));
    if idle_timeout > lifetime {
        section.refuse_at(
            "idle_timeout",
            "`session.idle_timeout` is longer than `session.lifetime`, so that it would never end a session",
            "write a duration of at most the lifetime",
        );
    }
    let settings = SessionSettings {
        store: store(section),
        lifetime,
        idle_timeout,
        outage_grace: section.duration_or_zero("outage_grace", OUTAGE_GRACE),
        keys: keys(section),
        max_sessions_per_subject: section.count("max_sessions_per_subject", MAX_SESSIONS_PER_SUBJECT, 1_000),
        cache: DEFAULT_CACHE,
    };
    (settings, cookie(section))
}

fn keys(section: &Section<'_>) -> Vec<SealingKey> {
    section.setting("keys").map(|setting| session_keys(&setting)).unwrap_or_default()
}

fn cookie(section: &Section<'_>) -> CookieSettings {
    let default = CookieSettings::default();
    let Some(section) = section.section("cookie", &COOKIE) else { return default };
    CookieSettings {
        same_site: section.choice(
            "same_site",
            default.same_site,
            &[("lax", SameSite::Lax), ("strict", SameSite::Strict)],
        ),
        persistent: section.boolean("persistent", default.persistent),
    }
}
