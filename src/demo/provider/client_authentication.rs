//! How a client shows who it is at the token and the revocation endpoint (RFC 6749 §2.3).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use url::form_urlencoded;

use super::answer::TokenError;
use super::parameters::Parameters;
use super::state::State;
use crate::secret::ClientSecret;

/// Finds out which client is asking; exactly one method must be used.
pub(super) fn authenticate(headers: &HeaderMap, parameters: &Parameters, state: &State) -> Result<String, TokenError> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (id, secret) = match (fields.next(), fields.next()) {
        (None, _) => {
            let id = parameters.owned("client_id").ok_or(TokenError::InvalidClient)?;
            (id, parameters.owned("client_secret"))
        }
        (Some(_), Some(_)) => return Err(TokenError::InvalidRequest),
        (Some(field), None) => {
            let (id, secret) = field.to_str().ok().and_then(basic).ok_or(TokenError::InvalidClient)?;
            if parameters.value("client_secret").is_some() {
                return Err(TokenError::InvalidRequest);
            }
            if parameters.value("client_id").is_some_and(|named| named != id) {
                return Err(TokenError::InvalidRequest);
            }
            (id, Some(secret))
        }
    };
    let client = state.client(&id).ok_or(TokenError::InvalidClient)?;
    let proven = match (&client.secret, secret) {
        (Some(known), Some(shown)) => *known == ClientSecret::new(shown),
        (None, None) => true,
        _ => false,
    };
    if proven { Ok(id) } else { Err(TokenError::InvalidClient) }
}

/// User name and password of HTTP Basic; both were form-encoded first (RFC 6749 §2.3.1).
fn basic(field: &str) -> Option<(String, String)> {
    let (scheme, credentials) = field.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decode(id)?, form_decode(secret)?))
}

fn form_decode(encoded: &str) -> Option<String> {
    // What is rightly encoded holds neither of the two, and reads as one name without a value.
    if encoded.contains(['&', '=']) {
        return None;
    }
    Some(form_urlencoded::parse(encoded.as_bytes()).next().map(|(name, _)| name.into_owned()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::provider::RegisteredClient;
    use http::HeaderValue;

    const SECRET: &str = "p%a:s+s wörd&=";

    fn state() -> State {
        let client = |id: &str, secret: Option<&str>| RegisteredClient {
            id: id.into(),
            secret: secret.map(|secret| ClientSecret::new(secret.into())),
            redirect_uris: vec![],
            post_logout_redirect_uris: vec![],
        };
        State::knowing(vec![client("confidential", Some(SECRET)), client("public", None)])
    }

    fn encoded(value: &str) -> String {
        form_urlencoded::byte_serialize(value.as_bytes()).collect()
    }

    fn authenticate(basic: Option<&str>, form: &str) -> Result<String, TokenError> {
        let mut headers = HeaderMap::new();
        if let Some(basic) = basic {
            let value = format!("Basic {}", STANDARD.encode(basic));
            headers.insert(AUTHORIZATION, HeaderValue::from_str(&value).unwrap());
        }
        super::authenticate(&headers, &Parameters::parse(form.as_bytes()).unwrap(), &state())
    }

    #[test]
    fn a_secret_is_form_encoded_inside_basic() {
        let good = format!("confidential:{}", encoded(SECRET));
        assert_eq!(authenticate(Some(&good), "").as_deref(), Ok("confidential"));
        assert_eq!(authenticate(Some(&format!("confidential:{SECRET}")), ""), Err(TokenError::InvalidClient));
    }

    #[test]
    fn each_client_has_one_way_in() {
        let post = format!("client_id=confidential&client_secret={}", encoded(SECRET));
        assert_eq!(authenticate(None, &post).as_deref(), Ok("confidential"));
        assert_eq!(authenticate(None, "client_id=public").as_deref(), Ok("public"));
        assert_eq!(authenticate(None, "client_id=confidential"), Err(TokenError::InvalidClient));
        assert_eq!(authenticate(None, "client_id=public&client_secret=x"), Err(TokenError::InvalidClient));
        assert_eq!(authenticate(None, ""), Err(TokenError::InvalidClient));
    }

    #[test]
    fn two_methods_at_once_are_refused() {
        let basic = format!("confidential:{}", encoded(SECRET));
        let both = authenticate(Some(&basic), &format!("client_secret={}", encoded(SECRET)));
        assert_eq!(both, Err(TokenError::InvalidRequest));
        assert_eq!(authenticate(Some(&basic), "client_id=public"), Err(TokenError::InvalidRequest));
    }
}
