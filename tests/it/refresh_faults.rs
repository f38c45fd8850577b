//! What a refresh that goes wrong costs: nothing while the old token serves, a wait while nobody knows, and the session
//! only where the provider says so.

use std::time::Duration;

use serde_json::json;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::provider::Endpoint;

/// The development provider's access tokens live for a minute; after this they are due, and still serve.
const DUE: Duration = Duration::from_secs(40);
/// After this they have run out.
const RUN_OUT: Duration = Duration::from_secs(61);

async fn logged_in() -> Stage {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.upstream.forget();
    stage
}

impl Stage {
    async fn status(&self) -> u16 {
        self.browser.fetch(&self.url("/")).await.status.as_u16()
    }

    /// Asks until the pause after a failed refresh is over and a further call has been made.
    async fn tries_again(&self) {
        let before = self.provider.hits(Endpoint::Token);
        patiently("another try", async {
            while self.provider.hits(Endpoint::Token) == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
                self.status().await;
            }
        })
        .await;
        assert_eq!(self.provider.hits(Endpoint::Token), before + 1);
    }

    fn sessions(&self) -> usize {
        self.gateway.sessions().live_sessions()
    }

    fn ended_because(&self, reason: &str) -> usize {
        self.gateway.log.lines_with(&["session.ended", &format!("\"reason\":\"{reason}\"")])
    }
}

#[tokio::test]
async fn rf_07_a_provider_that_is_away_costs_nothing_while_the_token_serves() {
    for status in [500, 503, 429] {
        let stage = logged_in().await;
        stage.provider.instead(Endpoint::Token, move |_| Behaviour::status(status));
        stage.gateway.clock.advance(DUE);
        for _ in 0..20 {
            assert_eq!(stage.status().await, 200);
        }
        stage.gateway.log_reaches(&["refresh.failed"], 1).await;
        assert_eq!(stage.provider.hits(Endpoint::Token), 2, "no hammering");
        // It has run out: nobody is forwarded with it, and nobody is logged out.
        stage.gateway.clock.advance(RUN_OUT);
        let before = stage.upstream.hits();
        let page = stage.browser.navigate_once(&stage.url("/")).await;
        assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("5")), "{}", page.text());
        assert_eq!((page.set_cookies().len(), stage.sessions(), stage.upstream.hits()), (0, 1, before));
        stage.provider.restore(Endpoint::Token);
        patiently("the provider to be asked again", async {
            while stage.status().await != 200 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(stage.gateway.log.lines_with(&["refresh.ok"]), 1);
    }
}

#[tokio::test]
async fn rf_07_an_answer_without_a_usable_token_keeps_the_session() {
    let good = json!({ "access_token": "new", "token_type": "Bearer", "expires_in": 60 });
    let with = |name: &str, value: serde_json::Value| {
        let mut answer = good.clone();
        answer[name] = value;
        Behaviour::json(200, &answer)
    };
    let cases = [
        ("jw-30", with("token_type", json!("mac"))),
        ("jw-30", with("token_type", json!(null))),
        ("jw-31", with("expires_in", json!("3600"))),
        ("jw-31", with("expires_in", json!(-1))),
        ("jw-33", with("access_token", json!("x".repeat(65_536)))),
        ("if-04", with("error", json!("invalid_grant"))),
        ("if-04", Behaviour::json_text(200, "null")),
        ("if-06", Behaviour::html(200, &good.to_string())),
        ("if-07", Behaviour::json(201, &good)),
        ("if-07", Behaviour::status(204)),
        ("client", Behaviour::json(401, &json!({ "error": "invalid_client" }))),
    ];
    for (id, answer) in cases {
        let stage = logged_in().await;
        stage.provider.once(Endpoint::Token, answer);
        stage.gateway.clock.advance(RUN_OUT);
        assert_eq!(stage.status().await, 503, "{id}");
        assert_eq!((stage.provider.hits(Endpoint::Token), stage.upstream.hits(), stage.sessions()), (2, 1, 1), "{id}");
        assert_eq!(stage.gateway.log.lines_with(&["refresh.failed"]), 1, "{id}");
        stage.tries_again().await;
        assert_eq!(stage.status().await, 200, "{id}: the refresh token was not lost");
    }
}

