//! The authorization response: what comes back with the browser (RFC 6749 §4.1.2), and who it says it is from
//! (RFC 9207).
//!
//! Any sender can forge it. Nothing in it is believed before the sealed attempt in `state` has been opened.

use crate::secret::AuthorizationCode;

/// Longest query that is read, in bytes.
const MAX_QUERY: usize = 16 * 1024;
/// Most parameters that are read.
const MAX_PARAMETERS: usize = 32;
/// Longest authorization code, in bytes.
const MAX_CODE: usize = 2 * 1024;

/// A response that can be read in one way only.
#[derive(Debug)]
pub struct AuthorizationResponse {
    /// The sealed attempt, as it came.
    pub state: String,
    /// The issuer that the response names.
    pub issuer: Option<String>,
    /// Code or error.
    pub outcome: Outcome,
}

/// What the provider has decided.
#[derive(Debug)]
pub enum Outcome {
    /// A code, to be exchanged once.
    Code(AuthorizationCode),
    /// No. The description is dropped: whoever made the link can write anything into it.
    Error(AuthorizationErrorCode),
}

/// The error codes of RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6 and its step-up companion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizationErrorCode {
    /// `access_denied`
    AccessDenied,
    /// `login_required`
    LoginRequired,
    /// `interaction_required`
    InteractionRequired,
    /// `consent_required`
    ConsentRequired,
    /// `account_selection_required`
    AccountSelectionRequired,
    /// `unmet_authentication_requirements`
    UnmetAuthenticationRequirements,
    /// `temporarily_unavailable`
    TemporarilyUnavailable,
    /// `server_error`
    ServerError,
    /// `invalid_scope`
    InvalidScope,
    /// `unauthorized_client`
    UnauthorizedClient,
    /// `invalid_request`
    InvalidRequest,
    /// `unsupported_response_type`
    UnsupportedResponseType,
    /// Any other.
    Other,
}

impl AuthorizationErrorCode {
    const KNOWN: [(&'static str, Self); 12] = [
        ("access_denied", Self::AccessDenied),
        ("login_required", Self::LoginRequired),
        ("interaction_required", Self::InteractionRequired),
        ("consent_required", Self::ConsentRequired),
        ("account_selection_required", Self::AccountSelectionRequired),
        ("unmet_authentication_requirements", Self::UnmetAuthenticationRequirements),
        ("temporarily_unavailable", Self::TemporarilyUnavailable),
        ("server_error", Self::ServerError),
        ("invalid_scope", Self::InvalidScope),
        ("unauthorized_client", Self::UnauthorizedClient),
        ("invalid_request", Self::InvalidRequest),
        ("unsupported_response_type", Self::UnsupportedResponseType),
    ];

    fn parse(text: &str) -> Self {
        Self::KNOWN.iter().find(|(name, _)| *name == text).map_or(Self::Other, |(_, code)| *code)
    }

    /// The code as the standards write it, or `other`; never what came in.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::KNOWN.iter().find(|(_, code)| *code == self).map_or("other", |(name, _)| name)
    }

    /// Whether one interactive attempt may help (OpenID Connect Core §3.1.2.6).
    #[must_use]
    pub const fn wants_interaction(self) -> bool {
        matches!(
            self,
            Self::LoginRequired | Self::InteractionRequired | Self::ConsentRequired | Self::AccountSelectionRequired
        )
    }
}

/// Why a response cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    /// The query is longer than is read, or has too many parameters.
    #[error("too-long")]
    TooLong,
    /// A bad percent-encoding, no UTF-8, or a code of other than printable ASCII (RFC 6749 appendix A.11).
    #[error("malformed")]
    Malformed,
    /// A parameter occurs twice (RFC 6749 §3.1).
    #[error("duplicate-parameter")]
    DuplicateParameter,
    /// A token, or a signed response, that nobody asked for.
    #[error("unexpected-response")]
    UnexpectedResponse,
    /// No `state`.
    #[error("state-missing")]
    StateMissing,
    /// Both a code and an error.
    #[error("ambiguous")]
    Ambiguous,
    /// Neither a code nor an error.
    #[error("code-missing")]
    CodeMissing,
    /// A code longer than 2 KiB.
    #[error("code-too-long")]
    CodeTooLong,
}

