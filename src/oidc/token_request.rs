//! Token requests (RFC 6749 §4.1.3 and §6).

use crate::oidc::client_authentication::{AuthenticatedForm, ClientAuthentication};
use crate::secret::{AuthorizationCode, CodeVerifier, RefreshToken};

/// The request that spends an authorization code.
///
/// `redirect_uri` is byte for byte that of the authorization request (RFC 6749 §4.1.3).
#[must_use]
pub fn authorization_code(
    authentication: &ClientAuthentication,
    client_id: &str,
    code: &AuthorizationCode,
    verifier: &CodeVerifier,
    redirect_uri: &str,
) -> AuthenticatedForm {
    authentication.complete(
        client_id,
        &[
            ("grant_type", "authorization_code"),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ],
    )
}

/// The request that spends a refresh token. Without `scope`: the same as was granted.
#[must_use]
pub fn refresh_token(
    authentication: &ClientAuthentication,
    client_id: &str,
    refresh_token: &RefreshToken,
) -> AuthenticatedForm {
    authentication.complete(client_id, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn co_04_a_hostile_code_cannot_add_a_parameter() {
        let form = authorization_code(
            &ClientAuthentication::None,
            "app",
            &AuthorizationCode::new("a&client_secret=x\r\n\0".into()),
            &CodeVerifier::new("v".into()),
            "https://gw.example/oauth2/callback?x=1",
        );
        assert_eq!(
            form.body.as_str(),
            "grant_type=authorization_code&code=a%26client_secret%3Dx%0D%0A%00\
             &redirect_uri=https%3A%2F%2Fgw.example%2Foauth2%2Fcallback%3Fx%3D1&code_verifier=v&client_id=app"
        );
    }

    #[test]
    fn a_refresh_asks_for_nothing_else() {
        let form = refresh_token(&ClientAuthentication::None, "app", &RefreshToken::new("r+t".into()));
        assert_eq!(form.body.as_str(), "grant_type=refresh_token&refresh_token=r%2Bt&client_id=app");
    }
}
