//! The exchange of a code: what the gateway sends to the token endpoint, and how it proves itself there.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};
use url::Url;
use vestibule::clock::OffsetClock;
use vestibule::demo::provider::RegisteredClient;

use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, PUBLIC_URL, Stage};
use crate::harness::login_steps::{Counts, authorize, begin, call_back, parameter, start_link, with_parameter};
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::received::Received;

const BACK: &str = "/deep/link?a=b";

async fn arrived(stage: &Stage) -> Url {
    let authorization = begin(&stage.browser, &stage.url(BACK)).await;
    authorize(&stage.browser, &authorization, "alice").await
}

fn last_token_request(stage: &Stage) -> Received {
    stage.provider.requests(Endpoint::Token).pop().unwrap()
}

#[tokio::test]
async fn co_01_a_code_that_is_not_good_costs_one_call_and_no_second_try() {
    let clock = Arc::new(OffsetClock::default());
    let provider = TestProvider::with(Arc::clone(&clock) as Arc<_>, |_| {}).await;
    let stage = Stage::with_provider(provider, |_| {}).await;
    let spent = arrived(&stage).await;
    assert_eq!(stage.browser.click(spent.as_str()).await.status, 200);
    stage.browser.jar().remove("app.example", crate::harness::login_steps::SESSION_COOKIE);
    let spent = parameter(&spent, "code").unwrap();
    for code in [Some("garbage"), Some(spent.as_str()), Some("e%00"), None] {
        let mut callback = arrived(&stage).await;
        match code {
            Some(code) => callback = with_parameter(&callback, "code", code),
            // The right one, but too late.
            None => clock.advance(Duration::from_secs(3000)),
        }
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &callback).await;
        counts.assert_refused(&stage, &page, "code-rejected", BACK, 1);
        counts.assert_no_userinfo(&stage);
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &callback).await;
        counts.assert_refused(&stage, &page, "state-used", BACK, 0);
    }
}

#[tokio::test]
async fn co_04_a_code_with_odd_characters_arrives_as_one_value() {
    let stage = Stage::set().await;
    let longest = "x".repeat(2048);
    for code in ["a&client_secret=x", "a=b&code=c", "a+b c%20d", "a%0d%0ab", "\"<'>\\~", &longest] {
        let callback = with_parameter(&arrived(&stage).await, "code", code);
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &callback).await;
        counts.assert_refused(&stage, &page, "code-rejected", BACK, 1);
        let sent = last_token_request(&stage);
        assert_eq!(sent.form_value("code").as_deref(), Some(code));
        assert_eq!((sent.form_value("client_secret"), sent.header("x-injected")), (None, None));
        let mut names: Vec<_> = sent.form().into_iter().map(|(name, _)| name).collect();
        names.sort();
        assert_eq!(names, ["code", "code_verifier", "grant_type", "redirect_uri"]);
    }
    let too_long = "x".repeat(2049);
    let mut callback = arrived(&stage).await;
    for code in ["a\r\nX-Injected: 1", "a\0b", "\u{7f}", "ü€", "\u{2028}", &too_long] {
        callback = with_parameter(&arrived(&stage).await, "code", code);
        let counts = Counts::of(&stage);
        let page = call_back(&stage.browser, &callback).await;
        counts.assert_refused(&stage, &page, "callback-malformed", BACK, 0);
    }
    let callback = with_parameter(&callback, "code", &"x".repeat(32 << 10));
    assert_eq!(call_back(&stage.browser, &callback).await.status, 414);
    assert_eq!(stage.provider.hits(Endpoint::Token), 6);
}

#[tokio::test]
async fn co_05_the_challenge_is_s256_whether_or_not_the_provider_says_that_it_can() {
    for listed in [None, Some(json!([])), Some(json!(["plain", "S256"]))] {
        let provider = TestProvider::start().await;
        match listed {
            None => provider.omit(Endpoint::Metadata, "code_challenge_methods_supported"),
            Some(methods) => provider.put(Endpoint::Metadata, "code_challenge_methods_supported", methods),
        }
        let stage = Stage::with_provider(provider, |_| {}).await;
        let authorization = begin(&stage.browser, &stage.url(BACK)).await;
        assert_eq!(parameter(&authorization, "code_challenge_method").as_deref(), Some("S256"));
        assert!(parameter(&authorization, "nonce").is_some() && parameter(&authorization, "state").is_some());
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        assert_eq!(stage.browser.click(callback.as_str()).await.status, 200);
        let verifier = last_token_request(&stage).form_value("code_verifier").unwrap();
        assert_eq!(verifier.len(), 43);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        assert_eq!(parameter(&authorization, "code_challenge"), Some(challenge));
    }
}

