//! Ways back in a real browser: after a session has expired, with cookies blocked, from bookmarks and old tabs, with
//! clocks that are wrong. Each ends on a way forward.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc;
use vestibule::clock::OffsetClock;
use vestibule::gateway::pattern::Pattern;
use vestibule::gateway::settings::CrossSiteSettings;
use vestibule::upstream::settings::Target;

use crate::harness::behaviour::Behaviour;
use crate::harness::chromium::run_script;
use crate::harness::gateway::Stage;
use crate::harness::provider::TestProvider;
use crate::harness::received::Received;

/// A gateway that a real browser finds, with two clocks that the script can turn.
async fn stage() -> Stage {
    let provider_clock = Arc::new(OffsetClock::default());
    let provider = TestProvider::with(Arc::clone(&provider_clock) as Arc<_>, |_| {}).await;
    let setup = |setup: &mut crate::harness::gateway::Setup| {
        setup.public_url = "http://localhost:{port}".to_owned();
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    };
    // The application itself, under the gateway's name and another port, is the sibling.
    let stage = Stage::with_settings(provider, setup, |settings| {
        let Target::Http { port, .. } = settings.routes[0].upstream.targets[0] else { panic!("no http target") };
        settings.routes[0].cross_site = Some(CrossSiteSettings {
            origins: vec![format!("http://localhost:{port}")],
            paths: vec![Pattern::parse("/cart/**").unwrap()],
        });
    })
    .await;
    let gateway_clock = Arc::clone(&stage.gateway.clock);
    let mut application = Application::default();
    stage.upstream.answer(move |received| match received.path() {
        "/control/clocks" => {
            for (name, clock) in [("gateway", &gateway_clock), ("provider", &provider_clock)] {
                let seconds = received.query_value(name).map_or(0, |text| text.parse::<i64>().unwrap());
                let time = Duration::from_secs(seconds.unsigned_abs());
                if seconds < 0 { clock.rewind(time) } else { clock.advance(time) }
            }
            Behaviour::status(200)
        }
        "/control/arrived" => application.arrived(&received.query_value("path").unwrap()),
        _ => application.answer(received),
    });
    stage
}

/// An application with a page for everything that the script tries.
#[derive(Default)]
struct Application {
    requests: Vec<Received>,
    /// Keeps the streams of events open.
    streams: Vec<mpsc::Sender<Bytes>>,
}

impl Application {
    fn arrived(&self, path: &str) -> Behaviour {
        let found = self.requests.iter().filter(|received| received.path() == path);
        Behaviour::json(
            200,
            &found.map(|received| json!({ "method": received.method, "body": received.text() })).collect(),
        )
    }

    fn answer(&mut self, received: &Received) -> Behaviour {
        self.requests.push(received.clone());
        let page = |title: &str, body: &str| {
            let head = format!("<meta charset=utf-8><title>{title}</title><h1>{title}</h1>");
            Behaviour::html(200, &format!("<!doctype html><html lang=en>{head}{body}</html>"))
        };
        let value = |name: &str| received.query_value(name).unwrap_or_default().replace('&', "&amp;");
        match received.path() {
            _ if received.header("upgrade").is_some() => Behaviour::WebSocketEcho,
            "/events" => {
                let (events, stream) = mpsc::channel(1);
                events.try_send(Bytes::from_static(b"retry: 1\ndata: hello\n\n")).unwrap();
                self.streams.push(events);
                let head = http::Response::builder().header("content-type", "text/event-stream").body(()).unwrap();
                Behaviour::Stream(head, stream)
            }
            "/framed" => page("Framed", &format!("<iframe title=inside src='{}'></iframe>", value("src"))),
            "/form" => page(
                "Form",
                &format!(
                    "<form method=post action='{}' enctype='{}'><input type=hidden name=kind value='a&amp;b'><label>Note \
                     <textarea name=note></textarea></label><label>Red <input type=checkbox name=colour value=red>\
                     </label><label>Blue <input type=checkbox name=colour value=blue></label><input type=hidden \
                     name='n \"1\" &lt;é>' value=''><button>Save</button></form>",
                    value("to"),
                    value("as"),
                ),
            ),
            _ if received.method == "POST" => page("Saved", ""),
            _ => page("Application", ""),
        }
    }
}

#[tokio::test]
async fn ru_19_every_way_back_ends_on_a_way_forward() {
    let stage = stage().await;
    let sibling = format!("http://localhost:{}", stage.upstream.address().port());
    let environment =
        [("GATEWAY_URL", stage.url("")), ("APPLICATION_URL", stage.upstream.url()), ("SIBLING_URL", sibling)];
    run_script("recovery.mjs", &[], &environment.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let log = &stage.gateway.log;
    assert_eq!(log.lines_with(&["login.rejected", "token-invalid", "\"iat\""]), 1, "the log names the clock");
    // What was typed is nowhere: neither kept by the gateway nor written.
    let written = stage.gateway.everything_written();
    assert!(!written.contains("%0D%0A") && !written.contains("three"), "a form is in the log");
}
