use super::*;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};

fn root(byte: u8) -> SealingKey {
    SealingKey::new([byte; 32])
}

/// The order of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3).
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa,
    0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn one_root_gives_one_key_and_another_root_another() {
    for algorithm in SigningAlgorithm::ALL {
        let key = SigningKey::derive(&root(1), algorithm).unwrap();
        assert_eq!(key.public_jwk(), SigningKey::derive(&root(1), algorithm).unwrap().public_jwk());
        assert_ne!(key.kid(), SigningKey::derive(&root(2), algorithm).unwrap().kid());
        assert_eq!(key.algorithm(), algorithm);
    }
}

#[test]
fn the_keys_are_those_of_the_fixed_vectors() {
    let kids = SigningAlgorithm::ALL.map(|algorithm| SigningKey::derive(&root(1), algorithm).unwrap().kid);
    // As Node's crypto computes them from the same HKDF.
    assert_eq!(kids, ["ZE_Mo73LvEhuDMojCxhw0UnTo5uvPQvG2ozI_87sfvs", "zy5aGjAJSCLye403_lg1PhZi_1Igy2wuxkHjhVXkdX4"]);
}

#[test]
fn the_thumbprint_is_that_of_rfc_8037() {
    // RFC 8037 A.1 to A.3.
    let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").unwrap();
    let pair = Pair::Ed25519(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap());
    assert_eq!(coordinates(&pair).0, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
    assert_eq!(thumbprint(&pair), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn a_scalar_that_is_no_key_is_passed_over() {
    let one_below = {
        let mut bytes = ORDER;
        bytes[31] -= 1;
        bytes
    };
    let candidates = [[0; 32], ORDER, [0xff; 32], one_below];
    let pair = p256(|attempt| Ok(Zeroizing::new(candidates[usize::from(attempt)]))).unwrap();
    let expected = p256(|_| Ok(Zeroizing::new(one_below))).unwrap();
    assert_eq!(pair.public_key().as_ref(), expected.public_key().as_ref());
    assert!(p256(|_| Ok(Zeroizing::new(ORDER))).is_err());
}

#[test]
fn what_is_signed_verifies_under_the_public_key_alone() {
    for algorithm in SigningAlgorithm::ALL {
        let key = SigningKey::derive(&root(1), algorithm).unwrap();
        let token = key.sign(&key.header("t+jwt"), &json!({ "sub": "s-1" })).unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let (header, claims) = signed.split_once('.').unwrap();
        let read = |part| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(read(header), json!({ "typ": "t+jwt", "alg": algorithm.as_str(), "kid": key.kid() }));
        assert_eq!(read(claims), json!({ "sub": "s-1" }));
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
        let verify = |message: &str| match &key.pair {
            Pair::Ed25519(pair) => {
                UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref()).verify(message.as_bytes(), &signature)
            }
            Pair::P256(pair) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())
                .verify(message.as_bytes(), &signature),
        };
        assert!(verify(signed).is_ok());
        assert!(verify(&signed.replace('.', ".A")).is_err());
    }
}

#[test]
fn nothing_private_is_published_or_shown() {
    let keys = SigningAlgorithm::ALL.map(|algorithm| SigningKey::derive(&root(1), algorithm).unwrap());
    let set: Value = serde_json::from_str(&jwk_set(&keys)).unwrap();
    for (jwk, key) in set["keys"].as_array().unwrap().iter().zip(&keys) {
        let mut members: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        members.retain(|name| *name != "y");
        members.sort_unstable();
        assert_eq!(members, ["alg", "crv", "kid", "kty", "use", "x"]);
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ kid: {:?}, .. }}", key.kid()));
    }
    assert_eq!(jwk_set(&[]), r#"{"keys":[]}"#);
}
