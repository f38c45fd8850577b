//! A new configuration in the place of the old one: what is asked from then on follows it, what is under way does not
//! notice.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use vestibule::app::ReloadError;
use vestibule::demo::provider::RegisteredClient;
use vestibule::secret::ClientSecret;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::browser::{Asked, Kind};
use crate::harness::by_hand::{navigation, pair, program, session_cookie};
use crate::harness::gateway::{CLIENT_ID, Setup, Stage};
use crate::harness::patiently;
use crate::harness::provider::{Endpoint, TestProvider};
use crate::harness::raw;

/// The development provider's access tokens live for a minute.
const RUN_OUT: Duration = Duration::from_secs(61);

async fn echoes(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let message = patiently("the echo", socket.next()).await.unwrap().unwrap();
    assert_eq!(message, Message::text(text));
}

/// Moves the gateway's timers, which the clock of the test does not reach.
async fn skip(duration: Duration) {
    tokio::time::pause();
    tokio::time::advance(duration).await;
    tokio::time::resume();
}

fn for_staff(setup: &mut Setup) {
    setup.upstream = "access = { claim = \"groups\", contains = \"nobody-is-in-this\" }".to_owned();
}

#[tokio::test]
async fn new_requests_follow_the_new_configuration() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let second = format!("[[upstream]]\nname = \"wiki\"\npath = \"/wiki\"\ntarget = \"{}\"", stage.upstream.url());
    let with_wiki = |headers: &'static str| {
        let second = format!("{second}\n{headers}");
        move |setup: &mut Setup| {
            setup.more = format!("{second}\n[pages]\nname = \"Corp of the test\"");
        }
    };
    stage.reload(with_wiki("[upstream.headers]\nx-of-the-wiki = \"{claims.sub}\"")).await.unwrap();
    let host = "Host: app.example";
    let asked = |path: &str| {
        raw::ask(
            stage.gateway.address,
            format!("GET {path} HTTP/1.1\r\n{host}\r\nX-Of-The-Wiki: forged\r\nCookie: {ours}\r\n\r\n"),
        )
    };
    assert_eq!(asked("/wiki/a").await.unwrap().status, 200);
    assert_eq!(stage.upstream.last().header("x-of-the-wiki"), Some("subject-of-alice"));
    // The other upstream has not changed, and yet it no longer gets what is an identity header now.
    assert_eq!(asked("/").await.unwrap().status, 200);
    assert_eq!(stage.upstream.last().header("x-of-the-wiki"), None);
    let before = stage.upstream.connections().value();
    stage.reload(for_staff).await.unwrap();
    let hits = stage.upstream.hits();
    for path in ["/", "/wiki/a"] {
        assert_eq!(asked(path).await.unwrap().status, 403, "{path}");
    }
    assert_eq!(stage.upstream.hits(), hits);
    stage.reload(|_| {}).await.unwrap();
    assert_eq!(asked("/").await.unwrap().status, 200);
    assert!(stage.upstream.connections().value() <= before + 1, "connections go on serving");
    // Pages for people, and hosts and paths that have gone.
    stage
        .reload(|setup| {
            setup.upstream = "path = \"/only\"".to_owned();
            setup.more = "[pages]\nname = \"Corp of the test\"".to_owned();
        })
        .await
        .unwrap();
    let page = navigation(&stage.gateway, "/", &ours).await;
    assert_eq!((page.status, page.text().contains("Corp of the test")), (404, true));
    assert_eq!(program(&stage.gateway, "/only/x", &ours).await.status, 200);
    stage.reload(|setup| setup.upstream = "host = \"other.example\"".to_owned()).await.unwrap();
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 421);
}

#[tokio::test]
async fn cf_14_two_hundred_requests_in_flight_end_as_they_began() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let (openers, gates): (Vec<_>, Vec<_>) = (0..200).map(|_| gate()).unzip();
    let mut gates = gates.into_iter();
    stage.upstream.answer(move |_| match gates.next() {
        Some(gate) => Behaviour::text(200, "held").held(gate),
        None => Behaviour::text(200, "at once"),
    });
    let hits = stage.upstream.hits();
    let (answers, ()) = tokio::join!(join_all((0..200).map(|_| program(&stage.gateway, "/held", &ours))), async {
        stage.upstream.hits_reach(hits + 200).await;
        for _ in 0..3 {
            stage.reload(for_staff).await.unwrap();
            assert_eq!(program(&stage.gateway, "/", &ours).await.status, 403);
            stage.reload(|_| {}).await.unwrap();
            assert_eq!(program(&stage.gateway, "/", &ours).await.text(), "at once");
        }
        stage.reload(|setup| setup.upstream = "host = \"other.example\"".to_owned()).await.unwrap();
        openers.into_iter().for_each(crate::harness::behaviour::Opener::open);
    });
    assert!(answers.iter().all(|answer| (answer.status, answer.text().as_str()) == (200, "held")));
}

