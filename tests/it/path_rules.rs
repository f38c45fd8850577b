//! Rules by path and method: the most specific one decides, wherever it stands in the file.

use serde_json::Value;

use crate::harness::gateway::Stage;
use crate::harness::provider::Endpoint;
use crate::harness::spelled_out::NAVIGATION;

async fn stage(upstream: &str, rules: &[&str]) -> Stage {
    let rules: String = rules.iter().map(|lines| format!("[[upstream.rule]]\n{lines}\n")).collect();
    Stage::with(|setup| (setup.upstream, setup.more) = (upstream.to_owned(), rules)).await
}

/// How requests with this stage's session fare.
async fn statuses(stage: &Stage, requests: &[&str]) -> Vec<u16> {
    let mut statuses = Vec::new();
    for request in requests {
        let cookie = stage.cookie_line();
        let fields = [cookie.as_str(), "Sec-Fetch-Site: same-origin", "Content-Length: 0"];
        statuses.push(stage.spelled(request, &fields).await.status);
    }
    statuses
}

#[tokio::test]
async fn cf_12_every_knob_of_access_keeps_out_where_its_rule_is_and_nowhere_else() {
    for (access, allowed, denied) in [
        (r#"{ claim = "groups", contains = "admins" }"#, "alice", "bob"),
        (r#"{ claim = "email", equals = "bob@example.com" }"#, "bob", "alice"),
        (r#"{ email_domain = "example.com" }"#, "alice", "carol"),
        (r#"{ claim = "subject", equals = "subject-of-bob" }"#, "bob", "alice"),
        (r#"{ claim = "name", contains = "Alice Example" }"#, "alice", "bob"),
        (r#"{ not = { claim = "groups", contains = "admins" } }"#, "bob", "alice"),
    ] {
        let stage = stage("", &[&format!("path = \"/admin/**\"\naccess = {access}")]).await;
        for (username, expected) in [(allowed, 200), (denied, 403)] {
            let browser = stage.gateway.browser();
            assert_eq!(browser.log_in(&stage.url("/"), username).await.status, 200);
            let hits = stage.upstream.hits();
            for target in ["/admin", "/admin/", "/admin/x/y"] {
                assert_eq!(browser.fetch(&stage.url(target)).await.status, expected, "{access} {username} {target}");
            }
            assert_eq!(stage.upstream.hits() - hits, if expected == 200 { 3 } else { 0 }, "{access} {username}");
            assert_eq!(browser.fetch(&stage.url("/administrator")).await.status, 200);
        }
    }
}

#[tokio::test]
async fn pa_24_a_rule_is_not_got_around_by_another_spelling_of_its_path() {
    let rule = |path: &str| format!("path = \"{path}\"\naccess = {{ claim = \"groups\", contains = \"admins\" }}");
    let stage = stage("", &[&rule("/v1/jobs:purge"), &rule("/@ops/**")]).await;
    assert_eq!(stage.browser.log_in(&stage.url("/"), "bob").await.status, 200);
    let hits = stage.upstream.hits();
    let spelled =
        ["POST /v1/jobs:purge", "POST /v1/jobs%3Apurge", "POST /v1/jobs%3apurge", "GET /%40ops/x", "GET /@ops"];
    assert_eq!(statuses(&stage, &spelled).await, [403; 5]);
    assert_eq!(stage.upstream.hits(), hits);
    // It goes on as it came.
    assert_eq!(statuses(&stage, &["GET /v1/jobs%3alist"]).await, [200]);
    assert_eq!(stage.upstream.last().target, "/v1/jobs%3Alist");
}

#[tokio::test]
async fn a_rule_can_open_what_its_upstream_keeps_closed() {
    let stage = stage(
        "access = { claim = \"groups\", contains = \"admins\" }",
        &["path = \"/docs/**\"\naccess = \"anyone\"", "path = \"/docs/internal/**\"\napi = true"],
    )
    .await;
    stage.browser.log_in(&stage.url("/docs/a"), "carol").await;
    // The third is the upstream's again: a rule leaves what it does not say to the upstream, not to another rule.
    assert_eq!(statuses(&stage, &["GET /docs/a", "GET /", "GET /docs/internal/a"]).await, [200, 403, 403]);
}

#[tokio::test]
async fn pa_17_a_rule_for_methods_is_about_these_alone() {
    let nobody = "access = { claim = \"groups\", contains = \"nobody\" }";
    let stage = stage(
        "",
        &[
            &format!("path = \"/a/**\"\nmethods = [\"POST\", \"DELETE\"]\n{nobody}"),
            &format!("path = \"/b\"\n{nobody}"),
            "path = \"/b\"\nmethods = [\"GET\"]\naccess = \"anyone\"",
        ],
    )
    .await;
    stage.log_in().await;
    let requests = ["POST /a/x", "DELETE /a", "GET /a/x", "HEAD /a/x", "PUT /a/x"];
    assert_eq!(statuses(&stage, &requests).await, [403, 403, 200, 200, 200]);
    let requests = ["GET /b", "HEAD /b", "POST /b", "get /b", "FOO /b", "OPTIONS /b"];
    assert_eq!(statuses(&stage, &requests).await, [200, 403, 403, 405, 403, 403]);
    for target in ["/%61/x", "/a/./x", "/a//x", "/x/../a/x", "/a%2fx", "/a;/x"] {
        let status = statuses(&stage, &[&format!("POST {target}")]).await[0];
        assert!(matches!(status, 400 | 403), "{target}: {status}");
    }
}

#[tokio::test]
async fn public_inside_of_protected_and_protected_inside_of_public() {
    let stage = stage(
        "public = [\"/assets/**\", \"GET /mixed\"]",
        &[
            "path = \"/assets/private/**\"\npublic = false",
            "path = \"/assets/private/logo.png\"\npublic = true",
            "path = \"/mixed\"\naccess = { claim = \"groups\", contains = \"admins\" }",
        ],
    )
    .await;
    for (request, expected) in [
        ("GET /assets/a.css", 200),
        ("GET /assets/private", 401),
        ("GET /assets/private/a.css", 401),
        ("GET /assets/private/logo.png", 200),
        ("GET /assets/private/logo.png/x", 401),
        ("GET /assets/privateer", 200),
        ("GET /mixed", 200),
        ("HEAD /mixed", 401),
        ("GET /", 401),
    ] {
        assert_eq!(stage.spelled(request, &[]).await.status, expected, "{request}");
    }
    stage.log_in_as("bob").await;
    stage.spelled("GET /assets/private/logo.png", &[&stage.cookie_line()]).await;
    assert_eq!(stage.upstream.last().header("authorization"), None, "public has no identity");
    assert_eq!(statuses(&stage, &["GET /assets/private/a.css", "GET /mixed", "HEAD /mixed"]).await, [200, 200, 403]);
}

#[tokio::test]
async fn anonymous_and_api_are_those_of_the_rule() {
    let stage = stage(
        "api = [\"/api/**\"]",
        &[
            "path = \"/open/**\"\nanonymous = \"forward\"",
            "path = \"/closed/**\"\nanonymous = \"deny\"",
            "path = \"/api/page\"\napi = false",
            "path = \"/hook\"\napi = true",
        ],
    )
    .await;
    for (target, expected, words) in [
        ("/", 303, ""),
        ("/open/x", 200, "upstream"),
        ("/closed/x", 401, "This can only be used by people who are logged in"),
        ("/api/x", 401, "\"code\":\"unauthenticated\""),
        ("/api/page", 303, ""),
        ("/hook", 401, "\"code\":\"unauthenticated\""),
    ] {
        let answer = stage.spelled(&format!("GET {target}"), &NAVIGATION).await;
        assert_eq!(answer.status, expected, "{target}");
        assert!(answer.text().contains(words), "{target}: {}", answer.text());
    }
    assert_eq!(stage.upstream.last().header("authorization"), None);
    stage.browser.log_in(&stage.url("/"), "alice").await;
    assert_eq!(stage.browser.fetch(&stage.url("/open/x")).await.status, 200);
    assert!(stage.upstream.last().header("authorization").is_some(), "identity where there is one");
    assert_eq!(stage.browser.fetch(&stage.url("/closed/x")).await.status, 200);
}

#[tokio::test]
async fn the_log_and_the_metric_say_which_rule_and_why_and_the_answer_does_not() {
    let stage = stage(
        "access = { claim = \"groups\", contains = \"mark-of-base\" }",
        &[
            "path = \"/mark-path/*/**\"\nmethods = [\"GET\", \"HEAD\"]\naccess = { claim = \"mark-claim\", equals = \"mark-value\" }",
            "path = \"/mark-mail/**\"\naccess = { email_domain = \"mark.example\" }",
        ],
    )
    .await;
    stage.browser.log_in(&stage.url("/"), "carol").await;
    let answers = [
        stage.browser.navigate(&stage.url("/")).await,
        stage.browser.fetch(&stage.url("/")).await,
        stage.browser.navigate(&stage.url("/mark-path/1/2")).await,
        stage.browser.fetch(&stage.url("/mark-path/1/2")).await,
        stage.browser.fetch(&stage.url("/mark-mail/x")).await,
    ];
    for answer in &answers {
        assert_eq!(answer.status, 403);
        let shown = answer.text().replace("rd=%2Fmark-path%2F1%2F2", "");
        for inside in ["mark", "groups", "claim", "/**", "rule"] {
            assert!(!shown.contains(inside), "{inside} in {shown}");
        }
        assert!(answer.hops[0].headers.values().all(|value| !format!("{value:?}").contains("mark")));
    }
    assert_eq!(answers[3].json()["code"], "forbidden");
    assert_eq!(answers[3].json().as_object().unwrap().len(), 4, "{}", answers[3].text());

    let text = stage.gateway.log.text();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let denied: Vec<Value> = lines.filter(|line| line["event"] == "authz.denied").collect();
    let told: Vec<_> = denied.iter().map(|line| (line["rule"].as_str(), line["reason"].as_str().unwrap())).collect();
    let (base, path) = ((None, "not-allowed"), (Some("GET,HEAD /mark-path/*/**"), "claim-missing"));
    assert_eq!(told, [base, base, base, path, path, (Some("/mark-mail/**"), "email-not-verified")]);
    for line in &denied {
        assert_eq!((&line["upstream"], &line["level"]), (&Value::from("app"), &Value::from("INFO")));
        assert!(line["user"].is_string() && line["session"] == denied[0]["session"], "{line}");
    }
    let metrics = stage.gateway.metrics.encode();
    for (reason, count) in [("not-allowed", 3), ("claim-missing", 2), ("email-not-verified", 1), ("groups-overage", 0)]
    {
        let line = format!("vestibule_access_denied_total{{reason=\"{reason}\",upstream=\"app\"}} {count}");
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn whoever_is_not_logged_in_learns_nothing_of_a_rule() {
    let stage =
        stage("", &["path = \"/secret-path/**\"\naccess = { claim = \"groups\", contains = \"secret-group\" }"]).await;
    let (with, without) =
        (stage.spelled("GET /secret-path/x", &[]).await, stage.spelled("GET /other-place/x", &[]).await);
    assert_eq!(with.status, 401);
    let same = |text: String| text.replace("secret-path", "other-place");
    let id = |text: String, answer: &crate::harness::raw::RawResponse| {
        text.replace(answer.header("x-request-id").unwrap(), "ID")
    };
    assert_eq!(id(same(with.text()), &with), id(without.text(), &without));
    let page = stage.browser.navigate(&stage.url("/secret-path/x")).await;
    assert!(page.hops.iter().all(|hop| !hop.text().contains("secret-group")));
}

#[tokio::test]
async fn another_account_is_one_link_away_and_ends_on_the_same_page() {
    for ends_sessions in [true, false] {
        let provider = crate::harness::provider::TestProvider::start().await;
        if !ends_sessions {
            provider.omit(Endpoint::Metadata, "end_session_endpoint");
        }
        let rule = "[[upstream.rule]]\npath = \"/admin/**\"\naccess = { claim = \"groups\", contains = \"admins\" }";
        let stage = Stage::with_provider(provider, |setup| setup.more = rule.to_owned()).await;
        let page = stage.browser.log_in(&stage.url("/admin/x?a=b"), "bob").await;
        assert_eq!((page.status.as_u16(), stage.upstream.hits()), (403, 0));
        assert!(page.text().contains("<strong>bob</strong>"), "{}", page.text());
        let links = page.links();
        let link = |label: &str| links.iter().find(|(_, text)| text == label).unwrap().0.clone();
        assert_eq!(link("Log out"), "/oauth2/sign_out");

        stage.gateway.clock.advance(std::time::Duration::from_secs(2));
        // The provider asks who is there, and does not log bob in again without a word.
        let form = stage.browser.click(&link("Use another account")).await;
        assert_eq!(form.status, 200, "{}", form.text());
        let asked = stage.provider.requests(Endpoint::Authorization);
        let prompt = asked.last().unwrap().query_value("prompt");
        assert_eq!(prompt.as_deref(), (!ends_sessions).then_some("select_account"));
        let page = stage.browser.login_as("alice").await;
        assert_eq!((page.status.as_u16(), page.url.as_str()), (200, stage.url("/admin/x?a=b").as_str()));
        assert_eq!(stage.upstream.last().target, "/admin/x?a=b");
    }
}

#[tokio::test]
async fn logging_out_of_a_page_one_may_not_see_ends_the_session() {
    let stage = stage("access = { claim = \"groups\", contains = \"admins\" }", &[]).await;
    let page = stage.browser.log_in(&stage.url("/"), "bob").await;
    let links = page.links();
    let link = &links.iter().find(|(_, text)| text == "Log out").unwrap().0;
    let page = stage.browser.click(link).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/oauth2/signed_out"), "{}", page.text());
    assert_eq!(stage.gateway.log.lines_with(&["logout.local"]), 1);
    assert_eq!(stage.browser.fetch(&stage.url("/")).await.status, 401);
}
