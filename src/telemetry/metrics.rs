//! Metrics with bounded labels; what the path of a request touches is looked up once, when the configuration is read.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder,
};

use super::labels::{
    CallOutcome, Denial, Limit, LoginStep, Outcome, ProviderEndpoint, RefreshOutcome, SessionEnd, StoreOperation,
};
use super::reload_metrics::ReloadMetrics;

/// Seconds; from a quick answer of an application beside us to the deadline of a slow one.
const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// Every metric of the process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    upstream_seconds: HistogramVec,
    refusals: IntCounterVec,
    denied: IntCounterVec,
    login: IntCounterVec,
    refresh: IntCounterVec,
    sessions_begun: IntCounterVec,
    sessions_ended: IntCounterVec,
    provider_calls: IntCounterVec,
    provider_seconds: HistogramVec,
    pub(super) provider_up: IntGaugeVec,
    pub(super) provider_skew: IntGaugeVec,
    without_refresh_token: IntCounterVec,
    store_errors: IntCounterVec,
    malformed: IntCounterVec,
    limits: IntCounterVec,
    /// Readings of the configuration.
    pub config: ReloadMetrics,
    /// Sessions that are alive, as far as this process knows.
    pub sessions_live: IntGauge,
    /// Connections that are open.
    pub connections: IntGauge,
    /// WebSockets and other tunnels that are open.
    pub tunnels: IntGauge,
    /// Managed headers that somebody had sent and that were removed.
    pub headers_stripped: IntCounter,
    /// Lines of the access log that were lost.
    pub access_log_dropped: IntCounter,
    /// Lines of the log that were lost.
    pub log_dropped: IntCounter,
    /// Audit events that were lost on their way into a file of their own.
    pub audit_log_dropped: IntCounter,
    /// Panics.
    pub panics: IntCounter,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[must_use]
    pub fn new() -> Self {
        let r = Registry::new();
        let metrics = Self {
            requests: counters(&r, "requests_total", "Requests by upstream and outcome.", &["upstream", "outcome"]),
            upstream_seconds: histograms(
                &r,
                "upstream_response_seconds",
                "From forwarding a request to the head of the upstream's answer.",
                &["upstream"],
            ),
            refusals: counters(&r, "refusals_total", "Answers of the gateway by reason code.", &["code"]),
            denied: counters(
                &r,
                "access_denied_total",
                "Requests of people who are logged in and may not in, by reason.",
                &["upstream", "reason"],
            ),
            login: counters(&r, "login_total", "Steps of logins; a rejected one with its code.", &["step", "reason"]),
            refresh: counters(&r, "refresh_total", "Refreshes by what they came to.", &["provider", "outcome"]),
            sessions_begun: counters(&r, "sessions_begun_total", "Sessions that began.", &["provider"]),
            sessions_ended: counters(&r, "sessions_ended_total", "Sessions by what ended them.", &["reason"]),
            provider_calls: counters(
                &r,
                "provider_calls_total",
                "Calls to the provider by what they came to.",
                &["provider", "endpoint", "outcome"],
            ),
            provider_seconds: histograms(
                &r,
                "provider_call_seconds",
                "Time of calls to the provider.",
                &["provider", "endpoint"],
            ),
            provider_skew: gauges(
                &r,
                "provider_skew_seconds",
                "How far the provider's clock was ahead of ours at the last login; negative is behind.",
                &["provider"],
            ),
            provider_up: gauges(
                &r,
                "provider_up",
                "1 while the provider is there, by the last call to it.",
                &["provider"],
            ),
            without_refresh_token: counters(
                &r,
                "logins_without_refresh_token_total",
                "Logins whose access token runs out before the session, with no refresh token.",
                &["provider"],
            ),
            store_errors: counters(&r, "store_errors_total", "Failures of the session store.", &["operation"]),
            malformed: counters(&r, "malformed_total", "Input that could not be read as HTTP.", &["kind"]),
            limits: counters(&r, "limit_reached_total", "What limits turned away.", &["limit"]),
            config: ReloadMetrics::new(&r),
            sessions_live: gauge(&r, "sessions_live", "Sessions that are alive in this process's store."),
            connections: gauge(&r, "connections", "Connections that are open."),
            tunnels: gauge(&r, "tunnels", "WebSockets and other tunnels that are open."),
            headers_stripped: counter(&r, "headers_stripped_total", "Managed headers removed from requests."),
            access_log_dropped: counter(&r, "access_log_dropped_total", "Lines of the access log that were lost."),
            log_dropped: counter(&r, "log_dropped_total", "Lines of the log that were lost."),
            audit_log_dropped: counter(&r, "audit_log_dropped_total", "Audit events lost on their way to their file."),
            panics: counter(&r, "panics_total", "Requests and tasks that ended in a panic."),
            registry: r,
        };
        // Series that an alarm looks at are there from the start: a counter that appears with its first event is
        // never seen to rise.
        for step in [LoginStep::Started, LoginStep::Exchanging, LoginStep::Ok] {
            metrics.login.with_label_values(&[step.as_str(), ""]);
        }
        metrics.login.with_label_values(&[LoginStep::Rejected.as_str(), "login-loop"]);
        for reason in SessionEnd::ALL {
            metrics.sessions_ended.with_label_values(&[reason.as_str()]);
        }
        for operation in StoreOperation::ALL {
            metrics.store_errors.with_label_values(&[operation.as_str()]);
        }
        for limit in Limit::ALL {
            metrics.limits.with_label_values(&[limit.as_str()]);
        }
        metrics
    }

    /// The counters of one upstream; of requests that reached none under the name `-`.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            requests: per_label(&self.requests, Outcome::ALL, |outcome| [name, outcome.as_str()]),
            denied: per_label(&self.denied, Denial::ALL, |reason| [name, reason.as_str()]),
            seconds: self.upstream_seconds.with_label_values(&[name]),
        }
    }

    /// The counters of one provider, under its label.
    #[must_use]
    pub fn provider(&self, label: &str) -> ProviderMetrics {
        let calls = |endpoint: &ProviderEndpoint| CallMetrics {
            outcomes: per_label(&self.provider_calls, CallOutcome::ALL, |outcome| {
                [label, endpoint.as_str(), outcome.as_str()]
            }),
            seconds: self.provider_seconds.with_label_values(&[label, endpoint.as_str()]),
        };
        ProviderMetrics {
            calls: ProviderEndpoint::ALL.iter().map(calls).collect(),
            refresh: per_label(&self.refresh, RefreshOutcome::ALL, |outcome| [label, outcome.as_str()]),
            sessions_begun: self.sessions_begun.with_label_values(&[label]),
            without_refresh_token: self.without_refresh_token.with_label_values(&[label]),
            up: self.provider_up.with_label_values(&[label]),
            skew: self.provider_skew.with_label_values(&[label]),
        }
    }

    /// Counts an answer of the gateway; `code` is one of the closed list of reason codes.
    pub fn refusal(&self, code: &'static str) {
        self.refusals.with_label_values(&[code]).inc();
    }

    /// Counts a step of a login that went well.
    pub fn login(&self, step: LoginStep) {
        self.login.with_label_values(&[step.as_str(), ""]).inc();
    }

    /// Counts a login that was refused; `code` is one of the closed list of reason codes.
    pub fn login_rejected(&self, code: &'static str) {
        self.login.with_label_values(&[LoginStep::Rejected.as_str(), code]).inc();
    }

    /// Counts the end of a session.
    pub fn session_ended(&self, reason: SessionEnd) {
        self.sessions_ended.with_label_values(&[reason.as_str()]).inc();
    }

    /// Counts a failure of the store.
    pub fn store_error(&self, operation: StoreOperation) {
        self.store_errors.with_label_values(&[operation.as_str()]).inc();
    }

    /// Counts input that was not HTTP; `kind` is a literal of the code that saw it.
    pub fn malformed(&self, kind: &'static str) {
        self.malformed.with_label_values(&[kind]).inc();
    }

    /// Counts what a limit turned away.
    pub fn limit_reached(&self, limit: Limit) {
        self.limits.with_label_values(&[limit.as_str()]).inc();
    }

    /// The counter of a limit, for whoever cannot come back here.
    #[must_use]
    pub fn limit(&self, limit: Limit) -> IntCounter {
        self.limits.with_label_values(&[limit.as_str()])
    }

    /// Everything in the text format of Prometheus.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to memory does not fail, and no family without samples is gathered; what is there is served.
        let _ = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text);
        text
    }
}

