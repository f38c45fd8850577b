//! Exchanges over real sockets: a browser of raw bytes, hyper's server with `forward` behind it, an application of raw
//! bytes.

mod answers;
mod balance;
mod failures;
mod http2;
mod requests;
mod streaming;
mod successor;
mod transports;
mod websocket;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::HeaderName;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::settings::{Balance, HealthSettings, Target, TargetLimits, UpstreamTls};
use super::template::HeaderTemplate;
use super::*;
use crate::claims::{Claims, Identity};
use crate::clock::{Clock, SystemClock};
use crate::entropy::SystemEntropy;
use crate::origin::{Host, Scheme};
use crate::secret::AccessToken;

/// Settings for an application at `address`.
fn settings(address: SocketAddr) -> UpstreamSettings {
    UpstreamSettings {
        name: "wiki".into(),
        targets: vec![target(address)],
        balance: Balance::Requests,
        health: HealthSettings::default(),
        limits: TargetLimits::default(),
        tls: UpstreamTls::default(),
        pass_host: true,
        strip_prefix: None,
        headers: vec![
            (HeaderName::from_static("authorization"), HeaderTemplate::parse("Bearer {access_token}").unwrap()),
            (HeaderName::from_static("x-auth-user"), HeaderTemplate::parse("{claims.username}").unwrap()),
            (HeaderName::from_static("x-auth-email"), HeaderTemplate::parse("{claims.email}").unwrap()),
            (HeaderName::from_static("x-auth-note"), HeaderTemplate::parse("{claims.note}").unwrap()),
        ],
        identity_assertion: None,
        keep_authorization: false,
        timeouts: UpstreamTimeouts::default(),
    }
}

fn upstream(settings: &UpstreamSettings) -> Arc<Upstream> {
    let managed = Arc::new(ManagedSet::new(settings.headers.iter().map(|(name, _)| name)));
    Upstream::new(settings, managed, Via::draw(&SystemEntropy).unwrap(), gauges(), None, None).unwrap()
}

fn target(address: SocketAddr) -> Target {
    Target::Http { host: address.ip().to_string(), port: address.port() }
}

fn gauges() -> Gauges {
    let gauge = |name: &str| IntGauge::new(name, name).unwrap();
    Gauges { tunnels: gauge("tunnels"), targets_out: gauge("targets_out") }
}

/// A session that ends when it is told.
#[derive(Default)]
struct Session {
    ended: watch::Sender<bool>,
    used: Mutex<usize>,
}

impl SessionGuard for Session {
    fn ended(&self) -> BoxFuture<'static, ()> {
        let mut ended = self.ended.subscribe();
        async move {
            let _gone = ended.wait_for(|ended| *ended).await;
        }
        .boxed()
    }

    fn used(&self) {
        *self.used.lock().unwrap() += 1;
    }
}

/// Alice, with these claims besides.
pub(in crate::upstream) fn alice(claims: serde_json::Value) -> Identity {
    let serde_json::Value::Object(members) = claims else { unreachable!() };
    Identity {
        issuer: "https://id.example".into(),
        subject: "s-1".into(),
        username: Some("alice".into()),
        groups: Some(vec!["staff".into(), "admins".into()]),
        email: None,
        email_verified: false,
        claims: Claims::new(members),
    }
}

/// Who the requests of a test come from.
#[derive(Clone, Default)]
struct Visitor {
    identity: Option<Identity>,
    guard: Option<SharedGuard>,
    session: Option<u64>,
    keep_authorization: bool,
}

impl Visitor {
    fn alice() -> Self {
        Self { identity: Some(alice(serde_json::json!({"note": "fine"}))), ..Self::default() }
    }

    fn with(session: &Arc<Session>) -> Self {
        Self { guard: Some(Arc::clone(session) as SharedGuard), ..Self::alice() }
    }
}

/// A browser's connection to a gateway that lets everything through, and the errors `forward` ends with.
struct Gateway {
    browser: TcpStream,
    errors: mpsc::UnboundedReceiver<UpstreamError>,
}

