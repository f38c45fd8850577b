//! The development provider with a wrapper that can misbehave in every way; the provider itself knows nothing of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use vestibule::clock::{Clock, SystemClock};
use vestibule::demo::provider::{DevelopmentProvider, DevelopmentProviderSettings, RegisteredClient, SigningKey};
use vestibule::entropy::SystemEntropy;
use vestibule::secret::ClientSecret;

use super::behaviour::Behaviour;
use super::counter::Counter;
use super::received::Received;
use super::scripted_server::{Script, ScriptedServer};
use super::signing::{base64, parts};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Metadata,
    Keys,
    Authorization,
    Login,
    Token,
    Userinfo,
    Revocation,
    EndSession,
    Other,
}

impl Endpoint {
    fn of(path: &str) -> Self {
        match path {
            "/.well-known/openid-configuration" => Self::Metadata,
            "/jwks" => Self::Keys,
            "/authorize" => Self::Authorization,
            "/login" => Self::Login,
            "/token" => Self::Token,
            "/userinfo" => Self::Userinfo,
            "/revoke" => Self::Revocation,
            "/end_session" => Self::EndSession,
            _ => Self::Other,
        }
    }
}

type Altering = Box<dyn FnMut(&Received, Response<Bytes>) -> Behaviour + Send>;
type Replacing = Box<dyn FnMut(&Received) -> Option<Behaviour> + Send>;

pub struct TestProvider {
    server: Option<ScriptedServer>,
    address: SocketAddr,
    wrapper: Arc<Wrapper>,
}

struct Wrapper {
    provider: DevelopmentProvider,
    clock: Arc<dyn Clock>,
    original_key: Arc<SigningKey>,
    /// The key that signs from here on, if it is no longer the original one.
    rotated: Mutex<Option<Arc<SigningKey>>>,
    altering: Mutex<HashMap<Endpoint, Vec<Altering>>>,
    replacing: Mutex<HashMap<Endpoint, Vec<Replacing>>>,
    hits: Mutex<HashMap<Endpoint, Counter>>,
    requests: Mutex<Vec<(Endpoint, Received)>>,
}

impl TestProvider {
    pub async fn start() -> Self {
        Self::with(Arc::new(SystemClock::default()), |_| {}).await
    }

    /// A provider with a clock of its own and settings as `adjust` leaves them.
    pub async fn with(clock: Arc<dyn Clock>, adjust: impl FnOnce(&mut DevelopmentProviderSettings)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut settings = DevelopmentProviderSettings::new(&format!("http://{address}"));
        adjust(&mut settings);
        let original_key = Arc::new(SigningKey::generate().unwrap());
        let wrapper = Arc::new(Wrapper {
            provider: DevelopmentProvider::new(settings, Arc::clone(&original_key), Arc::new(SystemEntropy)),
            clock,
            original_key,
            rotated: Mutex::default(),
            altering: Mutex::default(),
            replacing: Mutex::default(),
            hits: Mutex::default(),
            requests: Mutex::default(),
        });
        let server = ScriptedServer::on(listener, Arc::clone(&wrapper) as Arc<dyn Script>);
        Self { server: Some(server), address, wrapper }
    }

