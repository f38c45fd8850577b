//! The session cookie: what counts as one, what does not, and what the browser is told about it.

use std::time::Duration;

use vestibule::gateway::settings::Anonymous;
use vestibule::origin::{Host, Scheme};

use crate::harness::behaviour::Behaviour;
use crate::harness::by_hand::{self, LOGIN, SESSION, comparable, navigation, pair, program, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::logout_stage::sid_of;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::reload_sessions::Keys;

/// Of the right length and alphabet, and nobody's.
fn well_formed() -> String {
    format!("AQ{}", "e".repeat(66))
}

#[tokio::test]
async fn ck_01_a_planted_cookie_is_not_taken_over_by_a_login() {
    for planted in [well_formed(), "x".to_owned(), String::new()] {
        let stage = Stage::set().await;
        stage.browser.jar().plant("app.example", SESSION, &planted);
        stage.log_in().await;
        assert_ne!(session_cookie(&stage.browser), planted);
        assert_eq!(program(&stage.gateway, "/", &pair(&planted)).await.status, 401, "{planted}");
        assert_eq!(stage.gateway.sessions().live_sessions(), 1);
    }
}

#[tokio::test]
async fn ck_01_a_login_gives_a_new_id_and_ends_what_the_cookie_held() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let own = session_cookie(&stage.browser);
    stage.gateway.clock.advance(Duration::from_secs(2));
    let page = stage.browser.navigate(&stage.url("/oauth2/start?rd=%2Fagain")).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/again"), "{}", page.text());
    let next = session_cookie(&stage.browser);
    // The first 26 characters hold version and id.
    assert_ne!(next[..26], own[..26]);
    assert_eq!(program(&stage.gateway, "/", &pair(&own)).await.status, 401);
    assert_eq!(stage.gateway.sessions().live_sessions(), 1);
    assert_eq!(stage.gateway.log.lines_with(&["session.ended", "replaced"]), 1);
}

#[tokio::test]
async fn ck_01_a_live_session_of_an_attacker_does_not_become_the_victim_s() {
    let stage = Stage::set().await;
    let attacker = stage.gateway.browser();
    attacker.log_in(&stage.url("/"), "bob").await;
    let planted = session_cookie(&attacker);
    stage.browser.jar().plant("app.example", SESSION, &planted);
    stage.gateway.clock.advance(Duration::from_secs(2));
    let page = stage.browser.log_in(&stage.url("/oauth2/start"), "alice").await;
    assert_eq!(page.status, 200);
    assert_ne!(session_cookie(&stage.browser), planted);
    assert_eq!(program(&stage.gateway, "/", &pair(&planted)).await.status, 401);
    let own = program(&stage.gateway, "/oauth2/userinfo", &pair(&session_cookie(&stage.browser))).await;
    assert!(own.text().contains("subject-of-alice"), "{}", own.text());
}

#[tokio::test]
async fn ck_03_two_session_cookies_are_none() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let (valid, other) = (session_cookie(&stage.browser), well_formed());
    let hits = stage.upstream.hits();
    let both = [(&valid, &other), (&other, &valid), (&valid, &valid)];
    for (first, second) in both {
        let cookies = format!("{SESSION}={first}; {SESSION}={second}");
        assert_eq!(program(&stage.gateway, "/", &cookies).await.status, 401);
    }
    let fields = [("Cookie", &*pair(&valid)), ("Cookie", &*pair(&other))];
    assert_eq!(by_hand::send(&stage.gateway, "GET", "/", &fields).await.status, 401);
    assert_eq!(stage.gateway.log.lines_with(&["WARN", "session.cookie-invalid", "several"]), 4);
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(program(&stage.gateway, "/", &pair(&valid)).await.status, 200, "the session has been kept");
}

#[tokio::test]
async fn ck_04_names_that_only_look_like_ours_are_not_recognised() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let value = session_cookie(&stage.browser);
    let hits = stage.upstream.hits();
    for cookies in [
        format!("__host-http-vestibule={value}"),
        format!("__HOST-HTTP-VESTIBULE={value}"),
        format!("\u{2000}{SESSION}={value}"),
        format!("a=b;  {SESSION}={value}"),
        format!("\"{SESSION}\"={value}"),
        format!("{SESSION} ={value}"),
        format!("$Version=1; {SESSION}={value}"),
        format!("$Version=1, {SESSION}={value}"),
        format!("x=a,{SESSION}={value}"),
        format!("{SESSION}-={value}"),
        format!("{LOGIN}={value}"),
    ] {
        assert_eq!(program(&stage.gateway, "/", &cookies).await.status, 401, "{cookies}");
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(program(&stage.gateway, "/", &format!("a=b;{SESSION}={value}")).await.status, 200);
}

/// A protected path, an API, a public path, one that is forwarded without identity, an own endpoint.
const KINDS: [&str; 5] = ["/", "/api/x", "/public/x", "/open/x", "/oauth2/userinfo"];

