//! The attempt in `state` and the cookie that binds it to one browser.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use url::Url;
use vestibule::clock::Clock;
use vestibule::gateway::settings::Settings;
use vestibule::secret::SealingKey;

use crate::harness::behaviour::Behaviour;
use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::{CLIENT_ID, Gateway, Setup, Stage};
use crate::harness::login_steps::{
    Counts, LOGIN_COOKIE, SESSION_COOKIE, authorize, begin, call_back, parameter, start_link, with_parameter,
};
use crate::harness::provider::{Endpoint, TestProvider};

const BACK: &str = "/deep/link?a=b";

async fn arrived(stage: &Stage) -> Url {
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    authorize(&stage.browser, &authorization, "alice").await
}

fn key(seed: u8) -> SealingKey {
    SealingKey::new([seed; 32])
}

#[tokio::test]
async fn st_01_and_st_15_a_changed_state_is_refused() {
    let stage = Stage::set().await;
    let callback = arrived(&stage).await;
    let state = parameter(&callback, "state").unwrap();
    assert!(state.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{state}");
    let mut changed = vec![
        state[1..].to_owned(),
        state[..state.len() - 1].to_owned(),
        state[..state.len() / 2].to_owned(),
        state.to_ascii_lowercase(),
        state.to_ascii_uppercase(),
        format!("{state}="),
        format!("{state}A"),
        format!("{state} "),
        format!(" {}", &state[1..]),
        state.replace(['-', '_'], " "),
        "A".repeat(5000),
    ];
    for at in [0, 1, 6, 20, 60, state.len() / 2, state.len() - 1] {
        for flip in [1, 2, 4] {
            let mut bytes = state.clone().into_bytes();
            bytes[at] ^= flip;
            changed.push(String::from_utf8(bytes).unwrap());
        }
    }
    changed.retain(|other| *other != state);
    for other in changed {
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &with_parameter(&callback, "state", &other)).await;
        counts.assert_refused(&stage, &page, "state-mismatch", "/", 0);
    }
    assert_eq!(stage.browser.click(callback.as_str()).await.status, 200);
}

#[tokio::test]
async fn st_02_an_attacker_s_callback_in_another_browser_logs_nobody_in() {
    let stage = Stage::set().await;
    let callback = arrived(&stage).await;

    let victim = stage.gateway.browser();
    victim.resolve("evil.example", stage.upstream.address());
    let counts = Counts::of(&stage);
    let page = call_back(&victim, &callback).await;
    counts.assert_refused(&stage, &page, "login-cookie-missing", BACK, 0);
    assert!(victim.jar().of("app.example").is_empty());
    assert_eq!(victim.navigate_once(&stage.url("/")).await.status, 303);

    // The victim has an attempt of their own by now.
    let counts = Counts::of(&stage);
    let page = call_back(&victim, &callback).await;
    counts.assert_refused(&stage, &page, "state-mismatch", BACK, 0);
    assert!(victim.jar().find("app.example", SESSION_COOKIE).is_none());
}

#[tokio::test]
async fn st_07_a_code_with_the_state_of_another_attempt_fails_at_the_provider() {
    let stage = Stage::set().await;
    let (first, second) = (arrived(&stage).await, arrived(&stage).await);
    let mixed = with_parameter(&first, "state", &parameter(&second, "state").unwrap());
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &mixed).await;
    counts.assert_refused(&stage, &page, "code-rejected", BACK, 1);
    counts.assert_no_userinfo(&stage);
}

#[tokio::test]
async fn st_07_where_a_provider_ignores_pkce_the_nonce_differs() {
    let stage = Stage::set().await;
    let first = begin(&stage.browser, &stage.url(BACK)).await;
    let nonce = parameter(&first, "nonce").unwrap();
    let first = authorize(&stage.browser, &first, "alice").await;
    let second = arrived(&stage).await;
    let now = stage.gateway.clock.now().as_seconds();
    let claims = json!({ "iss": stage.provider.issuer(), "aud": CLIENT_ID, "sub": "subject-of-alice", "nonce": nonce,
                         "iat": now, "exp": now + 60 });
    let id_token = stage.provider.mint(&stage.provider.header(), &claims);
    let tokens = json!({ "access_token": "mark", "token_type": "Bearer", "expires_in": 60, "id_token": id_token });
    stage.provider.instead(Endpoint::Token, move |_| Behaviour::json(200, &tokens));

    let mixed = with_parameter(&first, "state", &parameter(&second, "state").unwrap());
    let counts = Counts::of(&stage);
    let page = call_back(&stage.browser, &mixed).await;
    counts.assert_refused(&stage, &page, "token-invalid", BACK, 1);
    counts.assert_no_userinfo(&stage);
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "\"detail\":\"nonce\""]), 1);
}

