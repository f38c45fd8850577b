//! Why the gateway itself has answered: every reason once, with all that follows from it.

use http::StatusCode;
use tracing::Level;

/// Whose doing it is that a request did not reach its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The browser or program that asked, or the person in front of it.
    UserAgent,
    /// The authorization server.
    Provider,
    /// The application.
    Upstream,
    /// This gateway, its store or its configuration.
    Gateway,
}

impl Blame {
    /// The word for it in the log.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserAgent => "user-agent",
            Self::Provider => "provider",
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
        }
    }
}

/// What a person is told, and what a log and a status line say.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Status of the answer.
    pub status: StatusCode,
    /// The heading of the page and `title` of the problem (RFC 9457 §3.1.3).
    pub title: &'static str,
    /// What happened and what to do now, in plain words.
    pub explanation: &'static str,
    /// Whose doing it is.
    pub blame: Blame,
    /// How severe a line about it is.
    pub level: Level,
    /// Seconds for `Retry-After`, where trying again later can help.
    pub retry_after: Option<u32>,
}

const LOGIN_UNFINISHED: &str = "Your login could not be completed";
const BEGIN_AGAIN: &str = "This can happen when a login page was left open for a long time, was opened from a bookmark, or was reloaded. \
     Nothing is wrong with your account. Please start again.";
const ANSWER_UNUSABLE: &str = "The answer of the login service could not be accepted, so you were not logged in. Please start again. If it \
     happens again, tell the person who runs this site and give the request id.";
const OPERATOR: &str = "The login service does not accept how this site is set up. Trying again will not help; please tell the person \
     who runs this site and give the request id.";
const SOON: &str = "You have not been logged out. Please try again in a moment.";
const LOGIN_SOON: &str = "Logging in is not possible right now. Please try again in a moment.";
const ADDRESS: &str = "Please check the address. If you followed a link, the link is wrong.";
const LOGOUT_REFUSED: &str = "Nobody was logged out here. Please tell the person who runs this site and give the \
     request id.";
const APPLICATION: &str = "You have not been logged out. Please try again in a moment. If it goes on, tell the person who runs this \
     site and give the request id.";

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $text:literal: $status:literal $blame:ident $level:ident $(retry $retry:literal)?,
        $title:expr, $explanation:expr;)+) => {
        /// The reason of an answer; `docs/errors.md` explains each to operators.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])* $code,)+
        }

        impl Code {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$code,)+];

            /// The stable name, for logs, metrics and programs.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$code => $text,)+
                }
            }

            /// All that follows from the reason.
            #[must_use]
            pub const fn description(self) -> Description {
                match self {
                    $(Self::$code => Description {
                        status: status($status),
                        title: $title,
                        explanation: $explanation,
                        blame: Blame::$blame,
                        level: Level::$level,
                        retry_after: seconds(&[$($retry)?]),
                    },)+
                }
            }
        }
    };
}

