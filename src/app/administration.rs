//! The administration of sessions, put together: whatever gateway is in force ends them.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use tower::Service;

use super::assembly::Lasting;
use crate::admin::ends::{Ended, SessionEnds, ToEnd};
use crate::admin::sessions::{AdministrationParts, ListensAt, SessionAdministration};
use crate::gateway::{EndedBy, EndedElsewhere, Gateway, WhichSessions};
use crate::server::{ConnectionInfo, Listener};
use crate::session::{EndReason, SessionError};
use crate::telemetry::request_id::RequestId;

/// The gateway in force, now and later.
struct InForce(Arc<ArcSwap<Gateway>>);

impl SessionEnds for InForce {
    fn issuers(&self) -> Vec<String> {
        self.0.load().issuers()
    }

    fn end(&self, which: ToEnd, request_id: RequestId) -> BoxFuture<'static, Result<Ended, SessionError>> {
        let gateway = self.0.load_full();
        Box::pin(async move {
            let (which, scope, user) = match which {
                ToEnd::One(key) => (WhichSessions::Named(vec![key]), "one", None),
                ToEnd::All => (WhichSessions::All, "all", None),
                ToEnd::Subject { issuer, subject } => {
                    let user = gateway.person_in_logs(&issuer, &subject, None);
                    (WhichSessions::OfSubject { issuer, subject }, "subject", Some(user))
                }
            };
            let (user, request_id) = (user.as_deref(), request_id.as_str());
            let by = EndedBy { reason: EndReason::Revoked, by: "admin", scope, user, request_id };
            let EndedElsewhere { ended, revoking, failed } = gateway.end_elsewhere(which, by).await?;
            Ok(Ended { ended, revoking, failed })
        })
    }
}

/// What answers at the admin listener.
pub(super) fn administration(
    listener: &Listener,
    lasting: &Lasting,
    current: Arc<ArcSwap<Gateway>>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<http_body_util::Full<bytes::Bytes>>,
    Error = Infallible,
    Future: Send + 'static,
> + Clone
+ Send
+ 'static {
    let listens_at = listener.local_address().map_or(ListensAt::Unix, |address| ListensAt::Tcp(address.ip()));
    let administration = Arc::new(SessionAdministration::new(AdministrationParts {
        listens_at,
        token: Arc::clone(&lasting.admin_token),
        sessions: Arc::clone(&lasting.sessions),
        ends: Arc::new(InForce(current)),
        request_ids: Arc::clone(&lasting.request_ids),
        clock: Arc::clone(&lasting.world.clock),
    }));
    tower::service_fn(move |request: Request<Incoming>| {
        let administration = Arc::clone(&administration);
        let peer = peer_of(&request);
        async move { Ok(administration.answer(request, peer).await) }
    })
}

fn peer_of(request: &Request<Incoming>) -> Option<IpAddr> {
    request.extensions().get::<ConnectionInfo>()?.peer.map(|peer| peer.ip())
}
