//! The authorization request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1) and what is wrong with a bad one.

use super::answer::{Answer, see_other_with};
use super::pages;
use super::parameters::Parameters;
use super::settings::RegisteredClient;

/// A request whose client, redirect URI and parameters have been checked.
#[derive(Debug)]
pub(super) struct AuthorizationRequest {
    pub(super) client_id: String,
    pub(super) redirect_uri: String,
    pub(super) scopes: Vec<String>,
    pub(super) resources: Vec<String>,
    pub(super) state: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) code_challenge: String,
    pub(super) prompts: Vec<String>,
    pub(super) max_age: Option<u64>,
    pub(super) acr_values: Vec<String>,
    pub(super) login_hint: Option<String>,
}

/// Why a request was not followed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Client or redirect URI are not known: nothing is sent there, the person is told.
    Page(&'static str),
    /// The client is told (RFC 6749 §4.1.2.1).
    Redirect { redirect_uri: String, state: Option<String>, error: &'static str },
}

impl AuthorizationRequest {
    pub(super) fn check(parameters: &Parameters, clients: &[RegisteredClient]) -> Result<Self, Refusal> {
        let client_id = parameters.value("client_id").ok_or(Refusal::Page("client_id is missing"))?;
        let client =
            clients.iter().find(|client| client.id == client_id).ok_or(Refusal::Page("client_id is not known"))?;
        let redirect_uri = parameters
            .value("redirect_uri")
            .filter(|uri| client.redirect_uris.iter().any(|known| known == uri))
            .ok_or(Refusal::Page("redirect_uri is not registered for this client"))?
            .to_owned();
        let state = parameters.owned("state");
        let refuse = |error| Refusal::Redirect { redirect_uri: redirect_uri.clone(), state: state.clone(), error };

        if parameters.value("request").is_some() {
            return Err(refuse("request_not_supported"));
        }
        if parameters.value("request_uri").is_some() {
            return Err(refuse("request_uri_not_supported"));
        }
        match parameters.value("response_type") {
            Some("code") => {}
            Some(_) => return Err(refuse("unsupported_response_type")),
            None => return Err(refuse("invalid_request")),
        }
        if parameters.value("response_mode").is_some_and(|mode| mode != "query") {
            return Err(refuse("invalid_request"));
        }
        let code_challenge = match (parameters.value("code_challenge_method"), parameters.value("code_challenge")) {
            (Some("S256"), Some(challenge)) if is_digest(challenge) => challenge.to_owned(),
            _ => return Err(refuse("invalid_request")),
        };
        let max_age = match parameters.value("max_age").map(str::parse) {
            None => None,
            Some(Ok(seconds)) => Some(seconds),
            Some(Err(_)) => return Err(refuse("invalid_request")),
        };
        let prompts = parameters.words("prompt");
        if prompts.len() > 1 && prompts.iter().any(|prompt| prompt == "none") {
            return Err(refuse("invalid_request"));
        }
        Ok(Self {
            client_id: client_id.to_owned(),
            scopes: parameters.words("scope"),
            resources: parameters.all("resource"),
            nonce: parameters.owned("nonce"),
            acr_values: parameters.words("acr_values"),
            login_hint: parameters.owned("login_hint"),
            redirect_uri,
            state,
            code_challenge,
            prompts,
            max_age,
        })
    }

    pub(super) fn prompt(&self, value: &str) -> bool {
        self.prompts.iter().any(|prompt| prompt == value)
    }

    pub(super) fn refuse(&self, error: &'static str) -> Refusal {
        Refusal::Redirect { redirect_uri: self.redirect_uri.clone(), state: self.state.clone(), error }
    }
}

impl Refusal {
    /// An error response carries `iss` as well (RFC 9207 §2).
    pub(super) fn answer(self, issuer: &str) -> Answer {
        match self {
            Self::Page(reason) => pages::refused(reason),
            Self::Redirect { redirect_uri, state, error } => see_other_with(
                &redirect_uri,
                &[("error", Some(error)), ("state", state.as_deref()), ("iss", Some(issuer))],
            ),
        }
    }
}

/// SHA-256 in base64url is 43 characters long (RFC 7636 §4.2).
fn is_digest(challenge: &str) -> bool {
    challenge.len() == 43 && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "client_id=c&redirect_uri=http%3A%2F%2Flocalhost%2Fcb&response_type=code&state=s&scope=openid\
                        &code_challenge_method=S256&code_challenge=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    fn check(query: &str) -> Result<AuthorizationRequest, Refusal> {
        let client = RegisteredClient {
            id: "c".into(),
            secret: None,
            redirect_uris: vec!["http://localhost/cb".into()],
            post_logout_redirect_uris: vec![],
        };
        AuthorizationRequest::check(&Parameters::parse(query.as_bytes()).unwrap(), &[client])
    }

    #[test]
    fn nothing_is_sent_to_a_redirect_uri_that_is_not_registered() {
        for bad in ["cb%2F", "cb%3Fa", "CB", "cb/../x"] {
            assert!(matches!(check(&GOOD.replace("cb&", &format!("{bad}&"))), Err(Refusal::Page(_))), "{bad}");
        }
        assert!(matches!(check(&GOOD.replace("client_id=c", "client_id=d")), Err(Refusal::Page(_))));
    }

    #[test]
    fn pkce_with_s256_is_required() {
        assert!(check(GOOD).is_ok());
        for bad in
            [GOOD.replace("S256", "plain"), GOOD.replace("AAAA", "A"), GOOD.replace("code_challenge_method", "x")]
        {
            let refused = check(&bad).unwrap_err();
            assert!(matches!(refused, Refusal::Redirect { error: "invalid_request", .. }), "{bad}");
        }
    }

    #[test]
    fn other_flows_are_refused_by_name() {
        let error = |query: &str| match check(query) {
            Err(Refusal::Redirect { error, .. }) => error,
            other => panic!("{other:?}"),
        };
        assert_eq!(error(&GOOD.replace("=code&", "=token&")), "unsupported_response_type");
        assert_eq!(error(&format!("{GOOD}&request=x")), "request_not_supported");
        assert_eq!(error(&format!("{GOOD}&prompt=none+login")), "invalid_request");
        assert_eq!(error(&format!("{GOOD}&max_age=-1")), "invalid_request");
    }
}
