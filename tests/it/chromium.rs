//! The demonstration and the gateway, as a person with a browser meets them.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use vestibule::clock::OffsetClock;

use crate::harness::behaviour::Behaviour;
use crate::harness::chromium::run_script;
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use crate::harness::received::Received;

/// `vestibule demo`, until it is dropped.
struct Demonstration {
    url: String,
    _process: Child,
}

impl Demonstration {
    async fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_vestibule"))
            .args(["demo", "--port", "0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let url = patiently("the address of the demonstration", async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some(url) = line.split_whitespace().find(|word| word.starts_with("http://localhost:")) {
                    return url.trim_end_matches('/').to_owned();
                }
            }
            panic!("the demonstration has ended without saying what to open");
        })
        .await;
        // Whatever it prints from here on must not stop it, full pipe or closed one.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { url, _process: process }
    }
}

#[tokio::test]
async fn a_person_logs_in_works_and_logs_out_in_a_real_browser() {
    let demonstration = Demonstration::start().await;
    run_script("demo.mjs", &[], &[("DEMO_URL", &demonstration.url)]).await;
}

/// A gateway that a real browser finds, in front of [`application`].
async fn stage(session: &str) -> Stage {
    let provider_clock = Arc::new(OffsetClock::default());
    let provider = TestProvider::with(Arc::clone(&provider_clock) as Arc<_>, |_| {}).await;
    let stage = Stage::with_provider(provider, |setup| {
        setup.public_url = "http://localhost:{port}".to_owned();
        setup.session = session.to_owned();
        setup.upstream = "public = [\"/public/**\"]\napi = [\"/api/**\"]".to_owned();
    })
    .await;
    let (clock, origin) = (Arc::clone(&stage.gateway.clock), stage.url(""));
    let mut posts = 0;
    stage.upstream.answer(move |received| {
        if received.path() == "/stolen" {
            posts += 1;
        }
        match received.path() {
            "/control/advance" => {
                let time = Duration::from_secs(received.query_value("seconds").unwrap().parse().unwrap());
                clock.advance(time);
                provider_clock.advance(time);
                Behaviour::status(200)
            }
            "/control/count" => Behaviour::text(200, &posts.to_string()),
            _ => application(received, &origin),
        }
    });
    stage
}

/// An application with a page for everything that the script tries.
fn application(received: &Received, gateway: &str) -> Behaviour {
    let page = |title: &str, body: &str| {
        Behaviour::html(
            200,
            &format!(
                "<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><h1>{title}</h1>{body}</html>"
            ),
        )
    };
    match received.path() {
        "/socket" => Behaviour::WebSocketEcho,
        "/api/token" => Behaviour::text(200, received.header("authorization").unwrap_or_default()),
        "/public/framed" => page("Framed", "<iframe title=inside src=/inside></iframe>"),
        "/public/form" => page(
            "Form",
            "<form method=post action=/notes><input type=hidden name=kind value='a&amp;b'><label>Note <textarea \
             name=note></textarea></label><button>Save</button></form>",
        ),
        "/notes" => {
            let fields = serde_json::to_string(&received.form()).unwrap();
            page("Saved", &format!("<pre>{}</pre>", fields.replace('&', "&amp;").replace('<', "&lt;")))
        }
        "/elsewhere" => page("Elsewhere", &format!("<a href='{gateway}/oauth2/sign_out'>Sign out over there</a>")),
        _ => page("Application", "<a href=/oauth2/sign_out>Sign out</a>"),
    }
}

#[tokio::test]
async fn a_real_browser_and_the_gateway_understand_each_other() {
    let (lax, strict) = (stage("").await, stage("cookie = { same_site = \"strict\" }").await);
    let environment =
        [("GATEWAY_URL", lax.url("")), ("STRICT_URL", strict.url("")), ("APPLICATION_URL", lax.upstream.url())];
    run_script("gateway.mjs", &[], &environment.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
}