#[tokio::test]
async fn cf_14_reloads_under_load_lose_no_request() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let load = join_all((0..8).map(|_| async {
        for _ in 0..25 {
            assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
        }
    }));
    let reloads = async {
        for name in ["one", "two", "three", "four", "five"] {
            let more = format!("[pages]\nname = \"{name}\"\n[listen.limits]\nkeep_alive = \"50s\"");
            stage.reload(move |setup| setup.more = more).await.unwrap();
        }
    };
    tokio::join!(load, reloads);
}

/// The provider knows this client by another secret from here on.
fn change_secret(stage: &Stage, secret: &str) {
    stage.provider.register(RegisteredClient {
        id: CLIENT_ID.to_owned(),
        secret: Some(ClientSecret::new(secret.to_owned())),
        redirect_uris: vec![format!("{}/oauth2/callback", stage.gateway.public_url)],
        post_logout_redirect_uris: Vec::new(),
    });
}

#[tokio::test]
async fn a_new_client_secret_serves_the_next_refresh_of_sessions_that_are_there() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "the-second").unwrap();
    change_secret(&stage, "the-second");
    stage.gateway.clock.advance(RUN_OUT);
    // With the old secret the refresh fails, and there is a pause before the next try.
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 503);
    let secret = format!("client_secret = {{ file = \"{}\" }}", file.display());
    stage.reload(|setup| setup.client_secret.clone_from(&secret)).await.unwrap();
    let metadata = stage.provider.hits(Endpoint::Metadata);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200, "at once, without a pause");
    let shown = stage.provider.token_requests("refresh_token").pop().unwrap();
    let expected = format!("Basic {}", basic(&format!("{CLIENT_ID}:the-second")));
    assert_eq!(shown.header("authorization"), Some(expected.as_str()));
    stage.provider.hits_reach(Endpoint::Metadata, metadata.max(2)).await;
    // And a login.
    let other = stage.gateway.browser();
    assert_eq!(other.log_in(&stage.url("/"), "bob").await.status, 200);
}

fn basic(pair: &str) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(pair)
}

#[tokio::test]
async fn rf_01_a_refresh_that_is_under_way_is_the_only_one_over_a_reload() {
    let stage = Stage::set().await;
    stage.log_in().await;
    stage.gateway.clock.advance(RUN_OUT);
    let (opener, gate) = gate();
    let mut gate = Some(gate);
    stage.provider.on(Endpoint::Token, move |_, response| Behaviour::Respond(response).held(gate.take().unwrap()));
    let (url, tabs) = (stage.url("/"), [stage.browser.clone(), stage.browser.clone()]);
    let (before, after) = tokio::join!(tabs[0].fetch(&url), async {
        stage.provider.hits_reach(Endpoint::Token, 2).await;
        // Another client as far as the gateway can tell: the provider is set up anew.
        stage.reload(|setup| setup.provider = "timeouts = { total = \"9s\" }".to_owned()).await.unwrap();
        let (after, ()) = tokio::join!(tabs[1].fetch(&url), async { opener.open() });
        after
    });
    assert_eq!((before.status.as_u16(), after.status.as_u16()), (200, 200));
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1);
}

#[tokio::test]
async fn limits_follow_the_configuration() {
    let stage = Stage::set().await;
    let shorter = |setup: &mut Setup| setup.listen = "[listen.limits]\ncookie_bytes = \"1KiB\"".to_owned();
    let long = format!("a={}", "b".repeat(2_000));
    assert_eq!(program(&stage.gateway, "/", &long).await.status, 401);
    stage.reload(shorter).await.unwrap();
    assert_eq!(program(&stage.gateway, "/", &long).await.status, 431);
}

