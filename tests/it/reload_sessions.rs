//! Sessions over a reload: they stay, unless their key or their provider has gone.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;

use crate::harness::browser::Browser;
use crate::harness::by_hand::{pair, program, session_cookie};
use crate::harness::gateway::{Setup, Stage};
use crate::harness::login_steps::{authorize, begin, call_back};
use crate::harness::patiently;

const MINUTE: Duration = Duration::from_secs(60);

/// Key files, and the lines that name them.
pub struct Keys(tempfile::TempDir);

impl Keys {
    pub fn new() -> Self {
        let keys = Self(tempfile::tempdir().unwrap());
        for name in ["a", "b", "c"] {
            let key = vestibule::config::generate_key(&vestibule::entropy::SystemEntropy).unwrap();
            std::fs::write(keys.file(name), key.as_bytes()).unwrap();
        }
        keys
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn line(&self, names: &[&str]) -> String {
        let keys = names.iter().map(|name| format!("{{ id = \"{name}\", file = \"{}\" }}", self.file(name).display()));
        format!("keys = [{}]\n", keys.collect::<Vec<_>>().join(", "))
    }

    async fn reload(&self, stage: &Stage, names: &[&str]) -> bool {
        let line = self.line(names);
        stage.reload(|setup| setup.session = line).await.unwrap().key_rotated
    }
}

async fn log_in(stage: &Stage, username: &str) -> Browser {
    let browser = stage.gateway.browser();
    assert_eq!(browser.log_in(&stage.url("/"), username).await.status, 200);
    browser
}

async fn statuses(stage: &Stage, browsers: &[Browser]) -> Vec<StatusCode> {
    let mut statuses = Vec::new();
    for browser in browsers {
        statuses.push(browser.fetch(&stage.url("/")).await.status);
    }
    statuses
}

#[tokio::test]
async fn cr_08_a_rotation_logs_nobody_out_and_a_removal_exactly_those_of_the_key() {
    let keys = Keys::new();
    let line = keys.line(&["a"]);
    let stage = Stage::with(|setup| setup.session = line).await;
    let mut old = Vec::new();
    for username in ["alice", "bob", "alice", "bob", "alice", "bob"] {
        old.push(log_in(&stage, username).await);
    }
    assert!(keys.reload(&stage, &["b", "a"]).await);
    assert_eq!(statuses(&stage, &old).await, [200; 6]);
    let new = [log_in(&stage, "alice").await, log_in(&stage, "bob").await];
    // A refresh seals anew, under the first key.
    stage.gateway.clock.advance(MINUTE + Duration::from_secs(1));
    let refreshed = old.split_off(4);
    assert_eq!(statuses(&stage, &refreshed).await, [200; 2]);
    assert!(!keys.reload(&stage, &["b"]).await, "the first one is the same");
    assert_eq!(stage.gateway.log.lines_with(&["session.ended", "key-removed"]), 4, "told once each, when the key goes");
    assert_eq!(statuses(&stage, &old).await, [401; 4]);
    assert_eq!(statuses(&stage, &new).await, [200; 2]);
    assert_eq!(statuses(&stage, &refreshed).await, [200; 2]);
    assert_eq!(stage.gateway.log.lines_with(&["session.ended"]), 4);
    let metrics = stage.gateway.metrics_page().await;
    assert!(metrics.contains("vestibule_sessions_ended_total{reason=\"key-removed\"} 4"), "{metrics}");
    // They are sent to the login, and logged in again.
    let page = old[0].navigate(&stage.url("/")).await;
    assert_eq!(page.status, 200, "{}", page.text());
}

#[tokio::test]
async fn cr_08_a_session_that_was_sealed_anew_is_still_found_by_its_person() {
    let keys = Keys::new();
    let line = keys.line(&["a"]);
    let stage = Stage::with(|setup| setup.session = line).await;
    let browser = log_in(&stage, "alice").await;
    keys.reload(&stage, &["b", "a"]).await;
    stage.gateway.clock.advance(MINUTE + Duration::from_secs(1));
    assert_eq!(browser.fetch(&stage.url("/")).await.status, 200);
    keys.reload(&stage, &["b"]).await;
    let of_alice = stage.gateway.sessions().of_subject(stage.provider.issuer(), "subject-of-alice").await.unwrap();
    assert_eq!(of_alice.len(), 1);
    assert_eq!(browser.fetch(&stage.url("/")).await.status, 200);
}

#[tokio::test]
async fn cr_08_a_web_socket_is_cut_with_the_key_of_its_session() {
    let keys = Keys::new();
    let line = keys.line(&["a"]);
    let stage = Stage::with(|setup| setup.session = line).await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    keys.reload(&stage, &["b"]).await;
    let end = patiently("the end of the WebSocket", socket.next()).await;
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
}

#[tokio::test]
async fn st_13_a_key_that_is_still_listed_ends_the_login_it_began() {
    let keys = Keys::new();
    let line = keys.line(&["a"]);
    let stage = Stage::with(|setup| setup.session = line).await;
    let url = stage.url("/deep");
    let (kept, lost) = (stage.gateway.browser(), stage.gateway.browser());
    let authorization = begin(&kept, &url).await;
    let callback = authorize(&kept, &authorization, "alice").await;
    keys.reload(&stage, &["b", "a"]).await;
    let page = call_back(&kept, &callback).await;
    assert_eq!((page.status.as_u16(), page.location().unwrap().path()), (303, "/deep"));
    assert_eq!(kept.fetch(&url).await.status, 200);

    let authorization = begin(&lost, &url).await;
    let callback = authorize(&lost, &authorization, "alice").await;
    keys.reload(&stage, &["c"]).await;
    let page = call_back(&lost, &callback).await;
    assert_eq!(page.status, 400, "{}", page.text());
    assert!(page.text().contains("/oauth2/start"), "with a link to begin again");
    assert_eq!(stage.gateway.log.lines_with(&["login.rejected", "state-mismatch"]), 1);
    let page = lost.navigate(&url).await;
    assert_eq!(page.status, 200, "and no loop: {}", page.text());
}

#[tokio::test]
async fn cf_15_keys_that_make_no_ring_leave_the_old_ones() {
    let keys = Keys::new();
    let line = keys.line(&["a"]);
    let stage = Stage::with(|setup| setup.session = line).await;
    stage.log_in().await;
    // The file of a key now holds that of another one, as by a mistake in a rotation.
    std::fs::copy(keys.file("a"), keys.file("b")).unwrap();
    for names in [&["a", "b"][..], &["a", "b", "c", "a", "b", "c", "a", "b", "c"]] {
        let setup = Setup { session: keys.line(names), ..Setup::default() };
        let text = format!(
            "public_url = \"https://app.example\"\n[session]\n{}[provider]\nissuer = \"https://id.example\"\n\
             client_id = \"x\"\nclient_authentication = \"none\"\n[[upstream]]\ntarget = \"http://127.0.0.1:1\"\n",
            setup.session
        );
        let refused = vestibule::config::parse(
            &text,
            "v.toml".as_ref(),
            "".as_ref(),
            &vestibule::config::SystemEnvironment,
            &vestibule::entropy::SystemEntropy,
        );
        assert!(refused.unwrap_err().to_string().contains("session.keys"));
    }
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
}

#[tokio::test]
async fn without_configured_keys_a_reload_logs_nobody_out_and_neither_do_the_first_keys() {
    let stage = Stage::set().await;
    stage.log_in().await;
    assert!(!stage.reload(|_| {}).await.unwrap().key_rotated);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
    let keys = Keys::new();
    assert!(keys.reload(&stage, &["a"]).await);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 200);
}

