//! `vestibule sessions`: the program at a terminal, against a gateway on a Unix socket and on TCP.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;

use crate::harness::behaviour::Behaviour;
use crate::harness::by_hand::{pair, program, session_cookie};
use crate::harness::gateway::{ADMIN_TOKEN, Stage};
use crate::harness::program::{Ended, ended, vestibule, write_private};
use crate::harness::provider::TestProvider;
use crate::harness::upstream::RecordingUpstream;
use crate::process::{Configured, Serving, configuration};

async fn run(arguments: &[&str]) -> Ended {
    let mut command = vestibule();
    command.arg("sessions").args(arguments);
    ended(command).await
}

/// A gateway whose admin listener is a socket in this folder.
async fn at_a_socket(folder: &Path) -> (Stage, String) {
    let address = format!("unix:{}", folder.join("admin.sock").display());
    let line = format!("admin_address = \"{address}\"");
    (Stage::with(|setup| setup.listen = line).await, address)
}

#[tokio::test]
async fn sessions_are_listed_shown_and_ended_over_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let (stage, address) = at_a_socket(folder.path()).await;
    let ran = run(&["list", "--admin", &address]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "There is no such session.\n"), "{}", ran.error);
    stage.log_in().await;
    let bob = stage.gateway.browser();
    bob.log_in(&stage.url("/"), "bob").await;

    let ran = run(&["list", "--admin", &address]).await;
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!((ran.code, lines.len()), (0, 3), "{}", ran.said());
    assert!(lines[0].starts_with("USER   SUBJECT") && lines[0].ends_with("  ID"), "{}", ran.out);
    let ran = run(&["list", "--admin", &address, "--user", "alice", "--json"]).await;
    let told: Value = serde_json::from_str(&ran.out).unwrap();
    let [alice] = told["sessions"].as_array().unwrap().as_slice() else { panic!("{told}") };
    let id = alice["id"].as_str().unwrap();

    let ran = run(&["show", id, "--admin", &address]).await;
    assert!(ran.code == 0 && ran.out.contains("subject             subject-of-alice\n"), "{}", ran.said());
    let ran = run(&["show", id, "--admin", &address, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap(), *alice);

    let ran = run(&["revoke", id, "--admin", &address]).await;
    let told = "1 session has ended. The tokens of 1 are being revoked at the provider.\n";
    assert_eq!((ran.code, ran.out.as_str()), (0, told), "{}", ran.error);
    let ours = pair(&session_cookie(&stage.browser));
    assert_eq!(program(&stage.gateway, "/", &ours).await.status, 401);
    let ran = run(&["revoke", id, "--admin", &address]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "0 sessions have ended.\n"));
    let ran = run(&["show", id, "--admin", &address]).await;
    assert_eq!((ran.code, ran.out.as_str()), (69, ""));
    assert_eq!(ran.error, "vestibule: There is no such session: No live session has this name. It may have ended.\n");

    let ran = run(&["revoke", "--subject", "subject-of-bob", "--admin", &address, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&ran.out).unwrap()["ended"], 1);
    let ran = run(&["revoke", "--all", "--yes", "--admin", &address]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "0 sessions have ended.\n"));
    stage.gateway.store.fail(&["all"]);
    let ran = run(&["list", "--admin", &address]).await;
    assert_eq!((ran.code, ran.out.as_str()), (69, ""));
    assert!(ran.error.contains("The store of the sessions cannot be read"), "{}", ran.error);
}

#[tokio::test]
async fn ad_02_the_program_keeps_its_socket_to_its_owner_and_takes_it_away_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let address = format!("unix:{}", socket.display());
    let provider = TestProvider::start().await;
    let text = configuration(provider.issuer(), "127.0.0.1:0", "http://app.localhost:18099", "http://127.0.0.1:9");
    let line = format!("admin_address = \"{address}\"\n[listen.limits]");
    let configured = Configured::with(&text.replace("[listen.limits]", &line));
    let serving = Serving::start(&configured.path()).await;
    assert_eq!(std::fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    let ran = run(&["list", "--admin", &address, "--json"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (0, "{\"sessions\":[]}\n"), "{}", ran.error);
    serving.signal("-INT").await;
    let (code, log, _) = serving.end().await;
    assert!(code == Some(0) && log.contains(&format!("\"admin\":\"{address}\"")), "{log}");
    assert!(!socket.exists());
    assert_eq!(run(&["list", "--admin", &address]).await.code, 69);
}

#[tokio::test]
async fn over_tcp_the_token_is_read_from_its_file() {
    let stage = crate::admin::stage().await;
    stage.log_in().await;
    let port = stage.gateway.admin_address.unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let good = write_private(folder.path(), "good", &format!("{ADMIN_TOKEN}\n")).display().to_string();
    let wrong = write_private(folder.path(), "wrong", "mark-another-token-9876543210").display().to_string();
    for host in ["127.0.0.1", "localhost"] {
        let address = format!("{host}:{port}");
        let ran = run(&["list", "--admin", &address, "--token-file", &good]).await;
        assert!(ran.code == 0 && ran.out.contains("alice"), "{}", ran.said());
        let ran = run(&["list", "--admin", &address]).await;
        assert!(ran.code == 64 && ran.error.contains("name its file with --token-file FILE"), "{}", ran.said());
        let ran = run(&["revoke", "--all", "--yes", "--admin", &address, "--token-file", &wrong]).await;
        assert!(ran.code == 69 && ran.error.contains("the token of --token-file is not"), "{}", ran.said());
        assert!(!ran.said().contains("mark-"), "{}", ran.said());
    }
    let address = format!("127.0.0.1:{port}");
    let missing = folder.path().join("missing").display().to_string();
    let ran = run(&["list", "--admin", &address, "--token-file", &missing]).await;
    assert!(ran.code == 69 && ran.error.contains("missing cannot be read"), "{}", ran.said());
    assert_eq!(crate::admin::listed(&stage.gateway, "").await.len(), 1);
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = format!("unix:{}", folder.path().join("none.sock").display());
    let ran = run(&["list", "--admin", &nowhere]).await;
    assert_eq!((ran.code, ran.out.as_str()), (69, ""));
    let wanted = format!("vestibule: cannot connect to {nowhere}: ");
    assert!(ran.error.starts_with(&wanted) && ran.error.contains("is this its listen.admin_address?"), "{}", ran.error);
    let other = RecordingUpstream::start().await;
    other.answer(|_| Behaviour::text(200, "hello"));
    let ran = run(&["list", "--admin", &other.address().to_string()]).await;
    assert!(ran.code == 69 && ran.error.contains("is not the admin listener of a gateway"), "{}", ran.error);
    let id = "0".repeat(64);
    for arguments in [
        &["list"][..],
        &["list", "--admin", "nonsense"],
        &["show", "--admin", &nowhere],
        &["show", "x", "--admin", &nowhere],
        &["revoke", "--admin", &nowhere],
        &["revoke", "x", "--admin", &nowhere],
        &["revoke", "--all", "--admin", &nowhere],
        &["revoke", &id, "--all", "--yes", "--admin", &nowhere],
        &["revoke", &id, "--subject", "a", "--admin", &nowhere],
        &["revoke", &id, "--issuer", "a", "--admin", &nowhere],
    ] {
        let ran = run(arguments).await;
        assert_eq!((ran.code, ran.out.as_str()), (64, ""), "{arguments:?}: {}", ran.error);
    }
}
