//! What `vestibule explain` says of a request is what the gateway does with it.

use serde_json::{Value, json};
use vestibule::clock::Timestamp;
use vestibule::gateway::explain::{Explanation, Question, Supposed, explain};

use crate::harness::gateway::{Gateway, Setup, Stage};
use crate::harness::provider::TestProvider;
use crate::harness::said::change;

/// The status that an explanation ends with, and where it is not forwarded the code.
fn answer(explanation: &Explanation) -> String {
    let text = explanation.to_string();
    let line = text.lines().rfind(|line| line.starts_with("answer")).unwrap_or_else(|| panic!("{text}"));
    let answer = line.trim_start_matches("answer").trim();
    answer.split(':').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_it_says_is_what_the_gateway_does() {
    let rules = "[[upstream.rule]]\npath = \"/admin/**\"\naccess = { claim = \"groups\", contains = \"admins\" }\n\
                 [[upstream.rule]]\npath = \"/admin/*/mail\"\naccess = { email_domain = \"example.com\" }\n\
                 [[upstream.rule]]\npath = \"/open\"\naccess = \"anyone\"\nmethods = [\"GET\"]\n\
                 [upstream.headers]\nx-a = \"{claims.a}\"";
    let adjust = |setup: &mut Setup| {
        setup.upstream = "access = { claim = \"a\", equals = 1 }".to_owned();
        setup.more = rules.to_owned();
    };
    let people = [
        json!({ "groups": ["admins"], "a": 2 }),
        json!({ "groups": ["staff"], "a": 1, "email_verified": false }),
        json!({ "groups": [], "_claim_names": { "groups": "x" }, "a": 1 }),
        json!({ "groups": ["admins"], "a": ["\n"] }),
    ];
    let targets = ["/", "/admin", "/admin/x/mail", "/admin/x/mail/", "/open", "/Admin", "/a%2fb", "/admin/%2e/x"];
    for person in people {
        let stage = Stage::with_provider(TestProvider::start().await, adjust).await;
        stage.provider.say(person.clone());
        stage.browser.log_in(&stage.url("/open"), "alice").await;
        let mut setup = Setup::default();
        adjust(&mut setup);
        let settings = Gateway::settings(&setup, "https://provider.test", stage.upstream.address(), |_| {});
        let mut claims = json!({ "sub": "alice", "email": "alice@example.com", "email_verified": true });
        change(&mut claims, &person);
        let supposed = Supposed::from_json(claims.to_string().as_bytes(), Timestamp::from_seconds(1)).unwrap();
        for target in targets {
            let question = Question::new("GET", target).unwrap();
            let said = answer(&explain(&settings, &question, Some(&supposed)));
            let got = stage.spelled(&format!("GET {target}"), &[&stage.cookie_line()]).await;
            let done = match got.status {
                200 => "forwarded with identity".to_owned(),
                status => {
                    let problem: Value = serde_json::from_str(&got.text()).unwrap();
                    format!("{status} {}", problem["code"].as_str().unwrap())
                }
            };
            assert_eq!(said, done, "{target} for {person}");
        }
    }
}