/// Serves one connection; an error is answered by 599 and handed to the test.
async fn gateway(upstream: &Arc<Upstream>, visitor: Visitor) -> Gateway {
    let (ours, theirs) = connection().await;
    let (sender, errors) = mpsc::unbounded_channel();
    let upstream = Arc::clone(upstream);
    let service = service_fn(move |request: Request<Incoming>| {
        let (upstream, visitor, sender) = (Arc::clone(&upstream), visitor.clone(), sender.clone());
        async move { Ok::<_, Infallible>(pass(&upstream, &visitor, request, &sender).await) }
    });
    tokio::spawn(
        http1::Builder::new()
            .preserve_header_case(true)
            .serve_connection(TokioIo::new(theirs), service)
            .with_upgrades(),
    );
    Gateway { browser: ours, errors }
}

async fn pass(
    upstream: &Upstream,
    visitor: &Visitor,
    request: Request<Incoming>,
    errors: &mpsc::UnboundedSender<UpstreamError>,
) -> Response<UnsyncBoxBody<bytes::Bytes, BodyError>> {
    let (parts, body) = request.into_parts();
    let host = Host::parse("wiki.example.com", Scheme::Https).unwrap();
    let token = AccessToken::new("at-1".into());
    let body_limits = Arc::new(no_limits());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().map(ToOwned::to_owned));
    let forwarded = async {
        let upgrade = WebSocketHandshake::recognise(&parts)?;
        let outgoing = Outgoing {
            path: &path,
            query: query.as_deref(),
            principal: Principal {
                identity: visitor.identity.as_ref(),
                access_token: visitor.identity.as_ref().map(|_| &token),
                ..Principal::default()
            },
            keep_authorization: visitor.keep_authorization,
            forwarded: ForwardedContext {
                hops: &[],
                peer: Some("192.0.2.7".parse().unwrap()),
                scheme: Scheme::Https,
                host: &host,
                request_id: "r-1",
            },
            upgrade,
            session: visitor.session,
            guard: visitor.guard.clone(),
            body_limits: &body_limits,
            clock: &clock,
            place: None,
        };
        upstream.forward(parts, body, outgoing).await
    };
    match forwarded.await {
        Ok(response) => response.map(|body| body.boxed_unsync()),
        Err(error) => {
            let _gone = errors.send(error);
            let mut response = Response::new(Full::default().map_err(|never| match never {}).boxed_unsync());
            *response.status_mut() = StatusCode::from_u16(599).unwrap();
            response
        }
    }
}

fn no_limits() -> BodyLimits {
    let counter = || prometheus::IntCounter::new("limits", "limits").unwrap();
    BodyLimits { bytes: None, rate: None, grace: Duration::ZERO, too_large: counter(), too_slow: counter() }
}

async fn connection() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ours = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (ours, listener.accept().await.unwrap().0)
}

/// An application nobody has written: the test plays it.
async fn application() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// Reads until the bytes end with `end`.
async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(stream.read_u8().await.unwrap_or_else(|_| {
            panic!("the stream ended after {:?}", String::from_utf8_lossy(&bytes));
        }));
    }
    String::from_utf8(bytes).unwrap()
}

/// Reads a head, line ends included.
async fn read_head(stream: &mut TcpStream) -> String {
    read_until(stream, "\r\n\r\n").await
}

/// Reads to the end or to a reset.
async fn read_rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let _end_or_reset = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// One exchange with an application that answers `answer`: the head it got, and what the browser read until `end`.
async fn exchange(
    settings: impl FnOnce(&mut UpstreamSettings),
    request: &str,
    answer: &str,
    end: &str,
) -> (String, String) {
    let (listener, address) = application().await;
    let mut chosen = self::settings(address);
    settings(&mut chosen);
    let upstream = upstream(&chosen);
    let mut gateway = gateway(&upstream, Visitor::alice()).await;
    send(&mut gateway.browser, request).await;
    let (mut stream, _) = listener.accept().await.unwrap();
    let head = read_head(&mut stream).await;
    send(&mut stream, answer).await;
    (head, read_until(&mut gateway.browser, end).await)
}
