use std::time::Duration;

use super::*;
use crate::telemetry::labels::{CallOutcome, Denial, Outcome, ProviderEndpoint, RefreshOutcome};

#[test]
fn what_was_counted_is_served_under_its_labels() {
    let metrics = Metrics::new();
    let (wiki, corp) = (metrics.upstream("wiki"), metrics.provider("corp"));
    wiki.request(Outcome::Success);
    wiki.request(Outcome::Login);
    wiki.denied(Denial::ClaimMissing);
    wiki.responded(Duration::from_millis(3));
    metrics.upstream("-").request(Outcome::Refused);
    metrics.refusal("misdirected");
    metrics.login(LoginStep::Started);
    metrics.login_rejected("state-mismatch");
    metrics.session_ended(SessionEnd::Idle);
    metrics.store_error(StoreOperation::Load);
    metrics.malformed("parse");
    metrics.limit_reached(Limit::Target);
    metrics.access_log_dropped.inc();
    corp.called(ProviderEndpoint::Token, CallOutcome::Ok, Duration::from_millis(30));
    corp.refreshed(RefreshOutcome::Uncertain);
    corp.set_up(true);
    corp.set_skew(-3);
    let text = metrics.encode();
    for line in [
        r#"vestibule_requests_total{outcome="2xx",upstream="wiki"} 1"#,
        r#"vestibule_requests_total{outcome="refused",upstream="-"} 1"#,
        r#"vestibule_upstream_response_seconds_bucket{upstream="wiki",le="0.0025"} 0"#,
        r#"vestibule_upstream_response_seconds_bucket{upstream="wiki",le="0.005"} 1"#,
        r#"vestibule_access_denied_total{reason="claim-missing",upstream="wiki"} 1"#,
        r#"vestibule_access_denied_total{reason="groups-overage",upstream="wiki"} 0"#,
        r#"vestibule_refusals_total{code="misdirected"} 1"#,
        r#"vestibule_login_total{reason="",step="started"} 1"#,
        r#"vestibule_login_total{reason="state-mismatch",step="rejected"} 1"#,
        r#"vestibule_sessions_ended_total{reason="idle"} 1"#,
        r#"vestibule_store_errors_total{operation="load"} 1"#,
        r#"vestibule_malformed_total{kind="parse"} 1"#,
        r#"vestibule_limit_reached_total{limit="target"} 1"#,
        r#"vestibule_provider_calls_total{endpoint="token",outcome="ok",provider="corp"} 1"#,
        r#"vestibule_refresh_total{outcome="uncertain",provider="corp"} 1"#,
        r#"vestibule_provider_up{provider="corp"} 1"#,
        r#"vestibule_provider_skew_seconds{provider="corp"} -3"#,
        "vestibule_access_log_dropped_total 1",
        "vestibule_panics_total 0",
    ] {
        assert!(text.lines().any(|served| served == line), "{line} is not in\n{text}");
    }
}

#[test]
fn handles_of_one_name_count_together() {
    let metrics = Metrics::new();
    metrics.upstream("wiki").request(Outcome::Success);
    metrics.upstream("wiki").request(Outcome::Success);
    assert!(metrics.encode().contains(r#"vestibule_requests_total{outcome="2xx",upstream="wiki"} 2"#));
}
