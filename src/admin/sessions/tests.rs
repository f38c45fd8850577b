//! The service without a socket under it.

use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::clock::SystemClock;
use crate::secret::SealingKey;
use crate::session::SessionError;
use crate::session::settings::{SessionSettings, StoreSettings};
use crate::session::store::memory::MemoryStore;

const TOKEN: &str = "0123456789abcdef";

/// Counts how often it is asked, and ends nothing.
#[derive(Default)]
struct Counted(AtomicUsize);

impl SessionEnds for Counted {
    fn issuers(&self) -> Vec<String> {
        vec!["https://id.example.com".to_owned()]
    }

    fn end(&self, _: ToEnd, _: RequestId) -> BoxFuture<'static, Result<Ended, SessionError>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::ready(Ok(Ended::default())))
    }
}

struct Scene {
    administration: SessionAdministration,
    ends: Arc<Counted>,
}

impl Scene {
    fn at(listens_at: ListensAt, token: Option<&str>) -> Self {
        let (clock, ends) = (Arc::new(SystemClock::default()) as Arc<dyn Clock>, Arc::new(Counted::default()));
        let store = Arc::new(MemoryStore::new(10, Arc::clone(&clock)));
        let mut settings = SessionSettings {
            store: StoreSettings::Memory { max_sessions: 10 },
            lifetime: Duration::from_secs(36_000),
            idle_timeout: Duration::from_secs(3_600),
            outage_grace: Duration::from_secs(60),
            keys: vec![SealingKey::new([1; 32])],
            max_sessions_per_subject: 3,
            cache: crate::session::settings::DEFAULT_CACHE,
        };
        let (entropy, namespace) = (Arc::new(crate::entropy::SystemEntropy), "https://wiki.example.com".to_owned());
        let clients = std::collections::HashMap::new();
        let sessions = Sessions::new(&mut settings, namespace, clients, Arc::clone(&clock), entropy, store).unwrap();
        let token = token.map(|token| Arc::new(AdminToken::new(token.to_owned())));
        let administration = SessionAdministration::new(AdministrationParts {
            listens_at,
            token: Arc::new(ArcSwapOption::new(token)),
            sessions,
            ends: Arc::clone(&ends) as Arc<_>,
            request_ids: Arc::new(RequestIds::new([7; 16])),
            clock,
        });
        Self { administration, ends }
    }

    async fn ask(&self, method: &str, target: &str, fields: &[(&str, &str)], body: &'static str) -> Answer {
        let mut request = Request::builder().method(method).uri(target).header("host", "localhost");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let peer = Some("192.0.2.1".parse().unwrap());
        self.administration.answer(request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap(), peer).await
    }
}

fn tcp() -> ListensAt {
    ListensAt::Tcp("127.0.0.1".parse().unwrap())
}

const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const HTML: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