async fn stage_of_every_kind() -> Stage {
    Stage::with_settings(
        TestProvider::start().await,
        |setup| setup.upstream = "public = [\"/public/**\"]\napi = [\"/api/**\"]".to_owned(),
        |settings| {
            let mut open = settings.routes[0].clone();
            "/open".clone_into(&mut open.path);
            "open".clone_into(&mut open.upstream.name);
            open.anonymous = Anonymous::Forward;
            settings.routes.push(open);
        },
    )
    .await
}

#[tokio::test]
async fn ck_05_a_malformed_cookie_is_answered_as_none_at_all() {
    let stage = stage_of_every_kind().await;
    stage.log_in().await;
    let valid = session_cookie(&stage.browser);
    let values = [
        String::new(),
        "A".to_owned(),
        valid[1..].to_owned(),
        format!("{valid}A"),
        format!("{valid}="),
        format!("\"{valid}\""),
        format!("B{}", &valid[1..]),
        format!("{}+{}", &valid[..20], &valid[21..]),
        format!("{}%00", &valid[..65]),
        format!("{}é", &valid[..66]),
        format!("{valid} "),
        "e".repeat(10_000),
    ];
    for path in KINDS {
        let to_program = comparable(&program(&stage.gateway, path, "a=b").await);
        let to_person = comparable(&navigation(&stage.gateway, path, "a=b").await);
        for value in &values {
            // The space at the end of a field is no part of it.
            let cookies = format!("{}; a=b", pair(value));
            let hits = stage.upstream.hits();
            assert_eq!(comparable(&program(&stage.gateway, path, &cookies).await), to_program, "{path} {value}");
            assert_eq!(comparable(&navigation(&stage.gateway, path, &cookies).await), to_person, "{path} {value}");
            if stage.upstream.hits() > hits {
                assert!(path == "/public/x" || path == "/open/x", "{path} {value}");
                assert_eq!(stage.upstream.last().header("authorization"), None);
                assert_eq!(stage.upstream.last().header("cookie"), Some("a=b"));
            }
        }
    }
    assert_eq!(
        by_hand::send(&stage.gateway, "GET", "/", &[("Cookie", &pair(&"e".repeat(100 << 10)))]).await.status,
        431
    );
    assert_eq!(by_hand::send(&stage.gateway, "GET", "/", &[("Cookie", &pair("a\0b"))]).await.status, 400);
}

#[tokio::test]
async fn ck_06_there_are_no_chunks_of_cookies() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let value = session_cookie(&stage.browser);
    let (head, tail) = value.split_at(34);
    let chunks = format!("{SESSION}_0={head}; {SESSION}_1={tail}; {SESSION}_99999999=x");
    assert_eq!(program(&stage.gateway, "/", &chunks).await.status, 401);
    assert_eq!(program(&stage.gateway, "/", &format!("{chunks}; {SESSION}={value}; a=b")).await.status, 200);
    assert_eq!(stage.upstream.last().header("cookie"), Some("a=b"));
}

#[tokio::test]
async fn ck_07_a_strange_cookie_header_is_read_once_or_refused() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    for (cookies, status) in [
        (format!("{}{ours}", "a;".repeat(7_000)), 200),
        (format!("{}{ours}", ";".repeat(15_000)), 200),
        (format!("{}{ours}", "=;".repeat(5_000)), 200),
        (format!("é=ü; \u{feff}=\u{fffd}; {ours}"), 200),
        (";".repeat(15_000), 401),
        (format!("{ours}; {}", "a=b; ".repeat(10_000)), 431),
        (format!("{ours}; {}", "x".repeat(64 << 10)), 431),
    ] {
        let answer = program(&stage.gateway, "/", &cookies).await;
        assert_eq!(answer.status, status, "{} bytes: {}", cookies.len(), &cookies[..10]);
    }
}

#[tokio::test]
async fn ck_09_an_upstream_cannot_set_our_cookies() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = session_cookie(&stage.browser);
    for (count, name) in [SESSION, LOGIN, " __HOST-http-Vestibule", "__Host-Http-vestibule-0a0b0c0d"].iter().enumerate()
    {
        let cookie = format!("{name}=evil; Path=/; Secure; HttpOnly");
        let headers = [("set-cookie", &*cookie), ("set-cookie", "kept=\"as=it; Path=/x; is")];
        stage.upstream.answer_once(Behaviour::with_headers(200, &headers, "ok"));
        let page = stage.browser.fetch(&stage.url("/")).await;
        assert_eq!(page.set_cookies(), ["kept=\"as=it; Path=/x; is"], "{name}");
        assert_eq!(stage.gateway.log.lines_with(&["WARN", "tried to set a cookie of the gateway"]), count + 1);
    }
    assert_eq!(session_cookie(&stage.browser), ours);
    assert!(!stage.gateway.log.text().contains("evil"));
}

