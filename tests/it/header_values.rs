//! What templates, presets and `keep_authorization` put on the wire.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::harness::gateway::{CLIENT_SECRET, Stage};
use crate::harness::provider::Endpoint;
use crate::harness::received::Received;
use crate::harness::spelled_out::{HANDSHAKE, NAVIGATION, head};
use crate::harness::upstream::RecordingUpstream;

/// A stage with these lines in its upstream, where the provider says of alice what `claims` adds; `null` takes away.
async fn stage(upstream: &str, claims: Value) -> Stage {
    let stage = Stage::with(|setup| setup.upstream = upstream.to_owned()).await;
    stage.provider.say(claims);
    stage
}

/// Logs alice in, at the gateway's own endpoint, and asks for a page in her name.
async fn asked(stage: &Stage) -> u16 {
    stage.browser.log_in(&stage.url("/oauth2/start?rd=/first"), "alice").await;
    stage.spelled("GET /x", &[&stage.cookie_line()]).await.status
}

fn identity(received: &Received) -> Vec<(String, String)> {
    let told = |name: &str| {
        name.starts_with("x-forwarded-") && !["for", "host", "port", "proto"].contains(&&name["x-forwarded-".len()..])
    };
    let mut identity: Vec<_> =
        received.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    identity.retain(|(name, _)| told(name) || name.starts_with("remote-") || name == "authorization");
    identity.sort();
    identity
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[tokio::test]
async fn a_missing_required_claim_is_403_and_told_to_the_operator_alone() {
    let lines = "public = [\"/public/**\"]\n[upstream.headers]\nx-secret-name = { value = \"{claims.badge}\", required = true }";
    let stage = stage(lines, json!({})).await;
    assert_eq!(asked(&stage).await, 403);
    assert_eq!(stage.upstream.hits(), 0);
    let cookie = stage.cookie_line();
    let program = stage.spelled("GET /x", &[&cookie]).await;
    assert!(program.text().contains("\"code\":\"claim-missing\""), "{}", program.text());
    let [mode, destination] = NAVIGATION;
    let page = stage.spelled("GET /x", &[&cookie, mode, destination]).await;
    assert_eq!((page.status, page.header("set-cookie")), (403, None));
    assert!(page.text().contains("alice") && page.text().contains("/oauth2/sign_out"), "{}", page.text());
    assert!(!page.text().contains("secret-name") && !program.text().contains("secret-name"));
    let denied = ["authz.denied", "\"reason\":\"claim-missing\""];
    stage.gateway.log_reaches(&denied, 3).await;
    stage.gateway.log_reaches(&["header.claim-missing", "x-secret-name"], 3).await;
    assert!(stage.gateway.metrics_page().await.contains("vestibule_refusals_total{code=\"claim-missing\"}"));
    // Nobody is asked for on a public path, so nobody can lack anything there.
    assert_eq!(stage.spelled("GET /public/x", &[&cookie]).await.status, 200);
    assert_eq!(stage.upstream.last().header("x-secret-name"), None);
}

#[tokio::test]
async fn a_required_claim_that_is_there_is_sent_and_the_anonymous_pass_without() {
    let lines =
        "anonymous = \"forward\"\n[upstream.headers]\nx-badge = { value = \"{claims.badge}\", required = true }";
    let stage = stage(lines, json!({ "badge": 7 })).await;
    assert_eq!(stage.spelled("GET /x", &["X-Badge: 8"]).await.status, 200);
    assert_eq!(stage.upstream.last().header("x-badge"), None);
    assert_eq!(asked(&stage).await, 200);
    assert_eq!(stage.upstream.last().header("x-badge"), Some("7"));
}

#[tokio::test]
async fn jw_37_a_list_is_joined_repeated_or_encoded_and_never_forged() {
    let lines = "[upstream.headers]\nx-joined = \"{claims.team}\"\n\
                 x-each = { value = \"{claims.team}\", list = \"repeat\" }\n\
                 x-encoded = { value = \"{claims.odd}\", encode = \"percent\" }\n\
                 x-odd-each = { value = \"{claims.odd}\", encode = \"percent\", list = \"repeat\" }";
    let claims = json!({ "team": ["a", "b c"], "odd": ["x,admins", "Zoë", "a\r\nX-Admin: 1"] });
    let good = stage(lines, claims).await;
    assert_eq!(asked(&good).await, 200);
    let received = good.upstream.last();
    assert_eq!(received.header("x-joined"), Some("a,b c"));
    assert_eq!(received.all("x-each"), ["a", "b c"]);
    assert_eq!(received.header("x-encoded"), Some("x%2Cadmins,Zo%C3%AB,a%0D%0AX-Admin%3A%201"));
    assert_eq!(received.all("x-odd-each"), ["x%2Cadmins", "Zo%C3%AB", "a%0D%0AX-Admin%3A%201"]);
    assert_eq!(received.header("x-admin"), None);
    for (list, team) in
        [("join", json!(["a,admins"])), ("repeat", json!(["a,admins"])), ("repeat", json!(["a\r\nX-Admin: 1"]))]
    {
        let lines = format!("[upstream.headers]\nx-team = {{ value = \"{{claims.team}}\", list = \"{list}\" }}");
        let bad = stage(&lines, json!({ "team": team })).await;
        assert_eq!((asked(&bad).await, bad.upstream.hits()), (502, 0), "{list} {team}");
    }
}

#[tokio::test]
async fn the_preset_oauth2_proxy_says_what_its_users_know() {
    let stage = stage("identity_headers = \"oauth2-proxy\"\nheaders = { authorization = false }", json!({})).await;
    assert_eq!(asked(&stage).await, 200);
    assert_eq!(
        identity(&stage.upstream.last()),
        pairs(&[
            ("x-forwarded-email", "alice@example.com"),
            ("x-forwarded-groups", "staff,admins"),
            ("x-forwarded-preferred-username", "alice"),
            ("x-forwarded-user", "subject-of-alice"),
        ])
    );
}

#[tokio::test]
async fn the_preset_remote_user_says_who_it_is_and_own_headers_win() {
    let lines = "identity_headers = \"remote-user\"\n[upstream.headers]\nauthorization = false\n\
                 remote-groups = { value = \"{claims.groups}\", list = \"repeat\" }";
    let stage = stage(lines, json!({ "email": null })).await;
    assert_eq!(asked(&stage).await, 200);
    assert_eq!(
        identity(&stage.upstream.last()),
        pairs(&[
            ("remote-groups", "admins"),
            ("remote-groups", "staff"),
            ("remote-name", "Alice Example"),
            ("remote-user", "alice"),
        ])
    );
    // HD-08: what the provider does not say nobody else says either.
    let cookie = stage.cookie_line();
    let fields = [cookie.as_str(), "Remote-Email: evil@example.com", "Remote_User: root", "REMOTE-USER: root"];
    assert_eq!(stage.spelled("GET /x", &fields).await.status, 200);
    let head = String::from_utf8_lossy(&stage.upstream.last().head).into_owned();
    assert!(!head.contains("evil") && !head.contains("root"), "{head}");
}

const BASIC: &str = "identity_headers = \"basic\"\nbasic_password = { env = \"CLIENT_SECRET\" }";

#[tokio::test]
async fn the_preset_basic_logs_the_person_in_at_legacy_software_without_any_token() {
    let stage = stage(BASIC, json!({})).await;
    assert_eq!(asked(&stage).await, 200);
    let received = stage.upstream.last();
    let credentials = received.header("authorization").unwrap().strip_prefix("Basic ").unwrap().to_owned();
    let credentials = String::from_utf8(STANDARD.decode(credentials).unwrap()).unwrap();
    assert_eq!(credentials, format!("alice:{CLIENT_SECRET}"));
    // The caller's own are replaced, whatever they say.
    let cookie = stage.cookie_line();
    let evil = STANDARD.encode(format!("root:{CLIENT_SECRET}"));
    assert_eq!(stage.spelled("GET /x", &[&cookie, &format!("Authorization: Basic {evil}")]).await.status, 200);
    assert_eq!(stage.upstream.last().header("authorization"), received.header("authorization"));
    let written = stage.gateway.everything_written();
    assert!(!written.contains("mark-secret") && !written.contains(received.header("authorization").unwrap()));
    for username in ["root:x", "a\nb", "root "] {
        let stage = self::stage(BASIC, json!({ "preferred_username": username })).await;
        assert_eq!((asked(&stage).await, stage.upstream.hits()), (502, 0), "{username:?}");
    }
    let nameless = self::stage(BASIC, json!({ "preferred_username": null })).await;
    assert_eq!(asked(&nameless).await, 200);
    assert_eq!(nameless.upstream.last().header("authorization"), None);
}

#[tokio::test]
async fn who_gets_only_claims_goes_on_after_the_access_token() {
    for (lines, expected) in [
        (BASIC, 200),
        ("identity_headers = \"remote-user\"\nheaders = { authorization = false }", 200),
        ("identity_headers = \"remote-user\"", 401),
    ] {
        let stage = stage(lines, json!({})).await;
        stage.provider.alter_json(Endpoint::Token, |answer| {
            answer.as_object_mut().unwrap().remove("refresh_token");
        });
        assert_eq!(asked(&stage).await, 200);
        stage.gateway.clock.advance(std::time::Duration::from_secs(1_800));
        assert_eq!(stage.spelled("GET /x", &[&stage.cookie_line()]).await.status, expected, "{lines}");
    }
}

#[tokio::test]
async fn the_id_token_goes_to_who_asks_for_it_and_nowhere_else() {
    let stage = Stage::with(|setup| {
        setup.upstream = "[upstream.headers]\nx-id-token = \"{id_token}\"".to_owned();
        setup.log_level = tracing::Level::TRACE;
    })
    .await;
    assert_eq!(asked(&stage).await, 200);
    let token = stage.upstream.last().header("x-id-token").unwrap().to_owned();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(stage.provider.issuer()), &json!("subject-of-alice")));
    let fields = [stage.cookie_line(), "X-ID-Token: evil".to_owned(), "x_id_token: evil".to_owned()];
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    assert_eq!(stage.spelled("GET /x", &fields).await.status, 200);
    assert_eq!(stage.upstream.last().header("x-id-token"), Some(token.as_str()));
    assert!(!stage.gateway.everything_written().contains(&token));
}

