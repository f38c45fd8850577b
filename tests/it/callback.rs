//! The callback: what comes back with the browser is believed only when it can be read in one way and is ours.

use url::Url;

use crate::harness::browser::{Asked, Kind};
use crate::harness::gateway::{Setup, Stage};
use crate::harness::login_steps::{
    Counts, LOGIN_COOKIE, SESSION_COOKIE, authorize, begin, call_back, encoded, parameter,
};
use crate::harness::provider::Endpoint;
use crate::harness::raw;

/// Where the login of these tests leads.
const BACK: &str = "/deep/link?a=b&c=%2F";

/// A login that has come as far as its callback, which may be sent in many forms.
struct Arrived {
    stage: Stage,
    callback: Url,
}

impl Arrived {
    async fn set() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(adjust: impl FnOnce(&mut Setup)) -> Self {
        let stage = Stage::with(adjust).await;
        let authorization = begin(&stage.browser, &stage.url(BACK)).await;
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        Self { stage, callback }
    }

    /// The callback with this query; `{state}`, `{code}` and `{iss}` stand for the right values.
    fn with_query(&self, template: &str) -> Url {
        let mut query = template.to_owned();
        for name in ["state", "code", "iss"] {
            query = query.replace(&format!("{{{name}}}"), &encoded(&parameter(&self.callback, name).unwrap()));
        }
        let mut url = self.callback.clone();
        url.set_query(Some(&query));
        url
    }

    /// Sends the callback with this query, which must be refused without a call to the provider.
    async fn refuses(&self, template: &str, reason: &str, back: &str) {
        let counts = Counts::of(&self.stage);
        let cookies = self.stage.browser.jar().clone();
        let page = call_back(&self.stage.browser, &self.with_query(template)).await;
        counts.assert_refused(&self.stage, &page, reason, back, 0);
        assert_eq!(self.stage.browser.jar().of("app.example"), cookies.of("app.example"), "{template}");
    }

    /// The right callback still logs in: what was refused before it has changed nothing.
    async fn completes(&self) {
        let page = self.stage.browser.click(self.callback.as_str()).await;
        assert_eq!(page.status, 200, "{}", page.text());
        assert_eq!(page.url.as_str(), self.stage.url(BACK));
        assert_eq!(self.stage.provider.hits(Endpoint::Token), 1);
        assert_eq!(self.stage.gateway.log.lines_with(&["login.ok"]), 1);
    }
}

#[tokio::test]
async fn cb_02_to_cb_04_a_callback_with_too_little_or_too_much_is_refused() {
    let arrived = Arrived::set().await;
    for (query, reason, back) in [
        ("code={code}&iss={iss}", "state-missing", "/"),
        ("code={code}&state=&iss={iss}", "state-missing", "/"),
        ("state={state}&iss={iss}", "code-missing", BACK),
        ("state={state}&code=&iss={iss}", "code-missing", BACK),
        ("code={code}&state={state}&iss={iss}&error=access_denied", "ambiguous", BACK),
    ] {
        arrived.refuses(query, reason, back).await;
    }
    arrived.completes().await;
}

#[tokio::test]
async fn cb_05_a_duplicated_parameter_is_refused() {
    let arrived = Arrived::set().await;
    for (query, back) in [
        ("code={code}&state={state}&state={state}&iss={iss}", "/"),
        ("state=x&code={code}&state={state}&iss={iss}", "/"),
        ("code={code}&code={code}&state={state}&iss={iss}", BACK),
        ("code=x&code={code}&state={state}&iss={iss}", BACK),
        ("code={code}&state={state}&iss={iss}&iss={iss}", BACK),
        ("iss=https%3A%2F%2Fevil.example&code={code}&state={state}&iss={iss}", BACK),
        ("error=access_denied&error=access_denied&state={state}&iss={iss}", BACK),
        ("error=login_required&error=access_denied&state={state}&iss={iss}", BACK),
        // The names mean the same once they are decoded.
        ("code={code}&%63ode=x&state={state}&iss={iss}", BACK),
    ] {
        arrived.refuses(query, "duplicate-parameter", back).await;
    }
    arrived.completes().await;
}