#[tokio::test]
async fn an_invalid_grant_ends_the_session() {
    let stage = logged_in().await;
    stage.provider.instead(Endpoint::Token, |_| Behaviour::json(400, &json!({ "error": "invalid_grant" })));
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.status().await, 401);
    assert_eq!((stage.sessions(), stage.ended_because("refresh-rejected")), (0, 1));
    assert_eq!(stage.gateway.log.lines_with(&["refresh.failed", "invalid-grant"]), 1);
    let page = stage.browser.navigate_once(&stage.url("/")).await;
    assert_eq!(page.status, 303);
    assert!(page.location().unwrap().as_str().starts_with(stage.provider.issuer()));
    assert_eq!((stage.provider.hits(Endpoint::Token), stage.upstream.hits()), (2, 1));
}

#[tokio::test]
async fn if_08_a_lost_answer_is_followed_by_exactly_one_later_try() {
    for lost in [|| Behaviour::Reset, || Behaviour::Close] {
        let stage = logged_in().await;
        stage.provider.instead(Endpoint::Token, move |_| lost());
        stage.gateway.clock.advance(RUN_OUT);
        for _ in 0..5 {
            assert_eq!(stage.status().await, 503);
        }
        assert_eq!(stage.provider.hits(Endpoint::Token), 2, "it is not sent again by itself");
        assert_eq!(stage.gateway.log.lines_with(&["refresh.uncertain", "\"generation\":1"]), 1);
        stage.tries_again().await;
        // From here on as without a refresh token; the session stays for what needs no token.
        for _ in 0..5 {
            assert_eq!(stage.status().await, 401);
        }
        assert_eq!((stage.provider.hits(Endpoint::Token), stage.sessions()), (3, 1));
        assert_eq!(stage.gateway.log.lines_with(&["refresh.uncertain"]), 2);
        stage.provider.restore(Endpoint::Token);
        assert_eq!(stage.browser.navigate(&stage.url("/")).await.status, 200, "a silent login mends it");
        assert_eq!((stage.upstream.hits(), stage.sessions()), (2, 1));
    }
}

#[tokio::test]
async fn if_08_the_later_try_may_succeed() {
    let stage = logged_in().await;
    stage.provider.once(Endpoint::Token, Behaviour::Reset);
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.status().await, 503);
    stage.tries_again().await;
    assert_eq!(stage.status().await, 200);
    assert_eq!(stage.gateway.log.lines_with(&["refresh.ok", "\"generation\":2"]), 1);
    // The mark is gone with it: the next lost answer has its later try as well.
    stage.provider.once(Endpoint::Token, Behaviour::Reset);
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.status().await, 503);
    stage.tries_again().await;
    assert_eq!(stage.status().await, 200);
}

#[tokio::test]
async fn rf_03_tokens_that_were_lost_on_the_way_end_in_one_login_and_no_loop() {
    let stage = logged_in().await;
    let mut lost = false;
    // The provider has rotated the refresh token; nobody ever learns the new one.
    stage.provider.on(Endpoint::Token, move |_, response| {
        if std::mem::replace(&mut lost, true) { Behaviour::Respond(response) } else { Behaviour::Reset }
    });
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.status().await, 503);
    stage.tries_again().await;
    assert_eq!((stage.sessions(), stage.ended_because("refresh-rejected")), (0, 1), "reuse was detected");
    let page = stage.browser.navigate(&stage.url("/")).await;
    assert_eq!((page.status.as_u16(), stage.sessions()), (200, 1), "{}", page.text());
    assert_eq!(stage.provider.token_requests("authorization_code").len(), 2);
}

#[tokio::test]
async fn a_provider_that_will_never_refresh_this_grant_is_not_asked_again() {
    let stage = logged_in().await;
    stage.provider.instead(Endpoint::Token, |_| Behaviour::json(400, &json!({ "error": "unsupported_grant_type" })));
    stage.gateway.clock.advance(DUE);
    assert_eq!(stage.status().await, 200);
    stage.gateway.log_reaches(&["refresh.failed"], 1).await;
    for _ in 0..5 {
        assert_eq!(stage.status().await, 200);
    }
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.status().await, 401);
    assert_eq!((stage.provider.hits(Endpoint::Token), stage.sessions()), (2, 1));
}