#[tokio::test]
async fn hd_14_the_callers_own_authorization_stays_on_public_paths_where_that_is_said() {
    let lines = "public = [\"/hooks/**\"]\nkeep_authorization = true\nanonymous = \"forward\"";
    let stage = stage(lines, json!({})).await;
    let own = "Authorization: Bearer webhook-1";
    assert_eq!(stage.spelled("GET /hooks/x", &[own]).await.status, 200);
    assert_eq!(stage.upstream.last().header("authorization"), Some("Bearer webhook-1"));
    // Nobody else's names: they are managed all the same.
    assert_eq!(
        stage.spelled("GET /hooks/x", &[own, "X-Forwarded-User: root", "Proxy-Authorization: x"]).await.status,
        200
    );
    assert_eq!(stage.upstream.last().header("x-forwarded-user"), None);
    assert_eq!(stage.upstream.last().header("proxy-authorization"), None);
    // Without a session elsewhere: forwarded by `anonymous`, and removed.
    assert_eq!(stage.spelled("GET /x", &[own]).await.status, 200);
    assert_eq!(stage.upstream.last().header("authorization"), None);
    // HD-15: two of them, or a broken one, are no credentials anywhere.
    for fields in [&[own, own][..], &["Authorization: bearer\tX"]] {
        assert_eq!(stage.spelled("GET /hooks/x", fields).await.status, 400, "{fields:?}");
    }
    // HD-06: whoever names it in Connection has it taken off.
    assert_eq!(stage.spelled("GET /hooks/x", &[own, "Connection: authorization"]).await.status, 200);
    assert_eq!(stage.upstream.last().header("authorization"), None);
    assert_eq!(asked(&stage).await, 200);
    let cookie = stage.cookie_line();
    assert_eq!(stage.spelled("GET /x", &[&cookie, own]).await.status, 200);
    assert_ne!(stage.upstream.last().header("authorization"), Some("Bearer webhook-1"));
    assert_eq!(stage.spelled("GET /hooks/x", &[&cookie, own]).await.status, 200);
    assert_eq!(stage.upstream.last().header("authorization"), Some("Bearer webhook-1"));
}

