//! A login attempt, sealed in the OAuth `state` (RFC 6749 §10.12) and bound to one browser by its login cookie.
//!
//! Nothing is stored before the callback: the attempt travels through the provider and comes back.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::key_ring::{KeyRing, Kid, Purpose};
use super::login_cookie::{LoginCookie, LoginPlace};
use super::sealed_box::{Kind, Rejected};
use super::sealing::expand;
use super::tlv::tlv;
use crate::clock::Timestamp;
use crate::entropy::{Entropy, NoEntropy, draw};
use crate::return_to::ReturnTo;
use crate::secret::{BrowserSecret, CodeVerifier, Nonce};

/// How long an attempt may take.
pub const ATTEMPT_LIFETIME: Duration = Duration::from_secs(3600);

/// The longest return path an attempt carries; a longer one loses its query, then becomes the start page.
pub const MAX_RETURN_PATH: usize = 1024;

/// The longest `state` that is looked at.
const MAX_STATE_LENGTH: usize = 4096;

/// How far another replica's clock may be ahead.
const CLOCK_LEEWAY: Duration = Duration::from_secs(300);

const KIND: Kind = Kind { purpose: Purpose::State, info: b"vestibule/state/v1" };

/// What an attempt is made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flow {
    /// A plain login.
    Login {
        /// The provider has said that it needs to talk to the person; it is asked so only once.
        interactive: bool,
    },
    /// A stronger or fresher login (RFC 9470).
    StepUp {
        /// The authentication context that is wanted.
        acr: Option<String>,
        /// How old the login may be, in seconds.
        max_age: Option<u64>,
    },
    /// Another grant for a session that goes on.
    FurtherGrant {
        /// Scopes to ask for.
        scopes: Vec<String>,
    },
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct AttemptDocument {
    id: [u8; 16],
    created: u64,
    provider: String,
    flow: Flow,
    return_path: String,
    browser: [u8; 32],
}

/// What goes into the authorization request.
#[derive(Debug)]
pub struct StartedAttempt {
    /// The `state`: base64url alone, so that no provider's decoding changes it.
    pub state: String,
    /// The `nonce` (OpenID Connect Core §3.1.2.1).
    pub nonce: Nonce,
    /// The code verifier (RFC 7636 §4.1); only its challenge is sent now.
    pub verifier: CodeVerifier,
}

/// Begins an attempt: stores nothing, calls nobody.
///
/// # Errors
/// [`NoEntropy`] when the source of randomness fails.
pub fn start(
    place: LoginPlace<'_>,
    cookie: &LoginCookie,
    provider: &str,
    flow: Flow,
    return_to: &ReturnTo,
    now: Timestamp,
    entropy: &dyn Entropy,
) -> Result<StartedAttempt, NoEntropy> {
    let document = AttemptDocument {
        id: draw(entropy)?,
        created: now.as_seconds(),
        provider: provider.to_owned(),
        flow,
        return_path: return_to.as_str().to_owned(),
        browser: cookie.browser(),
    };
    // Strings and numbers always serialise; an empty message would be refused at the callback.
    let message = Zeroizing::new(postcard::to_stdvec(&document).unwrap_or_default());
    let bound = [&b"state"[..], place.namespace.as_bytes(), place.host.as_str().as_bytes()];
    let sealed = KIND.seal(place.ring, &bound, message, entropy)?;
    let proofs = Proofs::derive(place.ring, place.ring.first().kid(), cookie.secret(), &document.id);
    Ok(StartedAttempt { state: URL_SAFE_NO_PAD.encode(sealed), nonce: proofs.nonce, verifier: proofs.verifier })
}

struct Proofs {
    nonce: Nonce,
    verifier: CodeVerifier,
}

impl Proofs {
    /// base64url(HKDF-SHA-256(ikm = browser secret, salt = K_login of the state's kid, info = TLV(attempt id, label))).
    fn derive(ring: &KeyRing, kid: Kid, secret: &BrowserSecret, id: &[u8; 16]) -> Self {
        let key = ring.find(kid).unwrap_or(ring.first()).purpose(Purpose::Login);
        let value = |label: &[u8]| {
            let bytes: Zeroizing<[u8; 32]> = expand(secret.expose(), Some(key.expose()), &tlv(&[id, label]));
            URL_SAFE_NO_PAD.encode(*bytes)
        };
        Self { nonce: Nonce::new(value(b"nonce")), verifier: CodeVerifier::new(value(b"verifier")) }
    }
}

