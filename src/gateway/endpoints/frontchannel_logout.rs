//! `GET /oauth2/frontchannel-logout?iss=&sid=`: the provider ends sessions by way of a browser, which opens this in a
//! frame of the provider's page (OpenID Connect Front-Channel Logout §2).
//!
//! Browsers keep cookies out of such frames, so it is the session's name at the provider that tells which one is meant:
//! nobody else can guess it. It is no leave to call the provider, and no cookie is looked at or deleted.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, Response, header};

use super::super::Gateway;
use super::super::code::Code;
use super::super::ingress::Ingress;
use super::super::provider_logout::{Counted, ProviderLogout};
use super::super::query::Query;
use super::super::refusal::Refusal;
use super::super::route::KnownProvider;
use super::Answer;
use super::backchannel_logout::issuer_of;
use crate::oidc::logout_token::LoggedOut;
use crate::session::EndReason;
use crate::telemetry::audit::AuditEvent;
use crate::telemetry::labels::Limit;

pub(super) async fn frontchannel_logout(gateway: &Arc<Gateway>, ingress: &Ingress) -> Answer {
    let (known, issuer) = issuer_of(gateway, ingress)?;
    let provider = known.label();
    match act(gateway, ingress, known, issuer).await {
        Ok(Counted { ended, .. }) => {
            gateway.audit(Some(ingress), &AuditEvent::FrontChannelAccepted { provider, by: "sid", ended });
            Ok(done(known))
        }
        Err(refusal) => {
            let check = Some(refusal.detail).filter(|detail| !detail.is_empty());
            let reason = refusal.code.as_str();
            gateway.audit(Some(ingress), &AuditEvent::FrontChannelRejected { provider: Some(provider), reason, check });
            Err(refusal)
        }
    }
}

async fn act(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    known: &Arc<KnownProvider>,
    issuer: &str,
) -> Result<Counted, Refusal> {
    let malformed = |detail| Refusal::of(Code::LogoutMalformed).with_detail(detail);
    let query = Query::read(ingress.query.as_deref(), &["iss", "sid"]).map_err(|_| malformed("repeated"))?;
    let (Some(named), Some(sid)) = (query.first(&["iss"]), query.first(&["sid"])) else {
        return Err(malformed("missing"));
    };
    if named != issuer {
        return Err(malformed("iss"));
    }
    if sid.is_empty() {
        return Err(malformed("sid"));
    }
    gateway.admit_logout(Limit::FrontChannelLogouts)?;
    let logout = ProviderLogout {
        known: Arc::clone(known),
        issuer: issuer.to_owned(),
        logged_out: LoggedOut::Session(sid.to_owned()),
        at: None,
        reason: EndReason::FrontChannelLogout,
        request_id: ingress.request_id,
    };
    // The page around the frame may be gone before all sessions are.
    let gateway = Arc::clone(gateway);
    let ended = tokio::spawn(async move { gateway.end_for_provider(&logout).await });
    ended.await.unwrap_or(Err(Refusal::of(Code::Internal)))
}

/// An empty page that the provider's pages alone may frame.
fn done(known: &KnownProvider) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    let ancestors = known.provider.logout_frame_origins().join(" ");
    let policy = format!("default-src 'none'; frame-ancestors {ancestors}; base-uri 'none'");
    // Origins are ASCII; should one ever not be, nobody frames the page.
    let policy = HeaderValue::try_from(policy).unwrap_or(HeaderValue::from_static("frame-ancestors 'none'"));
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