#[tokio::test]
async fn hd_14_a_fixed_authorization_of_the_configuration_wins_on_public_paths_too() {
    let lines = "public = [\"/hooks/**\"]\nkeep_authorization = true\nheaders = { authorization = \"Token 7\" }";
    let stage = stage(lines, json!({})).await;
    assert_eq!(stage.spelled("GET /hooks/x", &["Authorization: Bearer webhook-1"]).await.status, 200);
    assert_eq!(stage.upstream.last().header("authorization"), Some("Token 7"));
}

#[tokio::test]
async fn hd_01_a_name_of_any_upstream_is_taken_off_for_all_of_them() {
    let other = RecordingUpstream::start().await;
    let more = format!(
        "[[upstream]]\nname = \"other\"\npath = \"/other\"\npublic = [\"/other/public/**\"]\ntarget = \"{}\"\n\
         [upstream.headers]\nauthorization = false\nx-team = \"{{claims.team}}\"",
        other.url()
    );
    let stage = Stage::with(|setup| {
        setup.upstream = "public = [\"/public/**\"]".to_owned();
        setup.more = more;
    })
    .await;
    for target in ["/public/x", "/other/public/x"] {
        let fields = ["X-Team: evil", "x_team: evil", "X-TEAM: evil", "X.Team: evil"];
        assert_eq!(stage.spelled(&format!("GET {target}"), &fields).await.status, 200);
    }
    for received in [stage.upstream.last(), other.last()] {
        assert!(!String::from_utf8_lossy(&received.head).contains("evil"));
    }
}

