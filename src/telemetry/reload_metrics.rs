//! What is counted of the configuration, and what a reload takes off the page.

use prometheus::core::Collector;
use prometheus::{IntCounterVec, IntGauge, Registry, proto};

use super::labels::ReloadOutcome;
use super::metrics::Metrics;
use super::metrics::registered::{counters, gauge};

/// Readings of the configuration.
#[derive(Debug)]
pub struct ReloadMetrics {
    reloads: IntCounterVec,
    last_success: IntGauge,
    last_successful: IntGauge,
}

impl ReloadMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let name = "config_reloads_total";
        let metrics = Self {
            reloads: counters(registry, name, "Readings of the configuration by what they came to.", &["outcome"]),
            last_success: gauge(
                registry,
                "config_last_reload_success_timestamp_seconds",
                "When a configuration came into force last.",
            ),
            last_successful: gauge(
                registry,
                "config_last_reload_successful",
                "0 while what is on disk has been refused and an older configuration is in force.",
            ),
        };
        for outcome in ReloadOutcome::ALL {
            metrics.reloads.with_label_values(&[outcome.as_str()]);
        }
        metrics.last_successful.set(1);
        metrics
    }

    /// Counts a reading after the first.
    pub fn read(&self, outcome: ReloadOutcome) {
        self.reloads.with_label_values(&[outcome.as_str()]).inc();
        self.last_successful.set(i64::from(outcome != ReloadOutcome::Rejected));
    }

    /// A configuration has come into force, in seconds since the epoch.
    pub fn in_force_since(&self, seconds: u64) {
        self.last_success.set(i64::try_from(seconds).unwrap_or(i64::MAX));
    }
}

impl Metrics {
    /// Shows only these providers as up or down: others have left the configuration.
    pub fn keep_providers(&self, labels: &[String]) {
        for gauges in [&self.provider_up, &self.provider_skew] {
            for family in gauges.collect() {
                let series = family.get_metric().iter().flat_map(proto::Metric::get_label);
                for gone in series.map(|label| label.value().to_owned()).filter(|label| !labels.contains(label)) {
                    // It may have gone a moment ago.
                    let _ = gauges.remove_label_values(&[&gone]);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_has_left_is_neither_up_nor_down() {
        let metrics = Metrics::new();
        metrics.provider("corp").set_up(true);
        metrics.provider("old").set_up(false);
        metrics.keep_providers(&["corp".to_owned()]);
        let text = metrics.encode();
        assert!(text.contains("vestibule_provider_up{provider=\"corp\"} 1"), "{text}");
        assert!(!text.contains("provider_up{provider=\"old\"}") && !text.contains("skew_seconds{provider=\"old\"}"));
    }

    #[test]
    fn the_last_reading_and_the_last_good_one_are_told_apart() {
        let metrics = Metrics::new();
        let shows = |line: &str| metrics.encode().lines().any(|served| served == format!("vestibule_config_{line}"));
        assert!(shows("last_reload_successful 1") && shows("reloads_total{outcome=\"rejected\"} 0"));
        metrics.config.in_force_since(1_800_000_000);
        metrics.config.read(ReloadOutcome::Rejected);
        assert!(shows("last_reload_successful 0") && shows("reloads_total{outcome=\"rejected\"} 1"));
        assert!(shows("last_reload_success_timestamp_seconds 1800000000"));
        metrics.config.read(ReloadOutcome::Unchanged);
        assert!(shows("last_reload_successful 1"));
    }
}