#[tokio::test]
async fn open_streams_go_on_and_are_refreshed_with_what_is_configured_now() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    echoes(&mut socket, "before").await;
    let (sender, events) = Behaviour::events();
    stage.upstream.answer_once(events);
    let asked = Asked::new(Kind::Fetch).header("accept", "text/event-stream");
    let mut response = stage.browser.stream(&stage.url("/events"), asked).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, "the-second").unwrap();
    change_secret(&stage, "the-second");
    let secret = format!("client_secret = {{ file = \"{}\" }}\nscopes = [\"openid\"]", file.display());
    // The upstream itself is no longer there for new requests.
    stage
        .reload(|setup| {
            setup.client_secret.clone_from(&secret);
            setup.upstream = "path = \"/elsewhere\"".to_owned();
        })
        .await
        .unwrap();
    echoes(&mut socket, "after").await;
    sender.send(Bytes::from("data: 1\n\n")).await.unwrap();
    let frame = patiently("an event", response.body_mut().frame()).await.unwrap().unwrap();
    assert_eq!(frame.into_data().unwrap(), "data: 1\n\n");
    stage.gateway.clock.advance(Duration::from_secs(40));
    skip(Duration::from_secs(16)).await;
    stage.gateway.log_reaches(&["refresh.ok"], 1).await;
    assert_eq!(stage.provider.token_requests("refresh_token").len(), 1, "one for both, with the new secret");
    echoes(&mut socket, "refreshed").await;
    // They end with the session, under whatever configuration.
    let shown = session_cookie(&stage.browser);
    assert_eq!(navigation(&stage.gateway, "/oauth2/sign_out", &pair(&shown)).await.status, 200);
    let page = stage.browser.navigate_once(&stage.url("/oauth2/sign_out")).await;
    assert!(page.status.is_redirection(), "{}", page.text());
    let end = patiently("the end of the WebSocket", socket.next()).await;
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
}

#[tokio::test]
async fn what_needs_a_restart_is_refused_with_those_words_and_changes_nothing() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let change = |line: &str| {
        let (listen, session, more) = match line.split_once('.').unwrap() {
            ("listen", line) => (line.to_owned(), String::new(), String::new()),
            ("session", line) => (String::new(), line.to_owned(), String::new()),
            (_, line) => (String::new(), String::new(), format!("[log]\n{line}")),
        };
        move |setup: &mut Setup| {
            for_staff(setup);
            (setup.listen, setup.session, setup.more) = (listen, session, more);
        }
    };
    for (line, key) in [
        ("listen.address = \"127.0.0.1:9\"", "listen.address"),
        ("listen.probe_address = \"127.0.0.1:9\"", "listen.probe_address"),
        ("listen.endpoint_prefix = \"/gate\"", "listen.endpoint_prefix"),
        ("session.max_sessions = 7", "session.max_sessions"),
        ("log.format = \"text\"", "log.format"),
    ] {
        let refused = stage.reload(change(line)).await.unwrap_err();
        assert_eq!(refused.to_string(), format!("a change of {key} needs a restart"));
    }
    let refused = stage.reload(|setup| setup.public_url = "https://app.example:8443".to_owned()).await.unwrap_err();
    assert!(matches!(&refused, ReloadError::NeedsRestart(keys) if keys == &["public_url"]), "{refused}");
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
}

#[tokio::test]
async fn a_provider_that_comes_is_asked_before_anybody_is_sent_to_it_and_one_that_goes_is_forgotten() {
    let (stage, partner) = (Stage::set().await, TestProvider::start().await);
    stage.log_in().await;
    partner.register(RegisteredClient {
        id: "partner-client".to_owned(),
        secret: None,
        redirect_uris: vec!["https://app.example/oauth2/callback/partner".to_owned()],
        post_logout_redirect_uris: Vec::new(),
    });
    let setup = Setup {
        provider_section: "providers.partner".to_owned(),
        client_secret: "client_authentication = \"none\"".to_owned(),
        ..Setup::default()
    };
    let settings =
        crate::harness::gateway::Gateway::settings(&setup, partner.issuer(), stage.upstream.address(), |settings| {
            settings.providers[0].client_id = "partner-client".to_owned()
        });
    let running = stage.gateway.running.as_ref().unwrap();
    running.reload(settings).await.unwrap();
    // Whoever was logged in at the other provider is not logged in here.
    stage.gateway.log_reaches(&["session.ended", "provider-changed"], 1).await;
    let page = stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(stage.provider.hits(Endpoint::Token) + partner.hits(Endpoint::Token), 2);
    let metrics = stage.gateway.metrics_page().await;
    assert!(metrics.contains("vestibule_provider_up{provider=\"partner\"} 1"), "{metrics}");
    assert!(!metrics.contains("vestibule_provider_up{provider=\"default\"}"));
    assert_eq!(running.readiness().conditions(), [("store".to_owned(), true), ("provider partner".to_owned(), true)]);
}