#[tokio::test]
async fn cb_10_an_issuer_that_was_announced_must_be_there() {
    let arrived = Arrived::set().await;
    arrived.refuses("code={code}&state={state}", "iss-missing", BACK).await;
    arrived.refuses("error=access_denied&state={state}", "iss-missing", BACK).await;
    arrived.completes().await;
}

#[tokio::test]
async fn cb_11_an_issuer_is_compared_character_by_character() {
    let arrived = Arrived::set().await;
    let issuer = arrived.stage.provider.issuer().to_owned();
    for other in [
        issuer.replace("127.0.0.1", "localhost"),
        issuer.replace("127.0.0.1", "127.0.0.1.evil.example"),
        issuer.replace("http:", "HTTP:"),
        issuer.replace("http:", "https:"),
        format!("{issuer}/"),
        format!("{issuer}#"),
        format!(" {issuer}"),
        "http://127.0.0.1".to_owned(),
        encoded(&issuer),
        String::new(),
    ] {
        let query = format!("code={{code}}&state={{state}}&iss={}", encoded(&other));
        arrived.refuses(&query, "iss-mismatch", BACK).await;
    }
    arrived.completes().await;
}

#[tokio::test]
async fn cb_12_an_error_of_another_issuer_is_not_shown_as_the_provider_s() {
    let arrived = Arrived::set().await;
    for error in ["access_denied", "temporarily_unavailable", "login_required", "invalid_scope"] {
        let query = format!("error={error}&state={{state}}&iss=https%3A%2F%2Fevil.example");
        arrived.refuses(&query, "iss-mismatch", BACK).await;
    }
    arrived.completes().await;
}

#[tokio::test]
async fn cb_16_and_cb_17_tokens_and_signed_responses_in_the_query_are_refused() {
    let arrived = Arrived::set().await;
    for (query, back) in [
        ("code={code}&state={state}&iss={iss}&access_token=mark", BACK),
        ("code={code}&state={state}&iss={iss}&id_token=mark", BACK),
        ("access_token=mark&token_type=Bearer&state={state}&iss={iss}", BACK),
        ("id_token=mark", "/"),
        ("response=e30.e30.", "/"),
        ("code={code}&state={state}&iss={iss}&response=e30.e30.", BACK),
    ] {
        arrived.refuses(query, "unexpected-response", back).await;
    }
    arrived.completes().await;
}

#[tokio::test]
async fn cb_22_a_query_that_is_too_long_or_has_too_many_parameters_is_refused() {
    let arrived = Arrived::set().await;
    let many: String = (0..33).map(|number| format!("&p{number}=")).collect();
    arrived.refuses(&format!("code={{code}}&state={{state}}&iss={{iss}}{many}"), "callback-malformed", "/").await;

    let counts = arrived.stage.gateway.log.lines_with(&["http.malformed"]);
    let long = arrived.with_query(&format!("code={{code}}&state={{state}}&iss={{iss}}&x={}", "x".repeat(60 << 10)));
    let page = call_back(&arrived.stage.browser, &long).await;
    assert_eq!((page.status.as_u16(), page.header("connection")), (414, Some("close")), "{}", page.text());
    assert_eq!(arrived.stage.gateway.log.lines_with(&["http.malformed"]), counts + 1);
    // More than hyper itself takes: there is no page of ours.
    let query = "x".repeat(64 << 10);
    let request = format!("GET /oauth2/callback?{query} HTTP/1.1\r\nHost: app.example\r\n\r\n");
    assert_eq!(raw::ask(arrived.stage.gateway.address, request).await.unwrap().status, 414);
    arrived.completes().await;
}

