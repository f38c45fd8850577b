//! Metrics with bounded labels; what the path of a request touches is looked up once, when the configuration is read.

mod handles;
pub(super) mod registered;

use prometheus::{HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

pub use handles::{ProviderMetrics, UpstreamMetrics};

use super::labels::{Limit, LoginStep, SessionEnd, StoreOperation};
use super::reload_metrics::ReloadMetrics;
use registered::{counter, counters, gauge, gauges, histograms};

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
    upstream_targets_out: IntGaugeVec,
    store_errors: IntCounterVec,
    malformed: IntCounterVec,
    limits: IntCounterVec,
    /// Readings of the configuration.
    pub config: ReloadMetrics,
    /// Sessions that are alive, as far as this process knows.
    pub sessions_live: IntGauge,
    /// 1 while the session store answers.
    pub store_up: IntGauge,
    /// 1 while what other replicas do may be missed.
    pub store_deaf: IntGauge,
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
            upstream_targets_out: gauges(
                &r,
                "upstream_targets_out",
                "Targets of an upstream that are left out, because requests or checks fail.",
                &["upstream"],
            ),
            store_errors: counters(&r, "store_errors_total", "Failures of the session store.", &["operation"]),
            malformed: counters(&r, "malformed_total", "Input that could not be read as HTTP.", &["kind"]),
            limits: counters(&r, "limit_reached_total", "What limits turned away.", &["limit"]),
            config: ReloadMetrics::new(&r),
            sessions_live: gauge(&r, "sessions_live", "Sessions that are alive in this process's store."),
            store_up: gauge(&r, "store_up", "1 while the session store answers, by the last operation on it."),
            store_deaf: gauge(
                &r,
                "store_deaf",
                "1 while what other replicas do to sessions may be missed, so that each session is read again.",
            ),
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

#[cfg(test)]
mod tests;
