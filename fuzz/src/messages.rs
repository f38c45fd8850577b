//! Queries, forms, and what a provider answers.

use std::str;

use serde_json::Value;
use url::form_urlencoded;
use vestibule::clock::Timestamp;
use vestibule::gateway::form;
use vestibule::gateway::query::Query;
use vestibule::oidc::authorization_response::{AuthorizationResponse, Outcome};
use vestibule::oidc::provider_metadata::{Endpoints, ProviderMetadata};
use vestibule::oidc::token_error::TokenErrorCode;
use vestibule::oidc::token_response::{self, TokenExpectations};
use vestibule::oidc::userinfo::{UnverifiedUserinfo, primary_verified_email};

const LIMIT: usize = 256 << 10;

/// All values of a parameter, as the most forgiving reader has them.
fn values(text: &str, name: &str) -> Vec<String> {
    form_urlencoded::parse(text.as_bytes())
        .filter(|(known, _)| known == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}

/// A response that is used can be read in one way only.
pub fn authorization_response(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match AuthorizationResponse::parse(text) {
        Ok(response) => {
            assert_eq!(values(text, "state"), [response.state.as_str()]);
            assert!(!response.state.is_empty());
            assert_eq!(values(text, "iss"), Vec::from_iter(response.issuer));
            match response.outcome {
                Outcome::Code(code) => {
                    assert_eq!(values(text, "code"), [code.expose()]);
                    assert!(values(text, "error").is_empty() && !code.is_empty());
                }
                Outcome::Error(_) => {
                    assert_eq!(values(text, "error").len(), 1);
                    assert!(values(text, "code").is_empty());
                }
            }
        }
        // The state of an answer that is not used leads to a link, never to a login.
        Err(unusable) => assert!(unusable.state.is_none_or(|state| values(text, "state") == [state])),
    }
}

/// What may come once has come once, and is what everybody reads.
pub fn query(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    const SINGLE: [&str; 2] = ["rd", "state"];
    let Ok(query) = Query::read(Some(text), &SINGLE) else {
        assert!(SINGLE.iter().any(|name| values(text, name).len() > 1));
        return;
    };
    for name in SINGLE {
        assert_eq!(Vec::from_iter(query.first(&[name])), values(text, name));
    }
    let any = values(text, "other");
    assert_eq!(query.first(&["other"]), any.first().map(String::as_str));
}

/// Fields that are shown again are, when they are sent again, the same fields.
pub fn form(bytes: &[u8]) {
    let Some(fields) = form::decode(bytes) else { return };
    let sent_again = form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    assert_eq!(form::decode(sent_again.as_bytes()), Some(fields));
}

/// Endpoints that are used are called over TLS and nobody else's idea.
pub fn provider_metadata(bytes: &[u8]) {
    const ISSUER: &str = "https://id.example/realm";
    let Ok(metadata) = ProviderMetadata::from_discovery(bytes, LIMIT, ISSUER, &Endpoints::default(), false) else {
        return;
    };
    let document: Value = serde_json::from_slice(bytes).unwrap();
    assert_eq!(document["issuer"], ISSUER);
    let optional = [&metadata.userinfo, &metadata.revocation, &metadata.end_session, &metadata.jwks];
    let all = [&metadata.authorization, &metadata.token].into_iter().chain(optional.into_iter().flatten());
    for url in all {
        assert_eq!(url.scheme(), "https", "{url}");
        assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
        assert!(
            !matches!(url.host_str(), None | Some("169.254.169.254" | "127.0.0.1" | "[::1]" | "localhost")),
            "{url}"
        );
    }
    assert!(metadata.jwks.is_some());
    // Read again and held against itself nothing changes.
    let again = ProviderMetadata::from_discovery(bytes, LIMIT, ISSUER, &Endpoints::default(), false).unwrap();
    assert_eq!(again.pinned_to(&metadata), (metadata, Vec::new()));
}

/// An access token that is used can stand in a header; nothing an error says is more than its code.
pub fn token_response(bytes: &[u8]) {
    let scopes = ["openid".to_owned()];
    let now = Timestamp::from_seconds(1_800_000_000);
    for id_token_required in [true, false] {
        let expectations = TokenExpectations { id_token_required, scopes: &scopes, now };
        let Ok(tokens) = token_response::parse(bytes, LIMIT, &expectations) else { continue };
        let token = tokens.access_token.expose();
        assert!(!token.is_empty() && token.len() <= 16 << 10 && token.bytes().all(|byte| byte.is_ascii_graphic()));
        assert!(!id_token_required || tokens.id_token.is_some());
        let document: Value = serde_json::from_slice(bytes).unwrap();
        assert_eq!(document["access_token"], token);
        assert!(document["token_type"].as_str().unwrap().eq_ignore_ascii_case("bearer"));
        assert!(document.get("error").is_none());
    }
    let _code = TokenErrorCode::parse(bytes, LIMIT);
}

/// An answer that is used is about the person it was asked about.
pub fn userinfo(bytes: &[u8]) {
    if let Ok(userinfo) = UnverifiedUserinfo::from_json(bytes, LIMIT) {
        let other = userinfo.is_about_another_than("alice");
        if let Ok(userinfo) = userinfo.about("alice") {
            assert!(!other && userinfo.members()["sub"] == "alice");
        }
    }
    if let Ok(Some(address)) = primary_verified_email(bytes, LIMIT) {
        let document: Value = serde_json::from_slice(bytes).unwrap();
        let is_it = |one: &Value| one["email"] == address && one["primary"] == true && one["verified"] == true;
        assert!(document.as_array().unwrap().iter().any(is_it));
    }
}