#[tokio::test]
async fn another_client_ends_the_sessions_of_its_host() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let mut socket = stage.browser.web_socket("/socket", None).await.unwrap();
    let settings = crate::harness::gateway::Gateway::settings(
        &Setup::default(),
        stage.provider.issuer(),
        stage.upstream.address(),
        |settings| settings.providers[0].client_id = "another".to_owned(),
    );
    stage.gateway.running.as_ref().unwrap().reload(settings).await.unwrap();
    let end = patiently("the end of the WebSocket", socket.next()).await;
    assert!(end.is_none_or(|message| message.is_err() || message.is_ok_and(|message| message.is_close())));
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
    assert_eq!(stage.gateway.log.lines_with(&["session.ended", "provider-changed"]), 1);
}

/// An upstream that needs no token, so that only the session's own limits count.
fn without_tokens(session: &str) -> impl FnOnce(&mut Setup) {
    let session = session.to_owned();
    |setup| {
        setup.session = session;
        setup.upstream = "[upstream.headers]\nauthorization = false".to_owned();
    }
}

#[tokio::test]
async fn shorter_limits_hold_for_sessions_that_are_there_and_longer_ones_revive_none() {
    for (shorter, reason) in
        [("idle_timeout = \"5m\"", "idle"), ("lifetime = \"8m\"\nidle_timeout = \"8m\"", "lifetime")]
    {
        let stage = Stage::with(without_tokens("")).await;
        stage.log_in().await;
        let ours = pair(&session_cookie(&stage.browser));
        stage.gateway.clock.advance(4 * MINUTE);
        assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
        stage.gateway.clock.advance(4 * MINUTE);
        stage.reload(without_tokens("idle_timeout = \"30m\"")).await.unwrap();
        stage.gateway.clock.advance(MINUTE);
        stage.reload(without_tokens(shorter)).await.unwrap();
        assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401, "{shorter}");
        assert_eq!(stage.gateway.log.lines_with(&["session.ended", &format!("\"reason\":\"{reason}\"")]), 1);
        assert_eq!(stage.gateway.log.lines_with(&["session.ended"]), 1);
    }
    let stage = Stage::with(without_tokens("lifetime = \"1h\"\nidle_timeout = \"1h\"")).await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    stage.reload(without_tokens("lifetime = \"10h\"\nidle_timeout = \"10h\"")).await.unwrap();
    stage.gateway.clock.advance(59 * MINUTE);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 200);
    stage.gateway.clock.advance(MINUTE);
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401, "the absolute limit was set at the login");
}
