//! Asks a target at intervals whether it is well.

use std::sync::{Arc, Weak};

use http::header::{HOST, HeaderValue, USER_AGENT};
use http::uri::{PathAndQuery, Uri};
use http::{Method, Request};

use super::connector::Wanted;
use super::endpoint::Endpoint;
use crate::upstream::request_body::RequestBody;

/// Asks as long as the target is there: a GET whose answer must be 2xx or 3xx.
pub(super) async fn run(endpoint: Weak<Endpoint>) {
    let Some((settings, request)) = endpoint.upgrade().and_then(|endpoint| {
        let settings = endpoint.health_settings().clone();
        let request = request(&endpoint, settings.path.as_deref()?)?;
        Some((settings, request))
    }) else {
        return;
    };
    let mut questions = tokio::time::interval(settings.interval);
    questions.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        questions.tick().await;
        let Some(endpoint) = endpoint.upgrade() else { return };
        let is_good = tokio::time::timeout(settings.timeout, is_good(&endpoint, request.clone())).await;
        endpoint.checked(is_good.unwrap_or(false));
    }
}

fn request(endpoint: &Endpoint, path: &str) -> Option<Request<()>> {
    let mut request = Request::new(());
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::from(PathAndQuery::try_from(path).ok()?);
    request.headers_mut().insert(HOST, endpoint.host().clone());
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static("vestibule"));
    Some(request)
}

async fn is_good(endpoint: &Arc<Endpoint>, request: Request<()>) -> bool {
    let request = request.map(|()| RequestBody::none());
    let pool = endpoint.pool();
    // Over a new connection, unless all share one: that it can be made is part of the question.
    let connection = if pool.is_shared() { pool.connection(Wanted::Any).await } else { pool.open(Wanted::Any).await };
    let Ok(connection) = connection else { return false };
    // The rest of the answer is of no interest, and ends with the connection or the stream.
    match connection.send(request, pool.connector().scheme()).await {
        Ok((response, _)) => response.status().is_success() || response.status().is_redirection(),
        Err(_) => false,
    }
}