/// An attempt that we have sealed, shown by we do not know whom.
pub struct UnverifiedAttempt {
    kid: Kid,
    document: AttemptDocument,
}

impl fmt::Debug for UnverifiedAttempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("UnverifiedAttempt").field("flow", &self.document.flow).finish_non_exhaustive()
    }
}

/// Why an attempt that could be opened is not gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttemptRefused {
    /// Over an hour old.
    #[error("attempt-expired")]
    Expired,
    /// Begun in another browser (login CSRF, RFC 9700 §4.7).
    #[error("other-browser")]
    OtherBrowser,
}

impl UnverifiedAttempt {
    /// Opens a `state`.
    ///
    /// # Errors
    /// [`Rejected`] for anything that was not sealed here for this host.
    pub fn open(place: LoginPlace<'_>, state: &[u8]) -> Result<Self, Rejected> {
        if state.len() > MAX_STATE_LENGTH {
            return Err(Rejected::Malformed);
        }
        let sealed = URL_SAFE_NO_PAD.decode(state).map_err(|_| Rejected::Malformed)?;
        let bound = [&b"state"[..], place.namespace.as_bytes(), place.host.as_str().as_bytes()];
        let (kid, message) = KIND.open(place.ring, &bound, &sealed)?;
        match postcard::take_from_bytes(&message) {
            Ok((document, [])) => Ok(Self { kid, document }),
            _ => Err(Rejected::Malformed),
        }
    }

    /// Where the person was going, for the link of an error page; to be parsed as a return path again.
    #[must_use]
    pub fn return_path(&self) -> &str {
        &self.document.return_path
    }

    /// What it was begun for.
    #[must_use]
    pub const fn flow(&self) -> &Flow {
        &self.document.flow
    }

    /// When it was begun.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        Timestamp::from_seconds(self.document.created)
    }

    /// Proves that the browser that shows it is the one that began it, within the time it had.
    ///
    /// # Errors
    /// [`AttemptRefused`], and the attempt back.
    pub fn bound_to(
        self,
        cookie: &LoginCookie,
        ring: &KeyRing,
        now: Timestamp,
    ) -> Result<LoginAttempt, (AttemptRefused, Box<Self>)> {
        if !bool::from(cookie.browser().ct_eq(&self.document.browser)) {
            return Err((AttemptRefused::OtherBrowser, Box::new(self)));
        }
        let created = self.created();
        if now.since(created) >= ATTEMPT_LIFETIME || created > now.plus(CLOCK_LEEWAY) {
            return Err((AttemptRefused::Expired, Box::new(self)));
        }
        let proofs = Proofs::derive(ring, self.kid, cookie.secret(), &self.document.id);
        Ok(LoginAttempt { document: self.document, proofs })
    }
}

/// An attempt of this very browser. It is moved into the one exchange it is for.
pub struct LoginAttempt {
    document: AttemptDocument,
    proofs: Proofs,
}

impl fmt::Debug for LoginAttempt {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LoginAttempt").field("flow", &self.document.flow).finish_non_exhaustive()
    }
}

impl LoginAttempt {
    /// The attempt's name, for the mark that it has been used.
    #[must_use]
    pub const fn id(&self) -> &[u8; 16] {
        &self.document.id
    }

    /// Until when the mark must stand: when the attempt would have expired.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.created().plus(ATTEMPT_LIFETIME.saturating_add(CLOCK_LEEWAY))
    }

    /// When it was begun.
    #[must_use]
    pub const fn created(&self) -> Timestamp {
        Timestamp::from_seconds(self.document.created)
    }

    /// The label of the provider it was sent to; must be that of the redirect URI it came back on (RFC 9700 §4.4).
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.document.provider
    }

    /// What it was begun for.
    #[must_use]
    pub const fn flow(&self) -> &Flow {
        &self.document.flow
    }

    /// Where the person was going; to be parsed as a return path again.
    #[must_use]
    pub fn return_path(&self) -> &str {
        &self.document.return_path
    }

    /// SHA-256 of the secret of this browser.
    #[must_use]
    pub const fn browser(&self) -> [u8; 32] {
        self.document.browser
    }

    /// Spends the attempt: the nonce to compare and the verifier to send.
    #[must_use]
    pub fn into_proofs(self) -> (Nonce, CodeVerifier) {
        (self.proofs.nonce, self.proofs.verifier)
    }
}

#[cfg(test)]
mod tests;
