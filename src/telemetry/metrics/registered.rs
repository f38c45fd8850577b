//! How a metric is made and entered into the registry, each kind in one call.

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry};

/// Seconds; from a quick answer of an application beside us to the deadline of a slow one.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("vestibule")
}

#[expect(clippy::expect_used, reason = "names and labels are literals of this room, made once at the start")]
fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("a metric's literals are well formed");
    registry.register(Box::new(collector.clone())).expect("a metric's name is used once");
    collector
}

pub(in crate::telemetry) fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::with_opts(options(name, help)))
}

pub(in crate::telemetry) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::with_opts(options(name, help)))
}

pub(in crate::telemetry) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(options(name, help), labels))
}

pub(in crate::telemetry) fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(options(name, help), labels))
}

pub(in crate::telemetry) fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::from(options(name, help)).buckets(BUCKETS.to_vec());
    register(registry, HistogramVec::new(options, labels))
}
