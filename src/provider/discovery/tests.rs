use super::*;
use crate::oidc::authorization_request::AuthorizationRequest;
use crate::oidc::authorization_response::IssuerMismatch;
use crate::provider::test_server::{Reply, TestServer};
use crate::provider::{ResponseIssuerError, Unavailable};
use crate::secret::{CodeVerifier, Nonce};

const DOCUMENT: &str = "/.well-known/openid-configuration";

fn redirect(provider: &Provider) -> Result<String, Unavailable> {
    provider.authorization_redirect(&AuthorizationRequest {
        redirect_uri: "http://localhost/oauth2/callback",
        state: "s",
        nonce: &Nonce::new("n".into()),
        verifier: &CodeVerifier::new("v".into()),
        additional_scopes: &[],
        passed_on: &[],
        interactive: false,
        max_age: None,
        acr_values: None,
    })
}

#[tokio::test]
async fn di_07_until_the_metadata_is_known_there_is_no_login() {
    let server = TestServer::openid().await;
    server.on(DOCUMENT, |_| Reply::status(503, ""));
    let provider = server.provider();
    assert!(server.discover(&provider).await.is_err());
    assert!(!provider.is_ready() && redirect(&provider).is_err());
    assert_eq!(provider.check_response_issuer(None), Err(ResponseIssuerError::Unavailable(Unavailable)));
    assert_eq!(*server.observer.up.lock().unwrap(), [false]);
    assert!(server.observer.rejected.lock().unwrap().is_empty(), "nothing came that could be rejected");
    server.on_discovery(|_| ());
    let waiting = provider.ready();
    server.discover(&provider).await.unwrap();
    waiting.await;
    assert!(provider.is_ready() && redirect(&provider).unwrap().starts_with(&server.url("/auth").to_string()));
    assert_eq!(*server.observer.up.lock().unwrap(), [false, true]);
}

#[tokio::test]
async fn the_background_task_wakes_whoever_waits() {
    let server = TestServer::openid().await;
    let provider = server.provider();
    let task = tokio::spawn(Arc::clone(&provider).run());
    provider.ready().await;
    assert!(redirect(&provider).is_ok());
    task.abort();
}

#[tokio::test]
async fn a_provider_by_hand_is_ready_at_once() {
    let server = TestServer::openid().await;
    let provider = Provider::new(server.plain_settings(), server.parts()).unwrap();
    assert!(provider.is_ready());
    provider.ready().await;
    let url = redirect(&provider).unwrap();
    assert!(url.contains("code_challenge_method=S256") && !url.contains("nonce="), "{url}");
    assert_eq!(provider.check_response_issuer(Some("https://github.com/login/oauth")), Ok(()));
    assert_eq!(provider.end_session_redirect(None, "http://localhost/", Some("s")), None);
    Arc::clone(&provider).run().await;
    assert_eq!(*server.observer.up.lock().unwrap(), [true]);
}

#[tokio::test]
async fn cb_10_and_cb_11_the_issuer_of_a_response_is_compared() {
    let server = TestServer::openid().await;
    let provider = server.ready_provider().await;
    let missing = ResponseIssuerError::Mismatch(IssuerMismatch::Missing);
    let mismatch = ResponseIssuerError::Mismatch(IssuerMismatch::Mismatch);
    assert_eq!(provider.check_response_issuer(Some(&server.issuer())), Ok(()));
    assert_eq!(provider.check_response_issuer(None), Err(missing));
    assert_eq!(provider.check_response_issuer(Some("https://evil.example")), Err(mismatch));
    assert_eq!(server.provider().check_response_issuer(Some("https://evil.example")), Err(mismatch));
}

