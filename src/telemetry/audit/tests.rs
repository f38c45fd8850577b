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
    let event = AuditEvent::LoginOk { provider: "corp", user, session: "s:1" };
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
