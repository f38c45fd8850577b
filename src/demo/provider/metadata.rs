//! What the provider says about itself (OpenID Connect Discovery §3, RFC 8414 §2).

use serde_json::{Value, json};

pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(super) const AUTHORIZATION: &str = "/authorize";
pub(super) const LOGIN: &str = "/login";
pub(super) const TOKEN: &str = "/token";
pub(super) const KEYS: &str = "/jwks";
pub(super) const USERINFO: &str = "/userinfo";
pub(super) const REVOCATION: &str = "/revoke";
pub(super) const END_SESSION: &str = "/end_session";

/// The scopes that bring claims or tokens of their own; any other is granted as asked.
pub(super) const SCOPES: [&str; 5] = ["openid", "profile", "email", "groups", "offline_access"];

pub(super) fn document(issuer: &str) -> Value {
    let at = |path: &str| format!("{issuer}{path}");
    json!({
        "issuer": issuer,
        "authorization_endpoint": at(AUTHORIZATION),
        "token_endpoint": at(TOKEN),
        "jwks_uri": at(KEYS),
        "userinfo_endpoint": at(USERINFO),
        "revocation_endpoint": at(REVOCATION),
        "end_session_endpoint": at(END_SESSION),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post", "none"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claims_supported": [
            "sub", "name", "preferred_username", "email", "email_verified", "groups", "auth_time", "acr", "sid"
        ],
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_lies_under_the_issuer() {
        let document = document("http://127.0.0.1:9000");
        for (name, value) in document.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                assert!(value.as_str().unwrap().starts_with("http://127.0.0.1:9000/"), "{name}");
            }
        }
    }
}
