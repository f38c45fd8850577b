//! The probe listener: what a platform and a Prometheus see.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use crate::harness::behaviour::{Behaviour, gate};
use crate::harness::by_hand::{pair, program, session_cookie};
use crate::harness::gateway::Stage;
use crate::harness::patiently;
use crate::harness::provider::TestProvider;
use crate::harness::raw::{self, RawResponse};

async fn probe(stage: &Stage, method: &str, target: &str) -> RawResponse {
    let request = format!("{method} {target} HTTP/1.1\r\nHost: whatever\r\n\r\n");
    raw::ask(stage.gateway.probe_address, request).await.unwrap()
}

#[tokio::test]
async fn the_three_paths_answer_and_no_other_does() {
    let stage = Stage::set().await;
    for (target, status, content_type) in [
        ("/livez", 200, "text/plain; charset=utf-8"),
        ("/readyz", 200, "text/plain; charset=utf-8"),
        ("/readyz?verbose", 200, "application/json"),
        ("/metrics", 200, "text/plain; version=0.0.4; charset=utf-8"),
        ("/", 404, "text/plain; charset=utf-8"),
        ("/sessions", 404, "text/plain; charset=utf-8"),
        ("/oauth2/start", 404, "text/plain; charset=utf-8"),
    ] {
        let answer = probe(&stage, "GET", target).await;
        assert_eq!((answer.status, answer.header("content-type")), (status, Some(content_type)), "{target}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let posted = probe(&stage, "POST", target).await;
        assert_eq!((posted.status, posted.header("allow")), (405, Some("GET, HEAD")), "{target}");
    }
    assert_eq!(stage.upstream.hits(), 0);
}

#[tokio::test]
async fn ad_08_readiness_tells_nothing_about_who_and_where() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let verbose = probe(&stage, "GET", "/readyz?verbose").await;
    let told: Value = serde_json::from_slice(&verbose.body).unwrap();
    assert_eq!(
        told,
        serde_json::json!({ "status": "ready", "conditions": { "store": true, "provider default": true } })
    );
    let (upstream, provider) = (stage.upstream.address().to_string(), stage.provider.address().to_string());
    for target in ["/livez", "/readyz", "/readyz?verbose", "/metrics"] {
        let answer = probe(&stage, "GET", target).await;
        let text = format!("{:?}{}", answer.headers, answer.text());
        for word in ["app.example", "http://", "https://", &*upstream, &*provider, "alice", env!("CARGO_PKG_VERSION")] {
            assert!(!text.contains(word), "{word} at {target}");
        }
    }
}

#[tokio::test]
async fn di_07_a_provider_that_is_away_is_told_and_the_gateway_is_ready_after_its_grace() {
    let mut provider = TestProvider::start().await;
    provider.go_down().await;
    let stage = Stage::with_provider(provider, |setup| {
        setup.listen = "startup_grace = \"0s\"".to_owned();
        setup.upstream = "public = [\"/public/**\"]".to_owned();
    })
    .await;
    let verbose: Value = serde_json::from_slice(&probe(&stage, "GET", "/readyz?verbose").await.body).unwrap();
    assert_eq!((&verbose["status"], &verbose["conditions"]["provider default"]), (&"ready".into(), &false.into()));
    assert!(probe(&stage, "GET", "/metrics").await.text().contains("vestibule_provider_up{provider=\"default\"} 0"));
    assert_eq!(stage.browser.navigate_once(&stage.url("/")).await.status, 503);
    assert_eq!(program(&stage.gateway, "/public/x", "a=b").await.status, 200);
}

