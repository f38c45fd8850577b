//! What audit events look like in the log.

use serde_json::Value;

use super::*;
use crate::telemetry::logging::tests::logged;

fn recorded(events: &[(u64, AuditEvent<'_>)]) -> Vec<Value> {
    let log = AuditLog::default();
    let lines = logged(|| {
        for (now_millis, event) in events {
            log.record(*now_millis, Some("r1"), event);
        }
    });
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_event_has_its_name_its_fields_and_nothing_else() {
    let event = AuditEvent::LoginRejected { provider: Some("corp"), reason: "token-invalid", check: Some("audience") };
    let [line] = &recorded(&[(0, event)])[..] else { panic!("one line") };
    let mut fields = line.as_object().unwrap().clone();
    fields.remove("timestamp").unwrap();
    let expected = serde_json::json!({
        "level": "WARN", "target": "audit", "event": "login.rejected", "request_id": "r1", "provider": "corp",
        "reason": "token-invalid", "detail": "audience",
    });
    assert_eq!(Value::Object(fields), expected);
}

#[test]
fn severities_follow_what_happened() {
    let tampered = AuditEvent::SessionTampered { purpose: "record" };
    let ended = AuditEvent::SessionEnded { user: None, session: "s:1", reason: SessionEnd::Administrator };
    let rejected = AuditEvent::ReturnUrlRejected { rule: "scheme" };
    let lines = recorded(&[(0, tampered), (0, ended), (0, rejected)]);
    let seen: Vec<_> =
        lines.iter().map(|line| (line["level"].as_str().unwrap(), line["event"].as_str().unwrap())).collect();
    assert_eq!(seen, [("ERROR", "session.tampered"), ("INFO", "session.ended"), ("WARN", "return-url.rejected")]);
    assert_eq!(lines[1]["reason"], "administrator");
}

#[test]
fn lg_04_a_hostile_user_name_stays_in_its_field() {
    let user = "eve\r\n{\"event\":\"login.ok\"}\u{2028}";
    let event = AuditEvent::LoginOk { provider: "corp", user, session: "s:1", asked: "openid", granted: "openid" };
    let lines = recorded(&[(0, event)]);
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0]["user"], user);
}

#[test]
fn a_store_that_is_away_makes_one_line_a_second() {
    let event = AuditEvent::StoreError { operation: StoreOperation::Load, kind: "unreachable" };
    let hour = 3_600_000;
    let lines = recorded(&[
        (hour, event),
        (hour, event),
        (hour + 999, event),
        (hour + 1000, event),
        (hour + 5000, event),
        (0, event),
    ]);
    let left_out: Vec<_> = lines.iter().map(|line| line["suppressed"].as_u64()).collect();
    assert_eq!(left_out, [None, Some(2), None, None], "a clock that went back does not silence the log");
}

/// One of each kind, with every field filled.
fn samples() -> Vec<AuditEvent<'static>> {
    let (provider, user, session, reason) = ("corp", "u:1", "s:1", "reason");
    let mut samples = vec![
        AuditEvent::LoginStarted { provider, flow: "login" },
        AuditEvent::LoginOk { provider, user, session, asked: "openid calendar.read", granted: "openid" },
        AuditEvent::LoginRejected { provider: Some(provider), reason, check: Some("check") },
        AuditEvent::SessionCreated { provider, user, session },
        AuditEvent::GrantNarrowed { provider, user, session, missing: "calendar.read" },
        AuditEvent::SessionsRevoked { by: "admin", scope: "subject", user: Some(user), ended: 2, failed: 1 },
        AuditEvent::AdminDenied { reason },
        AuditEvent::SessionTampered { purpose: reason },
        AuditEvent::SessionCookieInvalid { kind: reason },
        AuditEvent::RefreshOk { provider, session, generation: 2 },
        AuditEvent::RefreshFailed { provider, session, reason },
        AuditEvent::RefreshUncertain { provider, session, generation: 2 },
        AuditEvent::LogoutLocal { user, session },
        AuditEvent::LogoutAtProvider { provider, session },
        AuditEvent::LogoutRevocationFailed { provider, session, reason },
        AuditEvent::LogoutFailed { session },
        AuditEvent::BackChannelAccepted { provider, by: "sid", ended: 2, revoked: 1 },
        AuditEvent::BackChannelRejected { provider: Some(provider), reason, check: Some("aud") },
        AuditEvent::FrontChannelAccepted { provider, by: "sid", ended: 2 },
        AuditEvent::FrontChannelRejected { provider: Some(provider), reason, check: Some("iss") },
        AuditEvent::CsrfDenied { rule: reason, site: Some("cross-site") },
        AuditEvent::AuthzDenied { upstream: "wiki", rule: Some("/admin/**"), user, session, reason },
        AuditEvent::ForwardAuthDenied { reason },
        AuditEvent::UpgradeDenied { upstream: Some("wiki"), rule: reason },
        AuditEvent::ReturnUrlRejected { rule: reason },
        AuditEvent::HttpMalformed { kind: reason },
        AuditEvent::StoreError { operation: StoreOperation::Load, kind: reason },
    ];
    samples.extend(SessionEnd::ALL.iter().map(|reason| AuditEvent::SessionEnded {
        user: Some(user),
        session,
        reason: *reason,
    }));
    samples
}

/// The rows of the first table behind `heading` of the page, by their first cell.
fn first_cells(heading: &str) -> Vec<&'static str> {
    let page = include_str!("../../../docs/operations.md");
    let table = page.split(heading).nth(1).unwrap().split("\n\n").find(|part| part.starts_with("| ")).unwrap();
    table.lines().skip(2).map(|row| row.split('`').nth(1).unwrap()).collect()
}

#[test]
fn every_event_has_the_documented_fields_and_no_other() {
    let documented = first_cells("### The schema of audit events");
    let mut used = std::collections::BTreeSet::new();
    // One after the other, so that errors of the store are not held back; the second brings its count.
    let store = AuditEvent::StoreError { operation: StoreOperation::Load, kind: "unreachable" };
    let timed = samples().into_iter().map(|event| (0, event)).chain([
        (1_000_000, store),
        (1_000_000, store),
        (2_000_000, store),
    ]);
    for line in recorded(&timed.collect::<Vec<_>>()) {
        for field in line.as_object().unwrap().keys() {
            assert!(documented.contains(&field.as_str()), "{field} of {line} is not documented");
            used.insert(field.clone());
        }
    }
    assert_eq!(used.len(), documented.len(), "{used:?} of {documented:?}");
}

#[test]
fn every_end_of_a_session_is_documented() {
    let page = include_str!("../../../docs/operations.md");
    let list = page.split("`reason` of `session.ended` is one of:").nth(1).unwrap().split(".\n").next().unwrap();
    let documented: Vec<_> = list.split('`').skip(1).step_by(2).collect();
    let ends: Vec<_> = SessionEnd::ALL.iter().map(|end| end.as_str()).collect();
    assert_eq!(documented, ends);
}
