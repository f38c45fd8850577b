//! How long a session lives, what makes room for it, and what ends it.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::{SinkExt, StreamExt};
use sha2::{Digest, Sha256};
use tokio_tungstenite::tungstenite::Message;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::browser::{Asked, Browser, Kind};
use crate::harness::by_hand::{LOGIN, SESSION, cookie, navigation, pair, program, session_cookie};
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Gateway, PUBLIC_URL, Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::upstream::RecordingUpstream;

const MINUTE: Duration = Duration::from_secs(60);

/// An upstream that needs no token, so that only the session's own limits count.
async fn without_tokens(session: &str) -> Stage {
    let session = session.to_owned();
    Stage::with(|setup| {
        setup.session = session;
        setup.upstream = "[upstream.headers]\nauthorization = false\nx-auth-subject = \"{claims.sub}\"".to_owned();
    })
    .await
}

/// The attributes of a `Set-Cookie` line, sorted.
fn attributes(line: &str) -> Vec<&str> {
    let mut attributes: Vec<_> = line.split("; ").skip(1).collect();
    attributes.sort_unstable();
    attributes
}

fn set_cookie<'a>(lines: &[&'a str], name: &str) -> &'a str {
    let found: Vec<_> = lines.iter().filter(|line| line.starts_with(&format!("{name}="))).collect();
    assert_eq!(found.len(), 1, "{lines:?}");
    found[0]
}

#[tokio::test]
async fn ck_08_the_attributes_of_the_cookies_are_exact() {
    for (setting, same_site, max_age) in [
        ("", "SameSite=Lax", None),
        ("cookie = { same_site = \"strict\" }", "SameSite=Strict", None),
        ("cookie = { persistent = true }", "SameSite=Lax", Some("Max-Age=36000")),
        (
            "lifetime = \"2h\"\ncookie = { persistent = true, same_site = \"strict\" }",
            "SameSite=Strict",
            Some("Max-Age=7200"),
        ),
    ] {
        let stage = Stage::with(|setup| setup.session = setting.to_owned()).await;
        let page = stage.browser.log_in(&stage.url("/"), "alice").await;
        let lines = page.hop("/oauth2/callback").set_cookies();
        let session = set_cookie(&lines, SESSION);
        let mut expected: Vec<_> = ["HttpOnly", "Path=/", same_site, "Secure"].into_iter().chain(max_age).collect();
        expected.sort_unstable();
        assert_eq!(attributes(session), expected);
        assert_eq!(attributes(set_cookie(&lines, LOGIN))[1..], ["Max-Age=3600", "Path=/", "SameSite=Lax", "Secure"]);
        assert!(stage.browser.jar().refused.is_empty());
        let page = stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
        let deletion = set_cookie(&page.set_cookies(), SESSION).to_owned();
        assert!(deletion.starts_with(&format!("{SESSION}=;")), "{deletion}");
        assert_eq!(attributes(&deletion), ["HttpOnly", "Max-Age=0", "Path=/", same_site, "Secure"]);
        assert_eq!(page.set_cookies().len(), 1);
        assert_eq!(cookie(&stage.browser, SESSION), None);
    }
}

#[tokio::test]
async fn ck_08_in_development_the_cookies_carry_the_port_and_are_not_secure() {
    let stage = Stage::with(|setup| setup.public_url = "http://app.localhost:18080".to_owned()).await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    let lines = page.hop("/oauth2/callback").set_cookies();
    assert_eq!(attributes(set_cookie(&lines, "vestibule-dev-18080")), ["HttpOnly", "Path=/", "SameSite=Lax"]);
    let login = attributes(set_cookie(&lines, "vestibule-dev-18080-login"));
    assert_eq!(login, ["HttpOnly", "Max-Age=3600", "Path=/", "SameSite=Lax"]);
}

