//! Signatures that Project Wycheproof has thought of: edge cases that are right, and forgeries that careless code takes.

use super::*;

/// Judges each signature of a file by the key that stands before it, and returns how many were right and how many wrong.
fn judge(algorithm: Algorithm, file: &str) -> (usize, usize) {
    let (mut right, mut wrong) = (0, 0);
    let mut keys = None;
    for line in file.lines().filter(|line| !line.starts_with('#')) {
        match serde_json::from_str(line).unwrap() {
            Value::Array(test) => {
                let bytes = |at: usize| decode(test[at].as_str().unwrap()).unwrap();
                let keys: &JwkSet = keys.as_ref().unwrap();
                let candidates = keys.candidates(None, algorithm);
                assert_eq!(candidates.len(), 1, "{algorithm:?}: the key before test {}", test[0]);
                let signed = algorithm.is_signed_by_one_of(&candidates, &bytes(2), &bytes(3));
                assert_eq!(signed, test[1] == "valid", "{algorithm:?}: test {}", test[0]);
                *(if signed { &mut right } else { &mut wrong }) += 1;
            }
            key => keys = Some(JwkSet::parse(json!({ "keys": [key] }).to_string().as_bytes(), 10_000).unwrap()),
        }
    }
    (right, wrong)
}

#[test]
fn cr_12_signatures_are_judged_as_wycheproof_judges_them() {
    let counted = [
        judge(Algorithm::Es256, include_str!("../../../../tests/wycheproof/es256.jsonl")),
        judge(Algorithm::Es384, include_str!("../../../../tests/wycheproof/es384.jsonl")),
        judge(Algorithm::EdDsa, include_str!("../../../../tests/wycheproof/ed25519.jsonl")),
        judge(Algorithm::Ps256, include_str!("../../../../tests/wycheproof/ps256.jsonl")),
        judge(Algorithm::Rs256, include_str!("../../../../tests/wycheproof/rs256.jsonl")),
    ];
    assert_eq!(counted, [(173, 89), (193, 87), (88, 63), (63, 45), (9, 249)]);
}
