//! One gateway that keeps its sessions in a file: killed and restarted under load, and nobody is logged out.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use crate::harness::crowd::{Crowd, Outcome, Tally, ask, count};
use crate::harness::gateway::CLIENT_ID;
use crate::harness::logout_stage::logout_header;
use crate::harness::replicas::Replicas;
use crate::process::{Configured, SECRET, configuration, run};

const HOUR: Duration = Duration::from_secs(3_600);

async fn one_gateway(directory: &tempfile::TempDir, access_token_lifetime: Duration) -> Replicas {
    let store = format!("store = \"file:{}\"", directory.path().join("sessions").display());
    Replicas::start(1, access_token_lifetime, move |_| store.clone()).await
}

/// Everybody was served or met no listener.
fn only_a_listener_was_missing(tally: &Tally) {
    let harmless = |outcome: &Outcome| matches!(outcome, Outcome::Served | Outcome::Broken);
    assert!(tally.keys().all(harmless) && count(tally, Outcome::Served) > 0, "{tally:?}");
}

#[tokio::test]
async fn ss_10_kill_9_under_load_loses_no_session_and_brings_none_back() {
    let directory = tempfile::tempdir().unwrap();
    let mut replicas = one_gateway(&directory, HOUR).await;
    let mut people = replicas.log_in(6).await;
    let mut gone = Vec::new();
    for _ in 0..4 {
        let crowd = Crowd::of(&people, &replicas.balancer);
        crowd.goes_on_for(40).await;
        let late = replicas.log_in_one(people.len() + gone.len(), 0).await;
        let leaving = replicas.log_in_one(people.len() + gone.len() + 1, 0).await;
        assert_eq!(replicas.sign_out(0, &leaving).await, 303);
        // The moment after both were told that it is done.
        replicas.kill(0).await;
        replicas.start_one(0).await;
        crowd.goes_on_for(40).await;
        only_a_listener_was_missing(&crowd.disperse().await);
        people.push(late);
        gone.push(leaving);
        for person in &people {
            assert_eq!(ask(replicas.address(0), person).await, Outcome::Served, "{}", person.subject);
        }
        for person in &gone {
            assert_eq!(ask(replicas.address(0), person).await, Outcome::LoggedOut, "{}", person.subject);
        }
    }
}

#[tokio::test]
async fn a_restart_in_order_under_load_logs_nobody_out_and_spends_each_refresh_token_once() {
    let directory = tempfile::tempdir().unwrap();
    // Short, so that refreshes are always under way.
    let mut replicas = one_gateway(&directory, Duration::from_secs(2)).await;
    let people = replicas.log_in(8).await;
    let crowd = Crowd::of(&people, &replicas.balancer);
    for _ in 0..3 {
        crowd.goes_on_for(150).await;
        replicas.stop(0).await;
        replicas.start_one(0).await;
    }
    crowd.goes_on_for(150).await;
    only_a_listener_was_missing(&crowd.disperse().await);
    replicas.each_refresh_token_was_spent_once();
}

/// What `serve` says of a store in this directory, which it must not take.
async fn is_refused(directory: &Path) -> String {
    let text = configuration("http://127.0.0.1:9", "127.0.0.1:0", "http://localhost:18084", "http://127.0.0.1:9");
    let session = format!("[session]\nkeys = [{{ file = \"key\" }}]\nstore = \"file:{}\"\n", directory.display());
    let configured = Configured::with(&(text + &session));
    let key = vestibule::config::generate_key(&vestibule::entropy::SystemEntropy).unwrap();
    configured.write("key", &key);
    let (code, out, error) = run(&["serve", "--config", &configured.path()]).await;
    assert_eq!((code, out.as_str()), (69, ""), "{error}");
    assert!(error.contains("session.store: ") && error.contains(directory.to_str().unwrap()), "{error}");
    assert!(!error.contains(key.as_str()) && !error.contains(SECRET), "{error}");
    error
}

#[tokio::test]
async fn ss_11_a_directory_or_a_file_that_others_can_get_at_ends_the_start() {
    let above = tempfile::tempdir().unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    let mut replicas = one_gateway(&above, HOUR).await;
    replicas.log_in(1).await;
    replicas.stop(0).await;
    let directory = above.path().join("sessions");
    for open in [0o755, 0o701, 0o770] {
        mode(&directory, open);
        let error = is_refused(&directory).await;
        assert!(error.contains(&format!("mode {open:03o}")) && error.contains("chmod 700"), "{error}");
    }
    mode(&directory, 0o700);
    for open in [0o644, 0o660] {
        mode(&directory.join("sessions.redb"), open);
        let error = is_refused(&directory).await;
        assert!(error.contains("chmod 600"), "{error}");
    }
    mode(&directory.join("sessions.redb"), 0o600);
    let link = above.path().join("link");
    symlink(&directory, &link).unwrap();
    assert!(is_refused(&link).await.contains("symbolic link"));
    // Put right, it is as it was.
    replicas.start_one(0).await;
}

#[tokio::test]
async fn ss_10_a_second_process_on_the_directory_is_refused_and_the_first_goes_on() {
    let above = tempfile::tempdir().unwrap();
    let replicas = one_gateway(&above, HOUR).await;
    let people = replicas.log_in(1).await;
    let error = is_refused(&above.path().join("sessions")).await;
    assert!(error.contains("is in use by process "), "{error}");
    assert_eq!(ask(replicas.address(0), &people[0]).await, Outcome::Served);
    assert_eq!(ask(replicas.address(0), &replicas.log_in_one(1, 0).await).await, Outcome::Served);
}

#[tokio::test]
async fn lo_15_a_logout_token_that_was_carried_out_stays_so_over_a_restart() {
    let above = tempfile::tempdir().unwrap();
    let mut replicas = one_gateway(&above, HOUR).await;
    let before = replicas.log_in_one(0, 0).await;
    let mut claims = replicas.provider.logout_claims(CLIENT_ID, "", "once");
    claims.as_object_mut().unwrap().remove("sid");
    claims["sub"] = before.subject.clone().into();
    let token = replicas.provider.mint(&logout_header(&replicas.provider), &claims);
    let form = format!("logout_token={token}");
    assert_eq!(replicas.post(0, "/oauth2/backchannel-logout", &form).await, 200);
    assert_eq!(ask(replicas.address(0), &before).await, Outcome::LoggedOut);
    replicas.kill(0).await;
    replicas.start_one(0).await;
    let since = replicas.log_in_one(1, 0).await;
    assert_eq!(replicas.post(0, "/oauth2/backchannel-logout", &form).await, 400);
    assert_eq!(ask(replicas.address(0), &before).await, Outcome::LoggedOut);
    assert_eq!(ask(replicas.address(0), &since).await, Outcome::Served);
}
