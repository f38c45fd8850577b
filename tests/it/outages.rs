//! What each kind of request gets while something is away: every cell of the table in `docs/operations.md`.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use crate::admin::{self, LISTEN};
use crate::harness::browser::Browser;
use crate::harness::by_hand::{navigation, pair, post_logout_token, program, send, session_cookie};
use crate::harness::gateway::{SHARED_KEY, Setup, Stage};
use crate::harness::login_steps::{authorize, begin};
use crate::harness::patiently;
use crate::harness::raw::RawResponse;

const DOCUMENT: &str = include_str!("../../docs/operations.md");

/// Columns of the table, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Away {
    StoreWithinGrace,
    StoreAfterGrace,
    Provider,
    Upstream,
}

const COLUMNS: [Away; 4] = [Away::StoreWithinGrace, Away::StoreAfterGrace, Away::Provider, Away::Upstream];

/// A stage with a session that is open, one that another replica has begun, a login halfway and a WebSocket.
struct Scene {
    stage: Stage,
    away: Away,
    open: String,
    elsewhere: String,
    halfway: (Browser, url::Url),
    socket: WebSocketStream<TcpStream>,
}

impl Scene {
    async fn set(away: Away) -> Self {
        let grace = if away == Away::StoreAfterGrace { "0s" } else { "60s" };
        let adjust = |setup: &mut Setup| {
            setup.session = format!("{SHARED_KEY}\noutage_grace = \"{grace}\"");
            setup.upstream = "public = [\"/public/**\"]".to_owned();
            setup.listen = format!("{LISTEN}\ntrusted_proxies = [\"127.0.0.0/8\"]");
            setup.more = "[[upstream]]\nname = \"asked\"\npath = \"/asked\"\nforward_auth = true\n".to_owned();
        };
        let stage = Stage::with(adjust).await;
        stage.log_in().await;
        let open = pair(&session_cookie(&stage.browser));
        let replica = stage.replica(adjust).await;
        let other = replica.browser();
        assert_eq!(other.log_in(&replica.url("/"), "bob").await.status, 200);
        let elsewhere = pair(&session_cookie(&other));
        let socket = stage.browser.web_socket("/socket", None).await.unwrap();
        let browser = stage.gateway.browser();
        let authorization = begin(&browser, &stage.url("/deep")).await;
        let callback = authorize(&browser, &authorization, "alice").await;
        // The keys of the provider are known, as they are wherever somebody has logged in.
        let mut scene = Self { stage, away, open, elsewhere, halfway: (browser, callback), socket };
        scene.take_away().await;
        scene
    }

