//! The one place that hands a request to an upstream; it takes a [`Permit`].

use std::sync::Arc;

use http::Response;

use super::Gateway;
use super::authorize::Permit;
use super::code::Code;
use super::ingress::{Inbound, Ingress};
use super::keeper::Keeper;
use super::refusal::Refusal;
use crate::upstream::{self, ForwardedContext, Outgoing, Principal, SharedGuard, UpstreamError};

/// Forwards a request with the identity and the token of its permit, or of nobody.
pub(super) async fn forward(
    gateway: &Arc<Gateway>,
    ingress: &Ingress,
    inbound: Inbound,
    permit: &Permit,
) -> Result<Response<upstream::Body>, Refusal> {
    let route = permit.route();
    let session = permit.session();
    let grant = session.and_then(|session| session.login_grant());
    let principal = match session {
        Some(session) => Principal {
            identity: Some(session.identity()),
            access_token: grant.map(|grant| &grant.tokens.access_token),
            id_token: grant.and_then(|grant| grant.tokens.id_token.as_ref()),
            created: Some(session.created()),
            expires: Some(session.absolute_expiry()),
        },
        None => Principal::default(),
    };
    let guard = session.map(|session| {
        let keeper = Keeper::new(gateway, &route.known, session);
        Arc::new(keeper) as SharedGuard
    });
    let outgoing = Outgoing {
        path: ingress.path.as_str(),
        query: ingress.query.as_deref(),
        principal,
        forwarded: ForwardedContext {
            peer: ingress.peer,
            scheme: gateway.public_url.scheme(),
            host: &ingress.host,
            request_id: ingress.request_id.as_str(),
        },
        upgrade: ingress.upgrade,
        guard,
    };
    let Inbound { parts, body } = inbound;
    route.upstream.forward(parts, body, outgoing).await.map_err(|error| {
        let refusal = refusal(&error);
        tracing::warn!(
            event = "upstream.error",
            upstream = route.settings.upstream.name,
            code = refusal.code.as_str(),
            %error,
            request_id = ingress.request_id.as_str(),
        );
        refusal
    })
}

fn refusal(error: &UpstreamError) -> Refusal {
    Refusal::of(match error {
        UpstreamError::Unreachable(_) | UpstreamError::ConnectTimeout => Code::UpstreamUnreachable,
        UpstreamError::ResponseTimeout => Code::UpstreamTimeout,
        UpstreamError::BadAnswer(_) | UpstreamError::HeadTooLarge => Code::UpstreamBadAnswer,
        UpstreamError::ClaimNotAHeader { .. } => Code::ClaimNotAHeader,
        UpstreamError::Loop => Code::Loop,
        UpstreamError::UpgradeRefused(_) => Code::UpgradeRefused,
        UpstreamError::RequestBody(_) => Code::MalformedHeader,
        UpstreamError::Target(_) => Code::MalformedPath,
        UpstreamError::SessionEnded => Code::Unauthenticated,
    })
}
