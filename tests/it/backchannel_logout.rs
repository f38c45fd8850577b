//! Back-channel logout: what the provider says has ended ends here, once for each token, on every host and replica.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;
use vestibule::demo::provider::RegisteredClient;
use vestibule::gateway::settings::Settings;
use vestibule::secret::{ClientSecret, SealingKey};

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{LOGIN, post_form, post_logout_token, send};
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Gateway, Setup, Stage};
use crate::harness::login_steps::authorize;
use crate::harness::logout_stage::{cookie_for, is_live, session_of, sid_of};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::raw::RawResponse;

const ENDPOINT: &str = "/oauth2/backchannel-logout";
const FORM: (&str, &str) = ("Content-Type", "application/x-www-form-urlencoded");
const ALICE: &str = "subject-of-alice";

fn is_done(answer: &RawResponse) {
    assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(answer.all("set-cookie").is_empty());
}

fn is_refused(answer: &RawResponse) {
    assert_eq!((answer.status, answer.text().as_str()), (400, "{\"error\":\"invalid_request\"}"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn a_session_that_has_ended_at_the_provider_ends_here_and_its_tokens_are_revoked() {
    let stage = Stage::set().await;
    let (first, second) = (stage.cookie_of("alice").await, stage.cookie_of("alice").await);
    let reference = session_of(&stage.gateway, &first).await.reference().to_owned();
    let sid = sid_of(&stage.gateway, &first).await;
    is_done(&stage.end_by("sid", &sid, "one").await);
    assert!(!is_live(&stage.gateway, &first).await && is_live(&stage.gateway, &second).await);
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
    let log = &stage.gateway.log;
    let accepted = ["\"bcl.accepted\"", "\"reason\":\"sid\"", "\"ended\":1", "\"revoked\":1", "\"INFO\""];
    assert_eq!(log.lines_with(&accepted), 1, "{}", log.text());
    let ended = ["\"session.ended\"", "\"back-channel-logout\"", &reference, "\"user\":\"", "\"request_id\":\""];
    assert_eq!(log.lines_with(&ended), 1, "{}", log.text());
    let metrics = stage.gateway.metrics.encode();
    assert!(metrics.contains("vestibule_sessions_ended_total{reason=\"back-channel-logout\"} 1"));
    // A person is logged in again as ever.
    assert!(is_live(&stage.gateway, &stage.cookie_of("alice").await).await);
}

#[tokio::test]
async fn lo_16_only_what_the_token_names_ends() {
    let stage = Stage::set().await;
    let (alice, again, bob) =
        (stage.cookie_of("alice").await, stage.cookie_of("alice").await, stage.cookie_of("bob").await);
    is_done(&stage.end_by("sub", "subject-of-nobody", "nobody").await);
    // A sid that is a sub, and a sub that is a sid.
    is_done(&stage.end_by("sid", ALICE, "mixed").await);
    is_done(&stage.end_by("sub", &sid_of(&stage.gateway, &alice).await, "mixed again").await);
    for cookie in [&alice, &again, &bob] {
        assert!(is_live(&stage.gateway, cookie).await);
    }
    is_done(&stage.end_by("sub", ALICE, "alice").await);
    assert!(!is_live(&stage.gateway, &alice).await && !is_live(&stage.gateway, &again).await);
    assert!(is_live(&stage.gateway, &bob).await);
    // With both it is the one session.
    let (other, bob_too) = (stage.cookie_of("bob").await, bob);
    let mut claims = stage.logout_claims("sid", &sid_of(&stage.gateway, &other).await, "both");
    claims["sub"] = json!("subject-of-bob");
    is_done(&post_logout_token(&stage.gateway, &stage.logout_token(&claims)).await);
    assert!(!is_live(&stage.gateway, &other).await && is_live(&stage.gateway, &bob_too).await);
}

#[tokio::test]
async fn lo_18_a_session_that_nobody_knows_is_fine() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    is_done(&stage.end_by("sid", "unknown", "unknown").await);
    assert!(is_live(&stage.gateway, &cookie).await);
    assert_eq!(stage.gateway.log.lines_with(&["\"bcl.accepted\"", "\"ended\":0"]), 1);
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\""]), 0);
}

