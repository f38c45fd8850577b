use super::*;
use crate::oidc::test_keys::{P256, ec_jwk, encode, public_keys, sign, token, token_signed_by};
use serde_json::json;

mod wycheproof;

fn keys() -> JwkSet {
    JwkSet::parse(public_keys().to_string().as_bytes(), 256 * 1024).unwrap()
}

fn check(token: &str) -> Result<VerifiedPayload, JwsError> {
    UnverifiedJws::parse(token)?.verify(&keys())
}

fn refusal(token: &str) -> JwsError {
    check(token).expect_err(token)
}

/// An ES256 token whose header is this.
fn with_header(header: &str) -> String {
    token_signed_by("ES256", header, "{}")
}

#[test]
fn every_accepted_algorithm_verifies() {
    for (algorithm, kid) in
        [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "p256"), ("ES384", "p384"), ("EdDSA", "ed"), ("Ed25519", "ed")]
    {
        let header = json!({"alg": algorithm, "kid": kid}).to_string();
        let payload = check(&token_signed_by(algorithm, &header, r#"{"a":1}"#)).unwrap();
        assert_eq!(payload.as_bytes(), br#"{"a":1}"#, "{algorithm}");
    }
}

#[test]
fn jw_01_alg_none_and_its_spellings_are_rejected() {
    for alg in [r#""none""#, r#""None""#, r#""nOnE""#, r#""""#, "[\"ES256\"]", "7", "null", r#""HS256""#, r#""es256""#]
    {
        assert_eq!(refusal(&with_header(&format!(r#"{{"alg":{alg},"kid":"p256"}}"#))), JwsError::Algorithm, "{alg}");
    }
    assert_eq!(refusal(&with_header(r#"{"kid":"p256"}"#)), JwsError::Algorithm);
}

#[test]
fn jw_05_type_and_algorithm_must_fit_the_key() {
    for (alg, kid) in [("ES256", "rsa"), ("RS256", "p256"), ("ES384", "p256"), ("EdDSA", "p384"), ("ES256", "ed")] {
        let header = json!({"alg": alg, "kid": kid}).to_string();
        assert_eq!(refusal(&token_signed_by(alg, &header, "{}")), JwsError::KeyUnknown, "{alg} {kid}");
    }
}

#[test]
fn jw_06_other_than_three_segments_are_rejected() {
    let good = token(&json!({}));
    let (stripped, _) = good.rsplit_once('.').unwrap();
    for bad in
        [stripped.into(), format!("{stripped}."), format!("{good}.x"), format!("{good}.."), "a".into(), "".into()]
    {
        assert_eq!(refusal(&bad), JwsError::Segments, "{bad}");
    }
    assert_eq!(refusal(".."), JwsError::Segments);
}

#[test]
fn jw_07_malformed_signatures_are_rejected() {
    let good = token(&json!({}));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let raw = decode(signature).unwrap();
    let der = [&[0x30, 0x44, 0x02, 0x20][..], &raw[..32], &[0x02, 0x20], &raw[32..]].concat();
    let mut changed = raw.clone();
    changed[0] ^= 1;
    let swapped = [&raw[32..], &raw[..32]].concat();
    for bad in [vec![0; 64], der, raw[..63].to_vec(), [&raw[..], &[0]].concat(), changed, swapped, vec![0xff; 64]] {
        assert_eq!(refusal(&format!("{input}.{}", encode(&bad))), JwsError::Signature);
    }
    assert!(check(&good).is_ok());
    let header = r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#;
    let other_payload = format!("{}.{}.{signature}", encode(header), encode(r#"{"sub":"x"}"#));
    assert_eq!(refusal(&other_payload), JwsError::Signature);
    // A valid signature of another algorithm's is none.
    let input = format!("{}.{}", encode(r#"{"alg":"PS256","kid":"rsa"}"#), encode("{}"));
    let pkcs1 = sign("RS256", input.as_bytes());
    assert_eq!(refusal(&format!("{input}.{}", encode(pkcs1))), JwsError::Signature);
}

#[test]
fn jw_08_keys_in_the_header_are_not_looked_at() {
    let own = ec_jwk(&P256, "P-256", "evil");
    for header in [
        json!({"alg": "ES256", "kid": "evil", "jwk": own}),
        json!({"alg": "ES256", "kid": "evil", "jku": "https://evil.example/keys"}),
        json!({"alg": "ES256", "kid": "evil", "x5u": "https://evil.example/cert", "x5c": ["AAAA"]}),
    ] {
        assert_eq!(refusal(&with_header(&header.to_string())), JwsError::KeyUnknown, "{header}");
    }
}

#[test]
fn jw_09_a_hostile_key_identifier_matches_nothing() {
    for kid in ["../../p256", "p256' OR '1'='1", "", &"k".repeat(10 * 1024)] {
        let header = json!({"alg": "ES256", "kid": kid}).to_string();
        let token = with_header(&header);
        let jws = UnverifiedJws::parse(&token).unwrap();
        let error = jws.verify(&keys()).unwrap_err();
        assert_eq!(error, JwsError::KeyUnknown);
        assert!(jws.may_need_newer_keys(error));
    }
    assert_eq!(refusal(&with_header(r#"{"alg":"ES256","kid":7}"#)), JwsError::Header);
}

#[test]
fn jw_11_duplicate_header_members_are_rejected() {
    assert_eq!(refusal(&with_header(r#"{"alg":"ES256","alg":"none","kid":"p256"}"#)), JwsError::Header);
    for header in ["[]", "x", "\"ES256\"", ""] {
        assert!(UnverifiedJws::parse(&with_header(header)).is_err(), "{header}");
    }
}

#[test]
fn jw_13_only_canonical_base64url_is_read() {
    let good = token(&json!({}));
    let (input, signature) = good.rsplit_once('.').unwrap();
    // The last character of 64 bytes carries four unused bits; any of them set is another spelling.
    let (rest, last) = signature.split_at(signature.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let next = alphabet.chars().nth(alphabet.find(last).unwrap() + 1).unwrap();
    for bad in [
        format!("{input}.{signature}=="),
        format!("{input}.{rest}{next}"),
        format!("{input}.{signature}\n"),
        format!("{input}.{rest}+"),
        format!("{input}.{rest}/"),
        format!(" {good}"),
        good.replacen('.', "=.", 1),
    ] {
        assert_eq!(refusal(&bad), JwsError::Encoding, "{bad}");
    }
}

#[test]
fn critical_extensions_are_rejected() {
    for header in [r#"{"alg":"ES256","kid":"p256","crit":["exp"]}"#, r#"{"alg":"ES256","b64":false}"#] {
        assert_eq!(refusal(&with_header(header)), JwsError::Critical);
    }
}

#[test]
fn the_length_is_bounded() {
    assert_eq!(refusal(&"a".repeat(MAX_LENGTH + 1)), JwsError::Size);
}

#[test]
fn cr_12_the_examples_of_the_standards_verify() {
    let verify = |key: serde_json::Value, token: &str| {
        let keys = JwkSet::parse(json!({"keys": [key]}).to_string().as_bytes(), 10_000).unwrap();
        UnverifiedJws::parse(token).unwrap().verify(&keys).map(|payload| payload.as_bytes().to_vec())
    };
    const JOE: &str = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    const JOE_ENCODED: &str =
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    // RFC 7515, appendix A.2
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ\
             S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2\
             R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD\
             TW9gb54h4FRWyuXpoQ";
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJ\
                     dbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN\
                     9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXL\
                     IhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    let rs256 =
        verify(json!({"kty": "RSA", "n": n, "e": "AQAB"}), &format!("eyJhbGciOiJSUzI1NiJ9.{JOE_ENCODED}.{signature}"));
    assert_eq!(rs256, Ok(JOE.into()));
    // RFC 7515, appendix A.3
    let es256 = verify(
        json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
            "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}),
        &format!(
            "eyJhbGciOiJFUzI1NiJ9.{JOE_ENCODED}.\
             DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        ),
    );
    assert_eq!(es256, Ok(JOE.into()));
    // RFC 8037, appendix A.4
    let ed25519 = verify(
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}),
        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
         hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    assert_eq!(ed25519, Ok(b"Example of Ed25519 signing".to_vec()));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "[A-Za-z0-9_.=-]{0,60}", other in proptest::prelude::any::<String>()) {
        let _ = (UnverifiedJws::parse(&text).is_ok(), UnverifiedJws::parse(&other).is_ok());
    }
}

#[test]
fn a_token_does_not_show_itself() {
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let parts = [encode(r#"{"alg":"ES256","kid":"k"}"#), encode(r#"{"sub":"alice"}"#), encode(&"s".repeat(64))];
    let token = parts.join(".");
    let shown = format!("{:?}", UnverifiedJws::parse(&token).unwrap());
    assert!(parts.iter().all(|part| !shown.contains(part)) && !shown.contains("alice"), "{shown}");
    assert!(shown.contains("Es256"));
}
