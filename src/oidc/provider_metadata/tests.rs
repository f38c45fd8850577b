use super::*;
use serde_json::json;

const ISSUER: &str = "https://id.example/realms/corp";

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": "https://id.example/auth",
        "token_endpoint": "https://token.example/token",
        "userinfo_endpoint": "https://api.example/userinfo",
        "end_session_endpoint": "https://id.example/logout",
        "jwks_uri": "https://keys.example/jwks",
        "code_challenge_methods_supported": ["plain", "S256"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut document = document();
    document[name] = value;
    document
}

fn read(document: &Value) -> Result<ProviderMetadata, MetadataError> {
    let by_hand = Endpoints::default();
    ProviderMetadata::from_discovery(document.to_string().as_bytes(), 256 * 1024, ISSUER, &by_hand, false)
}

#[test]
fn a_document_with_several_public_hosts_is_read() {
    let metadata = read(&document()).unwrap();
    assert_eq!(metadata.token.as_str(), "https://token.example/token");
    assert_eq!(metadata.jwks.unwrap().as_str(), "https://keys.example/jwks");
    assert!(metadata.sends_iss && metadata.announces_s256 && metadata.revocation.is_none());
}

#[test]
fn the_issuer_must_be_the_configured_one_byte_for_byte() {
    for other in [
        json!("https://id.example/realms/corp/"),
        json!("https://ID.example/realms/corp"),
        json!("https://id.example/realms/other"),
        json!(null),
        json!([ISSUER]),
    ] {
        assert_eq!(read(&with("issuer", other)), Err(MetadataError::Issuer));
    }
}

#[test]
fn di_02_and_di_03_one_bad_endpoint_refuses_the_document() {
    for name in ["authorization_endpoint", "token_endpoint", "userinfo_endpoint", "end_session_endpoint", "jwks_uri"] {
        for url in ["http://id.example/", "https://u@id.example/", "https://169.254.169.254/", "https://127.0.0.1/"] {
            assert!(matches!(read(&with(name, json!(url))), Err(MetadataError::Endpoint { .. })), "{name} {url}");
        }
        assert_eq!(read(&with(name, json!(1))), Err(MetadataError::MemberType(name)));
    }
    for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
        assert_eq!(read(&with(name, Value::Null)), Err(MetadataError::EndpointMissing(name)));
    }
}

#[test]
fn co_05_pkce_without_s256_is_refused_and_no_list_is_fine() {
    for list in [json!(["plain"]), json!(["s256"]), json!([256])] {
        assert_eq!(read(&with("code_challenge_methods_supported", list)), Err(MetadataError::NoS256));
    }
    for list in [json!(null), json!([])] {
        assert!(!read(&with("code_challenge_methods_supported", list)).unwrap().announces_s256);
    }
}

#[test]
fn di_09_required_pushed_requests_are_named_in_the_error() {
    let error = read(&with("require_pushed_authorization_requests", json!(true))).unwrap_err();
    assert!(error.to_string().contains("require_pushed_authorization_requests"));
    assert!(read(&with("require_pushed_authorization_requests", json!(false))).is_ok());
}

#[test]
fn di_06_a_later_document_cannot_move_an_endpoint_to_a_new_host() {
    let first = read(&document()).unwrap();
    let mut later = with("token_endpoint", json!("https://evil.example/token"));
    later["jwks_uri"] = json!("https://keys.example:8443/jwks");
    later["revocation_endpoint"] = json!("https://evil.example/revoke");
    later["userinfo_endpoint"] = json!("https://id.example/userinfo");
    let (pinned, kept) = read(&later).unwrap().pinned_to(&first);
    assert_eq!((&pinned.token, &pinned.jwks, &pinned.revocation), (&first.token, &first.jwks, &None));
    assert_eq!(pinned.userinfo.as_ref().unwrap().as_str(), "https://id.example/userinfo");
    let names = ["token_endpoint", "revocation_endpoint", "jwks_uri"];
    assert_eq!(kept, names.map(Pinned::Endpoint));
    // The pins are those of the first document, however many follow.
    let (again, _) = read(&with("token_endpoint", json!("https://evil.example/x"))).unwrap().pinned_to(&pinned);
    assert_eq!(again.token, first.token);
    let (back, kept) = read(&document()).unwrap().pinned_to(&again);
    assert_eq!((back, kept), (first, vec![]));
}

#[test]
fn di_08_protections_that_are_not_announced_any_more_are_still_relied_on() {
    let first = read(&document()).unwrap();
    let mut later = with("authorization_response_iss_parameter_supported", json!(false));
    later["code_challenge_methods_supported"] = Value::Null;
    let (pinned, kept) = read(&later).unwrap().pinned_to(&first);
    assert!(pinned.sends_iss && pinned.announces_s256);
    assert_eq!(kept, [Pinned::Capability("iss"), Pinned::Capability("s256")]);
}

#[test]
fn endpoints_by_hand_win_and_a_plain_oauth_server_needs_three() {
    let url = |text: &str| Some(Url::parse(text).unwrap());
    let mut by_hand = Endpoints { token: url("https://10.0.0.1/token"), ..Endpoints::default() };
    let text = document().to_string();
    let read = ProviderMetadata::from_discovery(text.as_bytes(), 1 << 18, ISSUER, &by_hand, false).unwrap();
    assert_eq!(read.token.as_str(), "https://10.0.0.1/token");
    assert!(ProviderMetadata::by_hand(&by_hand, false).is_err());
    by_hand.authorization = url("https://github.com/login/oauth/authorize");
    by_hand.userinfo = url("https://api.github.com/user");
    assert!(ProviderMetadata::by_hand(&by_hand, false).is_ok());
    by_hand.email = url("http://api.github.com/user/emails");
    assert_eq!(ProviderMetadata::by_hand(&by_hand, false).unwrap_err().reason(), "endpoint-not-https");
}

#[test]
fn the_document_of_an_issuer_has_one_place() {
    let url = |issuer| discovery_url(issuer, false).map(String::from);
    let expected = "https://id.example/realms/corp/.well-known/openid-configuration";
    assert_eq!(url(ISSUER).unwrap(), expected);
    assert_eq!(url("https://id.example/realms/corp/").unwrap(), expected);
    for bad in ["http://id.example", "https://id.example?x", "https://id.example#x", "https://a@b", "id.example", ""] {
        assert_eq!(url(bad), Err(MetadataError::IssuerUrl), "{bad}");
    }
}

#[test]
fn what_is_no_document_is_refused() {
    for text in ["", "[]", "<html>", r#"{"issuer":"a","issuer":"b"}"#] {
        let read = ProviderMetadata::from_discovery(text.as_bytes(), 1000, ISSUER, &Endpoints::default(), false);
        assert!(matches!(read, Err(MetadataError::Json(_))), "{text}");
    }
}
