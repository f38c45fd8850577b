//! `/oauth2/sessions`: a person sees their own live sessions, and ends them one by one or all but the one in use.

use serde_json::Value;
use vestibule::demo::provider::RegisteredClient;
use vestibule::secret::ClientSecret;

use crate::harness::browser::{Asked, Browser, Kind};
use crate::harness::by_hand::{pair, program, send, session_cookie};
use crate::harness::gateway::{CLIENT_ID, CLIENT_SECRET, Stage};
use crate::harness::patiently;
use crate::harness::provider::Endpoint;
use crate::harness::raw::{self, RawResponse};

const TWO_HOSTS: &str = "[[upstream]]\nname = \"tools\"\nhost = \"tools.example\"\ntarget = \"http://127.0.0.1:9\"\n";

async fn log_in(stage: &Stage, username: &str) -> Browser {
    let browser = stage.gateway.browser();
    assert_eq!(browser.log_in(&stage.url("/"), username).await.status, 200);
    browser
}

async fn sessions(stage: &Stage, browser: &Browser) -> Vec<Value> {
    let answer = browser.fetch(&stage.url("/oauth2/sessions")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["sessions"].as_array().unwrap().clone()
}

async fn is_live(stage: &Stage, cookie: &str) -> bool {
    program(&stage.gateway, "/", &pair(cookie)).await.status == 200
}

fn id_of(session: &Value) -> &str {
    session["id"].as_str().unwrap()
}

/// A program of the person posts, as it must: with the mark that no form can carry.
async fn post(stage: &Stage, cookie: &str, fields: &[(&str, &str)], body: &str) -> RawResponse {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!(
        "POST /oauth2/sessions HTTP/1.1\r\nHost: app.example\r\nCookie: {}\r\n{fields}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        pair(cookie),
        body.len()
    );
    raw::ask(stage.gateway.address, request).await.unwrap()
}

const MARK: [(&str, &str); 1] = [("X-Vestibule-CSRF", "1")];

#[tokio::test]
async fn a_person_sees_their_sessions_on_every_host_and_nobody_elses() {
    let stage = Stage::with(|setup| setup.more = TWO_HOSTS.to_owned()).await;
    stage.provider.register(RegisteredClient {
        id: CLIENT_ID.to_owned(),
        secret: Some(ClientSecret::new(CLIENT_SECRET.to_owned())),
        redirect_uris: ["app", "tools"].map(|name| format!("https://{name}.example/oauth2/callback")).into(),
        post_logout_redirect_uris: Vec::new(),
    });
    let phone = log_in(&stage, "alice").await;
    phone.resolve("tools.example", stage.gateway.address);
    assert_eq!(phone.navigate("https://tools.example/").await.status, 502, "logged in, and the application is away");
    stage.gateway.clock.advance(std::time::Duration::from_secs(5));
    let (laptop, _bob) = (log_in(&stage, "alice").await, log_in(&stage, "bob").await);
    patiently("the first use to be noted", async {
        while sessions(&stage, &laptop).await[0]["upstreams"] == serde_json::json!([]) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let seen = sessions(&stage, &laptop).await;
    let hosts: Vec<_> = seen.iter().map(|one| (one["host"].as_str().unwrap(), one["current"] == true)).collect();
    assert_eq!(hosts.len(), 3, "{seen:?}");
    assert_eq!(hosts[0], ("app.example", true), "this one first");
    assert!(hosts[1..].iter().all(|(_, current)| !current) && hosts.contains(&("tools.example", false)));
    assert_eq!(seen[0]["upstreams"], serde_json::json!(["app"]));
    assert!(seen[0]["created"].is_u64() && seen[0]["last_used"].is_u64() && seen[0]["session_expires"].is_u64());
    let page = laptop.navigate(&stage.url("/oauth2/sessions")).await;
    assert_eq!(
        (page.status, page.header("referrer-policy"), page.header("cache-control")),
        (200.try_into().unwrap(), Some("same-origin"), Some("no-store"))
    );
    assert_eq!(page.forms().len(), 4, "a button each, and one for all others");
    for secret in [&*session_cookie(&laptop), "alice@", "subject-of-bob"] {
        assert!(!page.text().contains(secret) && !seen.iter().any(|one| one.to_string().contains(secret)), "{secret}");
    }
}

#[tokio::test]
async fn a_session_elsewhere_ends_by_its_button_and_its_tokens_are_revoked() {
    let stage = Stage::set().await;
    let (old, here) = (log_in(&stage, "alice").await, log_in(&stage, "alice").await);
    let page = here.navigate(&stage.url("/oauth2/sessions")).await;
    let seen = sessions(&stage, &here).await;
    let other = seen.iter().find(|one| one["current"] == false).unwrap();
    let forms = page.forms();
    let form = forms.iter().find(|form| form.fields.iter().any(|(_, value)| value == id_of(other))).unwrap();
    let back = here.submit(form, None).await;
    assert_eq!((back.status.as_u16(), back.url.path(), back.forms().len()), (200, "/oauth2/sessions", 1));
    assert_eq!(back.hops[0].status, 303);
    assert!(!is_live(&stage, &session_cookie(&old)).await && is_live(&stage, &session_cookie(&here)).await);
    patiently("the tokens to be revoked", async {
        while stage.provider.hits(Endpoint::Revocation) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let told = ["\"sessions.revoked\"", "\"by\":\"person\"", "\"detail\":\"one\"", "\"ended\":1", "\"user\""];
    assert_eq!(stage.gateway.log.lines_with(&told), 1);
    assert_eq!(stage.gateway.log.lines_with(&["\"session.ended\"", "\"reason\":\"sign-out\""]), 1);
}

#[tokio::test]
async fn mm_04_the_list_is_as_long_as_the_cap_and_all_others_end_at_once() {
    let stage = Stage::with(|setup| setup.session = "max_sessions_per_subject = 3".to_owned()).await;
    let mut browsers = Vec::new();
    for _ in 0..6 {
        browsers.push(log_in(&stage, "alice").await);
        stage.gateway.clock.advance(std::time::Duration::from_secs(1));
    }
    let here = session_cookie(&browsers[5]);
    assert_eq!(sessions(&stage, &browsers[5]).await.len(), 3);
    let answer = post(&stage, &here, &MARK, "others=true").await;
    let told: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, told), (200, serde_json::json!({ "ended": 2, "tokens_being_revoked": 2 })));
    assert_eq!(sessions(&stage, &browsers[5]).await.len(), 1);
    assert!(!is_live(&stage, &session_cookie(&browsers[4])).await);
    let told: Value = serde_json::from_slice(&post(&stage, &here, &MARK, "others=true").await.body).unwrap();
    assert_eq!(told["ended"], 0);
}

#[tokio::test]
async fn ending_the_session_in_use_is_signing_out() {
    let stage = Stage::set().await;
    let here = log_in(&stage, "alice").await;
    let cookie = session_cookie(&here);
    let page = here.navigate(&stage.url("/oauth2/sessions")).await;
    let forms = page.forms();
    let [form] = forms.as_slice() else { panic!("{}", page.text()) };
    let end = here.submit(form, None).await;
    assert_eq!((end.status.as_u16(), end.url.path()), (200, "/oauth2/signed_out"));
    assert!(end.hops[0].set_cookies()[0].contains("Max-Age=0"));
    assert!(!is_live(&stage, &cookie).await);
    assert_eq!(stage.gateway.log.lines_with(&["\"logout.local\""]), 1);
}

#[tokio::test]
async fn cs_01_nobody_else_ends_anything() {
    let stage = Stage::set().await;
    let (alice, bob) = (log_in(&stage, "alice").await, log_in(&stage, "bob").await);
    let other = log_in(&stage, "alice").await;
    let cookie = session_cookie(&alice);
    let of_bob = sessions(&stage, &bob).await;
    // Somebody else's name is answered like a name that nobody has.
    let unknown = "0".repeat(64);
    for id in [id_of(&of_bob[0]), &unknown, "x", "", "../x"] {
        let answer = post(&stage, &cookie, &MARK, &format!("id={id}")).await;
        assert_eq!(answer.status, 404, "{id}");
    }
    let seen = sessions(&stage, &alice).await;
    let mine = format!("id={}", id_of(seen.iter().find(|one| one["current"] == false).unwrap()));
    for fields in [
        &[][..],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Sec-Fetch-Site", "cross-site"), ("X-Vestibule-CSRF", "1")],
    ] {
        for body in [mine.as_str(), "others=true"] {
            assert_eq!(post(&stage, &cookie, fields, body).await.status, 403, "{fields:?}");
        }
    }
    for body in ["", "others=false", "others=true&id=x", "x=1"] {
        assert_eq!(post(&stage, &cookie, &MARK, body).await.status, 400, "{body}");
    }
    assert_eq!(post(&stage, &cookie, &MARK, "id=a&id=b").await.status, 400);
    for browser in [&alice, &bob, &other] {
        assert!(is_live(&stage, &session_cookie(browser)).await);
    }
    assert_eq!(stage.gateway.log.lines_with(&["\"sessions.revoked\""]), 0);
}

#[tokio::test]
async fn without_a_session_a_person_logs_in_and_a_program_is_told() {
    let stage = Stage::set().await;
    let answer = stage.browser.navigate_once(&stage.url("/oauth2/sessions")).await;
    assert_eq!(answer.status, 303);
    assert!(answer.location().unwrap().as_str().starts_with(stage.provider.issuer()));
    assert_eq!(send(&stage.gateway, "GET", "/oauth2/sessions", &[]).await.status, 401);
    assert_eq!(send(&stage.gateway, "POST", "/oauth2/sessions", &MARK).await.status, 401);
    assert_eq!(send(&stage.gateway, "DELETE", "/oauth2/sessions", &[]).await.status, 405);
    stage.log_in().await;
    let cookies = pair(&session_cookie(&stage.browser));
    let foreign = [("Cookie", &*cookies), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Mode", "cors")];
    let answer = send(&stage.gateway, "GET", "/oauth2/sessions", &foreign).await;
    assert_eq!(answer.status, 403, "AD-04: a page of another site reads nothing");
}

#[tokio::test]
async fn lo_04_what_the_store_does_not_take_has_not_ended() {
    let stage = Stage::set().await;
    let (old, here) = (log_in(&stage, "alice").await, log_in(&stage, "alice").await);
    let cookie = session_cookie(&here);
    let seen = sessions(&stage, &here).await;
    let id = format!("id={}", id_of(seen.iter().find(|one| one["current"] == false).unwrap()));
    for failing in ["load", "remove", "all"] {
        stage.gateway.store.fail(&[failing]);
        for body in [id.as_str(), "others=true"] {
            let answer = post(&stage, &cookie, &MARK, body).await;
            let told: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, &told["code"]), (503, &"not-ended".into()), "{failing} {body}");
        }
        stage.gateway.store.fail(&[]);
        assert!(is_live(&stage, &session_cookie(&old)).await);
    }
    stage.gateway.store.fail(&["all"]);
    assert_eq!(here.navigate(&stage.url("/oauth2/sessions")).await.status, 503);
    stage.gateway.store.fail(&["remove"]);
    let page = here.ask(&stage.url("/oauth2/sessions"), Asked::new(Kind::Navigation).form(&[("others", "true")])).await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("Not every login has ended") && page.text().contains("href=\"/oauth2/sessions\""));
}

#[tokio::test]
async fn ad_05_what_an_account_is_called_is_text_wherever_it_is_shown() {
    let hostile = "<script>alert(1)</script>\"'&<b>";
    let stage = Stage::with(|setup| setup.listen = crate::admin::LISTEN.to_owned()).await;
    stage.provider.alter_claims(move |claims| claims["preferred_username"] = hostile.into());
    stage.log_in().await;
    let own = stage.browser.navigate(&stage.url("/oauth2/sessions")).await.text();
    let address = stage.gateway.admin_address.unwrap();
    let request = format!(
        "GET /sessions HTTP/1.1\r\nHost: {address}\r\nAccept: text/html\r\nAuthorization: Bearer {}\r\n\r\n",
        crate::harness::gateway::ADMIN_TOKEN
    );
    let page = raw::ask(address, request).await.unwrap();
    assert_eq!(page.status, 200);
    assert!(
        page.text().contains("&#60;script&#62;alert(1)") || page.text().contains("&lt;script&gt;alert(1)"),
        "{}",
        page.text()
    );
    for html in [own, page.text()] {
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    }
}

#[tokio::test]
async fn who_is_not_logged_in_logs_in_and_comes_back() {
    let stage = Stage::set().await;
    let browser = stage.gateway.browser();
    let page = browser.log_in(&stage.url("/oauth2/sessions"), "alice").await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/oauth2/sessions"));
}
