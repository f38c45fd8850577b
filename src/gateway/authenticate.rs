//! From the cookie of a request to the session that is behind it.

use std::sync::Arc;

use http::HeaderMap;

use super::Gateway;
use super::code::Code;
use super::ingress::Ingress;
use super::refusal::Refusal;
use super::rule::Requirements;
use crate::cookie::{self, Lookup};
use crate::origin::Host;
use crate::session::Opened;
use crate::session::OpenedSession;
use crate::session::{SessionError, WhyNot};
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::StoreOperation;

/// What is known about who asks.
#[derive(Debug)]
pub(super) enum Authentication {
    /// Nobody looked: the path is public.
    Public,
    /// There is no session, and why.
    Anonymous(&'static str),
    /// A live session.
    Session(Arc<OpenedSession>),
}

/// Looks a session up, unless the path is public.
pub(super) async fn authenticate(
    gateway: &Gateway,
    ingress: &Ingress,
    headers: &HeaderMap,
    requirements: &Requirements<'_>,
) -> Result<Authentication, Refusal> {
    if requirements.public {
        return Ok(Authentication::Public);
    }
    Ok(match session_of(gateway, &ingress.host, headers).await? {
        Ok(session) => Authentication::Session(session),
        Err(why) => Authentication::Anonymous(why),
    })
}

/// The session behind the cookie on this host, or why there is none.
///
/// # Errors
/// A [`Refusal`] with 503 when the store cannot tell: "store away" is never "logged out".
pub(super) async fn session_of(
    gateway: &Gateway,
    host: &Host,
    headers: &HeaderMap,
) -> Result<Result<Arc<OpenedSession>, &'static str>, Refusal> {
    let value = match cookie::find(headers, gateway.cookie_names.session()) {
        Lookup::Absent => return Ok(Err("no-cookie")),
        Lookup::Several => {
            gateway.audit(None, &AuditEvent::SessionCookieInvalid { kind: "several" });
            return Ok(Err("several-cookies"));
        }
        Lookup::One(value) => value,
    };
    match gateway.sessions.open(host, value).await {
        Ok(Opened::Live(session)) => Ok(Ok(session)),
        Ok(Opened::None(why)) => {
            match why {
                WhyNot::Tampered => gateway.audit(None, &AuditEvent::SessionTampered { purpose: "record" }),
                WhyNot::Expired | WhyNot::Idle | WhyNot::UnknownKey | WhyNot::OtherConfiguration => {
                    gateway.tell_of_passed();
                }
                WhyNot::Malformed => {
                    gateway.audit(None, &AuditEvent::SessionCookieInvalid { kind: why.as_str() });
                }
                _ => {}
            }
            Ok(Err(why.as_str()))
        }
        Err(error) => Err(store_refusal(gateway, StoreOperation::Load, &error)),
    }
}

/// Counts and tells of a failure of the session room, and how it is answered.
pub(super) fn store_refusal(gateway: &Gateway, operation: StoreOperation, error: &SessionError) -> Refusal {
    match error {
        SessionError::NoEntropy(_) => Refusal::of(Code::NoEntropy),
        SessionError::AtCapacity => Refusal::of(Code::AtCapacity),
        SessionError::TooLarge(_) => Refusal::of(Code::TokenInvalid).with_detail("too-large"),
        _ => {
            gateway.store_failed(operation);
            Refusal::of(Code::StoreUnavailable)
        }
    }
}
