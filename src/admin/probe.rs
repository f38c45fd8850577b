//! The probe listener: read only, without names of people, hosts or URLs.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use tower::Service;

use crate::telemetry::metrics::Metrics;

use super::readiness::{InForce, Phase, Readiness};

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
/// The text format of Prometheus.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Answers `/livez`, `/readyz` and `/metrics`.
#[derive(Clone, Debug)]
pub struct Probe {
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
}

impl Probe {
    /// Probes of this state and these metrics.
    #[must_use]
    pub const fn new(readiness: Arc<Readiness>, metrics: Arc<Metrics>) -> Self {
        Self { readiness, metrics }
    }

    /// The answer to one request; its body is never read, and the server leaves the answer's out for HEAD.
    #[must_use]
    pub fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = response(StatusCode::METHOD_NOT_ALLOWED, TEXT, "method not allowed\n".to_owned());
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match request.uri().path() {
            "/livez" => response(StatusCode::OK, TEXT, "ok\n".to_owned()),
            "/readyz" => self.readyz(request.uri().query()),
            "/metrics" => response(StatusCode::OK, EXPOSITION, self.metrics.encode()),
            _ => response(StatusCode::NOT_FOUND, TEXT, "not found\n".to_owned()),
        }
    }

    fn readyz(&self, query: Option<&str>) -> Response<Full<Bytes>> {
        let (status, phase) = match self.readiness.phase() {
            Phase::Starting => (StatusCode::SERVICE_UNAVAILABLE, "starting"),
            Phase::Ready => (StatusCode::OK, "ready"),
            Phase::Draining => (StatusCode::SERVICE_UNAVAILABLE, "draining"),
        };
        let verbose = |parameter: &str| parameter == "verbose" || parameter.starts_with("verbose=");
        if !query.is_some_and(|query| query.split('&').any(verbose)) {
            return response(status, TEXT, format!("{phase}\n"));
        }
        let conditions: Map<String, Value> =
            self.readiness.conditions().into_iter().map(|(name, there)| (name, Value::Bool(there))).collect();
        let mut told = json!({ "status": phase, "conditions": conditions });
        if let (Some(in_force), Some(told)) = (self.readiness.in_force(), told.as_object_mut()) {
            told.insert("configuration".to_owned(), describe(&in_force));
        }
        response(status, JSON, told.to_string())
    }
}

fn describe(in_force: &InForce) -> Value {
    let since = i64::try_from(in_force.since.as_seconds()).ok().and_then(|at| jiff::Timestamp::from_second(at).ok());
    json!({
        "digest": in_force.digest,
        "generation": in_force.generation,
        "since": since.map(|since| since.to_string()),
        "newer_refused": in_force.refused,
    })
}

fn response(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

impl<B> Service<Request<B>> for Probe {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    use super::*;
    use crate::clock::Timestamp;

    fn probe() -> Probe {
        Probe::new(Arc::new(Readiness::new()), Arc::new(Metrics::new()))
    }

    async fn ask(probe: &Probe, method: Method, uri: &str) -> (u16, String, Response<()>) {
        let request = Request::builder().method(method).uri(uri).body(()).unwrap();
        let (parts, body) = probe.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap(), Response::from_parts(parts, ()))
    }

    async fn get(probe: &Probe, uri: &str) -> (u16, String) {
        let (status, body, _) = ask(probe, Method::GET, uri).await;
        (status, body)
    }

    #[tokio::test]
    async fn liveness_is_told_in_every_phase() {
        let probe = probe();
        assert_eq!(get(&probe, "/livez").await, (200, "ok\n".to_owned()));
        probe.readiness.set_draining();
        assert_eq!(get(&probe, "/livez").await.0, 200);
    }

    #[tokio::test]
    async fn readiness_follows_the_phase() {
        let probe = probe();
        assert_eq!(get(&probe, "/readyz").await, (503, "starting\n".to_owned()));
        probe.readiness.set_ready();
        assert_eq!(get(&probe, "/readyz").await, (200, "ready\n".to_owned()));
        probe.readiness.set_draining();
        assert_eq!(get(&probe, "/readyz").await, (503, "draining\n".to_owned()));
    }

    #[tokio::test]
    async fn di_07_what_is_away_is_told_and_changes_nothing() {
        let probe = probe();
        probe.readiness.set_ready();
        probe.readiness.condition("store").set(true);
        probe.readiness.condition("provider corp").set(false);
        let (status, body) = get(&probe, "/readyz?verbose").await;
        assert_eq!(status, 200);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, json!({ "status": "ready", "conditions": { "store": true, "provider corp": false } }));
    }

    #[tokio::test]
    async fn ad_08_the_configuration_in_force_is_a_digest_and_a_time() {
        let probe = probe();
        probe.readiness.set_ready();
        probe.readiness.set_in_force("0123456789ab".to_owned(), Timestamp::from_seconds(1_800_000_000));
        let told = |body: String| serde_json::from_str::<Value>(&body).unwrap()["configuration"].clone();
        let mut expected = json!({
            "digest": "0123456789ab", "generation": 1, "since": "2027-01-15T08:00:00Z", "newer_refused": false,
        });
        assert_eq!(told(get(&probe, "/readyz?verbose").await.1), expected);
        probe.readiness.set_refused(true);
        expected["newer_refused"] = true.into();
        let (status, body) = get(&probe, "/readyz?verbose").await;
        assert_eq!((status, told(body)), (200, expected));
        probe.readiness.set_in_force("ba9876543210".to_owned(), Timestamp::from_seconds(1_800_000_001));
        let now = told(get(&probe, "/readyz?verbose").await.1);
        assert_eq!((&now["generation"], &now["newer_refused"]), (&2.into(), &false.into()));
    }

    #[tokio::test]
    async fn metrics_are_served_as_text() {
        let probe = probe();
        let (status, body, response) = ask(&probe, Method::GET, "/metrics").await;
        assert_eq!(status, 200);
        assert!(body.contains("vestibule_panics_total 0"));
        assert_eq!(response.headers()[CONTENT_TYPE], EXPOSITION);
    }

    #[tokio::test]
    async fn ad_02_the_listener_only_answers_reads_of_its_three_paths() {
        let probe = probe();
        for path in ["/", "/sessions", "/livez/", "/debug/pprof", "/metrics/../sessions"] {
            assert_eq!(get(&probe, path).await.0, 404, "{path}");
        }
        for path in ["/livez", "/readyz", "/metrics", "/"] {
            let (status, _, response) = ask(&probe, Method::POST, path).await;
            assert_eq!((status, &response.headers()[ALLOW]), (405, &HeaderValue::from_static("GET, HEAD")));
        }
    }
}