#[tokio::test]
async fn st_08_what_is_made_for_one_purpose_is_good_for_no_other() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let value = |name: &str| stage.browser.jar().find("app.example", name).unwrap().value.clone();
    let (session, login) = (value(SESSION_COOKIE), value(LOGIN_COOKIE));
    stage.browser.jar().remove("app.example", SESSION_COOKIE);
    let callback = arrived(&stage).await;
    let state = parameter(&callback, "state").unwrap();
    stage.browser.jar().clear();

    for as_login in [&session, &state] {
        stage.browser.jar().plant("app.example", LOGIN_COOKIE, as_login);
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &callback).await;
        counts.assert_refused(&stage, &page, "login-cookie-missing", BACK, 0);
    }
    stage.browser.jar().plant("app.example", LOGIN_COOKIE, &login);
    for as_state in [&session, &login] {
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &with_parameter(&callback, "state", as_state)).await;
        counts.assert_refused(&stage, &page, "state-mismatch", "/", 0);
    }
    let hits = stage.upstream.hits();
    for as_session in [&login, &state] {
        stage.browser.jar().plant("app.example", SESSION_COOKIE, as_session);
        assert_eq!(stage.browser.navigate_once(&stage.url(BACK)).await.status, 303);
        assert_eq!(stage.browser.fetch(&stage.url(BACK)).await.status, 401);
    }
    assert_eq!(stage.upstream.hits(), hits);
}

#[tokio::test]
async fn st_09_the_attempt_and_the_cookie_of_another_gateway_with_the_same_keys_are_refused() {
    let with_key = |settings: &mut Settings| settings.session.keys = vec![key(7)];
    let stage = Stage::with_settings(TestProvider::start().await, |_| {}, with_key).await;
    let callback = arrived(&stage).await;
    let (state, cookies) = (parameter(&callback, "state").unwrap(), stage.browser.jar().clone());
    let login = cookies.find("app.example", LOGIN_COOKIE).unwrap().value.clone();
    for public_url in ["https://app.example/tools", "https://app.example:8443", "https://other.example"] {
        let setup = |setup: &mut Setup| setup.public_url = public_url.into();
        let other = Stage::with_settings(TestProvider::start().await, setup, with_key).await;
        let host = Url::parse(public_url).unwrap().host_str().unwrap().to_owned();
        let endpoint = other.url("/oauth2/callback");
        let home = format!("{}/", Url::parse(public_url).unwrap().path().trim_end_matches('/'));
        let again = format!("{}{}", home.trim_end_matches('/'), start_link(&home));

        // Its `state`, and a cookie that is in order there.
        let own = begin(&other.browser, &other.url("/x")).await;
        let own_name = other.browser.jar().beginning(&host, LOGIN_COOKIE)[0].name.clone();
        let page = other.browser.navigate_once(&format!("{endpoint}?code=x&state={state}")).await;
        assert_eq!(page.status, 400, "{public_url}");
        assert_eq!(page.links()[0].0, again, "{public_url}");
        assert_eq!(other.gateway.log.lines_with(&["login.rejected", "state-mismatch"]), 1, "{public_url}");

        // A `state` that is in order there, and the other's cookie.
        other.browser.jar().plant(&host, &own_name, &login);
        let own_state = parameter(&own, "state").unwrap();
        let page = other.browser.navigate_once(&format!("{endpoint}?code=x&state={own_state}")).await;
        assert_eq!(page.status, 400, "{public_url}");
        assert_eq!(other.gateway.log.lines_with(&["login.rejected", "login-cookie-missing"]), 1, "{public_url}");
        assert_eq!(other.provider.hits(Endpoint::Token), 0, "{public_url}");
    }
    assert_eq!(stage.browser.click(callback.as_str()).await.status, 200);
}

