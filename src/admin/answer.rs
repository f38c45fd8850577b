//! How the administration of sessions answers: JSON for programs, pages for people.

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::page;
use crate::telemetry::request_id::RequestId;

pub(super) type Answer = Response<Full<Bytes>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Every answer of ours that is a page shows nothing but itself, and posts to this listener alone.
const POLICY: &str = "default-src 'none'; style-src 'sha256-ZFp4Oj7X20VPE2Tfm545YQLHI1DWbR+PyRFCRKe8rzg='; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Why somebody does not get what they asked for.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) title: &'static str,
    /// What to do about it.
    pub(super) detail: String,
    /// The methods that there are instead.
    pub(super) allow: Option<&'static str>,
    /// What has become of those sessions that could be ended.
    pub(super) ended: Option<Value>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), allow: None, ended: None }
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "There is nothing here", "Sessions are listed at /sessions.")
    }

    pub(super) fn no_session() -> Self {
        let detail = "No live session has this name. It may have ended.";
        Self::new(StatusCode::NOT_FOUND, "There is no such session", detail)
    }

    pub(super) fn method(allow: &'static str) -> Self {
        let detail = "Another method is needed for this.";
        Self { allow: Some(allow), ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "This cannot be done here", detail) }
    }

    pub(super) fn store_away() -> Self {
        let detail = "The store of the sessions cannot be read right now. Try again in a moment.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "The sessions cannot be read", detail)
    }

    pub(super) fn internal() -> Self {
        let detail = "This is a fault of the gateway. Its log says where.";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong", detail)
    }

    /// Its answer, as a page if a person asks.
    pub(super) fn answer(self, html: bool, request_id: &RequestId) -> Answer {
        let mut response = if html {
            of_page(page::refusal(&self, request_id))
        } else {
            let mut problem = json!({
                "title": self.title,
                "status": self.status.as_u16(),
                "detail": self.detail,
                "request_id": request_id.as_str(),
            });
            if let (Some(Value::Object(ended)), Some(problem)) = (self.ended, problem.as_object_mut()) {
                problem.extend(ended);
            }
            response("application/problem+json", problem.to_string())
        };
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        match self.status {
            StatusCode::UNAUTHORIZED => {
                let basic = HeaderValue::from_static("Basic realm=\"vestibule admin\", charset=\"UTF-8\"");
                headers.append(WWW_AUTHENTICATE, basic);
                headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"vestibule admin\""));
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("6"));
            }
            _ => {}
        }
        response
    }
}

pub(super) fn of_json(body: &Value) -> Answer {
    response("application/json", body.to_string())
}

pub(super) fn of_page(body: String) -> Answer {
    let mut response = response("text/html; charset=utf-8", body);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// Sends a browser back to the list, so that a reload posts nothing again.
pub(super) fn back_to_the_list(query: &str) -> Answer {
    let mut response = response("text/plain; charset=utf-8", String::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    // A URL-encoded query can stand in any header.
    let location = HeaderValue::try_from(format!("/sessions?{query}"));
    response.headers_mut().insert(LOCATION, location.unwrap_or(HeaderValue::from_static("/sessions")));
    response
}

pub(super) fn set_request_id(response: &mut Answer, id: &RequestId) {
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
}

fn response(content_type: &'static str, body: String) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Under `no-referrer` the buttons would be posted with `Origin: null`.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
