//! Calls to the provider: bounded in time, size and number; nothing is followed, repeated or inflated.

use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use http::{Method, StatusCode};
use reqwest::{Client, ClientBuilder, Request, Response};
use tokio::sync::Semaphore;
use url::Url;
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::oidc::client_authentication::AuthenticatedForm;
use crate::provider::backoff;
use crate::provider::breaker::{Admission, Breaker};
use crate::provider::observer::{CallOutcome, EndpointKind, ProviderObserver};
use crate::provider::settings::ProviderSettings;
use crate::provider::{ProviderError, ProviderParts};
use crate::secret::AccessToken;
use crate::tls;

/// Most bytes of a body.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// The content types that something depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentType {
    Json,
    JwkSet,
    Jwt,
    Other,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: ContentType,
    /// Empty when the status is not 200 and the body could not be read. May hold tokens.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// How the status is to be taken.
    pub(crate) fn outcome(&self) -> CallOutcome {
        match self.status.as_u16() {
            200 => CallOutcome::Ok,
            408 | 429 | 500.. => CallOutcome::Unavailable,
            400..500 => CallOutcome::Refused,
            _ => CallOutcome::UnexpectedStatus,
        }
    }
}

/// The client towards one provider.
pub(crate) struct Transport {
    client: Client,
    permits: Semaphore,
    exchanges: Semaphore,
    breakers: [Breaker; EndpointKind::ALL.len()],
    total_timeout: Duration,
    provider: String,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<dyn ProviderObserver>,
}

impl Transport {
    pub(crate) fn new(settings: &ProviderSettings, parts: &ProviderParts) -> Result<Self, ProviderError> {
        Self::over(client(settings)?, settings, parts)
    }

    fn over(client: ClientBuilder, settings: &ProviderSettings, parts: &ProviderParts) -> Result<Self, ProviderError> {
        Ok(Self {
            client: client.build()?,
            permits: Semaphore::new(settings.concurrent_calls),
            exchanges: Semaphore::new(most_exchanges(settings.concurrent_calls)),
            breakers: Default::default(),
            total_timeout: settings.total_timeout,
            provider: settings.label().to_owned(),
            clock: Arc::clone(&parts.clock),
            entropy: Arc::clone(&parts.entropy),
            observer: Arc::clone(&parts.observer),
        })
    }

    /// Reads a resource, with an access token where it needs one.
    ///
    /// # Errors
    /// The outcome of a call that brought no answer.
    pub(crate) async fn get(
        &self,
        endpoint: EndpointKind,
        url: &Url,
        bearer: Option<&AccessToken>,
    ) -> Result<Answer, CallOutcome> {
        let mut request = Request::new(Method::GET, url.clone());
        if let Some(token) = bearer {
            authorize(request.headers_mut(), &Zeroizing::new(format!("Bearer {}", token.expose())))?;
        }
        self.call(endpoint, request).await
    }

