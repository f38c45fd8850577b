use super::*;
use crate::origin::{Host, PublicUrl, Scheme};
use crate::secret::SealingKey;
use crate::session::testing::{Counted, Exhausted};
use crate::session::ticket::Ticket;
use proptest::prelude::*;
use std::collections::HashSet;

const NAMESPACE: &str = "https://wiki.example.com";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
const LOGIN: Flow = Flow::Login { interactive: false };

fn ring(keys: &[u8]) -> KeyRing {
    KeyRing::new(keys.iter().map(|byte| SealingKey::new([*byte; 32])).collect()).unwrap()
}

fn host(name: &str) -> Host {
    Host::parse(name, Scheme::Https).unwrap()
}

fn return_to(path: &str) -> ReturnTo {
    let public_url = PublicUrl::parse(NAMESPACE).unwrap();
    ReturnTo::parse(path, &public_url, public_url.host(), "/oauth2").unwrap()
}

/// A gateway and a browser.
struct Scene {
    ring: KeyRing,
    host: Host,
    entropy: Counted,
    cookie: LoginCookie,
}

impl Scene {
    fn new() -> Self {
        let entropy = Counted::default();
        let cookie = LoginCookie::draw(&entropy).unwrap();
        Self { ring: ring(&[1]), host: host("wiki.example.com"), entropy, cookie }
    }

    fn place(&self) -> LoginPlace<'_> {
        LoginPlace { ring: &self.ring, namespace: NAMESPACE, host: &self.host }
    }

    fn start(&self, flow: Flow) -> StartedAttempt {
        start(self.place(), &self.cookie, "corp", flow, &return_to("/page?x=1"), NOW, &self.entropy).unwrap()
    }

    fn open(&self, state: &str) -> Result<UnverifiedAttempt, Rejected> {
        UnverifiedAttempt::open(self.place(), state.as_bytes())
    }
}

#[test]
fn an_attempt_comes_back_with_what_it_was_begun_with() {
    for flow in [
        LOGIN,
        Flow::Login { interactive: true },
        Flow::StepUp { acr: Some("mfa".into()), max_age: Some(900) },
        Flow::FurtherGrant { scopes: vec!["calendar.read".into()] },
    ] {
        let scene = Scene::new();
        let started = scene.start(flow.clone());
        let opened = scene.open(&started.state).unwrap();
        assert_eq!((opened.return_path(), opened.flow(), opened.created()), ("/page?x=1", &flow, NOW));
        let attempt = opened.bound_to(&scene.cookie, &scene.ring, NOW).unwrap();
        assert_eq!((attempt.provider(), attempt.return_path(), attempt.flow()), ("corp", "/page?x=1", &flow));
        assert_eq!(attempt.browser(), scene.cookie.browser());
        assert_eq!(attempt.into_proofs(), (started.nonce, started.verifier));
    }
}

#[test]
fn state_nonce_and_verifier_are_those_of_the_fixed_vectors() {
    let scene = Scene::new();
    let started = scene.start(LOGIN);
    assert_eq!(
        started.state,
        "Aa18ZmkCAAAAAAAAAAMBAQEBAQEBBAICAgICAgIFAwMDAwMDA_frer-DeOqh0yX1cjZvzK2rzcNvjNo3-sOM3D4pNXBCTfUO\
             ZTmtGhzpehmfpn5YRBe_duhXtyoUoIn-SBWdzWy-CgxQzfE0pUdt3LjbXjFyh7Cwzp3B"
    );
    assert_eq!(started.nonce.expose(), "rRO6cW1Acfr4nTHxwG_jG-wgr43psK7JJBfE9DUfJaA");
    assert_eq!(started.verifier.expose(), "OzmKo9An-ph8JpxKpfQ6SRtp87sxmumEnhfPIlHZ-9Q");
}

#[test]
fn st_01_a_changed_state_is_rejected() {
    let scene = Scene::new();
    let state = scene.start(LOGIN).state;
    assert!(UnverifiedAttempt::open(scene.place(), &state.as_bytes()[..state.len() - 1]).is_err());
    assert!(UnverifiedAttempt::open(scene.place(), &state.as_bytes()[1..]).is_err());
    assert!(scene.open(&format!("{state}A")).is_err());
    assert!(scene.open(&format!("{state}=")).is_err());
    assert!(scene.open(&state.to_ascii_lowercase()).is_err());
    assert!(scene.open(&state.to_ascii_uppercase()).is_err());
    assert!(scene.open("").is_err());
    assert_eq!(scene.open(&"A".repeat(1 << 20)).unwrap_err(), Rejected::Malformed);
    for at in 0..state.len() {
        let mut bytes = state.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        assert!(UnverifiedAttempt::open(scene.place(), &bytes).is_err(), "character {at}");
    }
}

#[test]
fn st_02_another_browser_does_not_get_the_attempt() {
    let scene = Scene::new();
    let opened = scene.open(&scene.start(LOGIN).state).unwrap();
    let other = LoginCookie::draw(&scene.entropy).unwrap();
    let (why, back) = opened.bound_to(&other, &scene.ring, NOW).unwrap_err();
    assert_eq!((why, back.return_path()), (AttemptRefused::OtherBrowser, "/page?x=1"));
}

