//! What rooms that know nothing of metrics report, turned into counters and conditions.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use crate::admin::readiness::{Condition, Readiness};
use crate::provider::observer::{CallOutcome, EndpointKind, ProviderObserver};
use crate::server::{ConnectionEnd, ConnectionObserver};
use crate::telemetry::labels::{self, Limit, ProviderEndpoint};
use crate::telemetry::metrics::{Metrics, ProviderMetrics};

/// Counts calls to one provider and shows whether it is there.
pub(super) struct ProviderCounters {
    metrics: ProviderMetrics,
    condition: Condition,
    too_many: IntCounter,
}

impl ProviderCounters {
    /// `too_many` counts the calls that the limit of calls at once has turned away.
    pub(super) fn new(metrics: &ProviderMetrics, too_many: IntCounter, readiness: &Readiness, label: &str) -> Self {
        let condition = readiness.condition(&provider_condition(label));
        // What is known of one that takes another's place stays until it is asked.
        metrics.set_up(condition.is_there());
        Self { metrics: metrics.clone(), condition, too_many }
    }
}

impl ProviderObserver for ProviderCounters {
    fn called(&self, provider: &str, endpoint: EndpointKind, outcome: CallOutcome, took: Duration) {
        if outcome == CallOutcome::Busy {
            self.too_many.inc();
        }
        // Of discovery the provider itself tells, since an answer may come and still be unusable.
        if endpoint != EndpointKind::Discovery
            && let Some(up) = is_there(outcome)
        {
            self.up(provider, up);
        }
        let endpoint = match endpoint {
            EndpointKind::Discovery => ProviderEndpoint::Metadata,
            EndpointKind::Keys => ProviderEndpoint::Keys,
            EndpointKind::Code | EndpointKind::Refresh => ProviderEndpoint::Token,
            EndpointKind::Userinfo | EndpointKind::Email => ProviderEndpoint::Userinfo,
            EndpointKind::Revocation => ProviderEndpoint::Revocation,
        };
        let outcome = match outcome {
            CallOutcome::Ok => labels::CallOutcome::Ok,
            CallOutcome::Refused => labels::CallOutcome::Rejected,
            CallOutcome::Unavailable | CallOutcome::Busy | CallOutcome::CircuitOpen => labels::CallOutcome::Unavailable,
            CallOutcome::Unreachable | CallOutcome::Interrupted => labels::CallOutcome::Unreachable,
            CallOutcome::Timeout => labels::CallOutcome::Timeout,
            CallOutcome::UnexpectedStatus | CallOutcome::UnusableBody => labels::CallOutcome::Malformed,
        };
        self.metrics.called(endpoint, outcome, took);
    }

    fn up(&self, _: &str, up: bool) {
        self.metrics.set_up(up);
        self.condition.set(up);
    }

    fn metadata_rejected(&self, _: &str, _: &'static str) {}

    fn skew(&self, _: &str, seconds: i64) {
        self.metrics.set_skew(seconds);
    }
}

/// The name of a provider's condition.
pub(super) fn provider_condition(label: &str) -> String {
    format!("provider {label}")
}

/// Whether a call shows that a provider is there or away; `None` when nothing was asked.
const fn is_there(outcome: CallOutcome) -> Option<bool> {
    match outcome {
        CallOutcome::Ok | CallOutcome::Refused | CallOutcome::UnexpectedStatus | CallOutcome::UnusableBody => {
            Some(true)
        }
        CallOutcome::Unavailable | CallOutcome::Unreachable | CallOutcome::Interrupted | CallOutcome::Timeout => {
            Some(false)
        }
        CallOutcome::Busy | CallOutcome::CircuitOpen => None,
    }
}

/// Counts connections and what was no HTTP.
pub(super) struct Connections(Arc<Metrics>);

impl Connections {
    pub(super) fn new(metrics: &Arc<Metrics>) -> Self {
        Self(Arc::clone(metrics))
    }
}

impl ConnectionObserver for Connections {
    fn opened(&self) {
        self.0.connections.inc();
    }

    fn closed(&self, end: ConnectionEnd) {
        self.0.connections.dec();
        match end {
            ConnectionEnd::Malformed(malformed) => self.0.malformed(malformed.as_str()),
            ConnectionEnd::HeaderTimeout => self.0.limit_reached(Limit::HeaderTimeout),
            ConnectionEnd::HandshakeTimeout => self.0.limit_reached(Limit::HandshakeTimeout),
            ConnectionEnd::TooManyOfAddress => self.0.limit_reached(Limit::ConnectionsPerAddress),
            ConnectionEnd::WriteTimeout => self.0.limit_reached(Limit::WriteTimeout),
            ConnectionEnd::Displaced => self.0.limit_reached(Limit::Connections),
            _ => {}
        }
    }

    fn turned_away(&self) {
        self.0.limit_reached(Limit::Connections);
    }
}
