//! Panics: where, never what; a message may hold a value that nobody must read.

use std::panic::{self, Location};

use prometheus::IntCounter;

/// From here on a panic is one log line with its place, and counted; its message and backtrace go nowhere.
pub fn install_hook(panics: IntCounter) {
    panic::set_hook(Box::new(move |panicked| report(panicked.location(), &panics)));
}

fn report(location: Option<&Location<'_>>, panics: &IntCounter) {
    panics.inc();
    let (file, line) = location.map_or(("unknown", 0), |location| (location.file(), location.line()));
    tracing::error!(target: "panic", file, line, "a request or task ended in a panic");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No other test of this program sets a hook.
    #[test]
    fn lg_02_a_panic_with_a_secret_in_its_message_says_nothing_of_it() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        let usual = panic::take_hook();
        install_hook(panics.clone());
        let lines = crate::telemetry::logging::tests::logged(|| {
            let secret = String::from("mark-secret");
            for fail in [|secret: &str| panic!("{secret}"), |secret: &str| assert_eq!(secret, "mark-expected")] {
                assert!(panic::catch_unwind(|| fail(&secret)).is_err());
            }
            assert!(panic::catch_unwind(|| secret.parse::<u8>().map_err(|_| &secret).expect("mark-context")).is_err());
        });
        panic::set_hook(usual);
        assert!(panics.get() >= 3);
        assert_eq!(lines.matches("a request or task ended in a panic").count(), 3, "{lines}");
        assert!(lines.contains("panics.rs") && !lines.contains("mark-"), "{lines}");
    }

    #[test]
    fn lg_02_a_panic_is_counted_and_told_by_its_place() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        let lines = crate::telemetry::logging::tests::logged(|| report(Some(Location::caller()), &panics));
        assert_eq!(panics.get(), 1);
        assert!(lines.contains("panics.rs") && lines.contains("\"level\":\"ERROR\""), "{lines}");
    }
}
