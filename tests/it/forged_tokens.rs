//! Signed tokens with one thing wrong, for every place where a provider sends one.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};
use vestibule::demo::provider::SigningKey;

use crate::harness::signing::{TestKey, assemble, base64, hs256};

/// What a forger has to work with: a good token's parts, the right key, and a key of their own.
pub struct Material {
    pub header: Value,
    pub claims: Value,
    pub key: Arc<SigningKey>,
    /// Where a server of the attacker's listens.
    pub attacker: String,
}

impl Material {
    fn sign(&self, header: &Value, claims: &Value) -> String {
        self.key.sign(header, claims).unwrap()
    }

    fn sign_text(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64(header), base64(claims));
        format!("{signed}.{}", base64(self.key.signature(signed.as_bytes()).unwrap()))
    }

    /// The good token.
    fn good(&self) -> String {
        self.sign(&self.header, &self.claims)
    }

    fn signed_part(&self) -> String {
        self.good().rsplit_once('.').unwrap().0.to_owned()
    }

    fn with_signature(&self, change: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
        let signed = self.signed_part();
        let signature = change(self.key.signature(signed.as_bytes()).unwrap());
        format!("{signed}.{}", base64(signature))
    }

    fn with_header(&self, name: &str, value: &Value) -> String {
        let mut header = self.header.clone();
        header[name] = value.clone();
        self.sign(&header, &self.claims)
    }

    fn with_claim(&self, name: &str, value: &Value) -> String {
        let mut claims = self.claims.clone();
        claims[name] = value.clone();
        self.sign(&self.header, &claims)
    }

    fn without_claim(&self, name: &str) -> String {
        let mut claims = self.claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        self.sign(&self.header, &claims)
    }

    fn now(&self) -> u64 {
        self.claims["iat"].as_u64().unwrap()
    }
}

/// One kind of bad token.
#[derive(Clone)]
pub struct Forgery {
    pub id: &'static str,
    pub what: String,
    /// The check that finds it.
    pub check: &'static str,
    make: Arc<dyn Fn(&Material) -> String + Send + Sync>,
}

impl fmt::Display for Forgery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.id, self.what)
    }
}

impl Forgery {
    pub fn new(
        id: &'static str,
        what: impl Into<String>,
        check: &'static str,
        make: impl Fn(&Material) -> String + Send + Sync + 'static,
    ) -> Self {
        Self { id, what: what.into(), check, make: Arc::new(make) }
    }

    pub fn token(&self, material: &Material) -> String {
        (self.make)(material)
    }

    pub fn claim(id: &'static str, check: &'static str, name: &'static str, value: Value) -> Self {
        Self::new(id, format!("{name} = {}", short(&value)), check, move |material| material.with_claim(name, &value))
    }

    fn missing(id: &'static str, check: &'static str, name: &'static str) -> Self {
        Self::new(id, format!("no {name}"), check, move |material| material.without_claim(name))
    }

