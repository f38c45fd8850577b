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

    #[test]
    fn lg_02_a_panic_is_counted_and_told_by_its_place() {
        let panics = IntCounter::new("panics", "panics").unwrap();
        let lines = crate::telemetry::logging::tests::logged(|| report(Some(Location::caller()), &panics));
        assert_eq!(panics.get(), 1);
        assert!(lines.contains("panics.rs") && lines.contains("\"level\":\"ERROR\""), "{lines}");
    }
}