    pub fn issuer(&self) -> &str {
        self.wrapper.provider.issuer()
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Registers the gateway whose public URL is `public_url`: a confidential client with the usual URIs.
    pub fn register_gateway(&self, client_id: &str, secret: &str, public_url: &str) {
        self.register(RegisteredClient {
            id: client_id.to_owned(),
            secret: Some(ClientSecret::new(secret.to_owned())),
            redirect_uris: vec![format!("{public_url}/oauth2/callback")],
            post_logout_redirect_uris: vec![format!("{public_url}/oauth2/signed_out")],
        });
    }

    pub fn register(&self, client: RegisteredClient) {
        self.wrapper.provider.register(client);
    }

    // What came in.

    /// How many requests have come to an endpoint, whole ones only.
    pub fn hits(&self, endpoint: Endpoint) -> usize {
        self.wrapper.hits(endpoint).value()
    }

    pub async fn hits_reach(&self, endpoint: Endpoint, wanted: usize) {
        self.wrapper.hits(endpoint).reaches(wanted).await;
    }

    /// The requests to an endpoint, oldest first; token requests show their form with `form_value`.
    pub fn requests(&self, endpoint: Endpoint) -> Vec<Received> {
        let requests = self.wrapper.requests.lock().unwrap();
        requests.iter().filter(|(known, _)| *known == endpoint).map(|(_, received)| received.clone()).collect()
    }

    /// The token requests of one `grant_type`.
    pub fn token_requests(&self, grant_type: &str) -> Vec<Received> {
        let mut requests = self.requests(Endpoint::Token);
        requests.retain(|received| received.form_value("grant_type").as_deref() == Some(grant_type));
        requests
    }

    // Misbehaviour. Alterations of one endpoint are applied one after the other, until one gives no whole answer.

    /// The provider answers, and `alter` decides what becomes of the answer.
    pub fn on(&self, endpoint: Endpoint, alter: impl FnMut(&Received, Response<Bytes>) -> Behaviour + Send + 'static) {
        self.wrapper.altering.lock().unwrap().entry(endpoint).or_default().push(Box::new(alter));
    }

    /// The provider is not asked and so changes nothing: a refresh token is not rotated, a code not spent.
    pub fn instead(&self, endpoint: Endpoint, mut behave: impl FnMut(&Received) -> Behaviour + Send + 'static) {
        self.instead_if(endpoint, move |received| Some(behave(received)));
    }

    /// The same where `behave` gives something; otherwise the provider is asked.
    pub fn instead_if(&self, endpoint: Endpoint, behave: impl FnMut(&Received) -> Option<Behaviour> + Send + 'static) {
        self.wrapper.replacing.lock().unwrap().entry(endpoint).or_default().push(Box::new(behave));
    }

    /// The next request alone is answered so, without asking the provider.
    pub fn once(&self, endpoint: Endpoint, behaviour: Behaviour) {
        let mut once = Some(behaviour);
        self.instead_if(endpoint, move |_| once.take());
    }

    /// The endpoint behaves again.
    pub fn restore(&self, endpoint: Endpoint) {
        self.wrapper.altering.lock().unwrap().remove(&endpoint);
        self.wrapper.replacing.lock().unwrap().remove(&endpoint);
    }

    /// Changes the JSON of an endpoint's good answers.
    pub fn alter_json(&self, endpoint: Endpoint, mut alter: impl FnMut(&mut Value) + Send + 'static) {
        self.on(endpoint, move |_, response| Behaviour::Respond(with_json(response, &mut alter)));
    }

    /// Takes a member out of the JSON of an endpoint's good answers.
    pub fn omit(&self, endpoint: Endpoint, member: &'static str) {
        self.alter_json(endpoint, move |value| {
            value.as_object_mut().unwrap().remove(member);
        });
    }

    /// Puts a member into the JSON of an endpoint's good answers.
    pub fn put(&self, endpoint: Endpoint, member: &'static str, new: Value) {
        self.alter_json(endpoint, move |value| value[member] = new.clone());
    }

    /// Changes header and claims of every ID token; it is signed again with the provider's own key.
    pub fn alter_id_token(&self, mut alter: impl FnMut(&mut Value, &mut Value) + Send + 'static) {
        let wrapper = Arc::downgrade(&self.wrapper);
        self.replace_id_token(move |mut header, mut claims| {
            alter(&mut header, &mut claims);
            wrapper.upgrade().unwrap().key().sign(&header, &claims).unwrap()
        });
    }

    /// Changes the claims of every ID token.
    pub fn alter_claims(&self, mut alter: impl FnMut(&mut Value) + Send + 'static) {
        self.alter_id_token(move |_, claims| alter(claims));
    }

    /// Puts another text where the ID token was; `make` gets the header and claims of the right one.
    pub fn replace_id_token(&self, mut make: impl FnMut(Value, Value) -> String + Send + 'static) {
        self.alter_json(Endpoint::Token, move |tokens| {
            if let Some(token) = tokens.get("id_token").and_then(Value::as_str) {
                let (header, claims) = parts(token);
                tokens["id_token"] = make(header, claims).into();
            }
        });
    }

    // Keys and tokens.

    /// The key that signs at the moment.
    pub fn key(&self) -> Arc<SigningKey> {
        self.wrapper.key()
    }

    /// From here on another key signs, and only that one is published. ID tokens given out before are no longer good
    /// as `id_token_hint` afterwards only if the provider says so: it goes on knowing its original key.
    pub fn rotate_keys(&self) -> Arc<SigningKey> {
        let key = Arc::new(SigningKey::generate().unwrap());
        *self.wrapper.rotated.lock().unwrap() = Some(Arc::clone(&key));
        key
    }

    /// Publishes exactly these keys.
    pub fn publish_keys(&self, keys: Vec<Value>) {
        self.on(Endpoint::Keys, move |_, _| Behaviour::json(200, &json!({ "keys": keys })));
    }

    /// A token of any kind, signed with the provider's key.
    pub fn mint(&self, header: &Value, claims: &Value) -> String {
        self.key().sign(header, claims).unwrap()
    }

    /// The same for parts that `serde_json` would not write, such as duplicate members.
    pub fn mint_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64(header), base64(claims));
        format!("{signed}.{}", base64(self.key().signature(signed.as_bytes()).unwrap()))
    }

    /// The header of the provider's ID tokens.
    pub fn header(&self) -> Value {
        json!({ "alg": "ES256", "typ": "JWT", "kid": self.key().id() })
    }

    /// The claims of a good logout token (OpenID Connect Back-Channel Logout §2.4), to be changed and minted.
    pub fn logout_claims(&self, client_id: &str, sid: &str, jti: &str) -> Value {
        let now = self.wrapper.clock.now().as_seconds();
        json!({
            "iss": self.issuer(), "aud": client_id, "iat": now, "exp": now + 120, "jti": jti, "sid": sid,
            "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
        })
    }

    // Being away.

    /// Nobody listens on the provider's port any more.
    pub async fn go_down(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.stop().await;
        }
    }

    /// Listens on the same port again; nothing has been forgotten.
    pub async fn come_back(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.server = Some(ScriptedServer::on(listener, Arc::clone(&self.wrapper) as Arc<dyn Script>));
    }

    /// Connections opened since it last came up.
    pub fn connections(&self) -> usize {
        self.server.as_ref().map_or(0, |server| server.connections().value())
    }
}

