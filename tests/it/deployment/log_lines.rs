//! docs/deployment.md shows how to find in the logs why somebody was refused. Here it is done, and what the page shows is
//! held against what the program writes.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::behaviour::Behaviour;
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::peer_process::project;
use crate::harness::provider::Endpoint;
use crate::harness::raw;

/// All lines that name this request, the access line among them.
async fn lines_of(stage: &Stage, id: &str) -> Vec<Value> {
    patiently("the access line", async {
        while stage.gateway.access_log.lines_with(&[id]) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let text = stage.gateway.log.text() + &stage.gateway.access_log.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["request_id"] == id).collect()
}

/// Somebody who may not in, a client that the provider does not know, and a host that nobody has told the gateway of.
async fn refusals() -> Vec<Value> {
    let stage =
        Stage::with(|setup| setup.upstream = r#"access = { claim = "groups", contains = "admins" }"#.into()).await;
    let page = stage.browser.log_in(&stage.url("/reports"), "bob").await;
    let id = page.header("x-request-id").unwrap();
    assert!(page.text().contains(id), "the page shows it: {}", page.text());
    let mut lines = lines_of(&stage, id).await;

    let stage = Stage::set().await;
    stage.provider.instead(Endpoint::Token, |_| Behaviour::json(401, &json!({ "error": "invalid_client" })));
    let page = stage.browser.log_in(&stage.url("/reports"), "alice").await;
    lines.extend(lines_of(&stage, page.header("x-request-id").unwrap()).await);

    let answer = raw::ask(stage.gateway.address, "GET / HTTP/1.1\r\nHost: 10.0.3.7:8080\r\n\r\n").await.unwrap();
    lines.extend(lines_of(&stage, answer.header("x-request-id").unwrap()).await);
    lines
}

/// What a line is about: the fields whose values are the same in every such case.
fn about(line: &Value) -> Vec<String> {
    let fields = ["target", "event", "level", "code", "reason", "detail", "status"];
    fields.iter().map(|name| line[name].to_string()).collect()
}

fn fields(line: &Value) -> BTreeSet<&String> {
    line.as_object().unwrap().keys().collect()
}

#[tokio::test]
async fn a_request_id_leads_to_the_lines_that_say_why_as_the_documentation_shows_them() {
    let page = std::fs::read_to_string(project().join("docs/deployment.md")).unwrap();
    let shown: Vec<_> = page.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).collect();
    let written = refusals().await;
    for line in &written {
        assert_eq!(shown.iter().filter(|shown| about(shown) == about(line)).count(), 1, "not shown once: {line}");
    }
    for line in &shown {
        let real = written.iter().find(|real| about(real) == about(line));
        let real = real.unwrap_or_else(|| panic!("nothing writes {line}"));
        assert!(fields(line).is_subset(&fields(real)), "{line} is not like {real}");
    }
    let errors = std::fs::read_to_string(project().join("docs/errors.md")).unwrap();
    for code in ["forbidden", "provider-operator-error", "misdirected"] {
        assert!(page.contains(&format!("`{code}`")) && errors.contains(&format!("| `{code}` |")), "{code}");
    }
}