#[tokio::test]
async fn hd_09_a_handshake_on_a_public_path_is_stripped_too() {
    let stage = stage("public = [\"/public/**\"]\nidentity_headers = \"remote-user\"", json!({})).await;
    let mut connection = stage.connect().await;
    let mut fields = HANDSHAKE.to_vec();
    fields.extend(["Remote-User: evil", "X_Forwarded_User: evil", "Authorization: Bearer evil"]);
    connection.send(head("GET /public/socket HTTP/1.1", &fields)).await;
    assert_eq!(connection.response_head().await.unwrap().status, 101);
    let head = String::from_utf8_lossy(&stage.upstream.last().head).into_owned();
    assert!(!head.contains("evil"), "{head}");
}

/// An address that nobody vouches for is whatever its owner typed: no application is told it.
#[tokio::test]
async fn jw_36_an_address_that_is_not_verified_is_told_to_nobody() {
    let lines = "identity_headers = \"oauth2-proxy\"\nidentity_assertion = { audience = \"app\", claims = [\"email\"] }\n\
                 [upstream.headers]\nx-mail = \"{claims.email}\"\nx-identity = \"{identity}\"";
    let asserted = |received: &Received| {
        let token = received.header("x-identity").unwrap().to_owned();
        let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        serde_json::from_slice::<Value>(&claims).unwrap()
    };
    let verified = stage(lines, json!({})).await;
    assert_eq!(asked(&verified).await, 200);
    let received = verified.upstream.last();
    for name in ["x-forwarded-email", "x-mail"] {
        assert_eq!(received.all(name), ["alice@example.com"]);
    }
    assert_eq!(asserted(&received)["email"], "alice@example.com");
    for claim in
        [json!({ "email_verified": false }), json!({ "email_verified": null }), json!({ "email_verified": "true" })]
    {
        let stage = stage(lines, claim.clone()).await;
        assert_eq!(asked(&stage).await, 200);
        let received = stage.upstream.last();
        for name in ["x-forwarded-email", "x-mail"] {
            assert!(received.all(name).is_empty(), "{claim}");
        }
        assert_eq!(asserted(&received).get("email"), None, "{claim}");
    }
}
