//! An identity assertion's token: its claims written and signed, with each algorithm.

use std::hint::black_box;

use serde_json::json;
use vestibule::secret::SealingKey;
use vestibule::signing_key::{SigningAlgorithm, SigningKey};
use vestibule::upstream::identity_assertion::TYPE;

use crate::measure::{Spread, cpu_nanoseconds};

const TOKENS: usize = 2_000;

pub fn report() {
    println!("\n| a signed token | CPU µs |\n|---|---|");
    for algorithm in SigningAlgorithm::ALL {
        let key = SigningKey::derive(&SealingKey::new([1; 32]), algorithm).unwrap();
        println!("| {} | {} |", algorithm.as_str(), Spread::of((0..9).map(|_| tokens(&key))));
    }
}

fn tokens(key: &SigningKey) -> f64 {
    let header = key.header(TYPE);
    let claims = json!({
        "iss": "https://wiki.example.com", "aud": "wiki", "sub": "s-1", "iat": 1, "exp": 61,
        "jti": "AAECAwQFBgcICQoLDA0ODw", "email": "alice@example.com",
    });
    let before = cpu_nanoseconds(std::process::id());
    for _ in 0..TOKENS {
        black_box(key.sign(&header, &claims).unwrap());
    }
    (cpu_nanoseconds(std::process::id()) - before) as f64 / 1000.0 / TOKENS as f64
}
