//! What happens when somebody is logged in and may not in: the refusal, its line, its count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Gateway;
use super::code::Code;
use super::ingress::Ingress;
use super::refusal::Refusal;
use super::route::Route;
use super::rule::Requirements;
use crate::policy::DenyReason;
use crate::session::OpenedSession;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::Denial;

/// Between two lines that say what to change at the provider.
const PAUSE: Duration = Duration::from_secs(60);

/// When the next line about groups that were left out may be written: one person's browser asks many times.
#[derive(Debug, Default)]
pub(super) struct OverageNotice {
    /// Milliseconds of the monotonic clock.
    from: AtomicU64,
}

impl OverageNotice {
    /// Whether a line is due at `now`, which is then taken.
    fn is_due(&self, now: Duration) -> bool {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (now, next) = (millis(now), millis(now.saturating_add(PAUSE)));
        let from = self.from.load(Ordering::Relaxed);
        now >= from && self.from.compare_exchange(from, next, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

/// Counts and tells of a denial. The answer names the account, which its person may know, and never the rule.
pub(super) fn denied(
    gateway: &Gateway,
    ingress: &Ingress,
    route: &Route,
    requirements: &Requirements<'_>,
    session: &OpenedSession,
    reason: DenyReason,
) -> Refusal {
    let upstream = route.settings.upstream.name.as_str();
    tell(gateway, ingress, route, requirements, session, label(reason));
    if reason == DenyReason::GroupsOverage && route.overage.is_due(gateway.clock.monotonic()) {
        tracing::warn!(
            event = "access.groups-overage",
            upstream,
            provider = route.known.label(),
            "the provider left somebody's groups out of the token, because there are too many, and this upstream needs \
             them. At Entra ID: under \"Token configuration\" let the groups claim hold only \"Groups assigned to the \
             application\" and assign them, or use app roles with claims.groups = \"roles\""
        );
    }
    let code = match reason {
        DenyReason::GroupsOverage => Code::GroupsOverage,
        DenyReason::NotAllowed | DenyReason::ClaimMissing | DenyReason::EmailNotVerified => Code::Forbidden,
    };
    Refusal::of(code).with_detail(reason.as_str()).with_session(session)
}

/// 403 for somebody whose login was not granted what the upstream needs. What that is may be said: the person can have
/// declined it.
pub(super) fn not_granted(
    gateway: &Gateway,
    ingress: &Ingress,
    route: &Route,
    requirements: &Requirements<'_>,
    session: &OpenedSession,
    missing: &[&str],
) -> Refusal {
    tell(gateway, ingress, route, requirements, session, Denial::ScopeNotGranted);
    Refusal::of(Code::ScopeNotGranted).with_session(session).with_missing_scopes(missing)
}

/// Counts and tells of a denial, under the one name that its reason has in logs and metrics.
pub(super) fn tell(
    gateway: &Gateway,
    ingress: &Ingress,
    route: &Route,
    requirements: &Requirements<'_>,
    session: &OpenedSession,
    reason: Denial,
) {
    route.metrics.denied(reason);
    gateway.audit(
        Some(ingress),
        &AuditEvent::AuthzDenied {
            upstream: &route.settings.upstream.name,
            rule: requirements.rule_name(),
            user: gateway.user_in_logs(session),
            session: session.reference(),
            reason: reason.as_str(),
        },
    );
}

const fn label(reason: DenyReason) -> Denial {
    match reason {
        DenyReason::NotAllowed => Denial::NotAllowed,
        DenyReason::ClaimMissing => Denial::ClaimMissing,
        DenyReason::EmailNotVerified => Denial::EmailNotVerified,
        DenyReason::GroupsOverage => Denial::GroupsOverage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_about_left_out_groups_is_due_once_a_minute() {
        let notice = OverageNotice::default();
        let due: Vec<bool> = [0, 1, 59, 60, 61, 200].map(|at| notice.is_due(Duration::from_secs(at))).to_vec();
        assert_eq!(due, [true, false, false, true, false, true]);
    }

    #[test]
    fn a_reason_has_one_name_in_logs_and_metrics() {
        for reason in
            [DenyReason::NotAllowed, DenyReason::ClaimMissing, DenyReason::EmailNotVerified, DenyReason::GroupsOverage]
        {
            assert_eq!(label(reason).as_str(), reason.as_str());
        }
    }
}
