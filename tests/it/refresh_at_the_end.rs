//! A gateway that ends while a refresh is under way does not take the new tokens with it.

use std::time::Duration;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::by_hand::{pair, program, session_cookie};
use crate::harness::gateway::{SHARED_KEY, Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::Endpoint;

const RUN_OUT: Duration = Duration::from_secs(61);

#[tokio::test]
async fn a_refresh_that_is_under_way_at_the_end_is_saved_for_the_next_replica() {
    let adjust = |setup: &mut Setup| setup.session = SHARED_KEY.to_owned();
    let mut stage = Stage::with(adjust).await;
    let replica = stage.replica(adjust).await;
    stage.log_in().await;
    let cookie = pair(&session_cookie(&stage.browser));
    stage.gateway.clock.advance(RUN_OUT);
    let (opener, gate) = gate();
    let mut gate = Some(gate);
    stage.provider.on(Endpoint::Token, move |_, response| match gate.take() {
        Some(gate) => Behaviour::Respond(response).held(gate),
        None => Behaviour::Respond(response),
    });
    let (tab, url) = (stage.browser.clone(), stage.url("/"));
    let request = tokio::spawn(async move { tab.fetch(&url).await });
    stage.provider.hits_reach(Endpoint::Token, 2).await;
    // Whoever has asked goes away; the provider has rotated the refresh token, and its answer is still to come.
    request.abort();
    let running = stage.gateway.running.take().unwrap();
    let mut ending = tokio::spawn(running.shut_down(true));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut ending).await;
    assert!(early.is_err(), "with the process the tokens would be lost");
    opener.open();
    patiently("the end", ending).await.unwrap();
    assert_eq!(program(&replica, "/", &cookie).await.status, 200);
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1, "the tokens were there");
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(program(&replica, "/", &cookie).await.status, 200, "and the next refresh token is the right one");
}