#[tokio::test]
async fn di_04_answers_that_are_no_document_are_refused() {
    let server = TestServer::openid().await;
    let document = format!(r#"{{"issuer":"{}"}}"#, server.issuer());
    let answers = [
        (Reply::with_headers(302, "location: /other\r\n", ""), "unexpected-status"),
        (Reply::typed(200, "text/html", &document), "content-type"),
        (Reply::json(200, "<html>"), "not-json"),
        (Reply::json(200, &document), "endpoint-missing"),
        (Reply::json(404, "{}"), "refused"),
        (Reply::Endless, "unusable-body"),
    ];
    for (answer, reason) in answers {
        server.on(DOCUMENT, move |_| answer.clone());
        let provider = server.provider();
        assert_eq!(server.discover(&provider).await.unwrap_err().reason(), reason);
        assert!(!provider.is_ready());
    }
    assert_eq!(server.hits("/other"), 0);
}

#[tokio::test]
async fn co_05_di_02_and_di_09_a_document_that_must_not_be_used_stops_logins() {
    let server = TestServer::openid().await;
    let changes: [(&str, serde_json::Value, &str); 4] = [
        ("code_challenge_methods_supported", serde_json::json!(["plain"]), "pkce-without-s256"),
        ("require_pushed_authorization_requests", true.into(), "require-pushed-authorization-requests"),
        ("token_endpoint", "http://evil.example/token".into(), "endpoint-not-https"),
        ("jwks_uri", "https://169.254.169.254/keys".into(), "endpoint-address"),
    ];
    for (name, value, reason) in changes {
        server.on_discovery(|document| document[name] = value.clone());
        let provider = server.provider();
        assert_eq!(server.discover(&provider).await.unwrap_err().reason(), reason);
        assert!(redirect(&provider).is_err(), "{name}");
        assert_eq!(server.observer.rejected.lock().unwrap().pop(), Some(reason));
    }
}

#[tokio::test]
async fn di_06_and_di_08_later_documents_are_pinned_to_the_first() {
    let server = TestServer::openid().await;
    let provider = server.ready_provider().await;
    server.on_discovery(|document| {
        document["authorization_endpoint"] = "https://evil.example/auth".into();
        document["authorization_response_iss_parameter_supported"] = false.into();
    });
    server.discover(&provider).await.unwrap();
    assert!(redirect(&provider).unwrap().starts_with(&server.url("/auth").to_string()));
    assert!(provider.check_response_issuer(None).is_err());
    assert_eq!(*server.observer.rejected.lock().unwrap(), ["endpoint-moved", "capability-dropped"]);
    // A later document that cannot be used at all leaves the last good one in force.
    server.on_discovery(|document| document["issuer"] = "https://evil.example".into());
    assert!(server.discover(&provider).await.is_err());
    assert!(provider.is_ready() && redirect(&provider).is_ok());
}

#[tokio::test]
async fn di_06_a_reload_takes_the_next_document_as_a_first_one_and_pins_to_it() {
    let server = TestServer::openid().await;
    let provider = server.ready_provider().await;
    server.on_discovery(|document| document["authorization_endpoint"] = "https://moved.example/auth".into());
    provider.rediscover();
    // One that cannot be used is none, and the pins are lifted until one can.
    server.on(DOCUMENT, |_| Reply::status(503, ""));
    assert!(server.discover(&provider).await.is_err());
    assert!(redirect(&provider).unwrap().starts_with(&server.url("/auth").to_string()));
    server.on_discovery(|document| document["authorization_endpoint"] = "https://moved.example/auth".into());
    server.discover(&provider).await.unwrap();
    assert!(redirect(&provider).unwrap().starts_with("https://moved.example/auth"));
    server.on_discovery(|document| document["authorization_endpoint"] = "https://again.example/auth".into());
    server.discover(&provider).await.unwrap();
    assert!(redirect(&provider).unwrap().starts_with("https://moved.example/auth"));
    assert_eq!(*server.observer.rejected.lock().unwrap(), ["endpoint-moved"]);
}

#[tokio::test]
async fn a_reload_does_not_wait_for_the_hourly_look() {
    let server = TestServer::openid().await;
    let provider = server.provider();
    let task = tokio::spawn(Arc::clone(&provider).run());
    provider.ready().await;
    server.on_discovery(|document| document["authorization_endpoint"] = "https://moved.example/auth".into());
    provider.rediscover();
    let moved = async {
        while !redirect(&provider).unwrap().starts_with("https://moved.example/auth") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), moved).await.unwrap();
    task.abort();
}

#[tokio::test]
async fn what_takes_a_providers_place_is_ready_at_once_where_the_server_is_the_same() {
    let server = TestServer::openid().await;
    let before = server.ready_provider().await;
    let mut settings = server.settings();
    settings.client_id = "another".to_owned();
    let same = Provider::succeeding(&before, settings, server.parts()).unwrap();
    assert!(same.is_ready() && redirect(&same).unwrap().contains("client_id=another"));
    let mut settings = server.settings();
    settings.issuer = Some("https://id.example.com".to_owned());
    let other = Provider::succeeding(&before, settings, server.parts()).unwrap();
    assert!(!other.is_ready() && redirect(&other).is_err());
    let mut settings = server.settings();
    settings.endpoints.token = Some(server.url("/elsewhere"));
    assert!(!Provider::succeeding(&before, settings, server.parts()).unwrap().is_ready());
}

#[tokio::test]
async fn the_logout_goes_to_the_providers_own_place() {
    let server = TestServer::openid().await;
    let provider = server.ready_provider().await;
    let url = provider.end_session_redirect(None, "http://localhost/oauth2/signed_out", Some("s")).unwrap();
    assert!(url.starts_with(&format!("{}?client_id=app&", server.url("/logout"))), "{url}");
}
