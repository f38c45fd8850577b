//! What is decided on is what five real servers see: PA-24.
//!
//! The same generated targets go to nginx, Apache, Node.js, gunicorn and a server in Go, each behind a host of its own, with
//! a session. A public path is forwarded without identity, so every answer shows what was decided. Two paths are the same
//! resource when they are the same bytes after one decoding: nothing is left by the strict policy that a server would
//! merge, resolve or cut off.

use std::fmt::Write as _;

use url::Url;
use vestibule::demo::provider::RegisteredClient;
use vestibule::gateway::canonical_path::{CanonicalPath, PathPolicy};
use vestibule::secret::ClientSecret;

use crate::harness::cookie_jar::Carriage;
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Setup, Stage};
use crate::harness::provider::TestProvider;
use crate::harness::raw::{RawConnection, RawResponse};
use crate::harness::real_servers::{RealServer, View};
use crate::harness::seeded::Seeded;
use crate::harness::target_grammar::{Form, GeneratedTarget};

const SEED: u64 = 24;
const TARGETS: usize = 10_000;
/// Under the permissive policy there is no decision to compare, only bytes.
const PERMISSIVE_TARGETS: usize = 2_000;

/// A gateway with the servers behind it, each on its host, and a browser that is logged in on all of them.
async fn stage(servers: &[RealServer], keys: &str) -> Stage {
    let provider = TestProvider::start().await;
    let hosts: Vec<String> = servers
        .iter()
        .map(RealServer::host)
        .chain(["app.example".to_owned()])
        .map(|host| format!("https://{host}"))
        .collect();
    let at = |path: &str| hosts.iter().map(|host| format!("{host}{path}")).collect();
    provider.register(RegisteredClient {
        id: CLIENT_ID.to_owned(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.to_owned())),
        redirect_uris: at("/oauth2/callback"),
        post_logout_redirect_uris: at("/oauth2/signed_out"),
    });
    let adjust = |setup: &mut Setup| {
        setup.register = false;
        setup.log_level = tracing::Level::ERROR;
        setup.more = servers.iter().map(|server| server.upstream(keys)).collect();
    };
    let stage = Stage::with_provider(provider, adjust).await;
    stage.log_in().await;
    for server in servers {
        stage.browser.resolve(&server.host(), stage.gateway.address);
        let page = stage.browser.navigate(&format!("https://{}/start", server.host())).await;
        assert!([200, 404].contains(&page.status.as_u16()), "{}: {}", server.name, page.text());
    }
    stage
}

/// Sends targets one after the other and opens a new connection when the gateway has closed one.
struct Sender<'a> {
    stage: &'a Stage,
    head: String,
    connection: Option<RawConnection>,
}

impl<'a> Sender<'a> {
    fn new(stage: &'a Stage, host: &str) -> Self {
        let url = Url::parse(&format!("https://{host}/")).unwrap();
        let carriage = Carriage { same_site: true, safe_navigation: true };
        let cookies = stage.browser.jar().header(&url, carriage).unwrap();
        let head = format!(" HTTP/1.1\r\nHost: {host}\r\nCookie: {cookies}\r\n\r\n");
        Self { stage, head, connection: None }
    }

    async fn send(&mut self, target: &[u8]) -> Option<RawResponse> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.stage.connect().await,
        };
        connection.send([b"GET ", target, self.head.as_bytes()].concat()).await;
        let response = connection.response().await?;
        if response.header("connection").is_none_or(|value| !value.eq_ignore_ascii_case("close")) {
            self.connection = Some(connection);
        }
        Some(response)
    }
}

/// What became of the targets at one server.
#[derive(Debug, Default)]
struct Outcome {
    forwarded: usize,
    public: usize,
    refused: usize,
    /// What went through and was nothing to the server: Node.js takes no raw UTF-8 in a query.
    refused_by_server: usize,
    failures: String,
}

async fn run(stage: &Stage, server: &RealServer, policy: PathPolicy, targets: usize) -> Outcome {
    let host = server.host();
    let mut random = Seeded::new(SEED);
    let mut sender = Sender::new(stage, &host);
    let mut outcome = Outcome::default();
    for _ in 0..targets {
        let target = GeneratedTarget::next(&mut random, &host);
        let response = sender.send(&target.bytes).await;
        let view = response.as_ref().and_then(View::of);
        let judged = match (&view, &response) {
            (Some(view), _) => {
                outcome.forwarded += 1;
                outcome.public += usize::from(!view.identity);
                judge(&target, view, policy)
            }
            (None, Some(response)) if response.status == 400 && !is_ours(response) => {
                outcome.refused_by_server += 1;
                Ok(())
            }
            (None, Some(response)) => {
                outcome.refused += 1;
                is_refusal(&target, response)
            }
            (None, None) => Err("no answer"),
        };
        if let Err(why) = judged {
            let status = response.as_ref().map(|response| response.status);
            writeln!(outcome.failures, "{why}: {} at {}: {status:?} {view:?}", target.shown(), server.name).unwrap();
        }
    }
    outcome
}

/// Whether an answer is the gateway's: a problem, or a bare one of its parser, which knows of no request yet.
fn is_ours(response: &RawResponse) -> bool {
    response.header("content-type") == Some("application/problem+json") || response.header("x-request-id").is_none()
}

