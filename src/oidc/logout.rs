//! RP-initiated logout (OpenID Connect RP-Initiated Logout 1.0 §2).

use url::Url;

use crate::oidc::authorization_request::with_parameters;
use crate::secret::RawIdToken;

/// Where the browser is sent to end the provider's own session.
///
/// The ID token in the URL is spent as a hint only; without it many providers ask the person to confirm.
#[must_use]
pub fn end_session_url(
    endpoint: &Url,
    client_id: &str,
    id_token_hint: Option<&RawIdToken>,
    post_logout_redirect_uri: &str,
    state: Option<&str>,
) -> String {
    let mut parameters = vec![("client_id", client_id)];
    if let Some(hint) = id_token_hint {
        parameters.push(("id_token_hint", hint.expose()));
    }
    parameters.push(("post_logout_redirect_uri", post_logout_redirect_uri));
    if let Some(state) = state {
        parameters.push(("state", state));
    }
    with_parameters(endpoint, &parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_names_the_client_the_hint_and_the_way_back() {
        let endpoint = Url::parse("https://id.example/logout?tenant=1").unwrap();
        let hint = RawIdToken::new("a.b.c".into());
        assert_eq!(
            end_session_url(&endpoint, "app", Some(&hint), "https://gw.example/oauth2/signed_out", Some("s")),
            "https://id.example/logout?tenant=1&client_id=app&id_token_hint=a.b.c\
             &post_logout_redirect_uri=https%3A%2F%2Fgw.example%2Foauth2%2Fsigned_out&state=s"
        );
        let bare = end_session_url(&endpoint, "app", None, "https://gw.example/", None);
        assert!(!bare.contains("hint") && !bare.contains("state"), "{bare}");
    }
}