impl ResponseError {
    /// The stable reason code.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::TooLong => "too-long",
            Self::Malformed => "malformed",
            Self::DuplicateParameter => "duplicate-parameter",
            Self::UnexpectedResponse => "unexpected-response",
            Self::StateMissing => "state-missing",
            Self::Ambiguous => "ambiguous",
            Self::CodeMissing => "code-missing",
            Self::CodeTooLong => "code-too-long",
        }
    }
}

/// A response that cannot be used, with the one thing that may still help the person on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct UnusableResponse {
    /// Which rule it broke.
    pub reason: ResponseError,
    /// `state`, if it is there exactly once: an attempt that opens knows where the person was going.
    pub state: Option<String>,
}

impl AuthorizationResponse {
    /// Reads the query of a callback. Unknown parameters are ignored (RFC 6749 §4.1.2).
    ///
    /// # Errors
    /// [`UnusableResponse`] for what is too long, malformed, or could be read in two ways.
    pub fn parse(query: &str) -> Result<Self, UnusableResponse> {
        let unusable = |reason, state| UnusableResponse { reason, state };
        let too_many = query.split('&').filter(|pair| !pair.is_empty()).nth(MAX_PARAMETERS).is_some();
        if query.len() > MAX_QUERY || too_many {
            return Err(unusable(ResponseError::TooLong, None));
        }
        let parameters = Parameters::decode(query).ok_or_else(|| unusable(ResponseError::Malformed, None))?;
        let state = parameters.once("state").filter(|state| !state.is_empty()).map(str::to_owned);
        match parameters.outcome(state.is_some()) {
            Ok(outcome) => {
                let state = state.ok_or_else(|| unusable(ResponseError::StateMissing, None))?;
                Ok(Self { state, issuer: parameters.once("iss").map(str::to_owned), outcome })
            }
            Err(reason) => Err(unusable(reason, state)),
        }
    }
}

struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn decode(query: &str) -> Option<Self> {
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((form_decode(name)?, form_decode(value)?))
        });
        decoded.collect::<Option<_>>().map(Self)
    }

    /// The value of a parameter that is there exactly once.
    fn once(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(present, _)| present == name);
        let (_, value) = values.next()?;
        values.next().is_none().then_some(value)
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(present, _)| present == name)
    }

    fn outcome(&self, has_state: bool) -> Result<Outcome, ResponseError> {
        let repeated = |(at, (name, _)): (usize, &(String, String))| self.0.iter().take(at).any(|(n, _)| n == name);
        if self.0.iter().enumerate().any(repeated) {
            return Err(ResponseError::DuplicateParameter);
        }
        if ["access_token", "id_token", "response"].into_iter().any(|name| self.has(name)) {
            return Err(ResponseError::UnexpectedResponse);
        }
        if !has_state {
            return Err(ResponseError::StateMissing);
        }
        match (self.once("code"), self.once("error")) {
            (Some(_), Some(_)) => Err(ResponseError::Ambiguous),
            (None, Some(error)) => Ok(Outcome::Error(AuthorizationErrorCode::parse(error))),
            (Some(code), None) if code.len() > MAX_CODE => Err(ResponseError::CodeTooLong),
            (Some(code), None) if !code.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
                Err(ResponseError::Malformed)
            }
            (Some(code), None) if !code.is_empty() => Ok(Outcome::Code(AuthorizationCode::new(code.to_owned()))),
            _ => Err(ResponseError::CodeMissing),
        }
    }
}

/// Decodes one half of a form-urlencoded pair; `None` for a `%` without two hex digits and for what is not UTF-8.
fn form_decode(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

/// Why a response is not from the provider that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerMismatch {
    /// No `iss`, although the provider announces that it sends one.
    #[error("iss-missing")]
    Missing,
    /// Another issuer.
    #[error("iss-mismatch")]
    Mismatch,
}

/// Compares `iss` with the configured issuer as plain strings (RFC 9207 §2.4); error responses too.
///
/// # Errors
/// [`IssuerMismatch`]; the response must then not be used.
pub fn check_issuer(issuer: Option<&str>, configured: &str, advertised: bool) -> Result<(), IssuerMismatch> {
    match issuer {
        Some(issuer) if issuer == configured => Ok(()),
        Some(_) => Err(IssuerMismatch::Mismatch),
        None if advertised => Err(IssuerMismatch::Missing),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