#[tokio::test]
async fn rf_08_a_logout_wins_over_a_refresh_that_is_under_way() {
    let stage = logged_in().await;
    stage.gateway.clock.advance(RUN_OUT);
    let (opener, gate) = gate();
    let mut gate = Some(gate);
    stage.provider.on(Endpoint::Token, move |_, response| match gate.take() {
        Some(gate) => Behaviour::Respond(response).held(gate),
        None => Behaviour::Respond(response),
    });
    let (tab, url) = (stage.browser.clone(), stage.url("/"));
    let waiting = tokio::spawn(async move { tab.fetch(&url).await.status.as_u16() });
    stage.provider.hits_reach(Endpoint::Token, 2).await;
    let page = stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
    assert_eq!((page.status.as_u16(), stage.sessions()), (303, 0));
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
    opener.open();
    assert_eq!(waiting.await.unwrap(), 401);
    stage.provider.hits_reach(Endpoint::Revocation, 2).await;
    let revoked: Vec<_> =
        stage.provider.requests(Endpoint::Revocation).iter().map(|sent| sent.form_value("token")).collect();
    let spent = stage.provider.token_requests("refresh_token")[0].form_value("refresh_token");
    assert_eq!(revoked[0], spent, "the logout revokes what the session had");
    assert_ne!(revoked[1], spent, "and the refresh what came for a session that is gone");
    assert_eq!((stage.sessions(), stage.upstream.hits()), (0, 1));
    assert_eq!(stage.gateway.log.lines_with(&["refresh.ok"]), 0);
    assert_eq!((stage.ended_because("sign-out"), stage.gateway.log.lines_with(&["session.ended"])), (1, 1));
}

#[tokio::test]
async fn rf_10_and_jw_39_tokens_of_somebody_else_end_the_session_and_are_revoked() {
    let other_sub = |stage: &Stage| stage.provider.alter_claims(|claims| claims["sub"] = "subject-of-bob".into());
    let other_iss = |stage: &Stage| stage.provider.alter_claims(|claims| claims["iss"] = "https://evil.example".into());
    let other_userinfo = |stage: &Stage| {
        stage.provider.omit(Endpoint::Token, "id_token");
        stage.provider.put(Endpoint::Userinfo, "sub", json!("subject-of-bob"));
    };
    for become_other in [&other_sub as &dyn Fn(&Stage), &other_iss, &other_userinfo] {
        let stage = logged_in().await;
        become_other(&stage);
        stage.gateway.clock.advance(RUN_OUT);
        assert_eq!(stage.status().await, 401);
        assert_eq!((stage.sessions(), stage.ended_because("other-subject"), stage.upstream.hits()), (0, 1, 1));
        assert_eq!(stage.gateway.log.lines_with(&["refresh.failed", "other-subject"]), 1);
        stage.provider.hits_reach(Endpoint::Revocation, 1).await;
        let spent = stage.provider.token_requests("refresh_token")[0].form_value("refresh_token");
        assert_ne!(stage.provider.requests(Endpoint::Revocation)[0].form_value("token"), spent);
        assert_eq!(stage.provider.hits(Endpoint::Token), 2);
    }
}

#[tokio::test]
async fn nothing_of_a_refresh_is_written_down() {
    let stage = logged_in().await;
    let mut secrets = vec![crate::harness::gateway::CLIENT_SECRET.to_owned()];
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.status().await, 200);
    stage.provider.once(Endpoint::Token, Behaviour::Reset);
    stage.gateway.clock.advance(RUN_OUT);
    assert_eq!(stage.status().await, 503);
    stage.provider.instead(Endpoint::Token, |_| Behaviour::json(400, &json!({ "error": "invalid_grant" })));
    stage.tries_again().await;
    assert_eq!(stage.ended_because("refresh-rejected"), 1);
    secrets.extend(stage.upstream.requests().iter().map(|sent| sent.header("authorization").unwrap()[7..].to_owned()));
    let spent = stage.provider.token_requests("refresh_token");
    secrets.extend(spent.iter().map(|sent| sent.form_value("refresh_token").unwrap()));
    secrets.extend(stage.browser.jar().of("app.example").iter().map(|cookie| cookie.value.clone()));
    assert_eq!(secrets.len(), 1 + 1 + 3 + 2);
    let written = stage.gateway.everything_written();
    for secret in secrets {
        assert!(!written.contains(&secret), "{secret} has been written");
    }
}
