//! The log: JSON or text on standard error, one line an event.

use std::io::{self, Write};

use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::audit::TARGET as AUDIT;
use super::escape::push_line;
use super::line_queue::LineQueue;
use super::settings::{LogFormat, LogSettings};

/// Libraries that see tokens, cookies or keys go by; below INFO some of them print what they see.
const CAPPED: [&str; 12] = [
    "hyper",
    "hyper_util",
    "hyper_rustls",
    "h2",
    "http",
    "rustls",
    "tokio_rustls",
    "reqwest",
    "tower",
    "tungstenite",
    "tokio_tungstenite",
    "redis",
];

/// Logs into these queues from here on, for the whole process; audit events go into `audit`, if there is one.
///
/// # Errors
/// When logging has been set up before.
pub fn init(settings: &LogSettings, log: LineQueue, audit: Option<LineQueue>) -> Result<LevelHandle, TryInitError> {
    let (subscriber, level) = both(settings, log, audit);
    subscriber.try_init()?;
    Ok(level)
}

/// Changes the least severe level that is written while the program runs.
#[derive(Clone, Debug)]
pub struct LevelHandle {
    filter: reload::Handle<Targets, Registry>,
    audit_apart: bool,
}

impl LevelHandle {
    /// From here on, this level and what is more severe is written.
    pub fn set(&self, level: tracing::Level) {
        // It fails only when the subscriber is no more, and then nothing is written anyway.
        let _ = self.filter.reload(filter(level, self.audit_apart));
    }
}

/// Logs into a writer; it gets each event in one piece.
pub fn subscriber<W>(settings: &LogSettings, writer: W) -> impl Subscriber + Send + Sync + use<W>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    both(settings, writer, None::<W>).0
}

fn both<W, A>(
    settings: &LogSettings,
    writer: W,
    audit: Option<A>,
) -> (impl Subscriber + Send + Sync + use<W, A>, LevelHandle)
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
    A: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let audit_apart = audit.is_some();
    let (wanted, handle) = reload::Layer::new(filter(settings.level, audit_apart));
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = vec![match settings.format {
        LogFormat::Json => json(writer).with_filter(wanted).boxed(),
        LogFormat::Text => fmt::layer().with_ansi(false).with_writer(OneLine(writer)).with_filter(wanted).boxed(),
    }];
    if let Some(audit) = audit {
        let audit_alone = Targets::new().with_target(AUDIT, LevelFilter::INFO);
        layers.push(json(audit).with_filter(audit_alone).boxed());
    }
    (tracing_subscriber::registry().with(layers), LevelHandle { filter: handle, audit_apart })
}

fn json<W>(writer: W) -> impl Layer<Registry> + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = fmt::layer().json().flatten_event(true).with_current_span(false).with_span_list(false);
    lines.with_writer(OneLine(writer))
}

/// What the log has of each target; `audit_apart` when audit events have a sink of their own.
fn filter(level: tracing::Level, audit_apart: bool) -> Targets {
    let level = LevelFilter::from_level(level);
    let capped = level.min(LevelFilter::INFO);
    Targets::new()
        .with_default(level)
        // What happened to sessions is told however quiet the rest is.
        .with_target(AUDIT, if audit_apart { LevelFilter::OFF } else { level.max(LevelFilter::INFO) })
        .with_targets(CAPPED.map(|target| (target, capped)))
}

/// Escapes what could end a line or move a cursor; the formatters leave some of it in.
struct OneLine<W>(W);

impl<'writer, W: MakeWriter<'writer>> MakeWriter<'writer> for OneLine<W> {
    type Writer = OneLineWriter<W::Writer>;

    fn make_writer(&'writer self) -> Self::Writer {
        OneLineWriter(self.0.make_writer())
    }
}

struct OneLineWriter<W>(W);