async fn text(answer: Answer) -> String {
    String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn only_what_there_is_can_be_asked() {
    let scene = Scene::at(ListensAt::Unix, None);
    let id = "0".repeat(64);
    for (method, target, status) in [
        ("GET", "/sessions", 200),
        ("HEAD", "/sessions", 200),
        ("GET", "/sessions?limit=1", 200),
        ("GET", "/sessions?x=1", 400),
        ("POST", "/sessions", 405),
        ("DELETE", "/sessions", 405),
        ("GET", "/sessions/revoke", 405),
        ("DELETE", "/sessions/revoke", 405),
        ("GET", "/", 404),
        ("GET", "/sessions/", 404),
        ("GET", "/sessions/x", 404),
        ("GET", "/sessions/../sessions", 404),
        ("GET", "/metrics", 404),
        ("GET", &format!("/sessions/{id}"), 404),
        ("DELETE", &format!("/sessions/{id}"), 200),
        ("POST", &format!("/sessions/{id}"), 405),
        ("OPTIONS", "/sessions", 405),
        ("GET", "http://localhost/sessions", 421),
    ] {
        let answer = scene.ask(method, target, &[], "").await;
        assert_eq!(answer.status(), status, "{method} {target}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405);
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
        assert!(answer.headers().contains_key("x-request-id"));
    }
}

#[tokio::test]
async fn ad_06_without_the_token_nothing_is_told_and_nothing_ends() {
    for token in [Some(TOKEN), None] {
        let scene = Scene::at(tcp(), token);
        let cookie = ("cookie", "__Host-Http-vestibule=0123456789abcdef");
        for fields in [&[][..], &[cookie], &[("authorization", "Bearer 0123456789abcdeg")]] {
            let answer = scene.ask("GET", "/sessions", fields, "").await;
            assert_eq!(answer.status(), 401);
            let challenges: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
            assert_eq!(
                challenges,
                ["Basic realm=\"vestibule admin\", charset=\"UTF-8\"", "Bearer realm=\"vestibule admin\""]
            );
        }
        let own = ("origin", "http://localhost");
        assert_eq!(scene.ask("POST", "/sessions/revoke", &[own, FORM], "all=true").await.status(), 401);
        assert_eq!(scene.ends.0.load(Ordering::Relaxed), 0);
    }
    let scene = Scene::at(ListensAt::Unix, Some(TOKEN));
    assert_eq!(scene.ask("GET", "/sessions", &[], "").await.status(), 401, "where there is a token it is asked for");
    assert_eq!(scene.ask("GET", "/sessions", &[BEARER], "").await.status(), 200);
}

#[tokio::test]
async fn ad_06_who_guesses_is_slowed_down() {
    let scene = Scene::at(tcp(), Some(TOKEN));
    for _ in 0..10 {
        assert_eq!(scene.ask("GET", "/sessions", &[("authorization", "Bearer x")], "").await.status(), 401);
    }
    let answer = scene.ask("GET", "/sessions", &[BEARER], "").await;
    assert_eq!(
        (answer.status(), &answer.headers()["retry-after"]),
        (StatusCode::TOO_MANY_REQUESTS, &"6".parse().unwrap())
    );
}

#[tokio::test]
async fn ad_03_another_page_does_not_even_learn_whether_the_browser_has_the_token() {
    let scene = Scene::at(tcp(), Some(TOKEN));
    let basic = format!("Basic {}", STANDARD.encode(format!("me:{TOKEN}")));
    let basic = ("authorization", basic.as_str());
    for foreign in [("origin", "https://evil.example"), ("origin", "null"), ("sec-fetch-site", "cross-site")] {
        for authorization in [basic, ("authorization", "Basic x")] {
            let answer = scene.ask("POST", "/sessions/revoke", &[foreign, authorization, FORM], "all=true").await;
            assert_eq!(answer.status(), 403, "{foreign:?}");
            assert!(!answer.headers().contains_key("www-authenticate"));
            assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control")));
        }
    }
    assert_eq!(scene.ask("POST", "/sessions/revoke", &[basic, FORM], "all=true").await.status(), 403);
    assert_eq!(scene.ends.0.load(Ordering::Relaxed), 0);
    let own = ("sec-fetch-site", "same-origin");
    assert_eq!(scene.ask("POST", "/sessions/revoke", &[own, basic, FORM], "all=true").await.status(), 200);
    assert_eq!(scene.ends.0.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_page_goes_back_to_the_list_it_was_on_and_nowhere_else() {
    let scene = Scene::at(ListensAt::Unix, None);
    for (back, location) in [
        ("all=true&back=user%3Dal%2526ice%26limit%3D5", "/sessions?user=al%26ice&limit=5&ended=0"),
        ("all=true&back=//evil.example", "/sessions?ended=0"),
        ("all=true&back=a%0D%0ALocation:%20x", "/sessions?ended=0"),
        ("all=true", "/sessions?ended=0"),
    ] {
        let answer = scene.ask("POST", "/sessions/revoke", &[HTML, FORM], back).await;
        assert_eq!(
            (answer.status(), &answer.headers()["location"]),
            (StatusCode::SEE_OTHER, &location.parse().unwrap())
        );
    }
    let answer = scene.ask("POST", "/sessions/revoke", &[FORM], "all=true").await;
    assert_eq!(text(answer).await, r#"{"ended":0,"failed":0,"tokens_being_revoked":0}"#);
    for body in ["all=true&id=x", "", "id=x"] {
        assert_eq!(scene.ask("POST", "/sessions/revoke", &[FORM], body).await.status(), 400, "{body}");
    }
    assert_eq!(scene.ask("POST", "/sessions/revoke", &[], "all=true").await.status(), 400);
}

#[tokio::test]
async fn the_policy_names_the_hash_of_the_style_as_the_browser_sees_it() {
    let scene = Scene::at(ListensAt::Unix, None);
    for target in ["/sessions", "/nothing"] {
        let answer = scene.ask("GET", target, &[HTML], "").await;
        assert_eq!(answer.headers()["referrer-policy"], "same-origin");
        let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
        let page = text(answer).await;
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        let hash = STANDARD.encode(Sha256::digest(style));
        let wanted = format!(
            "default-src 'none'; style-src 'sha256-{hash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        assert_eq!(policy, wanted);
    }
}
