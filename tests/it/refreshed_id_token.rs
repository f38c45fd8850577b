//! The ID token that comes with a refresh: a bad one is dropped and costs nobody the session, and it is never kept.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use vestibule::clock::OffsetClock;

use crate::forged_tokens::{Forgery, Material, of_the_claims, of_the_signature, others_issuers};
use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::{CLIENT_ID, Stage};
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::signing::parts;
use crate::harness::upstream::RecordingUpstream;

/// Gateway and provider, whose clocks are moved together.
struct Moving {
    stage: Stage,
    provider_clock: Arc<OffsetClock>,
}

impl Moving {
    async fn set() -> Self {
        let provider_clock = Arc::new(OffsetClock::default());
        let provider = TestProvider::with(Arc::clone(&provider_clock) as Arc<_>, |_| {}).await;
        let shows_groups = "[upstream.headers]\nx-groups = \"{claims.groups}\"";
        let stage = Stage::with_provider(provider, |setup| setup.upstream = shows_groups.into()).await;
        stage.log_in().await;
        Self { stage, provider_clock }
    }

    async fn refresh(&self) -> u16 {
        let ahead = Duration::from_secs(10);
        self.stage.gateway.clock.advance(ahead);
        self.provider_clock.advance(ahead);
        let url = self.stage.url("/oauth2/session/refresh");
        self.stage.browser.ask(&url, Asked::new(Kind::Fetch).method("POST")).await.status.as_u16()
    }

    /// From here on refreshes bring this forgery, which also says that its subject is in another group.
    fn forge(&self, forgery: &Forgery, attacker: &str) {
        let (forgery, key, attacker) = (forgery.clone(), self.stage.provider.key(), attacker.to_owned());
        self.stage.provider.replace_id_token(move |header, mut claims| {
            claims["groups"] = json!(["forged"]);
            let material = Material { header, claims, key: Arc::clone(&key), attacker: attacker.clone() };
            forgery.token(&material)
        });
    }
}

async fn drops(forgeries: Vec<Forgery>, attacker: &str) {
    let moving = Moving::set().await;
    let stage = &moving.stage;
    let userinfo = stage.provider.hits(Endpoint::Userinfo);
    let mut token = String::new();
    for forgery in forgeries {
        moving.forge(&forgery, attacker);
        let line = ["refresh.identity-unchanged", &format!("\"reason\":\"{}\"", forgery.check)];
        let lines = stage.gateway.log.lines_with(&line);
        let calls = stage.provider.hits(Endpoint::Token);
        assert_eq!(moving.refresh().await, 200, "{forgery}");
        let log = stage.gateway.log.text();
        let last = log.lines().rfind(|line| line.contains("identity-unchanged"));
        assert_eq!(stage.gateway.log.lines_with(&line), lines + 1, "{forgery}: {}, but {last:?}", forgery.check);
        assert_eq!(stage.provider.hits(Endpoint::Token), calls + 1, "{forgery}");
        assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200, "{forgery}");
        let received = stage.upstream.last();
        assert_eq!(received.header("x-groups"), Some("staff,admins"), "{forgery}: claims are unchanged");
        assert_ne!(received.header("authorization").unwrap(), token, "{forgery}: the tokens are kept");
        token = received.header("authorization").unwrap().to_owned();
        stage.provider.restore(Endpoint::Token);
    }
    assert_eq!(stage.provider.hits(Endpoint::Userinfo), userinfo, "userinfo is not asked about a bad token");
    // What is kept is still the token of the login: the only one with a nonce.
    let page = stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
    let location = page.location().unwrap();
    let hint = location.query_pairs().find(|(name, _)| name == "id_token_hint").unwrap().1.into_owned();
    let (_, claims) = parts(&hint);
    assert!(claims.get("nonce").is_some() && claims["groups"] != json!(["forged"]), "{claims}");
}

#[tokio::test]
async fn jw_39_a_refreshed_token_that_is_not_rightly_signed_is_dropped() {
    let attacker = RecordingUpstream::start().await;
    drops(of_the_signature(), &attacker.url()).await;
    assert_eq!(attacker.connections().value(), 0);
}

#[tokio::test]
async fn jw_39_a_refreshed_token_whose_claims_are_wrong_is_dropped() {
    let claim = Forgery::claim;
    let more = [
        claim("JW-23", "sub", "sub", json!("")),
        claim("JW-23", "sub", "sub", json!(42)),
        claim("JW-24", "at-hash", "at_hash", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("nonce", "nonce", "nonce", json!("AAAAAAAAAAAAAAAAAAAAAA")),
        claim("auth_time", "auth-time", "auth_time", json!(1_700_000_000)),
        claim("auth_time", "auth-time", "auth_time", json!("now")),
        claim("LO-14", "typ", "events", json!({})),
    ];
    // Another issuer is another identity: that ends the session, below.
    let issuer = Moving::set().await.stage.provider.issuer().to_owned();
    let claims = of_the_claims(&issuer, CLIENT_ID).into_iter().filter(|forgery| forgery.id != "JW-14");
    drops(claims.chain(more).collect(), "").await;
}

#[tokio::test]
async fn jw_39_and_jw_14_a_rightly_signed_token_of_another_identity_ends_the_session() {
    let mut count = 0;
    let moving = Moving::set().await;
    let subjects = ["subject-of-bob", "subject-of-alice ", "SUBJECT-OF-ALICE", "a\nb"];
    let subjects = subjects.map(|subject| Forgery::claim("RF-10", "sub", "sub", json!(subject)));
    for forgery in others_issuers(moving.stage.provider.issuer()).into_iter().chain(subjects) {
        count += 1;
        let stage = &moving.stage;
        moving.forge(&forgery, "");
        assert_eq!(moving.refresh().await, 401, "{forgery}");
        stage.provider.hits_reach(Endpoint::Revocation, count).await;
        assert_eq!(stage.gateway.sessions().live_sessions(), 0, "{forgery}");
        assert_eq!(stage.gateway.log.lines_with(&["session.ended", "other-subject"]), count, "{forgery}");
        stage.provider.restore(Endpoint::Token);
        assert_eq!(stage.browser.navigate(&stage.url("/")).await.status, 200, "{forgery}: logged in again");
        moving.stage.gateway.clock.advance(Duration::from_secs(31));
        moving.provider_clock.advance(Duration::from_secs(31));
    }
}
