//! h2spec, a suite for servers of HTTP/2 that nobody here wrote: over TLS and in clear, against the list of what is
//! expected to fail.

use std::path::Path;

use tokio::process::Command;
use vestibule::server::settings::{ListenTls, TlsVersion};

use crate::harness::gateway::{Setup, Stage};
use crate::harness::provider::TestProvider;
use crate::harness::tls::identity;

const EXPECTED: &str = include_str!("../suites/h2spec/expected-failures.txt");

/// The failures that are expected where it is spoken so; each line of the list has the place, the case and the reason.
fn expected(place: &str) -> Vec<&'static str> {
    let lines = EXPECTED.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let of_here = lines.filter_map(|line| line.strip_prefix(place)?.strip_prefix(' '));
    of_here.map(|line| line.split_once(": ").unwrap_or_else(|| panic!("no reason: {line}")).0).collect()
}

/// What has failed of how many.
async fn failures(stage: &Stage, more: &[&str]) -> (Vec<String>, usize) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/h2spec");
    assert!(program.exists(), "h2spec is not there; run: tests/install/h2spec");
    let report = tempfile::NamedTempFile::new().unwrap();
    let port = stage.gateway.address.port().to_string();
    let mut command = Command::new(program);
    command.args(["--host", "127.0.0.1", "--port", &port, "--path", "/public/page", "--timeout", "3"]).args(more);
    command.arg("--junit-report").arg(report.path());
    let output = command.output().await.unwrap();
    let report = std::fs::read_to_string(report.path()).unwrap();
    assert!(report.contains("<testcase"), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut failed, mut all) = (Vec::new(), 0);
    for case in report.split("<testcase").skip(1) {
        let of = |name: &str| {
            let (_, rest) = case.split_once(&format!("{name}=\"")).unwrap();
            rest.split_once('"').unwrap().0.to_owned()
        };
        all += 1;
        let body = case.split("</testcase>").next().unwrap();
        if body.contains("<failure") || body.contains("<error") {
            failed.push(format!("{} {}", of("package"), of("classname")));
        }
    }
    (failed, all)
}

#[tokio::test]
async fn http2_in_clear_does_what_the_suite_asks() {
    let stage = Stage::with(|setup| {
        setup.public_url = "http://127.0.0.1:{port}".to_owned();
        setup.listen = "h2c = true".to_owned();
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    })
    .await;
    let (failed, all) = failures(&stage, &[]).await;
    assert!(all >= 140, "only {all} cases");
    assert_eq!(failed, expected("clear"));
}

#[tokio::test]
async fn http2_over_tls_does_what_the_suite_asks() {
    let adjust = |setup: &mut Setup| {
        setup.public_url = "https://127.0.0.1:{port}".to_owned();
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    };
    let tls = ListenTls { identities: vec![identity(&["localhost"])], minimum_version: TlsVersion::Tls12 };
    let stage =
        Stage::with_settings(TestProvider::start().await, adjust, |settings| settings.listen.tls = Some(tls)).await;
    let (failed, all) = failures(&stage, &["--tls", "--insecure"]).await;
    assert!(all >= 140, "only {all} cases");
    assert_eq!(failed, expected("tls"));
}
