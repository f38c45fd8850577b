//! The authorization request: where the browser is sent to log in (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).

use std::time::Duration;

use url::{Url, form_urlencoded};

use crate::oidc::pkce;
use crate::secret::{CodeVerifier, Nonce};

/// A parameter that the browser may hand in at the start of a login; the list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassedOn {
    /// Who is expected to log in.
    LoginHint,
    /// Languages for the provider's pages.
    UiLocales,
    /// Whether the provider asks anew.
    Prompt,
    /// Which organisation is expected (Entra ID).
    DomainHint,
}

impl PassedOn {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::LoginHint, Self::UiLocales, Self::Prompt, Self::DomainHint];

    /// The parameter's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoginHint => "login_hint",
            Self::UiLocales => "ui_locales",
            Self::Prompt => "prompt",
            Self::DomainHint => "domain_hint",
        }
    }

    /// The parameter of this name, if it is on the list.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|parameter| parameter.name() == name)
    }
}

/// What is the same in every authorization request to one provider.
#[derive(Clone, Copy, Debug)]
pub struct ClientRegistration<'a> {
    /// The client identifier.
    pub client_id: &'a str,
    /// Scopes that are always asked for.
    pub scopes: &'a [String],
    /// Parameters fixed by the operator; they win over what the browser hands in, never over the protocol's own.
    pub fixed: &'a [(String, String)],
    /// Whether this is OpenID Connect: `openid` is asked for and a nonce sent.
    pub openid: bool,
}

/// One authorization request.
#[derive(Debug)]
pub struct AuthorizationRequest<'a> {
    /// Where the answer goes.
    pub redirect_uri: &'a str,
    /// The sealed attempt.
    pub state: &'a str,
    /// Binds the ID token to this attempt; sent to OpenID providers only.
    pub nonce: &'a Nonce,
    /// Proves at the token endpoint that the request was ours; only its challenge is sent.
    pub verifier: &'a CodeVerifier,
    /// Scopes on top of the provider's own.
    pub additional_scopes: &'a [String],
    /// What the browser handed in.
    pub passed_on: &'a [(PassedOn, String)],
    /// Whether a fixed or handed-in `prompt=none` is left out: the second try after `login_required`.
    pub interactive: bool,
    /// How old the person's last authentication may be.
    pub max_age: Option<Duration>,
    /// Which authentication context is asked for.
    pub acr_values: Option<&'a str>,
}

const OWN: [&str; 11] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "max_age",
    "acr_values",
    "response_mode",
];

/// The URL to send the browser to. No parameter occurs twice (RFC 6749 §3.1).
#[must_use]
pub fn authorization_url(
    endpoint: &Url,
    registration: &ClientRegistration<'_>,
    request: &AuthorizationRequest<'_>,
) -> String {
    let scope = scope(registration, request.additional_scopes);
    let challenge = pkce::challenge(request.verifier);
    let max_age = request.max_age.map(|age| age.as_secs().to_string());
    let mut parameters: Vec<(&str, &str)> = vec![
        ("response_type", "code"),
        ("client_id", registration.client_id),
        ("redirect_uri", request.redirect_uri),
        ("state", request.state),
        ("code_challenge", &challenge),
        ("code_challenge_method", pkce::METHOD),
    ];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    if registration.openid {
        parameters.push(("nonce", request.nonce.expose()));
    }
    if let Some(max_age) = &max_age {
        parameters.push(("max_age", max_age));
    }
    if let Some(acr_values) = request.acr_values {
        parameters.push(("acr_values", acr_values));
    }
    let fixed = registration.fixed.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let passed_on = request.passed_on.iter().map(|(parameter, value)| (parameter.name(), value.as_str()));
    for (name, value) in fixed.chain(passed_on) {
        let silent = request.interactive && name == "prompt" && value == "none";
        // `max_age` and `acr_values` may be fixed by the operator as long as this request does not set them itself;
        // the other names of the protocol are ours in any case.
        let ours = OWN.contains(&name) && !matches!(name, "max_age" | "acr_values");
        if !silent && !ours && parameters.iter().all(|(present, _)| *present != name) {
            parameters.push((name, value));
        }
    }
    with_parameters(endpoint, &parameters)
}

