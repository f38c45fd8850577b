//! The page of live sessions and a person's own, in a real browser: without scripts, at both widths, and accessible.

use serde_json::json;

use crate::harness::chromium::{look_at, run_script};
use crate::harness::gateway::Stage;

/// A socket that a browser reaches as people do: by a port that `ssh -L` forwards.
async fn forwarded(socket: std::path::PathBuf) -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut browser, _)) = listener.accept().await {
            let socket = socket.clone();
            tokio::spawn(async move {
                let mut gateway = tokio::net::UnixStream::connect(&socket).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut browser, &mut gateway).await;
            });
        }
    });
    address
}

#[tokio::test]
async fn sessions_are_ended_with_a_browser_that_runs_no_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("admin.sock");
    let line = format!("admin_address = \"unix:{}\"", socket.display());
    let stage = Stage::with(|setup| {
        setup.public_url = "http://localhost:{port}".to_owned();
        setup.listen = line;
        setup.more = "[pages]\nname = \"Example Corp\"\ncontact = \"it@example.com\"\n".to_owned();
    })
    .await;
    let name = "vestibule-dev-".to_owned() + &stage.gateway.address.port().to_string();
    let mut cookies = Vec::new();
    for username in ["alice", "alice", "bob", "alice"] {
        let browser = stage.gateway.browser();
        assert_eq!(browser.log_in(&stage.url("/"), username).await.status, 200);
        cookies.push(browser.jar().find("localhost", &name).unwrap().value.clone());
        stage.gateway.clock.advance(std::time::Duration::from_secs(61));
    }
    let admin = format!("http://localhost:{}", forwarded(socket).await.port());
    let cookie = json!([{ "name": name, "value": cookies[3], "url": stage.url("/") }]);
    let pages = json!([
        { "name": "admin-sessions", "url": format!("{admin}/sessions"), "status": 200, "heading": "Live sessions" },
        { "name": "admin-ended", "url": format!("{admin}/sessions?user=bob&ended=3"), "status": 200, "heading": "Live sessions" },
        { "name": "admin-part", "url": format!("{admin}/sessions?limit=1"), "status": 200, "heading": "Live sessions" },
        { "name": "admin-none", "url": format!("{admin}/sessions?user=nobody"), "status": 200, "heading": "Live sessions" },
        { "name": "admin-refused", "url": format!("{admin}/nothing"), "status": 404, "heading": "There is nothing here" },
        { "name": "own-sessions", "url": stage.url("/oauth2/sessions"), "status": 200,
          "heading": "Where you are logged in", "cookies": cookie },
    ]);
    look_at(&pages).await;
    let environment = [("ADMIN_URL", &admin), ("GATEWAY_URL", &stage.url("")), ("COOKIE", &cookie.to_string())];
    run_script("sessions.mjs", &[], &environment.map(|(name, value)| (name, value.as_str()))).await;
    assert_eq!(stage.gateway.sessions().list().await.unwrap().len(), 0);
}

#[tokio::test]
async fn ad_03_a_page_of_another_site_ends_nothing_though_the_browser_has_the_token() {
    let stage = crate::admin::stage().await;
    stage.log_in().await;
    let admin = format!("http://localhost:{}", stage.gateway.admin_address.unwrap().port());
    let environment =
        [("ADMIN_URL", admin.as_str()), ("ADMIN_TOKEN", crate::harness::gateway::ADMIN_TOKEN), ("ONLY", "Basic")];
    run_script("sessions.mjs", &[], &environment).await;
    assert_eq!(stage.gateway.sessions().list().await.unwrap().len(), 1);
    assert!(stage.gateway.log.lines_with(&["\"admin.denied\""]) >= 1);
    assert_eq!(stage.gateway.log.lines_with(&["\"sessions.revoked\""]), 0);
}
