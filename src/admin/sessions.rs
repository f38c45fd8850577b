//! The administration of sessions: who has a live grant, since when and for what; and to end one, all of a person, or all.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt as _, Limited};
use serde_json::{Value, json};

use super::admission::{Denied, check_provenance, check_token};
use super::answer::{Answer, Refusal, back_to_the_list, of_json, of_page, set_request_id};
use super::ends::{Ended, SessionEnds, ToEnd};
use super::failures::Failures;
use super::listing::{Query, describe, describe_part};
use super::page;
use super::revocation::{RevocationDocument, Written};
use crate::clock::Clock;
use crate::secret::AdminToken;
use crate::session::{Sessions, StoreKey};
use crate::telemetry::audit::{AuditEvent, AuditLog};
use crate::telemetry::request_id::{RequestId, RequestIds};

pub use super::admission::ListensAt;

/// A request holds a name or two.
const BODY_LIMIT: usize = 16 << 10;
/// How long a body may take to come.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the administration works with.
pub struct AdministrationParts {
    /// Where it is asked.
    pub listens_at: ListensAt,
    /// What opens it, now and after a reload.
    pub token: Arc<ArcSwapOption<AdminToken>>,
    /// Who is logged in.
    pub sessions: Arc<Sessions>,
    /// What ends sessions.
    pub ends: Arc<dyn SessionEnds>,
    /// Numbers requests.
    pub request_ids: Arc<RequestIds>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Answers `/sessions` and what is under it.
pub struct SessionAdministration {
    parts: AdministrationParts,
    failures: Failures,
    audit: AuditLog,
}

impl fmt::Debug for AdministrationParts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("AdministrationParts").field("listens_at", &self.listens_at).finish_non_exhaustive()
    }
}

impl fmt::Debug for SessionAdministration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("SessionAdministration").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl SessionAdministration {
    /// Puts it together.
    #[must_use]
    pub fn new(parts: AdministrationParts) -> Self {
        Self { parts, failures: Failures::default(), audit: AuditLog::default() }
    }