fn scope(registration: &ClientRegistration<'_>, additional: &[String]) -> String {
    let mut scopes: Vec<&str> = Vec::new();
    let openid = registration.openid.then_some("openid");
    let asked = registration.scopes.iter().chain(additional).map(String::as_str);
    for scope in openid.into_iter().chain(asked) {
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    scopes.join(" ")
}

/// An endpoint's URL with parameters added. Its own query is kept as it stands (RFC 6749 §3.1), but for parameters that
/// would then be there twice.
#[must_use]
pub(crate) fn with_parameters(endpoint: &Url, parameters: &[(&str, &str)]) -> String {
    let mut url = endpoint.clone();
    let added = |piece: &&str| {
        !piece.is_empty()
            && form_urlencoded::parse(piece.as_bytes())
                .all(|(name, _)| parameters.iter().all(|(added, _)| *added != name))
    };
    let kept: Vec<&str> = endpoint.query().unwrap_or_default().split('&').filter(added).collect();
    let mut query = kept.join("&");
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    serializer.extend_pairs(parameters);
    if !query.is_empty() {
        query.push('&');
    }
    query.push_str(&serializer.finish());
    url.set_query(Some(&query));
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn build(endpoint: &str, fixed: &[(&str, &str)], passed_on: &[(PassedOn, &str)], interactive: bool) -> String {
        let fixed: Vec<_> = fixed.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let passed_on: Vec<_> = passed_on.iter().map(|(name, value)| (*name, (*value).into())).collect();
        let scopes = ["openid".into(), "profile".into()];
        authorization_url(
            &Url::parse(endpoint).unwrap(),
            &ClientRegistration { client_id: "app", scopes: &scopes, fixed: &fixed, openid: true },
            &AuthorizationRequest {
                redirect_uri: "https://gw.example/oauth2/callback",
                state: "st",
                nonce: &Nonce::new("no".into()),
                verifier: &CodeVerifier::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()),
                additional_scopes: &["calendar".into(), "profile".into()],
                passed_on: &passed_on,
                interactive,
                max_age: None,
                acr_values: None,
            },
        )
    }

    /// Every parameter, having made sure that none occurs twice.
    fn parameters(url: &str) -> HashMap<String, String> {
        let mut found = HashMap::new();
        for (name, value) in Url::parse(url).unwrap().query_pairs() {
            assert_eq!(found.insert(name.to_string(), value.into_owned()), None, "{name} occurs twice");
        }
        found
    }

    #[test]
    fn the_request_says_what_the_standards_ask_for() {
        let found = parameters(&build("https://id.example/auth", &[], &[], false));
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "app"),
            ("redirect_uri", "https://gw.example/oauth2/callback"),
            ("scope", "openid profile calendar"),
            ("state", "st"),
            ("nonce", "no"),
            ("code_challenge_method", "S256"),
            ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ] {
            assert_eq!(found[name], value);
        }
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn fixed_parameters_win_over_the_browser_and_the_protocol_over_both() {
        let fixed = [("prompt", "login"), ("state", "evil"), ("code_challenge_method", "plain"), ("x", "1")];
        let passed_on = [(PassedOn::Prompt, "none"), (PassedOn::LoginHint, "a&b=c")];
        let found = parameters(&build("https://id.example/auth", &fixed, &passed_on, false));
        assert_eq!((found["prompt"].as_str(), found["state"].as_str(), found["x"].as_str()), ("login", "st", "1"));
        assert_eq!((found["login_hint"].as_str(), found["code_challenge_method"].as_str()), ("a&b=c", "S256"));
        assert!(!found.contains_key("b"));
    }

    #[test]
    fn the_endpoints_own_query_stays_but_never_doubles_a_parameter() {
        let url = build("https://id.example/auth?p=B2C%2F1&state=old&client_id=other", &[], &[], false);
        assert!(url.contains("?p=B2C%2F1&response_type=code&"), "{url}");
        assert_eq!(parameters(&url)["client_id"], "app");
    }

    #[test]
    fn the_interactive_attempt_asks_nobody_to_be_silent() {
        let silent = build("https://id.example/auth", &[("prompt", "none")], &[], false);
        assert_eq!(parameters(&silent)["prompt"], "none");
        let again = build("https://id.example/auth", &[("prompt", "none")], &[(PassedOn::Prompt, "none")], true);
        assert!(!parameters(&again).contains_key("prompt"));
    }

    #[test]
    fn only_listed_parameters_are_passed_on() {
        assert_eq!(PassedOn::from_name("domain_hint"), Some(PassedOn::DomainHint));
        for name in ["redirect_uri", "scope", "LOGIN_HINT", "request", ""] {
            assert_eq!(PassedOn::from_name(name), None, "{name}");
        }
    }
}