#[tokio::test]
async fn cb_23_nonsense_is_refused_without_a_panic() {
    let arrived = Arrived::set().await;
    for (query, reason) in [
        ("", "state-missing"),
        ("&", "state-missing"),
        ("&&=&", "state-missing"),
        ("=", "state-missing"),
        ("%", "callback-malformed"),
        ("code=%zz", "callback-malformed"),
        ("code=%ff&state={state}", "callback-malformed"),
        ("code=x&state=%00", "state-mismatch"),
    ] {
        arrived.refuses(query, reason, "/").await;
    }
    let mut bare = arrived.callback.clone();
    bare.set_query(None);
    let counts = Counts::of(&arrived.stage);
    let page = call_back(&arrived.stage.browser, &bare).await;
    counts.assert_refused(&arrived.stage, &page, "state-missing", "/", 0);
    arrived.completes().await;
    assert!(arrived.stage.gateway.metrics_page().await.contains("panics_total 0"));
}

#[tokio::test]
async fn cb_20_a_callback_on_another_host_than_the_attempt_s_is_refused() {
    let arrived = Arrived::with(|setup| {
        setup.more =
            "[[upstream]]\nname = \"second\"\nhost = \"second.example\"\ntarget = \"http://127.0.0.1:1\"".into();
    })
    .await;
    let (stage, callback) = (&arrived.stage, &arrived.callback);
    let login_cookie = stage.browser.jar().find("app.example", LOGIN_COOKIE).unwrap().value.clone();
    for (host, status) in [("second.example", 400), ("unknown.example", 421)] {
        stage.browser.resolve(host, stage.gateway.address);
        let mut elsewhere = callback.clone();
        elsewhere.set_host(Some(host)).unwrap();
        let asked = Asked::new(Kind::Navigation).header("cookie", &format!("{LOGIN_COOKIE}={login_cookie}")).once();
        let counts = Counts::of(stage);
        let page = stage.browser.ask(elsewhere.as_str(), asked).await;
        if status == 400 {
            counts.assert_refused(stage, &page, "state-mismatch", "/", 0);
        } else {
            assert_eq!(page.status, status, "{}", page.text());
            assert_eq!((page.set_cookies().len(), page.location()), (0, None));
        }
    }
    arrived.completes().await;
}

#[tokio::test]
async fn cb_21_what_a_proxy_says_about_the_scheme_changes_nothing_while_nobody_is_trusted() {
    for (name, value) in [
        ("x-forwarded-proto", "http"),
        ("x-forwarded-scheme", "http"),
        ("x-forwarded-ssl", "off"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-port", "8080"),
        ("x-forwarded-prefix", "/evil"),
        ("forwarded", "for=1.2.3.4;proto=http;host=evil.example"),
    ] {
        let stage = Stage::set().await;
        // The wire is plain http here, as behind an ingress that ends TLS.
        let typed = Asked::new(Kind::Navigation).typed().header(name, value).once();
        let started = stage.browser.ask(&stage.url(BACK), typed).await;
        let authorization = started.location().unwrap();
        let redirect_uri = "https://app.example/oauth2/callback";
        assert_eq!(parameter(&authorization, "redirect_uri").as_deref(), Some(redirect_uri), "{name}");
        let callback = authorize(&stage.browser, &authorization, "alice").await;
        let asked = Asked::new(Kind::Navigation).header(name, value).once();
        let answer = stage.browser.ask(callback.as_str(), asked).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (303, Some(BACK)), "{name}: {}", answer.text());
        let session = stage.browser.jar().find("app.example", SESSION_COOKIE).unwrap().clone();
        assert!(session.secure && session.http_only, "{name}");
        assert_eq!(stage.browser.jar().refused, [], "{name}");
        let page = stage.browser.ask(BACK, Asked::new(Kind::Navigation).header(name, value)).await;
        assert_eq!(page.status, 200, "{name}");
        let seen = stage.upstream.last();
        assert_eq!(seen.header("x-forwarded-proto"), Some("https"), "{name}");
        assert!(!String::from_utf8_lossy(&seen.head).contains("evil"), "{name}");
    }
}
