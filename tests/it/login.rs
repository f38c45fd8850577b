//! Logging in: from a deep link through the provider and back, with the token at the upstream and not in the browser.

use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;

#[tokio::test]
async fn a_person_logs_in_and_the_upstream_gets_the_token() {
    let stage = Stage::set().await;
    let page = stage.browser.log_in(&stage.url("/deep/link?a=b&c=%2F"), "alice").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(page.url.as_str(), stage.url("/deep/link?a=b&c=%2F"));
    let received = stage.upstream.last();
    assert!(received.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
}
