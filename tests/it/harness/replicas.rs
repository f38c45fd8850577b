//! Gateways as processes of their own over one store, with one provider and one upstream, and a balancer in front that
//! sends requests to those that are in service.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vestibule::clock::SystemClock;
use vestibule::config::generate_key;
use vestibule::demo::provider::{Account, DevelopmentProviderSettings};
use vestibule::entropy::SystemEntropy;

use super::behaviour::Behaviour;
use super::browser::Browser;
use super::crowd::Person;
use super::gateway::CLIENT_ID;
use super::patiently;
use super::provider::TestProvider;
use super::raw;
use super::upstream::RecordingUpstream;
use crate::process::{Configured, SECRET, Serving};

/// A name that is loopback's, so that plain http is allowed; nobody listens on this port.
pub const HOST: &str = "app.localhost:18099";
pub const PUBLIC_URL: &str = "http://app.localhost:18099";

/// Which gateways the balancer sends requests to.
#[derive(Clone, Debug, Default)]
pub struct Balancer(Arc<Mutex<Vec<Option<SocketAddr>>>>);

impl Balancer {
    /// The `turn`th of those in service; `None` when there is none.
    pub fn choose(&self, turn: usize) -> Option<SocketAddr> {
        let there: Vec<_> = self.0.lock().unwrap().iter().flatten().copied().collect();
        there.get(turn % there.len().max(1)).copied()
    }

    fn set(&self, index: usize, address: Option<SocketAddr>) {
        self.0.lock().unwrap()[index] = address;
    }
}

pub struct Replicas {
    pub provider: TestProvider,
    pub upstream: RecordingUpstream,
    pub balancer: Balancer,
    configured: Vec<Configured>,
    running: Vec<Option<Serving>>,
}

impl Replicas {
    /// Starts `count` gateways; `session` gives the lines of `[session]` of each, its keys aside.
    pub async fn start(count: usize, access_token_lifetime: Duration, session: impl Fn(usize) -> String) -> Self {
        let provider = TestProvider::with(Arc::new(SystemClock::default()), |settings| {
            settings.access_token_lifetime = access_token_lifetime;
            settings.accounts = accounts(settings);
        })
        .await;
        let upstream = RecordingUpstream::start().await;
        upstream.answer(|received| {
            let header = |name: &str| received.header(name).unwrap_or("-").to_owned();
            Behaviour::text(200, &format!("{} {}", header("x-user"), header("authorization")))
        });
        provider.register_gateway(CLIENT_ID, SECRET, PUBLIC_URL);
        let key = generate_key(&SystemEntropy).unwrap();
        let configured: Vec<_> = (0..count)
            .map(|index| {
                let configured = Configured::with(&configuration(provider.issuer(), &upstream.url(), &session(index)));
                configured.write("key", &key);
                configured
            })
            .collect();
        let balancer = Balancer(Arc::new(Mutex::new(vec![None; count])));
        let running = (0..count).map(|_| None).collect();
        let mut replicas = Self { provider, upstream, balancer, configured, running };
        for index in 0..count {
            replicas.start_one(index).await;
        }
        replicas
    }

    /// Starts a gateway, and puts it into service once it is ready.
    pub async fn start_one(&mut self, index: usize) {
        let serving = Serving::start(&self.configured[index].path()).await;
        self.balancer.set(index, Some(serving.public));
        self.running[index] = Some(serving);
    }

    /// The process is gone at once; the balancer finds out when a request fails, which it may.
    pub async fn kill(&mut self, index: usize) {
        let serving = self.running[index].take().unwrap();
        serving.signal("-KILL").await;
        serving.end().await;
        self.balancer.set(index, None);
    }