#[tokio::test]
async fn co_05_with_a_provider_that_offers_only_plain_nobody_logs_in() {
    let provider = TestProvider::start().await;
    provider.put(Endpoint::Metadata, "code_challenge_methods_supported", json!(["plain"]));
    let stage = Stage::with_provider(provider, |setup| setup.listen = "startup_grace = \"0s\"".into()).await;
    stage.provider.hits_reach(Endpoint::Metadata, 1).await;
    let page = stage.browser.navigate_once(&stage.url(BACK)).await;
    assert_eq!((page.status.as_u16(), page.header("retry-after").is_some()), (503, true), "{}", page.text());
    assert_eq!((page.location(), page.set_cookies().len()), (None, 0));
    assert_eq!(page.links()[0].0, start_link(BACK));
    crate::harness::patiently("the line about it", async {
        while stage.gateway.log.lines_with(&["\"level\":\"ERROR\"", "pkce-without-s256"]) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(stage.provider.hits(Endpoint::Authorization), 0);
}

#[tokio::test]
async fn co_07_the_redirect_uri_is_the_same_in_both_requests() {
    for public_url in ["https://app.example", "https://app.example:8443", "https://app.example/tools/a"] {
        let stage = Stage::with(|setup| setup.public_url = public_url.into()).await;
        let authorization = begin(&stage.browser, &stage.url(BACK)).await;
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        assert_eq!(stage.browser.click(callback.as_str()).await.status, 200);
        let asked = parameter(&authorization, "redirect_uri");
        assert_eq!(asked, Some(format!("{public_url}/oauth2/callback")));
        assert_eq!(last_token_request(&stage).form_value("redirect_uri"), asked);
    }
}

#[tokio::test]
async fn co_08_the_secret_goes_by_basic_form_encoded_and_nowhere_else() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let sent = last_token_request(&stage);
    let basic = sent.header("authorization").unwrap().strip_prefix("Basic ").unwrap().to_owned();
    let pair = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
    let secret: String = url::form_urlencoded::byte_serialize(CLIENT_SECRET.as_bytes()).collect();
    assert_eq!(pair, format!("{CLIENT_ID}:{secret}"));
    assert!(!pair.contains("é") && pair.contains("%253A%3A%2B") && pair.ends_with("+%3D%26"), "{pair}");
    assert_eq!((sent.form_value("client_id"), sent.form_value("client_secret")), (None, None));
    assert_eq!(sent.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(sent.header("accept"), Some("application/json"));
    assert!(sent.header("cookie").is_none() && sent.header("user-agent").is_some());
}

#[tokio::test]
async fn co_08_a_secret_in_the_form_is_not_in_the_header() {
    let stage = Stage::with(|setup| setup.provider = "client_authentication = \"client_secret_post\"".into()).await;
    stage.log_in().await;
    let sent = last_token_request(&stage);
    assert_eq!(sent.header("authorization"), None);
    assert_eq!(sent.form_value("client_id").as_deref(), Some(CLIENT_ID));
    assert_eq!(sent.form_value("client_secret").as_deref(), Some(CLIENT_SECRET));
    assert!(!stage.gateway.everything_written().contains("mark-secret"));
}

#[tokio::test]
async fn co_08_a_public_client_sends_its_name_and_the_verifier_alone() {
    let stage = Stage::with(|setup| {
        setup.client_secret = String::new();
        setup.provider = "client_authentication = \"none\"".into();
        setup.register = false;
    })
    .await;
    stage.provider.register(RegisteredClient {
        id: CLIENT_ID.into(),
        secret: None,
        redirect_uris: vec![format!("{PUBLIC_URL}/oauth2/callback")],
        post_logout_redirect_uris: Vec::new(),
    });
    stage.log_in().await;
    let sent = last_token_request(&stage);
    assert_eq!(sent.header("authorization"), None);
    assert_eq!(sent.form_value("client_id").as_deref(), Some(CLIENT_ID));
    assert_eq!(sent.form_value("client_secret"), None);
    assert_eq!(sent.form_value("code_verifier").unwrap().len(), 43);
}