#[tokio::test]
async fn st_10_two_login_cookies_are_refused_and_starting_again_works() {
    let stage = Stage::set().await;
    let callback = arrived(&stage).await;
    let login = stage.browser.jar().find("app.example", LOGIN_COOKIE).unwrap().value.clone();
    for tossed in [
        format!("{LOGIN_COOKIE}={login}; {LOGIN_COOKIE}=tossed"),
        format!("{LOGIN_COOKIE}=tossed; {LOGIN_COOKIE}={login}"),
        format!("{LOGIN_COOKIE}={login}; {LOGIN_COOKIE}={login}"),
    ] {
        let counts = Counts::of(&stage);
        let asked = Asked::new(Kind::Navigation).header("cookie", &tossed).once();
        let page = stage.browser.ask(callback.as_str(), asked).await;
        counts.assert_refused(&stage, &page, "duplicate-cookie", BACK, 0);
    }
    let page = stage.browser.click(&start_link(BACK)).await;
    assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(BACK).as_str()));
    assert_eq!(stage.provider.hits(Endpoint::Token), 1);
}

#[tokio::test]
async fn st_13_a_key_that_is_still_listed_finishes_a_login_and_a_removed_one_starts_again() {
    for (rotated, finishes) in [(vec![2, 1], true), (vec![2], false)] {
        let before = |settings: &mut Settings| settings.session.keys = vec![key(1)];
        let stage = Stage::with_settings(TestProvider::start().await, |_| {}, before).await;
        let callback = arrived(&stage).await;
        let Stage { provider, upstream, gateway, browser } = stage;
        drop(gateway);
        let after = |settings: &mut Settings| settings.session.keys = rotated.into_iter().map(key).collect();
        let gateway = Gateway::start(&Setup::default(), provider.issuer(), upstream.address(), after).await;
        gateway.introduce_to(&browser);
        let stage = Stage { provider, upstream, gateway, browser };
        if finishes {
            let page = stage.browser.click(callback.as_str()).await;
            assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url(BACK).as_str()));
        } else {
            let counts = Counts::of(&stage);
            let page = call_back(&stage.browser, &callback).await;
            counts.assert_refused(&stage, &page, "state-mismatch", "/", 0);
            let page = stage.browser.click(&start_link("/")).await;
            assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/").as_str()));
        }
        assert_eq!(stage.provider.hits(Endpoint::Token), 1);
    }
}

#[tokio::test]
async fn st_16b_five_hundred_attempts_share_nothing_and_tell_nothing() {
    let stage = Stage::set().await;
    let (mut states, mut nonces, mut challenges) = (HashSet::new(), HashSet::new(), HashSet::new());
    for number in 0..500 {
        let authorization = begin(&stage.browser, &stage.url(&format!("/mark-path/{number}"))).await;
        let state = parameter(&authorization, "state").unwrap();
        let nonce = parameter(&authorization, "nonce").unwrap();
        assert_eq!(nonce.len(), 43, "256 bits in base64url");
        let opaque = URL_SAFE_NO_PAD.decode(&state).unwrap();
        assert!(!opaque.windows(9).any(|window| window == b"mark-path"));
        nonces.insert(nonce);
        challenges.insert(parameter(&authorization, "code_challenge").unwrap());
        states.insert(state);
    }
    assert_eq!((states.len(), nonces.len(), challenges.len()), (500, 500, 500));
}

#[tokio::test]
async fn mm_03_only_an_attempt_of_this_very_browser_leaves_a_mark() {
    let stage = Stage::set().await;
    let callback = arrived(&stage).await;
    // Whoever wants to leave a mark is told that it cannot be done.
    stage.gateway.store.fail(&["put_once"]);
    let stranger = stage.gateway.browser();
    assert_eq!(call_back(&stranger, &callback).await.status, 400);
    let changed = with_parameter(&callback, "state", &parameter(&callback, "state").unwrap().to_lowercase());
    assert_eq!(call_back(&stage.browser, &changed).await.status, 400);
    assert_eq!(call_back(&stage.browser, &callback).await.status, 503, "this one would have");
    assert_eq!(stage.provider.hits(Endpoint::Token), 0);
}