#[tokio::test]
async fn ck_13_an_unused_session_ends_at_its_idle_limit() {
    let stage = without_tokens("idle_timeout = \"30m\"").await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let clock = &stage.gateway.clock;
    for _ in 0..5 {
        clock.advance(29 * MINUTE);
        assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    }
    clock.rewind(20 * MINUTE);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    let hits = stage.upstream.hits();
    clock.advance(30 * MINUTE + Duration::from_secs(1));
    let answer = program(&stage.gateway, "/", &ours).await;
    assert_eq!(answer.status, 401, "a clock that was set back adds nothing to the limit");
    assert_eq!(stage.upstream.hits(), hits);
}

#[tokio::test]
async fn ck_13_use_never_moves_the_absolute_limit() {
    let stage = without_tokens("lifetime = \"2h\"").await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let before = stage.browser.fetch(&stage.url("/oauth2/session")).await.json();
    for _ in 0..3 {
        stage.gateway.clock.advance(30 * MINUTE);
        assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    }
    let after = stage.browser.fetch(&stage.url("/oauth2/session")).await.json();
    assert_eq!(before["session_expires"], after["session_expires"]);
    assert_eq!(after["idle_expires"], after["session_expires"], "the idle limit never lies behind it");
    stage.gateway.clock.advance(30 * MINUTE + Duration::from_secs(1));
    let answer = navigation(&stage.gateway, "/", &ours).await;
    assert_eq!((answer.status, answer.all("set-cookie").len()), (303, 1));
}

#[tokio::test]
async fn the_end_of_a_session_by_time_is_told_once() {
    for (session, past, reason) in [
        ("idle_timeout = \"30m\"", 31 * MINUTE, "idle"),
        ("lifetime = \"2h\"\nidle_timeout = \"2h\"", 121 * MINUTE, "lifetime"),
    ] {
        let stage = without_tokens(session).await;
        stage.log_in().await;
        let ours = pair(&session_cookie(&stage.browser));
        stage.gateway.clock.advance(past);
        for _ in 0..3 {
            assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
        }
        let told = stage.gateway.log.lines_with(&["\"session.ended\"", &format!("\"{reason}\"")]);
        assert_eq!(told, 1, "{}", stage.gateway.log.text());
        let counted = format!("vestibule_sessions_ended_total{{reason=\"{reason}\"}} 1");
        assert!(stage.gateway.metrics.encode().contains(&counted));
    }
}

#[tokio::test]
async fn ss_12_a_full_store_keeps_who_is_there_and_refuses_new_logins() {
    let stage = Stage::with(|setup| setup.session = "max_sessions = 1".to_owned()).await;
    stage.log_in().await;
    let second = stage.gateway.browser();
    let page = second.log_in(&stage.url("/"), "bob").await;
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("30")));
    assert!(page.text().contains("Too many people are logged in"), "{}", page.text());
    assert_eq!(cookie(&second, SESSION), None);
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    let metrics = stage.gateway.metrics.encode();
    assert!(metrics.contains("vestibule_limit_reached_total{limit=\"sessions\"} 1"), "{metrics}");
    stage.browser.navigate(&stage.url("/oauth2/sign_out")).await;
    assert_eq!(second.navigate(&stage.url("/")).await.status, 200, "there is room again");
}

#[tokio::test]
async fn mm_04_the_oldest_session_of_a_person_makes_room_and_nobody_else_s() {
    let stage = Stage::with(|setup| setup.session = "max_sessions_per_subject = 2".to_owned()).await;
    let other = stage.gateway.browser();
    other.log_in(&stage.url("/"), "bob").await;
    let mut browsers = Vec::new();
    for _ in 0..3 {
        let browser = stage.gateway.browser();
        browser.log_in(&stage.url("/"), "alice").await;
        browsers.push(browser);
        stage.gateway.clock.advance(Duration::from_secs(2));
    }
    let status = async |browser: &Browser| browser.fetch(&stage.url("/")).await.status.as_u16();
    assert_eq!(status(&browsers[0]).await, 401);
    assert_eq!((status(&browsers[1]).await, status(&browsers[2]).await, status(&other).await), (200, 200, 200));
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\"", "subject-cap"]), 1);
    stage.provider.hits_reach(Endpoint::Revocation, 1).await;
}