#[tokio::test]
async fn a_gateway_that_ends_says_so_and_finishes_what_is_under_way() {
    let mut stage = Stage::with(|setup| {
        setup.listen = "[listen.limits]\ndrain_delay = \"1s\"\ndrain_timeout = \"20s\"".to_owned();
    })
    .await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    let (opener, held) = gate();
    stage.upstream.answer_once(Behaviour::text(200, "finished").held(held));
    let running = stage.gateway.running.take().unwrap();
    let (slow, ()) = tokio::join!(program(&stage.gateway, "/slow", &ours), async {
        stage.upstream.hits_reach(2).await;
        let mut ending = tokio::spawn(running.shut_down(false));
        patiently("readiness to end", async {
            while probe(&stage, "GET", "/readyz").await.status != 503 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(probe(&stage, "GET", "/readyz").await.text(), "draining\n");
        assert_eq!(probe(&stage, "GET", "/livez").await.status, 200);
        let during = program(&stage.gateway, "/", &ours).await;
        assert_eq!(during.status, 200, "load balancers have not noticed yet");
        assert!(tokio::time::timeout(Duration::ZERO, &mut ending).await.is_err());
        opener.open();
        patiently("the end", ending).await.unwrap();
    });
    assert_eq!((slow.status, slow.text().as_str()), (200, "finished"));
}

/// The metrics' names on the page and on the wire.
#[tokio::test]
async fn the_page_lists_every_metric_with_its_kind_and_labels() {
    let stage = Stage::set().await;
    stage.log_in().await;
    // What is only there once it has happened.
    program(&stage.gateway, "/", "a=b").await;
    raw::exchange(stage.gateway.address, "nonsense\r\n\r\n").await;
    let refresh = crate::harness::browser::Asked::new(crate::harness::browser::Kind::Fetch).method("POST");
    stage.gateway.clock.advance(Duration::from_secs(20));
    stage.browser.ask(&stage.url("/oauth2/session/refresh"), refresh).await;
    patiently("the malformed input to be counted", async {
        while !probe(&stage, "GET", "/metrics").await.text().contains("vestibule_malformed_total{") {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let served = probe(&stage, "GET", "/metrics").await.text();
    let kinds: BTreeSet<(String, String)> = served
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE vestibule_"))
        .map(|line| line.split_once(' ').unwrap())
        .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
        .collect();
    let page = include_str!("../../docs/operations.md");
    let section = page.split("## Metrics").nth(1).unwrap().split("Alarms that").next().unwrap();
    let mut documented = BTreeSet::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let name = cells[0].trim_end_matches('`');
        documented.insert((name.to_owned(), cells[1].to_owned()));
        let labels: BTreeSet<_> = cells[2].split(", ").map(|label| label.trim_matches('`')).collect();
        let suffix = if cells[1] == "histogram" { "_count" } else { "" };
        let series = format!("vestibule_{name}{suffix}");
        let sample = served
            .lines()
            .find(|line| line.starts_with(&format!("{series}{{")) || line.starts_with(&format!("{series} ")));
        let sample = sample.unwrap_or_else(|| panic!("{series} is not served"));
        let shown = sample.split_once('{').map_or("", |(_, rest)| rest.split_once('}').unwrap().0);
        let shown: BTreeSet<_> = shown.split(',').map(|pair| pair.split('=').next().unwrap()).collect();
        assert_eq!(shown, labels, "{name}");
    }
    assert_eq!(kinds, documented);
}

/// Every alarm of the page speaks of series that are served.
#[tokio::test]
async fn the_alarms_name_metrics_labels_and_values_that_exist() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let served = probe(&stage, "GET", "/metrics").await.text();
    let page = include_str!("../../docs/operations.md");
    let section = page.split("Alarms that").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")).map(|row| row.split('`').next().unwrap());
    let mut seen = 0;
    for alarm in rows {
        for rest in alarm.split("vestibule_").skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            let name = format!("vestibule_{}", &rest[..end]);
            let matchers: Vec<&str> = match rest[end..].strip_prefix('{') {
                Some(inside) => inside.split('}').next().unwrap().split(',').collect(),
                None => Vec::new(),
            };
            let mut samples = served.lines().filter(|line| {
                line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('{') || rest.starts_with(' '))
            });
            assert!(
                samples.any(|sample| matchers.iter().all(|matcher| sample.contains(matcher))),
                "{alarm}: {name} {matchers:?} is not served"
            );
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

#[tokio::test]
async fn requests_are_counted_by_what_became_of_them() {
    let stage = Stage::set().await;
    stage.log_in().await;
    let ours = pair(&session_cookie(&stage.browser));
    program(&stage.gateway, "/", "a=b").await;
    stage.upstream.answer_once(Behaviour::status(404));
    program(&stage.gateway, "/", &ours).await;
    // Twice: on the connection that is kept, and on the new one that a GET is repeated on.
    stage.upstream.answer_once(Behaviour::Close);
    stage.upstream.answer_once(Behaviour::Close);
    program(&stage.gateway, "/", &ours).await;
    raw::ask(stage.gateway.address, "GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n").await.unwrap();
    program(&stage.gateway, "/oauth2/nothing", &ours).await;
    let served = probe(&stage, "GET", "/metrics").await.text();
    for (outcome, upstream, count) in [
        ("login", "app", 1),
        ("2xx", "app", 1),
        ("unauthenticated", "app", 1),
        ("4xx", "app", 1),
        ("failed", "app", 1),
        ("refused", "-", 2),
        ("endpoint", "-", 1),
    ] {
        let line = format!("vestibule_requests_total{{outcome=\"{outcome}\",upstream=\"{upstream}\"}} {count}");
        assert!(served.lines().any(|served| served == line), "{line} in {served}");
    }
}
