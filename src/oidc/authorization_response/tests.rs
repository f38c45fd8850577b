use super::*;

fn reason(query: &str) -> ResponseError {
    AuthorizationResponse::parse(query).expect_err(query).reason
}

#[test]
fn a_code_comes_with_its_state_and_issuer() {
    let response = AuthorizationResponse::parse("code=a%2Bb+c&state=s&iss=https%3A%2F%2Fid.example&x=1").unwrap();
    assert_eq!((response.state.as_str(), response.issuer.as_deref()), ("s", Some("https://id.example")));
    let Outcome::Code(code) = response.outcome else { panic!("no code") };
    assert_eq!(code.expose(), "a+b c");
}

#[test]
fn an_error_is_one_of_a_closed_list_and_its_description_is_gone() {
    let response = AuthorizationResponse::parse("error=access_denied&error_description=%3Cb%3E&state=s").unwrap();
    assert!(matches!(response.outcome, Outcome::Error(AuthorizationErrorCode::AccessDenied)));
    assert!(!format!("{response:?}").contains('<'));
    let response = AuthorizationResponse::parse("error=%0Aforged+line&state=s").unwrap();
    let Outcome::Error(code) = response.outcome else { panic!("no error") };
    assert_eq!((code, code.as_str()), (AuthorizationErrorCode::Other, "other"));
    for (name, code) in AuthorizationErrorCode::KNOWN {
        assert_eq!((AuthorizationErrorCode::parse(name), code.as_str()), (code, name));
    }
}

#[test]
fn cb_02_a_code_without_state_is_refused() {
    for query in ["code=a", "code=a&state=", "code=a&State=s"] {
        assert_eq!(reason(query), ResponseError::StateMissing, "{query}");
    }
}

#[test]
fn cb_03_a_state_alone_is_refused_and_still_names_the_attempt() {
    for query in ["state=s", "state=s&code="] {
        let refused = AuthorizationResponse::parse(query).unwrap_err();
        assert_eq!((refused.reason, refused.state.as_deref()), (ResponseError::CodeMissing, Some("s")), "{query}");
    }
}

#[test]
fn cb_04_a_code_together_with_an_error_is_ambiguous() {
    for query in ["code=a&error=access_denied&state=s", "error=&code=a&state=s"] {
        assert_eq!(reason(query), ResponseError::Ambiguous, "{query}");
    }
}

#[test]
fn cb_05_nothing_may_occur_twice() {
    for query in [
        "code=a&code=a&state=s",
        "code=a&code=b&state=s",
        "code=a&state=s&state=t",
        "code=a&state=s&iss=x&iss=x",
        "error=a&error=b&state=s",
        "code=a&co%64e=b&state=s",
        "code=a&state=s&error_description=x&error_description=y",
    ] {
        assert_eq!(reason(query), ResponseError::DuplicateParameter, "{query}");
    }
    assert_eq!(AuthorizationResponse::parse("code=a&state=s&state=t").unwrap_err().state, None);
}

#[test]
fn cb_10_and_cb_12_a_missing_issuer_counts_when_it_was_announced() {
    assert_eq!(check_issuer(None, "https://id.example", true), Err(IssuerMismatch::Missing));
    assert_eq!(check_issuer(None, "https://id.example", false), Ok(()));
    assert_eq!(check_issuer(Some("https://id.example"), "https://id.example", false), Ok(()));
}

#[test]
fn cb_11_issuers_are_compared_as_plain_strings() {
    for other in [
        "https://evil.example",
        "https://ID.example",
        "https://id.example/",
        "https://id.example:443",
        "https%3A%2F%2Fid.example",
        "http://id.example",
        " https://id.example",
        "",
    ] {
        for advertised in [true, false] {
            let checked = check_issuer(Some(other), "https://id.example", advertised);
            assert_eq!(checked, Err(IssuerMismatch::Mismatch), "{other}");
        }
    }
}

#[test]
fn cb_16_and_cb_17_tokens_and_signed_responses_are_not_expected() {
    for query in ["access_token=a&state=s", "code=a&state=s&id_token=x", "response=a.b.c", "code=a&state=s&response="] {
        assert_eq!(reason(query), ResponseError::UnexpectedResponse, "{query}");
    }
}

#[test]
fn cb_22_the_length_and_the_number_of_parameters_are_bounded() {
    assert_eq!(reason(&format!("code=a&state={}", "s".repeat(64 * 1024))), ResponseError::TooLong);
    let many: Vec<String> = (0..31).map(|number| format!("x{number}=1")).collect();
    assert!(AuthorizationResponse::parse(&format!("code=a&{}", many.join("&"))).is_err());
    assert_eq!(reason(&format!("code=a&state=s&{}", many.join("&"))), ResponseError::TooLong);
    assert!(AuthorizationResponse::parse(&format!("code=a&state=s&{}", many[1..].join("&"))).is_ok());
}

#[test]
fn cb_23_broken_queries_are_refused() {
    for query in ["", "&", "&&=&", "=", "state", "==", "&=&="] {
        assert!(AuthorizationResponse::parse(query).is_err(), "{query}");
    }
    for query in ["%", "code=%zz", "code=a&state=%", "code=a&state=s%4", "code=%+1&state=s", "code=%ff&state=s"] {
        assert_eq!(reason(query), ResponseError::Malformed, "{query}");
    }
}

#[test]
fn co_04_a_code_over_two_kibibytes_is_refused() {
    let long = format!("state=s&code={}", "c".repeat(2049));
    assert_eq!(reason(&long), ResponseError::CodeTooLong);
    assert!(AuthorizationResponse::parse(&format!("state=s&code={}", "c".repeat(2048))).is_ok());
}

#[test]
fn co_04_a_code_is_of_printable_ascii() {
    for code in ["a%0D%0Ab", "a%00", "%09", "%1F", "%7F", "%C2%80", "%C3%A9", "%E2%80%A8", "%F0%9F%94%91"] {
        let refused = AuthorizationResponse::parse(&format!("state=s&code={code}")).unwrap_err();
        assert_eq!((refused.reason, refused.state.as_deref()), (ResponseError::Malformed, Some("s")), "{code}");
    }
    for code in ["%20", "+", "~", "%7E", "a%26b%3Dc%25"] {
        assert!(AuthorizationResponse::parse(&format!("state=s&code={code}")).is_ok(), "{code}");
    }
}

proptest::proptest! {
    #[test]
    fn cb_23_no_query_panics_and_what_is_read_is_what_was_written(
        noise in "[a-z&=%+;#]{0,40}",
        code in "[ -~]{1,40}",
        state in "[A-Za-z0-9_-]{1,40}",
    ) {
        let _ = AuthorizationResponse::parse(&noise).is_ok();
        let written = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &state)
            .finish();
        let response = AuthorizationResponse::parse(&written).unwrap();
        proptest::prop_assert_eq!(response.state, state);
        let Outcome::Code(read) = response.outcome else { panic!("no code") };
        proptest::prop_assert_eq!(read.expose(), code);
    }
}
