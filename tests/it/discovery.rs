//! The provider's metadata: a document that must not be used stops logins and nothing else, and a later one may not move
//! what the first has named.

use std::time::Duration;

use serde_json::{Value, json};
use vestibule::gateway::settings::Settings;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Browser, Kind};
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Gateway, Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::upstream::RecordingUpstream;

/// Longer than the hour after which the metadata is asked for again, and its jitter.
const NEXT_ROUND: Duration = Duration::from_secs(4400);

fn with_public_path(setup: &mut Setup) {
    setup.upstream = "public = [\"GET /healthz\"]".into();
}

/// A stage whose provider's first document is spoilt by `spoil`; nobody waits for a good one.
async fn spoilt(spoil: impl FnOnce(&TestProvider)) -> Stage {
    let provider = TestProvider::start().await;
    spoil(&provider);
    let no_grace = |settings: &mut Settings| settings.listen.startup_grace = Duration::ZERO;
    let stage = Stage::with_settings(provider, with_public_path, no_grace).await;
    stage.provider.hits_reach(Endpoint::Metadata, 1).await;
    stage
}

/// Logins get 503, public paths are served.
async fn logins_are_closed(stage: &Stage, what: &str) {
    stage.gateway.log_reaches(&["provider.metadata"], 1).await;
    let page = stage.browser.navigate_once(&stage.url("/")).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("10")), "{what}: {}", page.text());
    assert_eq!(page.set_cookies().len(), 0, "{what}");
    assert_eq!(stage.upstream.hits(), 0, "{what}");
    assert_eq!(stage.browser.fetch(&stage.url("/healthz")).await.status, 200, "{what}");
    assert!(up(stage).await.ends_with(" 0"), "{what}");
}

async fn up(stage: &Stage) -> String {
    let page = stage.gateway.metrics_page().await;
    page.lines().find(|line| line.starts_with("vestibule_provider_up{")).unwrap().to_owned()
}

async fn readiness(address: std::net::SocketAddr, query: &str) -> (u16, String) {
    let page = Browser::old().fetch(&format!("http://localhost:{}/readyz{query}", address.port())).await;
    (page.status.as_u16(), page.text())
}

/// Moves the gateway's timers to the next round of discovery and waits until it is over.
async fn next_round(stage: &Stage) {
    let before = stage.provider.hits(Endpoint::Metadata);
    tokio::time::pause();
    tokio::time::advance(NEXT_ROUND).await;
    tokio::time::resume();
    stage.provider.hits_reach(Endpoint::Metadata, before + 1).await;
}

#[tokio::test]
async fn di_02_and_di_03_a_document_with_an_endpoint_that_must_not_be_called_is_not_used() {
    let local = |url: &str| json!(url);
    let cases = [
        ("DI-02: http", "token_endpoint", local("http://id.example/token"), "endpoint-not-https"),
        ("DI-02: http", "jwks_uri", local("http://id.example/keys"), "endpoint-not-https"),
        (
            "DI-03: userinfo",
            "token_endpoint",
            local("https://user:mark-password@id.example/token"),
            "endpoint-userinfo",
        ),
        ("DI-03: fragment", "authorization_endpoint", local("https://id.example/#x"), "endpoint-fragment"),
        ("DI-03: file", "jwks_uri", local("file:///etc/passwd"), "endpoint-malformed"),
        ("DI-03: another loopback", "token_endpoint", local("http://127.0.0.2:80/token"), "endpoint-address"),
        ("DI-03: localhost", "userinfo_endpoint", local("http://localhost/userinfo"), "endpoint-address"),
        ("DI-03: IPv6 loopback", "revocation_endpoint", local("https://[::1]/revoke"), "endpoint-address"),
        ("DI-03: metadata service", "jwks_uri", local("https://169.254.169.254/latest"), "endpoint-address"),
        ("DI-03: link-local", "end_session_endpoint", local("https://[fe80::1]/"), "endpoint-address"),
        ("DI-03: mapped", "token_endpoint", local("https://[::ffff:169.254.169.254]/"), "endpoint-address"),
        ("no URL", "token_endpoint", local("/token"), "endpoint-malformed"),
        ("no text", "jwks_uri", json!(7), "member-type"),
        ("missing", "token_endpoint", Value::Null, "endpoint-missing"),
        ("another issuer", "issuer", local("https://evil.example"), "issuer-mismatch"),
        ("CO-05: plain alone", "code_challenge_methods_supported", json!(["plain"]), "pkce-without-s256"),
    ];
    for (what, member, value, reason) in cases {
        let stage = spoilt(|provider| provider.put(Endpoint::Metadata, member, value)).await;
        logins_are_closed(&stage, what).await;
        let reason = format!("\"reason\":\"{reason}\"");
        let log = stage.gateway.log.text();
        assert_eq!(stage.gateway.log.lines_with(&["ERROR", "provider.metadata", &reason]), 1, "{what}: {log}");
        assert!(!log.contains("mark-password"), "{what}");
    }
}

