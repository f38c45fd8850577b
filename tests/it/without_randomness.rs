//! While the system gives no random bytes: what needs some is refused for the time being, and nothing is made of zeros.

use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::Stage;
use crate::harness::login_steps::{authorize, begin};
use crate::harness::provider::Endpoint;

#[tokio::test]
async fn cr_10_without_randomness_what_needs_it_is_503_and_all_else_goes_on() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let on_their_way = stage.gateway.browser();
    let authorization = begin(&on_their_way, &stage.url("/")).await;
    let callback = authorize(&on_their_way, &authorization, "bob").await;
    let new = stage.gateway.browser();
    stage.gateway.entropy.fail(true);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200, "who is logged in needs none");
    for (what, page) in [
        ("a login that begins", new.navigate_once(&stage.url("/")).await),
        ("a login that has come back", on_their_way.navigate_once(callback.as_str()).await),
    ] {
        assert_eq!((page.status.as_u16(), page.header("retry-after").is_some()), (503, true), "{what}");
        assert!(page.set_cookies().is_empty() && page.location().is_none(), "{what}");
    }
    assert_eq!(new.fetch(&stage.url("/")).await.status, 401, "a refusal needs none");
    assert_eq!(stage.gateway.log.lines_with(&["ERROR", "no-entropy"]), 2, "{}", stage.gateway.log.text());
    assert_eq!(stage.gateway.sessions().live_sessions(), 1);
    // The tokens that came for nobody are given back.
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
    // A logout without anything to remember needs none either.
    let signing_out = Asked::new(Kind::Navigation);
    let page = stage.browser.ask(&stage.url("/oauth2/sign_out"), signing_out).await;
    assert_eq!(stage.gateway.sessions().live_sessions(), 0, "{}", page.text());
    stage.gateway.entropy.fail(false);
    assert_eq!(new.log_in(&stage.url("/"), "carol").await.status, 200);
}
