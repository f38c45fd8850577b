//! The sample upstream: an application without any login, which shows what the gateway has sent it.

mod events;
mod received;
mod token;
mod web_socket;

use std::convert::Infallible;
use std::sync::Arc;

use askama::Template;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::Full;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use super::page;
use crate::clock::{Clock, Timestamp};
use received::Received;
use token::UnverifiedToken;

/// The body of an answer: complete, or a stream of events.
pub type SampleBody = UnsyncBoxBody<Bytes, Infallible>;

const SCRIPT: &str = include_str!("../pages/sample.js");

/// Answers one request.
///
/// - `/whoami`: method, target and headers as JSON
/// - `/ws`: a WebSocket that sends back what it gets
/// - `/events`: one server-sent event a second
/// - `/public/hello`: a page that needs nobody
/// - anything else: the page that shows what was received; 404 unless it is `/`
pub fn respond(request: Request<Incoming>, clock: &Arc<dyn Clock>) -> Response<SampleBody> {
    match request.uri().path() {
        "/ws" => web_socket::accept(request),
        "/events" if request.method() == Method::GET => events::stream(Arc::clone(clock)),
        "/whoami" => whoami(&Received::of(&request)),
        "/public/hello" => complete(hello(&Received::of(&request))),
        "/favicon.ico" => complete(empty(StatusCode::NO_CONTENT)),
        path => {
            let status = if path == "/" { StatusCode::OK } else { StatusCode::NOT_FOUND };
            complete(show(status, &request, clock.now()))
        }
    }
}

fn complete(response: Response<Full<Bytes>>) -> Response<SampleBody> {
    response.map(BodyExt::boxed_unsync)
}

fn empty(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn whoami(received: &Received) -> Response<SampleBody> {
    let mut response = empty(StatusCode::OK);
    *response.body_mut() = Full::new(Bytes::from(received.to_json().to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    complete(response)
}

#[derive(Template)]
#[template(path = "demo/pages/sample.html")]
struct SamplePage<'a> {
    style: &'static str,
    script: &'static str,
    received: &'a Received,
    token: Option<&'a UnverifiedToken>,
    left: Option<u64>,
    known_path: bool,
}

fn show(status: StatusCode, request: &Request<Incoming>, now: Timestamp) -> Response<Full<Bytes>> {
    let received = Received::of(request);
    let token = UnverifiedToken::of(request.headers());
    let left = token.as_ref().and_then(|token| token.expires).map(|expires| expires.since(now).as_secs());
    let known_path = status == StatusCode::OK;
    let (script, token) = (SCRIPT, token.as_ref());
    let rendered = SamplePage { style: page::STYLE, script, received: &received, token, left, known_path }.render();
    page::answer(status, rendered, Some(SCRIPT))
}

#[derive(Template)]
#[template(path = "demo/pages/hello.html")]
struct HelloPage {
    style: &'static str,
    headers: usize,
}

fn hello(received: &Received) -> Response<Full<Bytes>> {
    let rendered = HelloPage { style: page::STYLE, headers: received.headers.len() }.render();
    page::answer(StatusCode::OK, rendered, None)
}

#[cfg(test)]
mod tests;