    /// As an orchestrator does it: a signal, out of service when it is no longer ready, and away when all is done.
    pub async fn stop(&mut self, index: usize) {
        let serving = self.running[index].take().unwrap();
        serving.signal("-TERM").await;
        patiently("readiness to end", async {
            while serving.probe("/readyz").await.contains("ready") && !serving.probe("/readyz").await.contains("drain")
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        self.balancer.set(index, None);
        let (code, log, _) = serving.end().await;
        assert_eq!(code, Some(0), "{log}");
    }

    /// The refresh tokens that the provider was sent, in their order.
    pub fn refresh_tokens_spent(&self) -> Vec<String> {
        let requests = self.provider.token_requests("refresh_token");
        requests.iter().map(|request| request.form_value("refresh_token").unwrap()).collect()
    }

    /// Signs somebody out at one of them; the status of the answer.
    pub async fn sign_out(&self, index: usize, person: &Person) -> u16 {
        let request = format!(
            "POST /oauth2/sign_out HTTP/1.1\r\nHost: {HOST}\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            person.cookie
        );
        raw::ask(self.address(index), request).await.unwrap().status
    }

    /// The provider has seen no refresh token twice, and some at all.
    pub fn each_refresh_token_was_spent_once(&self) {
        let spent = self.refresh_tokens_spent();
        let different: std::collections::HashSet<_> = spent.iter().collect();
        assert!(!spent.is_empty() && different.len() == spent.len(), "{} of {}", different.len(), spent.len());
    }

    pub fn address(&self, index: usize) -> SocketAddr {
        self.running[index].as_ref().unwrap().public
    }

    /// Where the configuration of one of them and its secrets lie.
    pub fn folder(&self, index: usize) -> &Path {
        self.configured[index].folder()
    }

    /// Has one of them know these keys from its next start on: the first seals. Those that are new are made.
    pub fn set_keys(&self, index: usize, names: &[&str]) {
        for name in names.iter().filter(|name| !self.folder(0).join(name).exists()) {
            let key = generate_key(&SystemEntropy).unwrap();
            self.configured.iter().for_each(|configured| drop(configured.write(name, &key)));
        }
        let keys: Vec<_> = names.iter().map(|name| format!("{{ file = \"{name}\" }}")).collect();
        let text = std::fs::read_to_string(self.configured[index].path()).unwrap();
        let (before, line) = text.split_once("keys = [").unwrap();
        let rest = line.split_once('\n').unwrap().1;
        let text = format!("{before}keys = [{}]\n{rest}", keys.join(", "));
        self.configured[index].write("vestibule.toml", &text);
    }

    /// A program posts a form to one of them.
    pub async fn post(&self, index: usize, path: &str, form: &str) -> u16 {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
            form.len()
        );
        raw::ask(self.address(index), request).await.unwrap().status
    }

    /// What a probe of one of them answers.
    pub async fn probe(&self, index: usize, target: &str) -> String {
        self.running[index].as_ref().unwrap().probe(target).await
    }

    /// A browser whose requests all go to one of them.
    pub fn browser(&self, index: usize) -> Browser {
        let browser = Browser::new();
        browser.resolve(HOST, self.address(index));
        browser
    }

    /// Logs so many people in, each at another gateway in turn.
    pub async fn log_in(&self, people: usize) -> Vec<Person> {
        let mut logged_in = Vec::new();
        for number in 0..people {
            logged_in.push(self.log_in_one(number, number % self.running.len()).await);
        }
        logged_in
    }

    pub async fn log_in_one(&self, number: usize, index: usize) -> Person {
        self.log_in_with(&self.browser(index), number).await
    }

    pub async fn log_in_with(&self, browser: &Browser, number: usize) -> Person {
        let page = browser.log_in(&format!("{PUBLIC_URL}/"), &username(number)).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let jar = browser.jar();
        let cookie = jar.find("app.localhost", "vestibule-dev-18099").expect("a session cookie");
        Person {
            subject: format!("subject-of-{}", username(number)),
            cookie: format!("{}={}", cookie.name, cookie.value),
        }
    }
}

fn username(number: usize) -> String {
    format!("person{number}")
}

fn accounts(settings: &DevelopmentProviderSettings) -> Vec<Account> {
    let example = settings.accounts[0].clone();
    (0..64)
        .map(|number| Account {
            username: username(number),
            subject: format!("subject-of-{}", username(number)),
            ..example.clone()
        })
        .collect()
}

fn configuration(issuer: &str, upstream: &str, session: &str) -> String {
    format!(
        "public_url = \"{PUBLIC_URL}\"\n[listen]\naddress = \"127.0.0.1:0\"\nprobe_address = \"127.0.0.1:0\"\n\
         [listen.limits]\ndrain_delay = \"1s\"\n[log]\naccess = false\n\
         [session]\nkeys = [{{ file = \"key\" }}]\n{session}\n\
         [provider]\nissuer = \"{issuer}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret = {{ file = \"secret\" }}\n\
         [[upstream]]\ntarget = \"{upstream}\"\n[upstream.headers]\nx-user = \"{{claims.sub}}\"\n"
    )
}
