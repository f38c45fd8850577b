//! smugglex, a scanner for request smuggling that nobody here wrote, against the gateway in front of real servers. What it
//! reports is compared with a list.

use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use crate::harness::gateway::Stage;
use crate::harness::real_servers::RealServer;

const EXPECTED: &str = include_str!("../suites/smugglex-expected.txt");
const CHECKS: &str = "cl-te,te-cl,te-te,h2c,h2,cl-edge,cl-0,0-cl,parser-discrepancy";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hp_a_scanner_finds_no_way_to_smuggle_a_request() {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin/smugglex");
    assert!(program.exists(), "smugglex is not there; run: tests/install/suites");
    let mut found = Vec::new();
    for server in RealServer::start_all().await {
        let stage = Stage::with(|setup| setup.more = server.upstream("anonymous = \"forward\"")).await;
        let (name, url) = (server.name, format!("http://{}/public/x", stage.gateway.address));
        let mut command = Command::new(&program);
        command.args(["--json", "--no-color", "--timeout", "3", "--vhost", &server.host(), "--checks", CHECKS, &url]);
        let output = command.output().await.unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["results"].as_array().unwrap();
        let checks: Vec<&Value> = checks.iter().flat_map(|target| target["checks"].as_array().unwrap()).collect();
        assert_eq!(checks.len(), CHECKS.split(',').count(), "{report}");
        // What could not be tried has found nothing either.
        assert!(checks.iter().all(|check| check["normal_status"] != "CHECK_FAILED"), "{report}");
        let reported = checks.iter().filter(|check| check["vulnerable"] != false);
        found.extend(reported.map(|check| format!("{name} {}", check["check_type"].as_str().unwrap())));
    }
    let expected = EXPECTED.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let expected: Vec<&str> = expected.map(|line| line.split_once(": ").unwrap().0).collect();
    assert_eq!(found, expected);
}