/// What is counted for one upstream; each call is one atomic operation or few.
#[derive(Clone, Debug)]
pub struct UpstreamMetrics {
    requests: Box<[IntCounter]>,
    denied: Box<[IntCounter]>,
    seconds: Histogram,
}

impl UpstreamMetrics {
    /// Counts a request.
    pub fn request(&self, outcome: Outcome) {
        if let Some(counter) = self.requests.get(outcome as usize) {
            counter.inc();
        }
    }

    /// Counts a request of somebody who is logged in and may not in.
    pub fn denied(&self, reason: Denial) {
        if let Some(counter) = self.denied.get(reason as usize) {
            counter.inc();
        }
    }

    /// Notes how long the upstream took until the head of its answer.
    pub fn responded(&self, after: Duration) {
        self.seconds.observe(after.as_secs_f64());
    }
}

#[derive(Clone, Debug)]
struct CallMetrics {
    outcomes: Box<[IntCounter]>,
    seconds: Histogram,
}

/// What is counted for one provider.
#[derive(Clone, Debug)]
pub struct ProviderMetrics {
    calls: Box<[CallMetrics]>,
    refresh: Box<[IntCounter]>,
    /// Sessions that began with an identity of this provider.
    pub sessions_begun: IntCounter,
    /// Logins whose access token runs out before the session, with no refresh token.
    pub without_refresh_token: IntCounter,
    up: IntGauge,
    skew: IntGauge,
}