#[tokio::test]
async fn ck_10_our_cookies_stay_here_and_others_pass_as_they_are() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let cookies = format!(
        "a=\"q,u\"; {ours}; b==c=; {LOGIN}=x; vestibule-dev-8080=y; __host-http-vestibule-01234567=z; A=1; A=2; d"
    );
    assert_eq!(program(&stage.gateway, "/", &cookies).await.status, 200);
    assert_eq!(stage.upstream.last().header("cookie"), Some("a=\"q,u\"; b==c=; A=1; A=2; d"));
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    assert_eq!(stage.upstream.last().header("cookie"), None);
}

#[tokio::test]
async fn ck_12_a_dead_cookie_is_left_to_be_overwritten() {
    let stage = Stage::set().await;
    let cookies = pair(&well_formed());
    let late = program(&stage.gateway, "/", &cookies).await;
    assert_eq!((late.status, late.all("set-cookie").len()), (401, 0));
    let person = navigation(&stage.gateway, "/", &cookies).await;
    assert_eq!(person.status, 303);
    let set = person.all("set-cookie");
    assert!(set.len() == 1 && set[0].starts_with(&format!("{LOGIN}=")), "{set:?}");
    assert_eq!(stage.provider.hits(Endpoint::Token), 0);
}

#[tokio::test]
async fn ck_16_a_cookie_of_another_host_with_the_same_store_and_keys_is_none() {
    let stage = Stage::with_settings(
        TestProvider::start().await,
        |_| {},
        |settings| {
            let mut other = settings.routes[0].clone();
            other.host = Host::parse("other.example", Scheme::Https).unwrap();
            "other".clone_into(&mut other.upstream.name);
            settings.routes.push(other);
        },
    )
    .await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    let request = format!("GET / HTTP/1.1\r\nHost: other.example\r\nCookie: {ours}\r\n\r\n");
    let answer = crate::harness::raw::ask(stage.gateway.address, request).await.unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
}

#[tokio::test]
async fn ck_18_the_id_of_a_warm_session_is_nothing_without_its_secret() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let valid = session_cookie(&stage.browser);
    assert_eq!(program(&stage.gateway, "/", &pair(&valid)).await.status, 200);
    let nobody = comparable(&program(&stage.gateway, "/", "a=b").await);
    let hits = stage.upstream.hits();
    // The last character and one in the middle of the secret.
    for at in [67, 40] {
        let other = if valid.as_bytes()[at] == b'A' { "B" } else { "A" };
        let stolen = format!("{}{other}{}", &valid[..at], &valid[at + 1..]);
        assert_eq!(comparable(&program(&stage.gateway, "/", &pair(&stolen)).await), nobody);
    }
    assert_eq!(stage.upstream.hits(), hits);
    assert_eq!(stage.gateway.log.lines_with(&["ERROR", "session.tampered"]), 2);
    assert_eq!(program(&stage.gateway, "/", &pair(&valid)).await.status, 200, "the session has been kept");
}

#[tokio::test]
async fn cr_03_and_tm_02_no_answer_tells_why_a_cookie_opens_nothing() {
    let keys = Keys::new();
    let (old, new) = (keys.line(&["a"]), keys.line(&["b"]));
    let stage = Stage::with(|setup| setup.session = old).await;
    let key_removed = stage.cookie_of("alice").await;
    stage.reload(|setup| setup.session = new).await.unwrap();
    let (live, ended) = (stage.cookie_of("alice").await, stage.cookie_of("bob").await);
    let sid = sid_of(&stage.gateway, &ended).await;
    assert_eq!(stage.end_by("sid", &sid, "one").await.status, 200);
    let last = if live.ends_with('A') { "B" } else { "A" };
    let tampered = format!("{}{last}", &live[..live.len() - 1]);
    let (malformed, unknown) = (pair("x"), pair(&well_formed()));
    let why = ["malformed", "unknown", "tampered", "key removed", "ended"];
    for (why, cookie) in why.into_iter().zip([malformed, unknown, tampered, key_removed, ended]) {
        opens_nothing(&stage, why, &cookie).await;
    }
    assert_eq!(program(&stage.gateway, "/", &live).await.status, 200);
    stage.gateway.clock.advance(Duration::from_secs(10 * 3_600));
    opens_nothing(&stage, "expired", &live).await;
    opens_nothing(&stage, "expired, and no longer known", &live).await;
}

/// A request with this cookie gets what one gets that has none of ours, whoever asks and wherever.
async fn opens_nothing(stage: &Stage, why: &str, cookie: &str) {
    for path in ["/", "/oauth2/userinfo", "/oauth2/sessions", "/oauth2/sign_out"] {
        let nobody = comparable(&program(&stage.gateway, path, "a=b").await);
        assert_eq!(comparable(&program(&stage.gateway, path, cookie).await), nobody, "{why}: {path}");
        let nobody = comparable(&navigation(&stage.gateway, path, "a=b").await);
        assert_eq!(comparable(&navigation(&stage.gateway, path, cookie).await), nobody, "{why}: {path}");
    }
}