    /// Posts a form in which the client authenticates. It is sent at most once.
    ///
    /// # Errors
    /// The outcome of a call that brought no answer; whether anything was sent is what the outcomes differ by.
    pub(crate) async fn post(
        &self,
        endpoint: EndpointKind,
        url: &Url,
        mut form: AuthenticatedForm,
    ) -> Result<Answer, CallOutcome> {
        let mut request = Request::new(Method::POST, url.clone());
        let form_type = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, form_type);
        if let Some(authorization) = &form.authorization {
            authorize(request.headers_mut(), authorization)?;
        }
        *request.body_mut() = Some(std::mem::take(&mut *form.body).into());
        self.call(endpoint, request).await
    }

    async fn call(&self, endpoint: EndpointKind, mut request: Request) -> Result<Answer, CallOutcome> {
        let started = self.clock.monotonic();
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
        let answered = self.admitted_call(endpoint, request, started).await;
        let outcome = answered.as_ref().map_or_else(|outcome| *outcome, Answer::outcome);
        let took = self.clock.monotonic().saturating_sub(started);
        self.observer.called(&self.provider, endpoint, outcome, took);
        let (provider, endpoint, kind) = (&self.provider, endpoint.as_str(), outcome.as_str());
        match outcome {
            // A plain "no" may be a spent code or a wrong scope; whoever reads the body knows what to say about it.
            CallOutcome::Ok | CallOutcome::Refused => {}
            // Nothing was sent, and there can be as many of these as there are requests: the metric counts them.
            CallOutcome::Busy | CallOutcome::CircuitOpen => {
                tracing::debug!(event = "provider.error", provider, endpoint, kind)
            }
            _ => tracing::warn!(event = "provider.error", provider, endpoint, kind),
        }
        answered
    }

    async fn admitted_call(
        &self,
        endpoint: EndpointKind,
        request: Request,
        started: Duration,
    ) -> Result<Answer, CallOutcome> {
        let _exchange = match endpoint {
            EndpointKind::Code => Some(self.exchanges.try_acquire().map_err(|_| CallOutcome::Busy)?),
            _ => None,
        };
        // Discovery has a rhythm of its own, and everything waits for it.
        let breaker = self.breakers.get(endpoint as usize).filter(|_| endpoint != EndpointKind::Discovery);
        let admission = match breaker {
            Some(breaker) => Some(breaker.admit(started).ok_or(CallOutcome::CircuitOpen)?),
            None => None,
        };
        let (mut retry_after, mut begun) = (None, false);
        let exchange = async {
            // Logins are turned away at once, since anybody can begin one; what lives already waits for its turn.
            let _permit = match endpoint {
                EndpointKind::Code => self.permits.try_acquire().map_err(|_| CallOutcome::Busy)?,
                _ => self.permits.acquire().await.map_err(|_| CallOutcome::Busy)?,
            };
            begun = true;
            self.send(request, &mut retry_after).await
        };
        let answered = match tokio::time::timeout(self.total_timeout, exchange).await {
            Ok(answered) => answered,
            Err(_) if begun => Err(CallOutcome::Timeout),
            Err(_) => Err(CallOutcome::Busy),
        };
        // Where nothing was sent, nothing is known about the endpoint.
        if begun && let Some(admission) = admission {
            let outcome = answered.as_ref().map_or_else(|outcome| *outcome, Answer::outcome);
            self.settle(endpoint, admission, outcome, retry_after);
        }
        answered
    }

    fn settle(
        &self,
        endpoint: EndpointKind,
        admission: Admission<'_>,
        outcome: CallOutcome,
        retry_after: Option<Duration>,
    ) {
        let jitter = |wait| backoff::jittered(wait, &*self.entropy);
        match outcome {
            // Whoever brings a code that upsets the provider must not keep everybody else from logging in.
            CallOutcome::Unavailable if endpoint == EndpointKind::Code => admission.succeeded(),
            CallOutcome::Unavailable | CallOutcome::Timeout | CallOutcome::Unreachable | CallOutcome::Interrupted => {
                admission.failed(self.clock.monotonic(), jitter, retry_after);
            }
            _ => admission.succeeded(),
        }
    }

    async fn send(&self, request: Request, retry_after: &mut Option<Duration>) -> Result<Answer, CallOutcome> {
        let response = self.client.execute(request).await.map_err(|error| {
            // A connection that never came about has carried nothing; about any other we cannot know.
            if error.is_connect() || error.is_builder() { CallOutcome::Unreachable } else { CallOutcome::Interrupted }
        })?;
        let status = response.status();
        let content_type = content_type(response.headers());
        *retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .map(Duration::from_secs);
        let body = match body(response).await {
            Ok(body) => body,
            // The status says it all; error pages are long, compressed or cut off at times.
            Err(_) if status != StatusCode::OK => Zeroizing::default(),
            Err(outcome) => return Err(outcome),
        };
        Ok(Answer { status, content_type, body })
    }
}

/// What every client towards a provider is like. A name is tried at all its addresses: one that swallows what is sent to it
/// delays the next one only by a fraction of a second.
fn client(settings: &ProviderSettings) -> Result<ClientBuilder, ProviderError> {
    let mut tls = tls::client_config(&settings.ca_certificates, None)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Client::builder()
        .tls_backend_preconfigured(tls)
        .https_only(!settings.plain_http)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .user_agent(concat!("vestibule/", env!("CARGO_PKG_VERSION"))))
}

/// Most exchanges of codes at once. Anybody can have one made; refreshes, keys and metadata have room beside them.
const fn most_exchanges(calls: usize) -> usize {
    calls - calls / 4
}

async fn body(mut response: Response) -> Result<Zeroizing<Vec<u8>>, CallOutcome> {
    let encoded = response.headers().get_all(CONTENT_ENCODING).iter().any(|coding| coding != "identity");
    let announced = response.content_length().unwrap_or_default();
    if encoded || announced > MAX_BODY as u64 {
        return Err(CallOutcome::UnusableBody);
    }
    let mut body = Zeroizing::new(Vec::new());
    while let Some(chunk) = response.chunk().await.map_err(|_| CallOutcome::Interrupted)? {
        if body.len() + chunk.len() > MAX_BODY {
            return Err(CallOutcome::UnusableBody);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn authorize(headers: &mut HeaderMap, value: &str) -> Result<(), CallOutcome> {
    let mut value = HeaderValue::from_str(value).map_err(|_| CallOutcome::Unreachable)?;
    value.set_sensitive(true);
    headers.insert(AUTHORIZATION, value);
    Ok(())
}

fn content_type(headers: &HeaderMap) -> ContentType {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next().and_then(|value| value.to_str().ok()), values.next()) else {
        return ContentType::Other;
    };
    let essence = value.split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase();
    match essence.as_str() {
        "application/json" => ContentType::Json,
        "application/jwk-set+json" => ContentType::JwkSet,
        "application/jwt" => ContentType::Jwt,
        _ => ContentType::Other,
    }
}

#[cfg(test)]
mod tests;