#[test]
fn st_07_every_attempt_of_a_browser_has_its_own_nonce_and_verifier() {
    let scene = Scene::new();
    let (a, b) = (scene.start(LOGIN), scene.start(LOGIN));
    assert_ne!(a.nonce, b.nonce);
    assert_ne!(a.verifier, b.verifier);
    let attempt = scene.open(&b.state).unwrap().bound_to(&scene.cookie, &scene.ring, NOW).unwrap();
    let (nonce, verifier) = attempt.into_proofs();
    assert_eq!((&nonce, &verifier), (&b.nonce, &b.verifier));
    assert_ne!(nonce, a.nonce);
}

#[test]
fn st_08_neither_cookie_is_a_state() {
    let scene = Scene::new();
    assert!(scene.open(&scene.cookie.encode(scene.place())).is_err());
    assert!(scene.open(&Ticket::draw(&scene.entropy).unwrap().encode()).is_err());
    let state = scene.start(LOGIN).state;
    assert!(LoginCookie::decode(scene.place(), state.as_bytes()).is_err());
    assert!(Ticket::decode(state.as_bytes()).is_err());
}

#[test]
fn st_09_a_state_of_another_gateway_or_host_is_rejected() {
    let scene = Scene::new();
    let state = scene.start(LOGIN).state;
    let there = host("tools.example.com");
    for elsewhere in [
        LoginPlace { namespace: "https://wiki.example.com/x", ..scene.place() },
        LoginPlace { namespace: "https://other.example.com", ..scene.place() },
        LoginPlace { host: &there, ..scene.place() },
    ] {
        assert_eq!(UnverifiedAttempt::open(elsewhere, state.as_bytes()).unwrap_err(), Rejected::NotAuthentic);
    }
}

#[test]
fn st_13_rotation_between_start_and_callback() {
    let scene = Scene::new();
    let started = scene.start(LOGIN);
    let both = ring(&[2, 1]);
    let opened = UnverifiedAttempt::open(LoginPlace { ring: &both, ..scene.place() }, started.state.as_bytes());
    let attempt = opened.unwrap().bound_to(&scene.cookie, &both, NOW).unwrap();
    assert_eq!(attempt.into_proofs(), (started.nonce, started.verifier));
    let new = ring(&[2]);
    let removed = UnverifiedAttempt::open(LoginPlace { ring: &new, ..scene.place() }, started.state.as_bytes());
    assert_eq!(removed.unwrap_err(), Rejected::UnknownKey);
}

#[test]
fn st_16b_nothing_repeats_and_nothing_is_readable() {
    let scene = Scene::new();
    let mut seen = HashSet::new();
    for _ in 0..1_000 {
        let started = scene.start(LOGIN);
        assert_eq!((started.nonce.len(), started.verifier.len()), (43, 43));
        assert!(started.state.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        let bytes = URL_SAFE_NO_PAD.decode(&started.state).unwrap();
        assert!(!bytes.windows(4).any(|window| window == b"corp" || window == b"page"));
        for value in [started.state.as_str(), started.nonce.expose(), started.verifier.expose()] {
            assert!(seen.insert(value.to_owned()));
        }
    }
}

#[test]
fn an_attempt_lives_an_hour() {
    let scene = Scene::new();
    let state = scene.start(LOGIN).state;
    let judged = |seconds: i64| {
        let now = Timestamp::from_seconds(NOW.as_seconds().saturating_add_signed(seconds));
        scene.open(&state).unwrap().bound_to(&scene.cookie, &scene.ring, now).map_err(|(why, _)| why).err()
    };
    assert_eq!(judged(3_599), None);
    assert_eq!(judged(3_600), Some(AttemptRefused::Expired));
    assert_eq!(judged(-300), None);
    assert_eq!(judged(-301), Some(AttemptRefused::Expired));
    let attempt = scene.open(&state).unwrap().bound_to(&scene.cookie, &scene.ring, NOW).unwrap();
    assert!(attempt.expires() >= NOW.plus(ATTEMPT_LIFETIME));
}

#[test]
fn cr_10_without_randomness_no_attempt_begins() {
    let scene = Scene::new();
    let started = start(scene.place(), &scene.cookie, "corp", LOGIN, &return_to("/"), NOW, &Exhausted);
    assert_eq!(started.unwrap_err(), NoEntropy);
}

#[test]
fn debug_shows_neither_path_nor_proofs() {
    let scene = Scene::new();
    let started = scene.start(LOGIN);
    let opened = scene.open(&started.state).unwrap();
    assert!(!format!("{opened:?}").contains("page"));
    let attempt = opened.bound_to(&scene.cookie, &scene.ring, NOW).unwrap();
    let shown = format!("{attempt:?}");
    assert!(!shown.contains("page") && !shown.contains(started.nonce.expose()), "{shown}");
}

proptest! {
    #[test]
    fn no_bytes_make_opening_panic(state in prop::collection::vec(any::<u8>(), 0..300)) {
        let scene = Scene::new();
        prop_assert!(UnverifiedAttempt::open(scene.place(), &state).is_err());
    }
}