    async fn take_away(&mut self) {
        match self.away {
            Away::StoreWithinGrace => self.stage.gateway.store.fail(&["all"]),
            Away::StoreAfterGrace => {
                self.stage.gateway.store.fail(&["all"]);
                patiently("the grace to pass", async {
                    while program(&self.stage.gateway, "/", &self.open).await.status != 503 {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                })
                .await;
            }
            Away::Provider => self.stage.provider.go_down().await,
            Away::Upstream => self.stage.upstream.stop().await,
        }
    }

    /// What a row of the table gets, in the words of the table.
    async fn observe(&mut self, row: &str) -> String {
        let gateway = &self.stage.gateway;
        let ahead = |seconds| gateway.clock.advance(Duration::from_secs(seconds));
        match row {
            "a public path" => told(&program(gateway, "/public/page", "").await),
            "a session that is open here" => told(&program(gateway, "/", &self.open).await),
            "a session that is not open here" => told(&program(gateway, "/", &self.elsewhere).await),
            "nobody logged in, a page" => told(&navigation(gateway, "/", "").await),
            "nobody logged in, a program" => told(&program(gateway, "/", "").await),
            "an access token that is due" => {
                ahead(45);
                told(&program(gateway, "/", &self.open).await)
            }
            "an access token that has run out" => {
                ahead(90);
                told(&program(gateway, "/", &self.open).await)
            }
            "the end of a login" => {
                let (browser, callback) = &self.halfway;
                let page = browser.navigate_once(callback.as_str()).await;
                let session = page.set_cookies().iter().any(|cookie| cookie.starts_with("__Host-Http-vestibule="));
                if session { "logged in".to_owned() } else { page.status.as_u16().to_string() }
            }
            "sign-out" => {
                let same = ("Sec-Fetch-Site", "same-origin");
                let answer = send(gateway, "POST", "/oauth2/sign_out", &[("Cookie", &self.open), same]).await;
                if answer.status == 303 { "signed out".to_owned() } else { told(&answer) }
            }
            "`/oauth2/session`" => told(&program(gateway, "/oauth2/session", &self.open).await),
            "`/oauth2/auth`" => {
                let asked = [("Cookie", &*self.open), ("X-Original-Method", "GET"), ("X-Original-URI", "/asked/x")];
                told(&send(gateway, "GET", "/oauth2/auth", &asked).await)
            }
            "a WebSocket that is open" => {
                if self.away == Away::StoreAfterGrace || self.away == Away::Upstream {
                    let end = patiently("the WebSocket to be cut", self.socket.next()).await;
                    assert!(
                        end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close()))
                    );
                    return "cut".to_owned();
                }
                self.socket.send(Message::text("still there")).await.unwrap();
                let echoed = patiently("the echo", self.socket.next()).await.unwrap().unwrap();
                assert_eq!(echoed, Message::text("still there"));
                "goes on".to_owned()
            }
            "a logout token of the provider" => {
                let token = self.stage.logout_token(&self.stage.logout_claims("sub", "subject-of-bob", "jti-1"));
                told(&post_logout_token(gateway, &token).await)
            }
            "the list of sessions, for administrators" => told(&admin::ask(gateway, "GET", "/sessions", None).await),
            "the end of a session, by administrators" => {
                let revoked = json!({ "subject": "subject-of-bob" });
                told(&admin::ask(gateway, "POST", "/sessions/revoke", Some(&revoked)).await)
            }
            "`/readyz`" => {
                let url = format!("http://localhost:{}/readyz", gateway.probe_address.port());
                Browser::old().fetch(&url).await.status.as_u16().to_string()
            }
            other => panic!("no test knows the row {other}"),
        }
    }
}

/// The status; with what must go along with it.
fn told(answer: &RawResponse) -> String {
    match answer.status {
        303 => {
            assert!(answer.header("location").unwrap().contains("/authorize"), "{answer:?}");
            "login".to_owned()
        }
        503 => {
            assert!(answer.header("retry-after").is_some() && answer.all("set-cookie").is_empty(), "{answer:?}");
            "503".to_owned()
        }
        status => status.to_string(),
    }
}

/// The rows of the table: the request, then what it gets in each column.
fn documented() -> Vec<Vec<String>> {
    let table = DOCUMENT.split_once("### What happens while something is away").expect("the section").1;
    let rows = table.lines().skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    rows.skip(2).map(cells).collect()
}

async fn column(away: Away) {
    let index = 1 + COLUMNS.iter().position(|column| *column == away).unwrap();
    for row in documented() {
        // Each on a stage of its own: signing out, moving the clock and cutting leave traces.
        let mut scene = Scene::set(away).await;
        let observed = scene.observe(&row[0]).await;
        assert_eq!(observed, row[index], "{} while {away:?}", row[0]);
    }
}

#[tokio::test]
async fn ss_01_while_the_store_is_away_within_the_grace() {
    column(Away::StoreWithinGrace).await;
}

#[tokio::test]
async fn ss_01_while_the_store_is_away_after_the_grace() {
    column(Away::StoreAfterGrace).await;
}

#[tokio::test]
async fn while_the_provider_is_away() {
    column(Away::Provider).await;
}

#[tokio::test]
async fn while_the_application_is_away() {
    column(Away::Upstream).await;
}

#[test]
fn the_table_has_every_kind_of_request() {
    assert!(documented().len() >= 13 && documented().iter().all(|row| row.len() == 1 + COLUMNS.len()));
}