codes! {
    // The callback.
    /// No `state` in the callback (RFC 6749 §4.1.2).
    StateMissing = "state-missing": 400 UserAgent WARN, LOGIN_UNFINISHED, BEGIN_AGAIN;
    /// Neither `code` nor `error` in the callback.
    CodeMissing = "code-missing": 400 UserAgent WARN, LOGIN_UNFINISHED, BEGIN_AGAIN;
    /// Both `code` and `error` in the callback.
    Ambiguous = "ambiguous": 400 UserAgent WARN, LOGIN_UNFINISHED, BEGIN_AGAIN;
    /// A parameter of an own endpoint came twice (RFC 6749 §3.1).
    DuplicateParameter = "duplicate-parameter": 400 UserAgent WARN,
        "The address is not complete or not correct", BEGIN_AGAIN;
    /// The callback's query cannot be read, or is too long.
    CallbackMalformed = "callback-malformed": 400 UserAgent WARN, LOGIN_UNFINISHED, BEGIN_AGAIN;
    /// A token or a JARM response in the callback: nothing that was asked for.
    UnexpectedResponse = "unexpected-response": 400 UserAgent WARN, LOGIN_UNFINISHED, ANSWER_UNUSABLE;
    /// The provider says that it sends `iss`, and it is missing (RFC 9207 §2.4).
    IssMissing = "iss-missing": 400 Provider WARN, LOGIN_UNFINISHED, ANSWER_UNUSABLE;
    /// `iss` is another one (RFC 9207 §2.4).
    IssMismatch = "iss-mismatch": 400 Provider WARN, LOGIN_UNFINISHED, ANSWER_UNUSABLE;
    /// The attempt belongs to another provider than the callback's path.
    ProviderMismatch = "provider-mismatch": 400 UserAgent WARN, LOGIN_UNFINISHED, ANSWER_UNUSABLE;
    /// `state` does not open here, or belongs to another browser.
    StateMismatch = "state-mismatch": 400 UserAgent WARN, LOGIN_UNFINISHED, BEGIN_AGAIN;
    /// The attempt is too old.
    StateExpired = "state-expired": 400 UserAgent WARN, "Your login took too long", BEGIN_AGAIN;
    /// The attempt has been used.
    StateUsed = "state-used": 400 UserAgent WARN, "This login has been used already", BEGIN_AGAIN;
    /// No login cookie: another browser began this login, or cookies are refused.
    LoginCookieMissing = "login-cookie-missing": 400 UserAgent WARN, LOGIN_UNFINISHED,
        "Your browser did not send the cookie that was set when the login began. Please start again in this browser, \
         and allow cookies for this site.";
    /// Two cookies of one name: one of them was planted.
    DuplicateCookie = "duplicate-cookie": 400 UserAgent WARN, LOGIN_UNFINISHED,
        "Your browser sent one cookie twice. Please start again; if that does not help, delete the cookies of this \
         site.";
    /// The provider did not accept the code (`invalid_grant`), or answered with no token.
    CodeRejected = "code-rejected": 400 UserAgent WARN, LOGIN_UNFINISHED, BEGIN_AGAIN;
    /// A token of the provider failed a check.
    TokenInvalid = "token-invalid": 400 Provider WARN, LOGIN_UNFINISHED, ANSWER_UNUSABLE;
    /// The provider said `access_denied` (RFC 6749 §4.1.2.1).
    AccessDenied = "access-denied": 403 UserAgent WARN, "The login was cancelled or refused",
        "The login service says that access was refused, by you or by its own rules. If you think that this is a \
         mistake, ask the person who runs this site.";
    /// The provider wants something from the person, and one interactive attempt did not help.
    InteractionRequired = "interaction-required": 403 Provider WARN, LOGIN_UNFINISHED,
        "The login service needs something from you that it could not ask for. Log in there first, then start again.";
    /// The provider said `temporarily_unavailable` or `server_error`.
    ProviderTemporarilyUnavailable = "provider-temporarily-unavailable": 503 Provider WARN retry 10,
        "The login service has a problem", LOGIN_SOON;
    /// The provider could not be reached or did not answer usably.
    ProviderUnavailable = "provider-unavailable": 503 Provider WARN retry 10,
        "The login service cannot be reached", LOGIN_SOON;
    /// The provider refuses the configuration: client, secret, scope or redirect URI.
    ProviderOperatorError = "provider-operator-error": 502 Gateway ERROR, "This site is not set up correctly", OPERATOR;
    /// The third login within seconds: the session does not hold.
    LoginLoop = "login-loop": 200 Gateway WARN, "You keep being sent to the login",
        "You were logged in several times within seconds, so this site has stopped sending you around.";
    /// Logged in; a page of this site leads on, so that a strict cookie is sent along.
    LoginContinues = "login-continues": 200 UserAgent DEBUG, "You are logged in", "You are being taken to your page.";

    // Who may in.
    /// No session.
    Unauthenticated = "unauthenticated": 401 UserAgent DEBUG, "Please log in",
        "You need to log in to see this.";
    /// No session, in a frame.
    FrameUnauthenticated = "frame-unauthenticated": 401 UserAgent DEBUG, "Please log in",
        "This part of the page needs a login, which cannot be shown inside another page.";
    /// No session, and a form was posted.
    FormNotSent = "form-not-sent": 401 UserAgent INFO, "Your form was not sent",
        "You are not logged in any more, so what you entered was not sent.";
    /// No session, and the upstream offers no login.
    AnonymousDenied = "anonymous-denied": 401 UserAgent INFO, "You are not logged in",
        "This can only be used by people who are logged in.";
    /// The access token has run out, and there is no refresh token.
    AccessTokenExpired = "access-token-expired": 401 UserAgent DEBUG, "Please log in again",
        "Your login has run out. Please log in again.";
    /// The access rule says no.
    Forbidden = "forbidden": 403 UserAgent INFO, "You do not have access",
        "You are logged in, but this account may not use this page. Use another account, or ask the person who runs \
         this site for access.";
    /// The provider left the groups out, because there are too many, and the rule or a header needs them.
    GroupsOverage = "groups-overage": 403 Provider INFO, "Your groups could not be read",
        "You are logged in, but this account is in more groups than the login service passes on, so this site cannot \
         tell whether you may use this page. Tell the person who runs this site, and give the request id.";
    /// A rule wants a stronger or fresher login (RFC 9470), or one did not come of it.
    StepUpRequired = "step-up-required": 403 UserAgent INFO, "Please confirm your login",
        "This needs a stronger or a fresher login than the one you have, so nothing was done yet. Log in once more the \
         way the login service asks for. If it does not ask for anything, tell the person who runs this site.";
    /// Somebody else has logged in where the person of the session was to confirm who they are.
    StepUpOtherAccount = "step-up-other-account": 403 UserAgent WARN, "This was another account",
        "You were to confirm your login, but the login service answered for another account, so nothing was changed. \
         Confirm it with the same account, or sign out here first to change it.";
    /// A claim cannot be written as a header.
    ClaimNotAHeader = "claim-not-a-header": 502 Provider WARN, "Something about your account cannot be passed on",
        "The login service sent a value that this page cannot be given. Please tell the person who runs this site and \
         give the request id.";
    /// A header marked as required has nothing to say about this person.
    ClaimMissing = "claim-missing": 403 UserAgent INFO, "Something about your account is missing",
        "You are logged in, but the login service does not say about this account what this page needs. Use another \
         account, or ask the person who runs this site.";
    /// The login was not granted a scope that the upstream needs.
    ScopeNotGranted = "scope-not-granted": 403 UserAgent INFO, "This site was not given what this page needs",
        "You are logged in, but the login service did not grant something that this page needs: you may have declined \
         it, or it is not allowed for this account. Log out, log in again and allow it, or ask the person who runs this \
         site.";
    /// Another site wanted to use the session.
    CrossSite = "cross-site": 403 UserAgent WARN, "This came from another site",
        "Another site tried to do something here in your name, so it was not done. If it was you, open this site \
         itself and do it there.";

    /// Somebody who is no trusted proxy asks for a decision.
    ForwardAuthUntrusted = "forward-auth-untrusted": 403 UserAgent WARN, "This cannot be done here", ADDRESS;
    /// What is asked about is described in no manner, in several, or ambiguously.
    ForwardAuthMalformed = "forward-auth-malformed": 400 UserAgent WARN, "The request is not correct", ADDRESS;
    /// What is asked about belongs to no upstream with `forward_auth`.
    ForwardAuthNoUpstream = "forward-auth-no-upstream": 403 Gateway WARN, "This site is not set up correctly",
        "Please tell the person who runs this site and give the request id.";
    /// A trusted proxy says that the browser came without TLS.
    InsecureTransport = "insecure-transport": 400 UserAgent INFO, "This site needs a secure connection",
        "What you sent came over a connection that others can read, so it was not used. Please use an address that \
         begins with https.";

    // What cannot be routed or read.
    /// No upstream has this host (RFC 9110 §15.5.20).
    Misdirected = "misdirected": 421 UserAgent INFO, "There is no such site here", ADDRESS;
    /// The path is ambiguous or malformed.
    MalformedPath = "malformed-path": 400 UserAgent INFO, "The address is not correct", ADDRESS;
    /// No host, several, or none that is one (RFC 9112 §3.2).
    MalformedHost = "malformed-host": 400 UserAgent INFO, "The address is not correct", ADDRESS;
    /// A header field that decides something is malformed or there twice.
    MalformedHeader = "malformed-header": 400 UserAgent INFO, "The request is not correct",
        "Your browser or program sent something that cannot be understood. Please try again.";
    /// CONNECT, TRACE, or a method that an own endpoint does not know.
    MethodNotAllowed = "method-not-allowed": 405 UserAgent INFO, "This cannot be done here", ADDRESS;
    /// Nothing is there.
    NotFound = "not-found": 404 UserAgent DEBUG, "There is nothing here", ADDRESS;
    /// The request target is too long.
    TargetTooLong = "target-too-long": 414 UserAgent INFO, "The address is too long", ADDRESS;
    /// Too many header fields, or too much in them.
    HeadersTooLarge = "headers-too-large": 431 UserAgent INFO, "Your browser sent too much",
        "Often too many cookies are the reason. Delete the cookies of this site, then try again.";
    /// The body is over the limit (RFC 9110 §15.5.14).
    BodyTooLarge = "body-too-large": 413 UserAgent INFO, "What you sent is too large",
        "It is larger than this site takes. Please send something smaller.";
    /// The body came too slowly (RFC 9110 §15.5.9).
    BodyTooSlow = "body-too-slow": 408 UserAgent INFO, "What you sent did not arrive in time",
        "The connection was too slow or broke off. Please try again.";
    /// The session, or the address, has as many WebSockets open as it may.
    TooManyWebSockets = "too-many-websockets": 429 UserAgent WARN retry 30, "Too many connections are open",
        "Close other windows of this site, then try again.";
    /// A handshake to switch protocols that is not allowed or not correct.
    UpgradeRefused = "upgrade-refused": 400 UserAgent WARN, "This connection is not possible",
        "The page asked for a kind of connection that is not allowed here.";
    /// The request has been through this gateway before (RFC 9110 §7.6.3).
    Loop = "loop": 508 Gateway ERROR, "This site is not set up correctly",
        "The request came back to where it had been. Please tell the person who runs this site.";

    // What is away.
    /// The session store cannot be used.
    StoreUnavailable = "store-unavailable": 503 Gateway ERROR retry 5, "Your login cannot be checked right now", SOON;
    /// More logins come back at once than are worked on.
    TooManyCallbacks = "too-many-callbacks": 429 UserAgent WARN retry 5, "Too many people log in at once", LOGIN_SOON;
    /// No more sessions fit into the store.
    AtCapacity = "at-capacity": 503 Gateway ERROR retry 30, "Too many people are logged in", LOGIN_SOON;
    /// The access token has run out, and no new one could be had in time.
    RefreshUnavailable = "refresh-unavailable": 503 Provider WARN retry 5, "Your login cannot be renewed right now", SOON;
    /// No connection to the upstream.
    UpstreamUnreachable = "upstream-unreachable": 502 Upstream WARN, "The application cannot be reached", APPLICATION;
    /// The upstream has all the requests that it gets at once, and too many more wait.
    UpstreamBusy = "upstream-busy": 503 Upstream WARN retry 2, "The application is very busy",
        "More is asked of it at the moment than it can do. Please try again in a moment.";
    /// No answer of the upstream in time.
    UpstreamTimeout = "upstream-timeout": 504 Upstream WARN, "The application does not answer", APPLICATION;
    /// An answer of the upstream that cannot be passed on.
    UpstreamBadAnswer = "upstream-bad-answer": 502 Upstream WARN, "The application's answer is not correct", APPLICATION;
    /// The upstream does not take the header with what the gateway has added.
    UpstreamHeadersTooLarge = "upstream-headers-too-large": 502 Upstream WARN, "The application does not take so much",
        "What is known about your account is more than this page can be given. Please tell the person who runs this \
         site and give the request id.";
    /// No randomness: nothing is made from a weaker source.
    NoEntropy = "no-entropy": 503 Gateway ERROR retry 5, "This site has a problem", SOON;
    /// The clock cannot be right, so no token can be judged.
    Clock = "clock": 503 Gateway ERROR retry 30, "This site has a problem", LOGIN_SOON;
    /// A defect of the gateway.
    Internal = "internal": 500 Gateway ERROR, "Something went wrong",
        "This is a fault of this site, not yours. Please try again; if it goes on, tell the person who runs this site \
         and give the request id.";

    // Signing out.
    /// A logout token of the provider failed a check, or has been used (OpenID Connect Back-Channel Logout §2.8).
    LogoutTokenInvalid = "logout-token-invalid": 400 Provider WARN, "The logout was not accepted", LOGOUT_REFUSED;
    /// A logout that comes in no form of a provider's.
    LogoutMalformed = "logout-malformed": 400 UserAgent WARN, "The logout was not accepted", LOGOUT_REFUSED;
    /// Providers end more sessions at once than are worked on.
    TooManyLogouts = "too-many-logouts": 429 UserAgent WARN retry 1, "Too many logouts at once", LOGOUT_REFUSED;
    /// Somebody came to sign out by a link of another site: a button asks first.
    SignOutConfirm = "sign-out-confirm": 200 UserAgent DEBUG, "Sign out?",
        "Sign out to end your login on this site.";
    /// The browser is back from signing out, or never was logged in.
    SignedOut = "signed-out": 200 UserAgent DEBUG, "You are signed out", "You can close this page now.";
    /// A person looks at their own sessions.
    OwnSessions = "own-sessions": 200 UserAgent DEBUG, "Where you are logged in",
        "These are your logins at this site, in this browser and in others. End those that you do not know or do not \
         need any more.";
    /// Sessions that the person wanted to end elsewhere could not all be removed from the store.
    NotEnded = "not-ended": 503 Gateway ERROR retry 5, "Not every login has ended",
        "At least one of your logins could not be ended, and is still alive. Please try again in a moment.";
    /// The session could not be removed from the store.
    NotSignedOut = "not-signed-out": 503 Gateway ERROR retry 5, "You are not signed out",
        "Your login could not be ended, and is still alive. Please try again in a moment.";
}