/// The gateway's own answers to a target that goes nowhere.
fn is_refusal(target: &GeneratedTarget, response: &RawResponse) -> Result<(), &'static str> {
    let own_endpoint = decoded(&target.path).starts_with(b"/oauth2");
    match response.status {
        400 if is_ours(response) => Ok(()),
        414 if is_ours(response) && target.bytes.len() > 8 << 10 => Ok(()),
        404 if is_ours(response) && own_endpoint => Ok(()),
        _ => Err("neither forwarded nor refused"),
    }
}

fn judge(target: &GeneratedTarget, view: &View, policy: PathPolicy) -> Result<(), &'static str> {
    if target.form == Form::Confused {
        return Err("a target that names somebody else was forwarded");
    }
    let (path, query) = match view.target.find('?') {
        Some(at) => view.target.split_at(at),
        None => (view.target.as_str(), ""),
    };
    if CanonicalPath::parse(path, policy).map(|path| path.as_str().to_owned()).as_deref() != Ok(path) {
        return Err("what was forwarded is not canonical");
    }
    // One without a path means the root (RFC 9110 §4.2.3).
    let sent = if target.path.is_empty() { b"/".to_vec() } else { decoded(&target.path) };
    let forwarded = decoded(path.as_bytes());
    if sent != forwarded || query.as_bytes() != target.query {
        return Err("what was forwarded is not what was asked for");
    }
    let mut segments = forwarded.split(|&byte| byte == b'/');
    if segments.any(|segment| matches!(segment, b"." | b".."))
        || forwarded.iter().any(|byte| *byte < 0x20 || *byte == b'\\')
    {
        return Err("a dot segment, a backslash or a control was forwarded");
    }
    if policy == PathPolicy::Permissive {
        return if view.identity { Ok(()) } else { Err("forwarded without a session") };
    }
    if view.path.as_bytes() != forwarded {
        return Err("the server sees another path");
    }
    let decided_public = !view.identity;
    let is_public = path == "/public" || path.starts_with("/public/");
    if decided_public != is_public {
        return Err("the decision is not that of the forwarded path");
    }
    match view.public {
        Some(public) if public == decided_public => Ok(()),
        Some(_) => Err("the server serves another place than was decided on"),
        None => Err("the server answered by itself"),
    }
}

/// Decoded once, by hand: the tests ask nobody's opinion but their own.
fn decoded(path: &[u8]) -> Vec<u8> {
    let hex = |at: usize| path.get(at).and_then(|digit| char::from(*digit).to_digit(16));
    let (mut bytes, mut at) = (Vec::new(), 0);
    while at < path.len() {
        match (path[at], hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                bytes.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                bytes.push(byte);
                at += 1;
            }
        }
    }
    bytes
}

async fn run_all(stage: &Stage, servers: &[RealServer], policy: PathPolicy, targets: usize) -> Vec<Outcome> {
    futures_util::future::join_all(servers.iter().map(|server| run(stage, server, policy, targets))).await
}

#[tokio::test]
async fn pa_24_five_servers_see_the_path_that_was_decided_on() {
    let servers = RealServer::start_all().await;
    let stage = stage(&servers, "public = [\"/public/**\"]").await;
    let outcomes = run_all(&stage, &servers, PathPolicy::Strict, TARGETS).await;
    for (server, outcome) in servers.iter().zip(&outcomes) {
        assert!(outcome.failures.is_empty(), "{}", outcome.failures);
        // The targets are of both kinds, or the test would prove nothing.
        let Outcome { forwarded, public, refused, refused_by_server, .. } = *outcome;
        assert!(
            forwarded > TARGETS / 2 && public > TARGETS / 4 && refused > TARGETS / 4,
            "{}: {outcome:?}",
            server.name
        );
        assert!(refused_by_server < TARGETS / 20, "{}: {outcome:?}", server.name);
    }
}

#[tokio::test]
async fn pa_24_the_permissive_policy_forwards_byte_for_byte_and_only_with_a_session() {
    let servers = RealServer::start_all().await;
    let stage = stage(&servers, "path_policy = \"permissive\"").await;
    for outcome in run_all(&stage, &servers, PathPolicy::Permissive, PERMISSIVE_TARGETS).await {
        assert!(outcome.failures.is_empty(), "{}", outcome.failures);
    }
    for server in &servers {
        let mut sender = Sender::new(&stage, &server.host());
        for target in [
            // GitLab names projects, branches and files by one segment.
            "/api/v4/projects/group%2Fsub%2Fproject/repository/files/lib%2Fa%20b.rb?ref=feature%2Fx",
            // RabbitMQ's default virtual host is called `/`.
            "/api/queues/%2F/name",
            "/api/exchanges/%2F/amq.direct/bindings/source",
            // Jupyter doubles slashes after its base URL, and has parameters in segments.
            "/user/alice//tree/work",
            "/files/a;b/c;v=1",
            "/lab/tree/%3Bx",
        ] {
            let response = sender.send(target.as_bytes()).await.unwrap();
            let view = View::of(&response).unwrap_or_else(|| panic!("{target} at {}: {response:?}", server.name));
            assert_eq!(view.target, target, "{}", server.name);
        }
    }
}