impl<W: Write> Write for OneLineWriter<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = Vec::with_capacity(event.len() + 1);
        push_line(&mut line, text.strip_suffix('\n').unwrap_or(&text));
        line.push(b'\n');
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, Mutex};

    use tracing::Level;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged_with(settings: &LogSettings, work: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        tracing::subscriber::with_default(subscriber(settings, move || writer.clone()), work);
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// What `work` logs, as JSON, from DEBUG on.
    pub(in crate::telemetry) fn logged(work: impl FnOnce()) -> String {
        logged_with(&LogSettings { level: Level::DEBUG, ..LogSettings::default() }, work)
    }

    #[test]
    fn an_event_is_one_json_object_with_its_fields_on_top() {
        let lines = logged(|| tracing::warn!(provider = "corp", "the provider is away"));
        let read: serde_json::Value = serde_json::from_str(&lines).unwrap();
        assert_eq!(read["level"], "WARN");
        assert_eq!(read["provider"], "corp");
        assert_eq!(read["message"], "the provider is away");
    }

    #[test]
    fn lg_04_an_event_is_one_line_in_both_forms() {
        for format in [LogFormat::Json, LogFormat::Text] {
            let settings = LogSettings { format, ..LogSettings::default() };
            let hostile = "a\r\nb\x1b[31m\u{2028}\u{9b}\"";
            let lines = logged_with(&settings, || {
                tracing::info!(user = hostile, shown = %hostile, debugged = ?hostile, "{hostile}");
            });
            let body = lines.strip_suffix('\n').unwrap();
            assert!(!body.contains(|character: char| character.is_control() || character == '\u{2028}'), "{body:?}");
            if format == LogFormat::Json {
                let read: serde_json::Value = serde_json::from_str(body).unwrap();
                assert_eq!(read["user"], hostile);
            }
        }
    }

    #[test]
    fn lg_01_libraries_on_the_wire_are_capped_at_info() {
        let settings = LogSettings { level: Level::TRACE, ..LogSettings::default() };
        let lines = logged_with(&settings, || {
            tracing::debug!(target: "hyper::proto", "not this");
            tracing::trace!(target: "h2::codec", "not this");
            tracing::info!(target: "rustls::client", "but this");
            tracing::trace!(target: "vestibule::gateway", "and this");
        });
        assert!(!lines.contains("not this"), "{lines}");
        assert!(lines.contains("but this") && lines.contains("and this"), "{lines}");
    }

    #[test]
    fn audit_events_go_to_a_sink_of_their_own_as_json() {
        let (log, audit) = (Kept::default(), Kept::default());
        let (to_log, to_audit) = (log.clone(), audit.clone());
        let settings = LogSettings { format: LogFormat::Text, level: Level::ERROR, ..LogSettings::default() };
        let (subscriber, level) = both(&settings, move || to_log.clone(), Some(move || to_audit.clone()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "audit", "somebody logged in");
            tracing::error!("something else");
            level.set(Level::DEBUG);
            tracing::info!(target: "audit", "under another level");
        });
        let text = |kept: &Kept| String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        let (log, audit) = (text(&log), text(&audit));
        assert!(log.contains("something else"), "{log}");
        assert!(!log.contains("logged in") && !log.contains("another level"), "{log}");
        let told: Vec<_> = audit
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["message"].clone())
            .collect();
        assert_eq!(told, ["somebody logged in", "under another level"]);
    }

    #[test]
    fn the_level_changes_while_the_program_runs() {
        let kept = Kept::default();
        let writer = kept.clone();
        let (subscriber, level) = both(&LogSettings::default(), move || writer.clone(), None::<fn() -> Kept>);
        let say = |text: &str| {
            tracing::debug!("debug {text}");
            tracing::warn!("warning {text}");
        };
        tracing::subscriber::with_default(subscriber, || {
            say("first");
            level.set(Level::DEBUG);
            say("second");
            level.set(Level::ERROR);
            say("third");
            tracing::info!(target: "audit", "kept");
        });
        let lines = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
        for (text, written) in [
            ("debug first", false),
            ("warning first", true),
            ("debug second", true),
            ("warning third", false),
            ("kept", true),
        ] {
            assert_eq!(lines.contains(text), written, "{text} in {lines}");
        }
    }

    #[test]
    fn a_quiet_log_keeps_its_audit_events() {
        let settings = LogSettings { level: Level::ERROR, ..LogSettings::default() };
        let lines = logged_with(&settings, || {
            tracing::info!(target: "audit", "kept");
            tracing::warn!("left out");
        });
        assert!(lines.contains("kept") && !lines.contains("left out"), "{lines}");
    }
}