impl Code {
    /// A callback that cannot be used: the person begins again, or goes on if they are logged in.
    #[must_use]
    pub fn is_unusable_callback(self) -> bool {
        matches!(
            self,
            Self::StateMissing
                | Self::CodeMissing
                | Self::Ambiguous
                | Self::DuplicateParameter
                | Self::CallbackMalformed
                | Self::UnexpectedResponse
                | Self::IssMissing
                | Self::IssMismatch
                | Self::ProviderMismatch
                | Self::StateMismatch
                | Self::StateExpired
                | Self::StateUsed
                | Self::LoginCookieMissing
                | Self::DuplicateCookie
                | Self::CodeRejected
                | Self::TokenInvalid
        )
    }

    /// A request of a provider is refused, which reads an error of OAuth 2.0 (RFC 6749 §5.2) and no page.
    #[must_use]
    pub fn is_refused_logout_token(self) -> bool {
        matches!(self, Self::LogoutTokenInvalid | Self::LogoutMalformed)
    }

    /// The provider said no, could not say anything, or not what was asked for: the page leads to another login.
    #[must_use]
    pub fn is_failed_login(self) -> bool {
        matches!(
            self,
            Self::AccessDenied
                | Self::InteractionRequired
                | Self::ProviderTemporarilyUnavailable
                | Self::ProviderUnavailable
                | Self::ProviderOperatorError
                | Self::StepUpRequired
                | Self::StepUpOtherAccount
        )
    }
}

/// A number of the table that were no status would show as 500; a test goes through all of them.
const fn status(number: u16) -> StatusCode {
    match StatusCode::from_u16(number) {
        Ok(status) => status,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

const fn seconds(written: &[u32]) -> Option<u32> {
    match written {
        [seconds, ..] => Some(*seconds),
        [] => None,
    }
}

#[cfg(test)]
mod tests;
