//! What is counted for one upstream or one provider: looked up once, so that counting is an atomic operation or few.

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

use super::Metrics;
use crate::telemetry::labels::{CallOutcome, Denial, Outcome, ProviderEndpoint, RefreshOutcome};

impl Metrics {
    /// The counters of one upstream; of requests that reached none under the name `-`.
    #[must_use]
    pub fn upstream(&self, name: &str) -> UpstreamMetrics {
        UpstreamMetrics {
            requests: per_label(&self.requests, Outcome::ALL, |outcome| [name, outcome.as_str()]),
            denied: per_label(&self.denied, Denial::ALL, |reason| [name, reason.as_str()]),
            seconds: self.upstream_seconds.with_label_values(&[name]),
        }
    }

    /// How many targets of one upstream are left out.
    #[must_use]
    pub fn upstream_targets_out(&self, name: &str) -> IntGauge {
        self.upstream_targets_out.with_label_values(&[name])
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