#[tokio::test]
async fn ss_07_the_end_of_a_session_cuts_its_streams_and_lets_short_answers_finish() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let mut socket = stage.browser.web_socket(&stage.url("/socket"), None).await.unwrap();
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(patiently("an echo", socket.next()).await.unwrap().unwrap(), Message::text("hello"));
    let (events, stream) = Behaviour::events();
    stage.upstream.answer_once(stream);
    let streaming = stage.browser.stream(&stage.url("/events"), Asked::new(Kind::Fetch)).await;
    assert_eq!(streaming.status(), 200);
    let (opener, held) = gate();
    stage.upstream.answer_once(Behaviour::text(200, "finished").held(held));
    let hits = stage.upstream.hits();
    let (page, ()) = tokio::join!(stage.browser.fetch("/slow"), async {
        stage.upstream.hits_reach(hits + 1).await;
        stage.browser.clone().navigate_once(&stage.url("/oauth2/sign_out")).await;
        opener.open();
    });
    assert_eq!((page.status.as_u16(), page.text()), (200, "finished".to_owned()));
    let ended = patiently("the end of the WebSocket", socket.next()).await;
    assert!(!matches!(ended, Some(Ok(_))), "{ended:?}");
    patiently("the end of the stream", events.closed()).await;
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
}

/// A key file's text and its `kid`.
fn key(byte: u8) -> (String, [u8; 4]) {
    let bytes: [u8; 32] = std::array::from_fn(|at| byte.wrapping_mul(7).wrapping_add(u8::try_from(at).unwrap()));
    let digest = Sha256::digest([b"vestibule/kid".as_slice(), &bytes].concat());
    (URL_SAFE_NO_PAD.encode(bytes), [digest[0], digest[1], digest[2], digest[3]])
}

#[tokio::test]
async fn st_13_a_login_survives_a_change_of_keys_as_long_as_the_old_one_is_listed() {
    use std::os::unix::fs::PermissionsExt;

    let (provider, upstream) = (TestProvider::start().await, RecordingUpstream::start().await);
    provider.register_gateway(CLIENT_ID, CLIENT_SECRET, PUBLIC_URL);
    let directory = tempfile::tempdir().unwrap();
    let listed = |keys: &[u8]| {
        let items = keys.iter().map(|byte| {
            let file = directory.path().join(byte.to_string());
            std::fs::write(&file, key(*byte).0).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            format!("{{ id = \"{byte}\", file = \"{}\" }}", file.display())
        });
        Setup { session: format!("keys = [{}]", items.collect::<Vec<_>>().join(", ")), ..Setup::default() }
    };
    let start = async |keys: &[u8]| Gateway::start(&listed(keys), provider.issuer(), upstream.address(), |_| {}).await;
    let before = start(&[1]).await;
    let browser = before.browser();
    browser.navigate(&before.url("/deep")).await;
    let late = Browser::new();
    before.introduce_to(&late);
    late.navigate(&before.url("/deep")).await;

    let both = start(&[2, 1]).await;
    both.introduce_to(&browser);
    let page = browser.login_as("alice").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/deep"), "{}", page.text());
    let login = URL_SAFE_NO_PAD.decode(cookie(&browser, LOGIN).unwrap()).unwrap();
    assert_eq!(login[1..5], key(2).1, "the first key seals");

    let after = start(&[2]).await;
    after.introduce_to(&late);
    let page = late.login_as("alice").await;
    assert_eq!(page.status, 400);
    assert_eq!(after.log.lines_with(&["login.rejected", "state-mismatch"]), 1);
    assert_eq!(provider.hits(Endpoint::Token), 1);
}