    /// The answer to one request of `peer`; a Unix socket knows no addresses.
    pub async fn answer<B>(&self, request: Request<B>, peer: Option<IpAddr>) -> Answer
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let request_id = self.parts.request_ids.next();
        let (parts, body) = request.into_parts();
        let html = prefers_html(&parts.headers);
        let answered = match self.admit(&parts, peer) {
            Ok(()) => self.serve(&parts, body, html, &request_id).await,
            Err(denied) => Err(self.turn_away(denied, &request_id)),
        };
        let mut answer = answered.unwrap_or_else(|refusal| refusal.answer(html, &request_id));
        set_request_id(&mut answer, &request_id);
        answer
    }

    /// Where it comes from first: another page must not even learn whether a browser has the token.
    fn admit(&self, parts: &Parts, peer: Option<IpAddr>) -> Result<(), Denied> {
        if parts.uri.authority().is_some() {
            return Err(Denied::Host);
        }
        let token = self.parts.token.load();
        let needs_token = token.is_some() || self.parts.listens_at != ListensAt::Unix;
        check_provenance(&parts.method, &parts.headers, self.parts.listens_at, needs_token)?;
        if !needs_token {
            return Ok(());
        }
        let now = self.parts.clock.monotonic();
        // Without one there is nothing that could be right.
        let token = token.as_ref().ok_or(Denied::NoToken)?;
        if !self.failures.admits(peer, now) {
            return Err(Denied::TooMany);
        }
        check_token(&parts.headers, token).inspect_err(|denied| {
            if *denied == Denied::WrongToken {
                self.failures.note(peer, now);
            }
        })
    }

    fn turn_away(&self, denied: Denied, request_id: &RequestId) -> Refusal {
        let event = AuditEvent::AdminDenied { reason: denied.as_str() };
        self.audit.record(self.parts.clock.now_millis(), Some(request_id.as_str()), &event);
        match denied {
            Denied::Host => {
                let detail = "Ask by the address of this listener, or by localhost.";
                Refusal::new(StatusCode::MISDIRECTED_REQUEST, "There is no such site here", detail)
            }
            Denied::Origin | Denied::FetchMetadata => {
                let detail = "Another site has sent this, so nothing was done.";
                Refusal::new(StatusCode::FORBIDDEN, "This came from another site", detail)
            }
            Denied::Unmarked => {
                let detail = "Programs that change something send the token as Authorization: Bearer.";
                Refusal::new(StatusCode::FORBIDDEN, "Nothing says where this comes from", detail)
            }
            Denied::NoToken | Denied::WrongToken => {
                let detail = "Send the admin token as Authorization: Bearer, or as the password of Basic.";
                Refusal::new(StatusCode::UNAUTHORIZED, "The admin token is needed", detail)
            }
            Denied::TooMany => {
                let detail = "Too many wrong tokens came from this address. Try again later.";
                Refusal::new(StatusCode::TOO_MANY_REQUESTS, "Too many attempts", detail)
            }
        }
    }

    async fn serve<B>(&self, parts: &Parts, body: B, html: bool, request_id: &RequestId) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        match parts.uri.path() {
            "/sessions" if reads => self.list(parts.uri.query().unwrap_or_default(), html, request_id).await,
            "/sessions" => Err(Refusal::method("GET, HEAD")),
            "/sessions/revoke" if parts.method == Method::POST => self.revoke(parts, body, html, request_id).await,
            "/sessions/revoke" => Err(Refusal::method("POST")),
            path => {
                let name = path.strip_prefix("/sessions/").ok_or_else(Refusal::not_found)?;
                let key: StoreKey = name.parse().map_err(|_| Refusal::no_session())?;
                match parts.method {
                    Method::GET | Method::HEAD => self.show(key).await,
                    Method::DELETE => self.end(ToEnd::One(key), request_id).await.map(|ended| of_json(&told(ended))),
                    _ => Err(Refusal::method("GET, HEAD, DELETE")),
                }
            }
        }
    }

    async fn list(&self, query: &str, html: bool, request_id: &RequestId) -> Result<Answer, Refusal> {
        let query = Query::read(query).map_err(not_understood)?;
        let sessions = self.parts.sessions.list().await.map_err(|_| Refusal::store_away())?;
        let part = query.select(sessions);
        Ok(if html { of_page(page::sessions(&query, &part, request_id)) } else { of_json(&describe_part(&part)) })
    }

    async fn show(&self, key: StoreKey) -> Result<Answer, Refusal> {
        let found = self.parts.sessions.find(key).await.map_err(|_| Refusal::store_away())?;
        Ok(of_json(&describe(&found.ok_or_else(Refusal::no_session)?)))
    }

    async fn revoke<B>(&self, parts: &Parts, body: B, html: bool, request_id: &RequestId) -> Result<Answer, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let content_type = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let written = Written::of(content_type).map_err(not_understood)?;
        let whole = tokio::time::timeout(PATIENCE, Limited::new(body, BODY_LIMIT).collect()).await;
        let Ok(Ok(whole)) = whole else {
            let detail = "The body is too long, or has not come in time.";
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "The request is not correct", detail));
        };
        let asked = RevocationDocument::read(written, &whole.to_bytes()).map_err(not_understood)?;
        let which = asked.which(&self.parts.ends.issuers()).map_err(not_understood)?;
        let ended = self.end(which, request_id).await?;
        if !html || written != Written::Form {
            return Ok(of_json(&told(ended)));
        }
        // Read and written again, so that nothing but a query of ours gets into the address.
        let back = Query::read(&asked.back).unwrap_or_default().here();
        let separator = if back.is_empty() { "" } else { "&" };
        Ok(back_to_the_list(&format!("{back}{separator}ended={}", ended.ended)))
    }

    /// In a task of its own: who asks may go away, and half of the sessions would live on untold.
    async fn end(&self, which: ToEnd, request_id: &RequestId) -> Result<Ended, Refusal> {
        let ended = tokio::spawn(self.parts.ends.end(which, *request_id)).await.map_err(|_| Refusal::internal())?;
        let ended = ended.map_err(|_| {
            let detail =
                "The store of the sessions cannot be used right now. Sessions may live on. Try again in a moment.";
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Not ended", detail)
        })?;
        if ended.failed > 0 {
            let detail =
                format!("{} of the sessions live on, because the store did not take it. Try again.", ended.failed);
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "Not all have ended", detail);
            return Err(Refusal { ended: Some(told(ended)), ..refusal });
        }
        Ok(ended)
    }
}

fn told(ended: Ended) -> Value {
    let Ended { ended, revoking, failed } = ended;
    json!({ "ended": ended, "tokens_being_revoked": revoking, "failed": failed })
}

fn not_understood(why: impl fmt::Display) -> Refusal {
    Refusal::new(StatusCode::BAD_REQUEST, "The request is not correct", why.to_string())
}

/// Whether a browser asks: it names HTML, and JSON after it if at all.
fn prefers_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut ranges = accept.split(',').filter_map(|range| range.split(';').next()).map(str::trim);
    ranges.find(|range| matches!(*range, "text/html" | "application/json")) == Some("text/html")
}

#[cfg(test)]
#[path = "sessions/tests.rs"]
mod tests;