    fn header(id: &'static str, check: &'static str, name: &'static str, value: Value) -> Self {
        Self::new(id, format!("{name}: {}", short(&value)), check, move |material| material.with_header(name, &value))
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(60).collect()
}

/// Tokens whose header, signature or spelling is wrong.
pub fn of_the_signature() -> Vec<Forgery> {
    let mut forgeries = Vec::new();
    for alg in [json!("none"), json!("None"), json!("nOnE"), json!(""), json!(["ES256"]), json!(1), json!(null)] {
        forgeries.push(Forgery::header("JW-01", "alg", "alg", alg));
    }
    forgeries.push(Forgery::new("JW-01", "no alg", "alg", |m| {
        let mut header = m.header.clone();
        header.as_object_mut().unwrap().remove("alg");
        m.sign(&header, &m.claims)
    }));
    forgeries.push(Forgery::new("JW-01", "alg none and no signature", "segments", |m| {
        assemble(&json!({ "alg": "none" }), &m.claims, b"")
    }));
    for alg in ["RS256", "PS256", "ES384", "EdDSA"] {
        forgeries.push(Forgery::header("JW-05", "key", "alg", json!(alg)));
    }
    forgeries.push(Forgery::header("JW-05", "alg", "alg", json!("HS256")));
    forgeries.push(Forgery::new("JW-05", "the public key as a shared secret", "alg", |m| {
        hs256(m.key.public_jwk().to_string().as_bytes(), &json!({ "alg": "HS256", "kid": m.key.id() }), &m.claims)
    }));
    forgeries.push(Forgery::new("JW-06", "no signature", "segments", |m| format!("{}.", m.signed_part())));
    forgeries.push(Forgery::new("JW-06", "one segment", "segments", |m| base64(m.claims.to_string())));
    forgeries.push(Forgery::new("JW-06", "two segments", "segments", Material::signed_part));
    forgeries.push(Forgery::new("JW-06", "four segments", "segments", |m| format!("{}.AA", m.good())));
    forgeries.push(Forgery::new("JW-06", "five segments", "segments", |m| format!("{}.AA.AA", m.good())));
    forgeries.push(Forgery::new("JW-07", "r and s are 0", "signature", |m| m.with_signature(|_| vec![0; 64])));
    forgeries.push(Forgery::new("JW-07", "DER", "signature", |m| m.with_signature(|raw| der(&raw))));
    forgeries
        .push(Forgery::new("JW-07", "a short signature", "signature", |m| m.with_signature(|raw| raw[..63].to_vec())));
    forgeries.push(Forgery::new("JW-07", "a long signature", "signature", |m| {
        m.with_signature(|raw| [&raw[..], &[0]].concat())
    }));
    forgeries.push(Forgery::new("JW-07", "a flipped bit", "signature", |m| {
        m.with_signature(|mut raw| {
            raw[40] ^= 1;
            raw
        })
    }));
    forgeries.push(Forgery::new("JW-07", "a padded signature", "encoding", |m| format!("{}==", m.good())));
    for (name, keeps_kid) in [("jwk", true), ("jwk", false), ("jku", true), ("x5u", true), ("x5c", true)] {
        let check = if keeps_kid { "signature" } else { "key" };
        let what = format!("{name} of the attacker's, {} kid", if keeps_kid { "the right" } else { "their own" });
        forgeries.push(Forgery::new("JW-08", what, check, move |m| {
            let own = TestKey::es256();
            let mut header = m.header.clone();
            header["kid"] = if keeps_kid { m.key.id().into() } else { json!("evil") };
            header[name] = match name {
                "jwk" => own.public_jwk("evil"),
                "x5c" => json!(["MIIB"]),
                _ => json!(format!("{}/{name}", m.attacker)),
            };
            own.sign(&header, &m.claims)
        }));
    }
    let long = json!("k".repeat(10_000));
    for kid in [json!("../../etc/passwd"), json!("' OR 1=1 --"), long, json!(""), json!("\u{0}")] {
        forgeries.push(Forgery::header("JW-09", "key", "kid", kid));
    }
    forgeries.push(Forgery::header("JW-09", "header", "kid", json!(7)));
    forgeries.push(Forgery::header("JW-09", "crit", "crit", json!(["exp"])));
    forgeries.push(Forgery::new("JW-11", "alg twice", "header", |m| {
        let header = m.header.to_string();
        m.sign_text(&format!("{{\"alg\":\"none\",{}", &header[1..]), &m.claims.to_string())
    }));
    forgeries.push(Forgery::new("JW-11", "sub twice", "payload", |m| {
        m.sign_text(&m.header.to_string(), &format!("{{\"sub\":\"eve\",{}", &m.claims.to_string()[1..]))
    }));
    forgeries.push(Forgery::new("JW-19", "NaN", "payload", |m| {
        m.sign_text(&m.header.to_string(), &format!("{{\"x\":NaN,{}", &m.claims.to_string()[1..]))
    }));
    for (what, change) in spellings() {
        forgeries.push(Forgery::new("JW-13", what, "encoding", move |m| change(&m.good())));
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "logout+jwt", "dpop+jwt", "client-authentication+jwt"] {
        forgeries.push(Forgery::header("JW-28", "typ", "typ", json!(typ)));
    }
    forgeries
}

/// Tokens that the provider has signed, and that are no good all the same.
pub fn of_the_claims(issuer: &str, client_id: &str) -> Vec<Forgery> {
    let mut forgeries = others_issuers(issuer);
    forgeries.push(Forgery::missing("JW-15", "iss", "iss"));
    for value in [json!([issuer]), json!(1), json!(null), json!("")] {
        forgeries.push(Forgery::claim("JW-15", "iss", "iss", value));
    }
    forgeries.push(Forgery::missing("JW-16", "aud", "aud"));
    let part = &client_id[..client_id.len() - 1];
    let spaced = format!("{client_id} other");
    for value in [
        json!("other"),
        json!([]),
        json!(part),
        json!(spaced),
        json!(format!(" {client_id}")),
        json!(1),
        json!([client_id, "other"]),
        json!([[client_id]]),
        json!(null),
    ] {
        forgeries.push(Forgery::claim("JW-16", "aud", "aud", value));
    }
    for value in [json!("other"), json!(1), json!(null)] {
        forgeries.push(Forgery::claim("JW-18", "azp", "azp", value));
    }
    forgeries.push(Forgery::missing("JW-19", "exp", "exp"));
    for value in [json!("9999999999"), json!(null), json!(-1), json!(1e300), json!([1])] {
        forgeries.push(Forgery::claim("JW-19", "exp", "exp", value));
    }
    forgeries.push(Forgery::new("JW-19", "exp past the leeway", "exp", |m| m.with_claim("exp", &json!(m.now() - 61))));
    forgeries.push(Forgery::new("JW-21", "nbf ahead", "nbf", |m| m.with_claim("nbf", &json!(m.now() + 90))));
    forgeries.push(Forgery::claim("JW-21", "nbf", "nbf", json!("0")));
    forgeries
}

/// Rightly signed tokens that name another issuer.
pub fn others_issuers(issuer: &str) -> Vec<Forgery> {
    let upper = issuer.to_ascii_uppercase();
    let values = [format!("{issuer}/"), format!("{issuer}.evil"), format!("x{issuer}"), upper, format!("{issuer}:1")];
    let swapped = issuer.replacen("http:", "https:", 1);
    values.into_iter().chain([swapped]).map(|value| Forgery::claim("JW-14", "iss", "iss", json!(value))).collect()
}

/// What is done to a token's text.
type Spelling = (&'static str, fn(&str) -> String);

/// Spellings of a token that decode to the same bytes, or would in a careless decoder.
fn spellings() -> [Spelling; 5] {
    [
        ("padding in the middle", |token| token.replacen('.', "=.", 1)),
        ("a newline", |token| token.replacen('.', ".\n", 1)),
        ("a space", |token| format!("{token} ")),
        ("the other alphabet", |token| {
            let (signed, signature) = token.rsplit_once('.').unwrap();
            format!("{signed}.+/{}", &signature[2..])
        }),
        ("trailing bits", |token| {
            // 64 bytes leave four bits of the last character unused.
            let (head, last) = token.split_at(token.len() - 1);
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let value = alphabet.find(last).unwrap();
            format!("{head}{}", &alphabet[value + 1..=value + 1])
        }),
    ]
}

/// The same signature as a DER sequence of two integers, as other libraries write it.
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |half: &[u8]| {
        let sign: &[u8] = if half[0] >= 0x80 { &[0] } else { &[] };
        [&[2, u8::try_from(half.len() + sign.len()).unwrap()], sign, half].concat()
    };
    let body = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(body.len()).unwrap()], &body[..]].concat()
}
