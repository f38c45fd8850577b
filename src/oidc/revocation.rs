//! Token revocation (RFC 7009).

use crate::oidc::client_authentication::{AuthenticatedForm, ClientAuthentication};
use crate::oidc::token_response::Tokens;

/// The request that revokes a grant: by its refresh token, which ends the access tokens with it (RFC 7009 §2.1), else
/// by the access token.
#[must_use]
pub fn request(authentication: &ClientAuthentication, client_id: &str, tokens: &Tokens) -> AuthenticatedForm {
    let (token, hint) = match &tokens.refresh_token {
        Some(refresh_token) => (refresh_token.expose(), "refresh_token"),
        None => (tokens.access_token.expose(), "access_token"),
    };
    authentication.complete(client_id, &[("token", token), ("token_type_hint", hint)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{AccessToken, RefreshToken};

    #[test]
    fn the_refresh_token_goes_first() {
        let mut tokens = Tokens {
            access_token: AccessToken::new("at".into()),
            access_expires: None,
            refresh_token: Some(RefreshToken::new("rt".into())),
            id_token: None,
            scopes: Vec::new(),
        };
        let body = |tokens: &Tokens| request(&ClientAuthentication::None, "app", tokens).body.to_string();
        assert_eq!(body(&tokens), "token=rt&token_type_hint=refresh_token&client_id=app");
        tokens.refresh_token = None;
        assert_eq!(body(&tokens), "token=at&token_type_hint=access_token&client_id=app");
    }
}
