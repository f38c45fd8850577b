//! Decisions: the way of a request from ingress to upstream and back.
//!
//! [`Gateway::respond`] reads as that way: ingress, route, authenticate, authorize, forward. Each step takes the type
//! that the step before made, so that none can be left out.

mod address_rate;
mod answer;
mod asked;
mod audience;
mod authenticate;
mod authorize;
pub mod body;
pub mod canonical_path;
pub mod code;
mod cross_site;
mod current_providers;
mod denial;
mod ended_elsewhere;
mod ending;
mod endpoints;
mod exchange_refresh;
pub mod explain;
mod field;
pub mod form;
mod forward;
mod forward_auth;
mod forwarded_elements;
mod grpc;
mod http2;
mod ingress;
mod keeper;
mod method;
mod own_addresses;
mod page;
pub mod pattern;
pub mod provenance;
mod provider_logout;
pub mod query;
mod rate;
mod refresh;
mod refusal;
pub mod respond;
mod revocation;
pub mod route;
mod rule;
pub mod settings;
#[cfg(test)]
mod simulation;
mod site;
mod step_up;
mod token_endpoint;
mod transport_security;
mod web_sockets;

use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;

use answer::Answered;
use body::Body;
pub use ended_elsewhere::{EndedBy, EndedElsewhere, WhichSessions};
use ingress::{Inbound, Ingress};
use refusal::Refusal;
use route::{FORWARD_AUTH, Route, Routed};
pub use site::{Gateway, GatewayParts};

use crate::upstream::WebSocketHandshake;

impl Gateway {
    /// Answers one request.
    pub async fn respond(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let request_id = self.request_ids.next();
        let started = self.clock.monotonic();
        let (ingress, inbound) = match Ingress::read(request, self.rules(), request_id) {
            Ok(read) => read,
            Err(refused) => return self.answer_refused(&refused, started),
        };
        let mut answered = Answered::default();
        let routed = self.routes.route(&ingress);
        if let Routed::Endpoint(rest) = &routed
            && let Some(rest) = rest.strip_prefix(FORWARD_AUTH).filter(|_| ingress.is_forward_auth)
        {
            return Box::pin(self.answer_proxy(&ingress, inbound, rest, started)).await;
        }
        // A provider is no browser that could be led astray, and its logout tokens are signed.
        let is_of_provider = matches!(&routed, Routed::Endpoint(rest) if endpoints::is_back_channel(rest));
        if let Some(answer) = transport_security::insist(self, &ingress).filter(|_| !is_of_provider) {
            return self.answer(&ingress, answer.map(|response| response.map(Body::from)), &answered, started);
        }
        let response = match routed {
            // A success would be the opening of its WebSocket, and there is none here.
            Routed::Endpoint(_) if ingress.upgrade.is_some_and(WebSocketHandshake::is_over_http2) => {
                Err(Refusal::of(code::Code::UpgradeRefused))
            }
            Routed::Nowhere => Err(Refusal::of(code::Code::NotFound)),
            Routed::Endpoint(rest) => {
                // Boxed: a login needs much more room than a proxied request, which would be moved along with it.
                Box::pin(endpoints::serve(self, &ingress, inbound, &rest))
                    .await
                    .map(|response| response.map(Body::from))
            }
            // Another proxy carries its requests; whoever comes here instead would be let in by nobody.
            Routed::Upstream(route) if route.settings.forward_auth() => Err(Refusal::of(code::Code::NotFound)),
            Routed::Upstream(route) => self.proxy(&ingress, inbound, route, &mut answered).await,
        };
        self.answer(&ingress, response, &answered, started)
    }

    async fn proxy(
        self: &Arc<Self>,
        ingress: &Ingress,
        inbound: Inbound,
        route: Arc<Route>,
        answered: &mut Answered,
    ) -> Result<Response<Body>, Refusal> {
        let Answered { route: known_route, session: known_session } = answered;
        let route: &Route = known_route.insert(route);
        let headers = &inbound.parts.headers;
        let requirements = route.requirements(&ingress.method, &ingress.path);
        let permit = match authenticate::authenticate(self, ingress, headers, &requirements).await {
            Ok(authentication) => {
                authorize::authorize(self, ingress, headers, route, &requirements, authentication).await
            }
            Err(refusal) => Err(refusal),
        };
        let permit = match permit {
            Ok(permit) => permit,
            Err(refusal) => {
                return self.turn_away(ingress, inbound, refusal).await.map(|response| response.map(Body::from));
            }
        };
        *known_session = permit.session().cloned();
        forward::forward(self, ingress, inbound, &permit).await.map(|response| response.map(Body::from))
    }
}