impl ProviderMetrics {
    /// Counts a call and notes how long it took.
    pub fn called(&self, endpoint: ProviderEndpoint, outcome: CallOutcome, took: Duration) {
        let Some(calls) = self.calls.get(endpoint as usize) else { return };
        if let Some(counter) = calls.outcomes.get(outcome as usize) {
            counter.inc();
        }
        calls.seconds.observe(took.as_secs_f64());
    }

    /// Counts a refresh.
    pub fn refreshed(&self, outcome: RefreshOutcome) {
        if let Some(counter) = self.refresh.get(outcome as usize) {
            counter.inc();
        }
    }

    /// Says whether logins can be begun at the provider.
    pub fn set_up(&self, up: bool) {
        self.up.set(i64::from(up));
    }

    /// Notes how far the provider's clock is ahead of ours, in seconds.
    pub fn set_skew(&self, seconds: i64) {
        self.skew.set(seconds);
    }
}

fn per_label<'a, L, const N: usize>(
    counters: &IntCounterVec,
    all: &'static [L],
    labels: impl Fn(&'static L) -> [&'a str; N],
) -> Box<[IntCounter]> {
    all.iter().map(|label| counters.with_label_values(&labels(label))).collect()
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(name, help).namespace("vestibule")
}

#[expect(clippy::expect_used, reason = "names and labels are literals of this file, made once at the start")]
fn register<C: Collector + Clone + 'static>(registry: &Registry, made: prometheus::Result<C>) -> C {
    let collector = made.expect("a metric's literals are well formed");
    registry.register(Box::new(collector.clone())).expect("a metric's name is used once");
    collector
}

fn counter(registry: &Registry, name: &str, help: &str) -> IntCounter {
    register(registry, IntCounter::with_opts(options(name, help)))
}

pub(super) fn gauge(registry: &Registry, name: &str, help: &str) -> IntGauge {
    register(registry, IntGauge::with_opts(options(name, help)))
}

pub(super) fn counters(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    register(registry, IntCounterVec::new(options(name, help), labels))
}

fn gauges(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    register(registry, IntGaugeVec::new(options(name, help), labels))
}

fn histograms(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::from(options(name, help)).buckets(BUCKETS.to_vec());
    register(registry, HistogramVec::new(options, labels))
}

#[cfg(test)]
mod tests;