#[tokio::test]
async fn di_03_several_public_hosts_and_a_private_network_are_fine() {
    let provider = TestProvider::start().await;
    for (member, url) in [
        ("authorization_endpoint", "https://accounts.example/authorize"),
        ("token_endpoint", "https://oauth2.example/token"),
        ("userinfo_endpoint", "https://openid.example/userinfo"),
        ("jwks_uri", "https://10.1.2.3/keys"),
        ("revocation_endpoint", "https://192.168.7.7:8443/revoke"),
    ] {
        provider.put(Endpoint::Metadata, member, json!(url));
    }
    let stage = Stage::with_provider(provider, |_| {}).await;
    let page = stage.browser.navigate_once(&stage.url("/")).await;
    assert_eq!(page.status, 303);
    assert!(page.header("location").unwrap().starts_with("https://accounts.example/authorize?"));
    assert_eq!(stage.gateway.log.lines_with(&["provider.metadata"]), 0);
}

#[tokio::test]
async fn di_04_what_is_no_document_is_not_used() {
    let attacker = RecordingUpstream::start().await;
    let json_type = [("content-type", "application/json")];
    let cases = [
        ("a redirect", Behaviour::redirect(302, &attacker.url())),
        ("a permanent redirect", Behaviour::redirect(308, "http://169.254.169.254/")),
        ("HTML", Behaviour::html(200, "<html>")),
        ("HTML that says JSON", Behaviour::with_headers(200, &json_type, "<html>")),
        ("members twice", Behaviour::json_text(200, r#"{"issuer":"a","issuer":"b"}"#)),
        ("1 MB", Behaviour::json_text(200, vec![b' '; 1 << 20])),
        ("503", Behaviour::status(503)),
        ("404", Behaviour::status(404)),
        ("reset", Behaviour::Reset),
    ];
    for (what, answer) in cases {
        let stage = spoilt(|provider| provider.once(Endpoint::Metadata, answer)).await;
        logins_are_closed(&stage, what).await;
        assert_eq!(stage.gateway.log.lines_with(&["provider.metadata", "reason"]), 1, "{what}");
        assert_eq!(stage.provider.hits(Endpoint::Metadata), 1, "{what}: it waits before it asks again");
    }
    assert_eq!(attacker.connections().value(), 0);
}

#[tokio::test]
async fn di_06_a_later_document_may_not_move_an_endpoint_to_a_new_host() {
    let (stage, attacker) = (Stage::set().await, RecordingUpstream::start().await);
    stage.log_in().await;
    let moved = format!("http://127.0.0.1:{}/token", attacker.address().port());
    stage.provider.put(Endpoint::Metadata, "token_endpoint", json!(moved));
    next_round(&stage).await;
    stage.gateway.log_reaches(&["ERROR", "provider.metadata", "endpoint-moved", "token_endpoint"], 1).await;
    assert_eq!(stage.gateway.browser().log_in(&stage.url("/"), "bob").await.status, 200);
    assert_eq!((stage.provider.hits(Endpoint::Token), attacker.connections().value()), (2, 0));
    // A document that is refused as a whole leaves the last good one in force.
    stage.provider.put(Endpoint::Metadata, "jwks_uri", json!("file:///etc/passwd"));
    next_round(&stage).await;
    stage.gateway.log_reaches(&["ERROR", "provider.metadata", "endpoint-malformed"], 1).await;
    assert_eq!(stage.gateway.browser().log_in(&stage.url("/"), "carol").await.status, 200);
}

#[tokio::test]
async fn di_07_a_provider_that_is_away_at_the_start_closes_logins_only() {
    let mut provider = TestProvider::start().await;
    provider.go_down().await;
    let grace = |settings: &mut Settings| settings.listen.startup_grace = Duration::from_secs(2);
    let upstream = RecordingUpstream::start().await;
    let mut setup = Setup::default();
    with_public_path(&mut setup);
    provider.register_gateway(CLIENT_ID, CLIENT_SECRET, &setup.public_url);
    let settings = Gateway::settings(&setup, provider.issuer(), upstream.address(), grace);
    let gateway = Gateway::launch_with(settings, setup.log_level).await;
    gateway.log_reaches(&["provider.metadata", "unreachable"], 1).await;
    assert_eq!(readiness(gateway.probe_address, "").await.0, 503, "it is still starting");
    let browser = gateway.browser();
    let stage = Stage { provider, upstream, gateway, browser };
    logins_are_closed(&stage, "down at start").await;
    stage.gateway.ready().await;
    let (status, told) = readiness(stage.gateway.probe_address, "?verbose").await;
    assert_eq!((status, told.contains("\"provider default\":false")), (200, true), "{told}");
    // It comes back by itself.
    let mut stage = stage;
    stage.provider.come_back().await;
    patiently("discovery", async {
        while stage.browser.navigate_once(&stage.url("/")).await.status == 503 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    stage.log_in().await;
    assert!(up(&stage).await.ends_with(" 1"));
    assert!(stage.gateway.log.lines_with(&["provider.metadata", "unreachable"]) < 5, "it waits longer each time");
}

#[tokio::test]
async fn di_07_a_provider_that_goes_away_later_changes_no_readiness_and_no_session() {
    let mut stage = Stage::set().await;
    stage.log_in().await;
    stage.provider.go_down().await;
    tokio::time::pause();
    tokio::time::advance(NEXT_ROUND).await;
    tokio::time::resume();
    stage.gateway.log_reaches(&["WARN", "provider.metadata", "unreachable"], 1).await;
    assert!(up(&stage).await.ends_with(" 0"));
    let (status, told) = readiness(stage.gateway.probe_address, "?verbose").await;
    assert_eq!((status, told.contains("\"provider default\":false")), (200, true), "{told}");
    assert_eq!(readiness(stage.gateway.probe_address, "").await.0, 200);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    let page = stage.gateway.browser().navigate_once(&stage.url("/")).await;
    assert_eq!(page.status, 303, "where to log in is still known");
}

#[tokio::test]
async fn di_08_a_protection_that_is_no_longer_announced_is_still_relied_on() {
    let stage = Stage::set().await;
    stage.provider.alter_json(Endpoint::Metadata, |document| {
        document.as_object_mut().unwrap().remove("authorization_response_iss_parameter_supported");
        document.as_object_mut().unwrap().remove("code_challenge_methods_supported");
    });
    next_round(&stage).await;
    stage.gateway.log_reaches(&["WARN", "provider.metadata", "capability-dropped"], 2).await;
    // An answer without `iss` is refused as before (CB-10).
    stage.browser.navigate(&stage.url("/")).await;
    let form = stage.browser.page().forms().remove(0);
    let button = form.button("account", "alice").unwrap().clone();
    let target = stage.browser.page().url.join(form.action.as_deref().unwrap()).unwrap();
    let fields: Vec<_> = form.fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let fields: Vec<_> = fields.into_iter().chain([("account", button.value.as_str())]).collect();
    let asked = Asked::new(Kind::Navigation).form(&fields).once();
    let callback = stage.browser.ask(target.as_str(), asked).await.location().unwrap();
    let mut without = callback.clone();
    without.query_pairs_mut().clear().extend_pairs(callback.query_pairs().filter(|(name, _)| name != "iss"));
    assert_ne!(without, callback);
    let page = stage.browser.click(without.as_str()).await;
    assert_eq!((page.status.as_u16(), stage.provider.hits(Endpoint::Token)), (400, 0));
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "iss-missing"]), 1);
}

#[tokio::test]
async fn di_09_a_provider_that_requires_pushed_requests_is_named_in_the_error() {
    let required = "require_pushed_authorization_requests";
    let stage = spoilt(|provider| provider.put(Endpoint::Metadata, required, json!(true))).await;
    logins_are_closed(&stage, "PAR").await;
    let line = ["ERROR", "provider.metadata", "require-pushed-authorization-requests"];
    assert_eq!(stage.gateway.log.lines_with(&line), 1);
    let settings = Gateway::settings(&Setup::default(), stage.provider.issuer(), stage.upstream.address(), |_| {});
    let results = tokio::task::spawn_blocking(|| vestibule::app::check_online(settings)).await.unwrap().unwrap();
    let problem =
        results.iter().find(|result| result.subject.starts_with("provider default")).unwrap().problem.as_deref();
    assert!(problem.unwrap().contains(required), "{problem:?}");
}