#[tokio::test]
async fn lo_15_a_token_that_is_sent_again_ends_nothing() {
    let stage = Stage::set().await;
    let before = stage.cookie_of("alice").await;
    let token = stage.logout_token(&stage.logout_claims("sub", ALICE, "once"));
    is_done(&post_logout_token(&stage.gateway, &token).await);
    assert!(!is_live(&stage.gateway, &before).await);
    let since = stage.cookie_of("alice").await;
    // By the same name in other words too.
    let mut respelled = stage.logout_claims("sub", ALICE, "once");
    respelled["x"] = json!(1);
    for token in [token, stage.logout_token(&respelled)] {
        is_refused(&post_logout_token(&stage.gateway, &token).await);
    }
    // Within the whole time for which it would be good otherwise, clocks apart.
    stage.gateway.clock.advance(Duration::from_secs(179));
    is_refused(&post_logout_token(&stage.gateway, &stage.logout_token(&respelled)).await);
    assert!(is_live(&stage.gateway, &since).await);
    let rejected = ["WARN", "\"bcl.rejected\"", "\"logout-token-invalid\"", "\"detail\":\"replayed\""];
    assert_eq!(stage.gateway.log.lines_with(&rejected), 3);
}

#[tokio::test]
async fn lo_15_without_the_memory_of_used_tokens_none_is_accepted() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let token = stage.logout_token(&stage.logout_claims("sub", ALICE, "once"));
    stage.gateway.store.fail(&["put_once"]);
    let answer = post_logout_token(&stage.gateway, &token).await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    stage.gateway.store.fail(&[]);
    assert!(is_live(&stage.gateway, &cookie).await);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "\"bcl.rejected\"", "store-unavailable"]), 1);
    is_done(&post_logout_token(&stage.gateway, &token).await);
    assert!(!is_live(&stage.gateway, &cookie).await);
}

#[tokio::test]
async fn a_logout_that_the_store_cut_short_can_be_asked_for_again_and_then_no_more() {
    for failing in ["write_index_tombstone", "index_members", "remove"] {
        let stage = Stage::set().await;
        let cookie = stage.cookie_of("alice").await;
        let token = stage.logout_token(&stage.logout_claims("sub", ALICE, "once"));
        stage.gateway.store.fail(&[failing]);
        assert_eq!(post_logout_token(&stage.gateway, &token).await.status, 503, "{failing}");
        stage.gateway.store.fail(&[]);
        assert!(is_live(&stage.gateway, &cookie).await, "{failing}");
        is_done(&post_logout_token(&stage.gateway, &token).await);
        assert!(!is_live(&stage.gateway, &cookie).await, "{failing}");
        let since = stage.cookie_of("alice").await;
        is_refused(&post_logout_token(&stage.gateway, &token).await);
        assert!(is_live(&stage.gateway, &since).await, "{failing}");
    }
}

#[tokio::test]
async fn a_provider_that_goes_on_trying_is_refused_in_the_end() {
    let stage = Stage::set().await;
    let token = stage.logout_token(&stage.logout_claims("sub", ALICE, "once"));
    stage.gateway.store.fail(&["index_members"]);
    for status in [503, 503, 503, 400, 400] {
        assert_eq!(post_logout_token(&stage.gateway, &token).await.status, status);
    }
}

#[tokio::test]
async fn a_login_on_its_way_that_is_older_than_the_logout_makes_no_session() {
    let stage = Stage::set().await;
    let page = stage.browser.navigate_once(&stage.url("/")).await;
    let callback = authorize(&stage.browser, &page.location().unwrap(), "alice").await;
    let mut claims = stage.logout_claims("sub", ALICE, "later");
    claims["iat"] = json!(claims["exp"].as_u64().unwrap() - 120);
    let token = stage.logout_token(&claims);
    // The provider has issued the ID token, and we have not begun the session yet.
    let (opener, gate) = gate();
    let mut gate = Some(gate);
    stage.provider.on(Endpoint::Token, move |_, response| Behaviour::Respond(response).held(gate.take().unwrap()));
    let logging_in = stage.browser.click(callback.as_str());
    let logging_out = async {
        stage.provider.hits_reach(Endpoint::Token, 1).await;
        let answer = post_logout_token(&stage.gateway, &token).await;
        opener.open();
        answer
    };
    let (page, answer) = tokio::join!(logging_in, logging_out);
    is_done(&answer);
    assert_eq!(page.status, 400, "{}", page.text());
    assert_eq!(stage.gateway.sessions().live_sessions(), 0);
}