impl Wrapper {
    fn hits(&self, endpoint: Endpoint) -> Counter {
        self.hits.lock().unwrap().entry(endpoint).or_default().clone()
    }

    fn key(&self) -> Arc<SigningKey> {
        self.rotated.lock().unwrap().as_ref().unwrap_or(&self.original_key).clone()
    }

    /// What the provider says, as if it had the key that signs at the moment.
    fn respond(&self, endpoint: Endpoint, received: &Received) -> Response<Bytes> {
        let answer = self.provider.respond(&received.parts(), &received.body, self.clock.now());
        let (parts, body) = answer.into_parts();
        let body = body.collect().now_or_never().unwrap().unwrap().to_bytes();
        let response = Response::from_parts(parts, body);
        let Some(key) = self.rotated.lock().unwrap().clone() else { return response };
        with_json(response, &mut |value| match endpoint {
            Endpoint::Keys => value["keys"] = json!([key.public_jwk()]),
            Endpoint::Token => {
                if let Some(token) = value.get("id_token").and_then(Value::as_str) {
                    let (mut header, claims) = super::signing::parts(token);
                    header["kid"] = key.id().into();
                    value["id_token"] = key.sign(&header, &claims).unwrap().into();
                }
            }
            _ => {}
        })
    }
}

impl Script for Wrapper {
    fn answer(&self, received: &Received) -> Behaviour {
        if !received.complete {
            return Behaviour::Close;
        }
        let endpoint = Endpoint::of(received.path());
        self.requests.lock().unwrap().push((endpoint, received.clone()));
        self.hits(endpoint).increase();
        for replace in self.replacing.lock().unwrap().get_mut(&endpoint).into_iter().flatten() {
            if let Some(behaviour) = replace(received) {
                return behaviour;
            }
        }
        let mut behaviour = Behaviour::Respond(self.respond(endpoint, received));
        for alter in self.altering.lock().unwrap().get_mut(&endpoint).into_iter().flatten() {
            match behaviour {
                Behaviour::Respond(response) => behaviour = alter(received, response),
                _ => break,
            }
        }
        behaviour
    }
}

/// The response with its JSON changed; one that is no success or no JSON stays as it is.
fn with_json(response: Response<Bytes>, alter: &mut dyn FnMut(&mut Value)) -> Response<Bytes> {
    if !response.status().is_success() {
        return response;
    }
    response.map(|body| match serde_json::from_slice::<Value>(&body) {
        Ok(mut value) => {
            alter(&mut value);
            Bytes::from(value.to_string())
        }
        Err(_) => body,
    })
}
