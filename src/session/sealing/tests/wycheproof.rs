//! What Project Wycheproof has thought of against AES-GCM and HKDF.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::*;

/// Gives each test its number, whether it is right, and its bytes; returns how many there were.
fn each(file: &str, mut look: impl FnMut(&Value, bool, &[Vec<u8>])) -> usize {
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let tests = lines.map(|line| serde_json::from_str::<Vec<Value>>(line).unwrap());
    tests.fold(0, |count, test| {
        let bytes: Vec<_> =
            test[2..].iter().map(|part| URL_SAFE_NO_PAD.decode(part.as_str().unwrap()).unwrap()).collect();
        look(&test[0], test[1] == "valid", &bytes);
        count + 1
    })
}

#[test]
fn cr_12_aes_256_gcm_opens_what_wycheproof_calls_right_and_nothing_else() {
    let count = each(include_str!("../../../../tests/wycheproof/aes-256-gcm.jsonl"), |number, right, bytes| {
        let [key, nonce, associated, message, sealed] = bytes else { panic!("test {number}") };
        let parts = || MessageKey { key: key[..].try_into().unwrap(), nonce: nonce[..].try_into().unwrap() };
        let opened = parts().open(associated, sealed).map(|opened| opened.to_vec());
        assert_eq!(opened, if right { Ok(message.clone()) } else { Err(NotAuthentic) }, "test {number}");
        let again = parts().seal(associated, Zeroizing::new(message.clone()));
        assert_eq!(again == *sealed, right, "test {number}");
    });
    assert_eq!(count, 66);
}

#[test]
fn cr_12_hkdf_gives_what_wycheproof_gives() {
    let count = each(include_str!("../../../../tests/wycheproof/hkdf-sha-256.jsonl"), |number, _, bytes| {
        let [input_key, salt, info, output] = bytes else { panic!("test {number}") };
        let whole = expand::<64>(input_key, Some(salt), info);
        assert_eq!(&whole[..output.len()], output, "test {number}");
    });
    assert_eq!(count, 83);
}
