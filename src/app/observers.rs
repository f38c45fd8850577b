//! What rooms that know nothing of metrics report, turned into counters and conditions.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use crate::admin::readiness::{Condition, Readiness};
use crate::provider::observer::{CallOutcome, EndpointKind, ProviderObserver};
use crate::provider::settings::ProviderSettings;
use crate::server::{ConnectionEnd, ConnectionObserver};
use crate::telemetry::labels::{self, Limit, ProviderEndpoint};
use crate::telemetry::metrics::{Metrics, ProviderMetrics};

/// Counts calls to providers and shows which of them are there.
pub(super) struct Providers {
    known: HashMap<String, (ProviderMetrics, Condition)>,
    too_many: IntCounter,
}

impl Providers {
    pub(super) fn new(metrics: &Metrics, readiness: &Readiness, providers: &[ProviderSettings]) -> Self {
        let known = providers.iter().map(|settings| {
            let label = settings.label().to_owned();
            let counted = metrics.provider(&label);
            counted.set_up(false);
            let condition = readiness.condition(&format!("provider {label}"));
            (label, (counted, condition))
        });
        Self { known: known.collect(), too_many: metrics.limit(Limit::ProviderCalls) }
    }
}

impl ProviderObserver for Providers {
    fn called(&self, provider: &str, endpoint: EndpointKind, outcome: CallOutcome, took: Duration) {
        let Some((metrics, _)) = self.known.get(provider) else { return };
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
        metrics.called(endpoint, outcome, took);
    }

    fn up(&self, provider: &str, up: bool) {
        if let Some((metrics, condition)) = self.known.get(provider) {
            metrics.set_up(up);
            condition.set(up);
        }
    }

    fn metadata_rejected(&self, _: &str, _: &'static str) {}

    fn skew(&self, provider: &str, seconds: i64) {
        if let Some((metrics, _)) = self.known.get(provider) {
            metrics.set_skew(seconds);
        }
    }
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
            ConnectionEnd::WriteTimeout => self.0.limit_reached(Limit::WriteTimeout),
            ConnectionEnd::Displaced => self.0.limit_reached(Limit::Connections),
            _ => {}
        }
    }

    fn turned_away(&self) {
        self.0.limit_reached(Limit::Connections);
    }
}
