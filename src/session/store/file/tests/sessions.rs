//! What a failing disk comes to for those who are logged in.

use std::collections::HashMap;
use std::io::ErrorKind;

use super::disk::Fails;
use super::faults::{new_disk, on};
use super::*;
use crate::origin::{Host, Scheme};
use crate::secret::SealingKey;
use crate::session::fixtures::{grant, identity};
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::testing::Counted;
use crate::session::{NewSession, Opened, RegisteredClient, Sessions};

const PUBLIC_URL: &str = "https://wiki.example.com";

fn wiki() -> Host {
    Host::parse("wiki.example.com", Scheme::Https).unwrap()
}

fn sessions(clock: &Arc<TestClock>, store: &Arc<FileStore>) -> Arc<Sessions> {
    let mut settings = SessionSettings {
        store: StoreSettings::Memory { max_sessions: 10 },
        lifetime: Duration::from_secs(36_000),
        idle_timeout: Duration::from_secs(3_600),
        outage_grace: Duration::from_secs(60),
        keys: vec![SealingKey::new([1; 32])],
        max_sessions_per_subject: 10,
        cache: crate::session::settings::DEFAULT_CACHE,
    };
    let client = RegisteredClient { issuer: identity("alice").issuer, client_id: "wiki".into() };
    let clients = HashMap::from([(wiki(), client)]);
    let entropy = Arc::new(Counted::default());
    Sessions::new(&mut settings, PUBLIC_URL.into(), clients, clock.clone(), entropy, store.clone()).unwrap()
}

fn login(clock: &TestClock) -> NewSession<'static> {
    NewSession {
        host: wiki(),
        identity: identity("alice"),
        sub: "alice".into(),
        client_id: "wiki".into(),
        sid: None,
        auth_time: None,
        acr: None,
        login_issued: clock.now(),
        browser: [9; 32],
        upstream: None,
        grants: vec![Arc::new(grant("alice"))],
        replaces: None,
        steps_up: false,
    }
}

#[tokio::test]
async fn ss_10_a_write_that_has_failed_logs_nobody_out() {
    for fails in [Fails::Syncing(ErrorKind::Other), Fails::Writing(ErrorKind::StorageFull)] {
        let (clock, (_above, directory), disk) = (clock(), place(), new_disk());
        let store = Arc::new(on(&disk, &directory, &clock).unwrap());
        let sessions = sessions(&clock, &store);
        let begun = sessions.begin(login(&clock)).await.unwrap();
        let follower = tokio::spawn(Arc::clone(&sessions).run());
        tokio::task::yield_now().await;
        let mut state = store.state();

        disk.set_fails(fails);
        assert!(sessions.note_upstream(&begun.session, "tools").await.is_err(), "{fails:?}");
        disk.set_fails(Fails::Nothing);
        clock.pass(15);
        state.wait_for(|state| state.available).await.unwrap();
        tokio::task::yield_now().await;

        let opened = sessions.open(&wiki(), begun.cookie.as_bytes()).await.unwrap();
        assert!(matches!(opened, Opened::Live(_)), "{fails:?}: {opened:?}");
        assert!(!begun.session.has_ended());
        // What could not be written then is written now.
        sessions.note_upstream(&begun.session, "tools").await.unwrap();
        follower.abort();
    }
}
