//! The provider is away: at the start, and later.

use crate::harness::browser::Browser;
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Gateway, PUBLIC_URL, Setup, Stage};
use crate::harness::login_steps::{authorize, begin, call_back, start_link};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::upstream::RecordingUpstream;

async fn probe(gateway: &Gateway, path: &str) -> (u16, String) {
    let page = Browser::old().fetch(&format!("http://localhost:{}{path}", gateway.probe_address.port())).await;
    (page.status.as_u16(), page.text())
}

/// A gateway whose provider is down from before its start.
async fn without_provider(startup_grace: &str) -> (TestProvider, RecordingUpstream, Gateway) {
    let mut provider = TestProvider::start().await;
    provider.register_gateway(CLIENT_ID, CLIENT_SECRET, PUBLIC_URL);
    provider.go_down().await;
    let upstream = RecordingUpstream::start().await;
    let setup = Setup {
        listen: format!("startup_grace = \"{startup_grace}\""),
        upstream: "public = [\"/public/**\"]".into(),
        ..Setup::default()
    };
    let gateway = Gateway::launch(&setup, provider.issuer(), upstream.address(), |_| {}).await;
    (provider, upstream, gateway)
}

#[tokio::test]
async fn di_07_while_the_provider_is_down_from_the_start_all_that_needs_no_login_is_served() {
    let (mut provider, upstream, gateway) = without_provider("30s").await;
    let browser = gateway.browser();
    assert_eq!(probe(&gateway, "/livez").await.0, 200);
    assert_eq!(probe(&gateway, "/readyz").await, (503, "starting\n".to_owned()));
    assert_eq!(browser.navigate(&format!("{PUBLIC_URL}/public/page")).await.status, 200);
    assert_eq!(browser.fetch(&format!("{PUBLIC_URL}/api")).await.status, 401);

    let page = browser.navigate(&format!("{PUBLIC_URL}/deep?a=b")).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("10")), "{}", page.text());
    assert_eq!((page.set_cookies().len(), page.header("cache-control")), (0, Some("no-store")));
    assert_eq!(page.links()[0].0, start_link("/deep?a=b"));
    assert_eq!(upstream.hits(), 1);
    patiently("the metric", async {
        while !gateway.metrics_page().await.contains("vestibule_provider_up{provider=\"default\"} 0") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(gateway.log.lines_with(&["provider.metadata", "\"level\":\"WARN\""]) >= 1);
    assert!(probe(&gateway, "/readyz?verbose").await.1.contains("false"));

    provider.come_back().await;
    gateway.ready().await;
    let page = browser.click(&page.links()[0].0).await;
    assert_eq!(page.url.path(), "/authorize");
    let page = browser.login_as("alice").await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, "https://app.example/deep?a=b"));
    assert!(gateway.metrics_page().await.contains("vestibule_provider_up{provider=\"default\"} 1"));
}

#[tokio::test]
async fn di_07_after_the_grace_the_gateway_is_ready_without_its_provider() {
    let (provider, _upstream, gateway) = without_provider("1s").await;
    assert_eq!(probe(&gateway, "/readyz").await.0, 503);
    gateway.ready().await;
    assert_eq!(probe(&gateway, "/readyz").await, (200, "ready\n".to_owned()));
    let (status, verbose) = probe(&gateway, "/readyz?verbose").await;
    assert!(status == 200 && verbose.contains("false"), "{verbose}");
    assert!(!verbose.contains("127.0.0.1") && !verbose.contains("http"), "{verbose}");
    assert_eq!(gateway.browser().navigate(&format!("{PUBLIC_URL}/")).await.status, 503);
    assert_eq!(provider.connections(), 0);
}

#[tokio::test]
async fn di_07_a_provider_that_goes_away_later_ends_no_session_and_no_readiness() {
    let mut stage = Stage::set().await;
    stage.log_in().await;
    let other = stage.gateway.browser();
    let authorization = begin(&other, &stage.url("/deep")).await;
    let callback = authorize(&other, &authorization, "bob").await;
    stage.provider.go_down().await;
    assert_eq!(stage.browser.navigate(&stage.url("/page")).await.status, 200);
    let page = call_back(&other, &callback).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("10")), "{}", page.text());
    assert_eq!(probe(&stage.gateway, "/readyz").await.0, 200);
    let (status, verbose) = probe(&stage.gateway, "/readyz?verbose").await;
    assert!(status == 200 && verbose.contains("false"), "{verbose}");
    let metrics = stage.gateway.metrics_page().await;
    assert!(metrics.contains("vestibule_provider_up{provider=\"default\"} 0"), "{metrics}");

    stage.provider.come_back().await;
    let page = other.navigate(&stage.url("/deep")).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(stage.provider.hits(Endpoint::Token), 2);
    assert!(stage.gateway.metrics_page().await.contains("vestibule_provider_up{provider=\"default\"} 1"));
}

#[tokio::test]
async fn di_07_discovery_is_tried_again_by_itself() {
    let (mut provider, _upstream, gateway) = without_provider("0s").await;
    patiently("the first failure", async {
        while gateway.log.lines_with(&["provider.metadata"]) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    provider.come_back().await;
    provider.hits_reach(Endpoint::Metadata, 1).await;
    assert_eq!(gateway.log.lines_with(&["provider.metadata", "WARN"]), 1, "one failure, one line");
}