#[tokio::test]
async fn sessions_of_other_hosts_end_too() {
    let provider = TestProvider::start().await;
    provider.register(RegisteredClient {
        id: CLIENT_ID.into(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.into())),
        redirect_uris: ["app", "wiki"].map(|host| format!("https://{host}.example/oauth2/callback")).to_vec(),
        post_logout_redirect_uris: Vec::new(),
    });
    let stage = Stage::with_settings(
        provider,
        |setup| {
            setup.register = false;
            setup.more =
                "[[upstream]]\nname = \"wiki\"\nhost = \"wiki.example\"\ntarget = \"http://127.0.0.1:1\"".into();
        },
        |settings| settings.routes[1].upstream.targets = settings.routes[0].upstream.targets.clone(),
    )
    .await;
    stage.browser.resolve("wiki.example", stage.gateway.address);
    stage.log_in().await;
    // The same session at the provider: it asks nothing.
    let page = stage.browser.navigate("https://wiki.example/").await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, "https://wiki.example/"));
    let app = cookie_for(&stage.browser, "app.example");
    let sid = sid_of(&stage.gateway, &app).await;
    // Whichever host the provider calls.
    let token = stage.logout_token(&stage.logout_claims("sid", &sid, "one"));
    is_done(&post_form(&stage.gateway, "wiki.example", ENDPOINT, &format!("logout_token={token}"), &[FORM]).await);
    assert!(!is_live(&stage.gateway, &app).await);
    assert_eq!(stage.browser.fetch("https://wiki.example/").await.status, 401);
    assert_eq!(stage.gateway.log.lines_with(&["\"bcl.accepted\"", "\"ended\":2"]), 1);
    stage.provider.hits_reach(Endpoint::Revocation, 2).await;
}

fn same_keys(settings: &mut Settings) {
    settings.session.keys = vec![SealingKey::new([7; 32])];
    settings.session_keys_configured = true;
}

#[tokio::test]
async fn lo_17_a_person_is_logged_out_on_every_replica_at_once() {
    let stage = Stage::with_settings(TestProvider::start().await, |_| {}, same_keys).await;
    let settings = || {
        Gateway::settings(&Setup::default(), stage.provider.issuer(), stage.upstream.address(), |settings| {
            same_keys(settings);
        })
    };
    let replicas = [stage.gateway.replica(settings()).await, stage.gateway.replica(settings()).await];
    let gateways = [&stage.gateway, &replicas[0], &replicas[1]];
    let (mut browsers, mut sockets, mut cookies) = (Vec::new(), Vec::new(), Vec::new());
    for gateway in gateways {
        let browser = gateway.browser();
        assert_eq!(browser.log_in(&gateway.url("/"), "alice").await.status, 200);
        let mut socket = browser.web_socket("/socket", None).await.unwrap();
        socket.send(Message::text("hello")).await.unwrap();
        assert_eq!(patiently("the echo", socket.next()).await.unwrap().unwrap(), Message::text("hello"));
        cookies.push(cookie_for(&browser, "app.example"));
        sockets.push(socket);
        browsers.push(browser);
    }
    // Every replica has every session open, and serves it from memory.
    for gateway in gateways {
        for cookie in &cookies {
            assert!(is_live(gateway, cookie).await);
        }
    }
    is_done(&stage.end_by("sub", ALICE, "all").await);
    let within = Duration::from_secs(1);
    let all_are_gone = async {
        for mut socket in sockets {
            while socket.next().await.is_some_and(|message| message.is_ok_and(|message| !message.is_close())) {}
        }
        for gateway in gateways {
            for cookie in &cookies {
                while is_live(gateway, cookie).await {}
            }
        }
    };
    tokio::time::timeout(within, all_are_gone).await.expect("within a second");
    assert_eq!(stage.gateway.sessions().live_sessions(), 0);
}

