//! How the client proves itself at the token and revocation endpoints (RFC 6749 §2.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;
use zeroize::Zeroizing;

use crate::secret::ClientSecret;

/// How the gateway identifies itself at the token endpoint (RFC 6749 §2.3).
#[derive(Debug, PartialEq, Eq)]
pub enum ClientAuthentication {
    /// `client_secret_basic`: HTTP Basic, both halves form-urlencoded first.
    SecretBasic(ClientSecret),
    /// `client_secret_post`: as parameters of the body.
    SecretPost(ClientSecret),
    /// `none`: a public client, protected by PKCE alone.
    None,
}

/// A POST to an endpoint where the client authenticates: the body, and the `Authorization` field if there is one.
///
/// Both hold secrets and are zeroized on drop; there is no `Debug`.
pub struct AuthenticatedForm {
    /// `application/x-www-form-urlencoded`.
    pub body: Zeroizing<String>,
    /// The value of `Authorization`.
    pub authorization: Option<Zeroizing<String>>,
}

impl ClientAuthentication {
    /// The secret that the client shares with the provider.
    #[must_use]
    pub const fn secret(&self) -> Option<&ClientSecret> {
        match self {
            Self::SecretBasic(secret) | Self::SecretPost(secret) => Some(secret),
            Self::None => None,
        }
    }

    /// Completes a form with exactly one method of authentication (RFC 6749 §2.3 forbids a second one).
    #[must_use]
    pub fn complete(&self, client_id: &str, parameters: &[(&str, &str)]) -> AuthenticatedForm {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(parameters);
        let authorization = match self {
            Self::SecretBasic(secret) => Some(basic(client_id, secret)),
            Self::SecretPost(secret) => {
                body.append_pair("client_id", client_id).append_pair("client_secret", secret.expose());
                None
            }
            Self::None => {
                body.append_pair("client_id", client_id);
                None
            }
        };
        AuthenticatedForm { body: Zeroizing::new(body.finish()), authorization }
    }
}

/// RFC 6749 §2.3.1: each half is form-urlencoded before the two are joined, or a `:` in one of them would shift the
/// border and a `%` would be decoded by the server.
fn basic(client_id: &str, secret: &ClientSecret) -> Zeroizing<String> {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = Zeroizing::new(format!("{}:{}", encode(client_id), *Zeroizing::new(encode(secret.expose()))));
    Zeroizing::new(format!("Basic {}", *Zeroizing::new(STANDARD.encode(pair.as_bytes()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> ClientSecret {
        ClientSecret::new(text.into())
    }

    #[test]
    fn co_08_exactly_one_method_is_on_the_wire() {
        let basic = ClientAuthentication::SecretBasic(secret("s")).complete("app", &[("a", "1")]);
        assert_eq!((basic.body.as_str(), basic.authorization.is_some()), ("a=1", true));
        let post = ClientAuthentication::SecretPost(secret("s&x=y")).complete("app", &[("a", "1")]);
        assert_eq!(post.body.as_str(), "a=1&client_id=app&client_secret=s%26x%3Dy");
        assert!(post.authorization.is_none());
        let none = ClientAuthentication::None.complete("app", &[("a", "1")]);
        assert_eq!((none.body.as_str(), none.authorization.is_some()), ("a=1&client_id=app", false));
    }

    #[test]
    fn co_08_both_halves_of_basic_are_form_encoded() {
        for (id, password, joined) in
            [("app", "p%a:s+s w", "app:p%25a%3As%2Bs+w"), ("https://a:b", "é", "https%3A%2F%2Fa%3Ab:%C3%A9")]
        {
            let form = ClientAuthentication::SecretBasic(secret(password)).complete(id, &[]);
            let sent = form.authorization.unwrap();
            let decoded = STANDARD.decode(sent.strip_prefix("Basic ").unwrap()).unwrap();
            assert_eq!(String::from_utf8(decoded).unwrap(), joined);
        }
    }
}