#[tokio::test]
async fn lo_17_the_end_of_an_old_session_leaves_the_newer_one_in_the_index() {
    let stage = Stage::set().await;
    let (old, new) = (stage.cookie_of("alice").await, stage.cookie_of("alice").await);
    is_done(&stage.end_by("sid", &sid_of(&stage.gateway, &old).await, "old").await);
    assert!(is_live(&stage.gateway, &new).await);
    is_done(&stage.end_by("sub", ALICE, "all").await);
    assert!(!is_live(&stage.gateway, &new).await);
}

#[tokio::test]
async fn an_open_stream_ends_with_its_session() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let (_sender, events) = Behaviour::events();
    stage.upstream.answer_once(events);
    let asked = Asked::new(Kind::Fetch).header("accept", "text/event-stream");
    let response = stage.browser.stream(&stage.url("/events"), asked).await;
    is_done(&stage.end_by("sub", ALICE, "all").await);
    let end = patiently("the end of the stream", http_body_util::BodyExt::collect(response.into_body())).await;
    assert!(end.is_err(), "a stream that is cut does not end well");
}

#[tokio::test]
async fn cs_12_a_request_with_a_cookie_of_ours_is_no_providers() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let token = stage.logout_token(&stage.logout_claims("sub", ALICE, "one"));
    let form = format!("logout_token={token}");
    for cookies in [cookie.clone(), format!("a=b; {LOGIN}=x"), "__Host-Http-vestibule=".to_owned()] {
        let headers = [FORM, ("Cookie", &*cookies)];
        is_refused(&post_form(&stage.gateway, "app.example", ENDPOINT, &form, &headers).await);
    }
    assert!(is_live(&stage.gateway, &cookie).await);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "\"bcl.rejected\"", "\"detail\":\"cookie\""]), 3);
    // No cross-site check keeps it out, and the cookie of a load balancer says nothing.
    let headers =
        [FORM, ("Cookie", "balancer=1"), ("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")];
    is_done(&post_form(&stage.gateway, "app.example", ENDPOINT, &form, &headers).await);
    assert_eq!(stage.gateway.log.lines_with(&["csrf.denied"]), 0);
}

#[tokio::test]
async fn what_is_no_form_with_one_logout_token_is_refused() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let token = stage.logout_token(&stage.logout_claims("sub", ALICE, "one"));
    let form = format!("logout_token={token}");
    let post = |form: String, headers: Vec<(&'static str, &'static str)>| {
        let gateway = &stage.gateway;
        async move { post_form(gateway, "app.example", ENDPOINT, &form, &headers).await }
    };
    for (what, form, headers) in [
        ("twice", format!("{form}&{form}"), vec![FORM]),
        ("empty", String::new(), vec![FORM]),
        ("no value", "logout_token=".to_owned(), vec![FORM]),
        ("another name", format!("token={token}"), vec![FORM]),
        ("too long", format!("{form}&x={}", "x".repeat(20 << 10)), vec![FORM]),
        ("a long token", format!("logout_token={}", "x".repeat(17 << 10)), vec![FORM]),
        ("no type", form.clone(), vec![]),
        ("JSON", format!("{{\"logout_token\":\"{token}\"}}"), vec![("Content-Type", "application/json")]),
        ("a form of parts", form.clone(), vec![("Content-Type", "multipart/form-data")]),
        ("two types", form.clone(), vec![FORM, FORM]),
    ] {
        let answer = post(form, headers).await;
        assert_eq!(answer.status, 400, "{what}");
        is_refused(&answer);
    }
    let in_query = format!("{ENDPOINT}?{form}");
    is_refused(&post_form(&stage.gateway, "app.example", &in_query, "", &[FORM]).await);
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        let answer = send(&stage.gateway, method, ENDPOINT, &[]).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")), "{method}");
    }
    assert!(is_live(&stage.gateway, &cookie).await);
    // What stands beside it does not matter, nor does how the type is spelled.
    let charset = ("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8");
    is_done(&post(format!("a=b&{form}&a=c"), vec![charset]).await);
    assert!(!is_live(&stage.gateway, &cookie).await);
    assert!(!stage.gateway.everything_written().contains(&token), "the token is in a log");
}

#[tokio::test]
async fn more_than_fifty_forgeries_a_second_are_turned_away_and_no_logout_of_the_provider_is() {
    let stage = Stage::set().await;
    // Not even a parsed token takes part of the rate.
    for _ in 0..60 {
        is_refused(&post_logout_token(&stage.gateway, "a.b.c").await);
    }
    let mut statuses = Vec::new();
    for number in 0..120 {
        let mut claims = stage.logout_claims("sub", ALICE, &number.to_string());
        claims["aud"] = json!("other");
        let answer = post_logout_token(&stage.gateway, &stage.logout_token(&claims)).await;
        assert_eq!(answer.header("retry-after").is_some(), answer.status == 429);
        statuses.push(answer.status);
    }
    let turned_away = statuses.iter().filter(|status| **status == 429).count();
    assert!(statuses[..50].iter().all(|status| *status == 400) && turned_away > 0, "{statuses:?}");
    let counted = format!("vestibule_limit_reached_total{{limit=\"logout-tokens\"}} {turned_away}");
    assert!(stage.gateway.metrics.encode().contains(&counted));
    assert_eq!(stage.gateway.log.lines_with(&["\"bcl.rejected\"", "too-many-logouts"]), turned_away);
    // The provider's own word passes all the same.
    for number in 0..60 {
        is_done(&stage.end_by("sub", ALICE, &format!("later {number}")).await);
    }
    assert_eq!(stage.gateway.log.lines_with(&["\"bcl.accepted\""]), 60);
}

#[tokio::test]
async fn a_key_that_has_come_since_is_fetched_once() {
    let stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    let fetched = stage.provider.hits(Endpoint::Keys);
    stage.provider.rotate_keys();
    is_done(&stage.end_by("sub", ALICE, "new key").await);
    assert!(!is_live(&stage.gateway, &cookie).await);
    // Not again and again for keys that are nobody's.
    for number in 0..5 {
        let mut header = stage.provider.header();
        header["kid"] = json!(format!("unknown {number}"));
        let claims = stage.logout_claims("sub", ALICE, &format!("unknown {number}"));
        is_refused(&post_logout_token(&stage.gateway, &stage.provider.mint(&header, &claims)).await);
    }
    assert_eq!(stage.provider.hits(Endpoint::Keys), fetched + 1);
}

#[tokio::test]
async fn while_the_providers_keys_are_away_nothing_is_accepted() {
    let mut stage = Stage::set().await;
    let cookie = stage.cookie_of("alice").await;
    stage.provider.rotate_keys();
    stage.provider.go_down().await;
    let answer = stage.end_by("sub", ALICE, "new key").await;
    assert_eq!((answer.status, answer.header("retry-after").is_some()), (503, true));
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "\"bcl.rejected\"", "provider-unavailable"]), 1);
    assert!(is_live(&stage.gateway, &cookie).await);
}

#[tokio::test]
async fn a_proxy_in_front_may_let_the_provider_come_without_tls() {
    let stage = Stage::with(|setup| setup.listen = "trusted_proxies = [\"127.0.0.1\"]".to_owned()).await;
    let cookie = stage.cookie_of("alice").await;
    let token = stage.logout_token(&stage.logout_claims("sub", ALICE, "one"));
    let headers = [FORM, ("X-Forwarded-Proto", "http"), ("X-Forwarded-For", "192.0.2.7")];
    is_done(&post_form(&stage.gateway, "app.example", ENDPOINT, &format!("logout_token={token}"), &headers).await);
    assert!(!is_live(&stage.gateway, &cookie).await);
}
