//! The managed headers: what says who somebody is or where a request came from, and so must never come from outside.
//!
//! Names are compared folded: lower-case, every character that is no letter or digit read as `-`. CGI, WSGI and PHP fold
//! names in the same manner, so `X_Auth_User` would reach an application as the header that we set ourselves. A name with
//! any character outside `[A-Za-z0-9-]` is therefore removed whatever it says, and what is left needs no folding.

use http::header::{HeaderMap, HeaderName};
use prometheus::IntCounter;

/// Managed by their whole name.
pub const FIXED_NAMES: &[&str] = &[
    "authorization",
    "client-cert",
    "client-cert-chain",
    "client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "http2-settings",
    "proxy",
    "proxy-authorization",
    "script-name",
    "true-client-ip",
    "x-accel-mapping",
    "x-access-token",
    "x-azure-clientip",
    "x-client-cert",
    "x-client-dn",
    "x-client-ip",
    "x-client-s-dn",
    "x-client-verify",
    "x-cluster-client-ip",
    "x-email",
    "x-forwarded",
    "x-group",
    "x-groups",
    "x-host",
    "x-http-host-override",
    "x-http-method",
    "x-http-method-override",
    "x-id-token",
    "x-jwt-assertion",
    "x-method-override",
    "x-original",
    "x-proxy-user",
    "x-real-ip",
    "x-request-id",
    "x-rewrite-url",
    "x-role",
    "x-roles",
    "x-scheme",
    "x-script-name",
    "x-sendfile-type",
    "x-url-scheme",
    "x-user",
    "x-user-email",
    "x-user-groups",
    "x-user-id",
    "x-user-name",
    "x-user-roles",
    "x-username",
];

/// Managed by how the name begins.
pub const FIXED_PREFIXES: &[&str] = &[
    "cf-",
    "impersonate-",
    "mellon-",
    "oidc-",
    "remote-",
    "ssl-client-",
    "tailscale-user-",
    "wl-proxy-",
    "x-amzn-oidc-",
    "x-arr-",
    "x-auth-",
    "x-authenticated-",
    "x-authentik-",
    "x-envoy-",
    "x-forwarded-",
    "x-goog-authenticated-",
    "x-goog-iap-",
    "x-ms-client-principal",
    "x-ms-token-",
    "x-original-",
    "x-pomerium-",
    "x-remote-",
    "x-ssl-",
    "x-vestibule-",
    "x-webauth-",
];

/// What a name can begin with: a letter, or anything else.
const LETTERS: usize = 27;

/// The managed names of all upstreams together, made once at start.
///
/// A request has some ten headers and the check must cost next to nothing: names are kept by length, and one bit per
/// first letter answers most questions without a comparison.
#[derive(Debug)]
pub struct ManagedSet {
    by_length: Vec<Bucket>,
    /// By their first letter.
    prefixes: [Vec<&'static str>; LETTERS],
    stripped: Option<IntCounter>,
}

#[derive(Clone, Debug, Default)]
struct Bucket {
    letters: u32,
    names: Vec<Box<str>>,
}

impl ManagedSet {
    /// The fixed names and those that the configuration sets, for any upstream.
    #[must_use]
    pub fn new<'a>(configured: impl IntoIterator<Item = &'a HeaderName>) -> Self {
        let mut set = Self { by_length: Vec::new(), prefixes: Default::default(), stripped: None };
        for name in FIXED_NAMES {
            set.add(name);
        }
        for name in configured {
            set.add(&fold(name.as_str()));
        }
        for prefix in FIXED_PREFIXES {
            if let Some(known) = set.prefixes.get_mut(letter(prefix)) {
                known.push(prefix);
            }
        }
        set
    }

    /// Counts what is taken off.
    #[must_use]
    pub fn counted_by(self, stripped: IntCounter) -> Self {
        Self { stripped: Some(stripped), ..self }
    }

    fn add(&mut self, name: &str) {
        if self.by_length.len() <= name.len() {
            self.by_length.resize(name.len() + 1, Bucket::default());
        }
        if let Some(bucket) = self.by_length.get_mut(name.len()) {
            bucket.letters |= 1 << letter(name);
            if !bucket.names.iter().any(|known| **known == *name) {
                bucket.names.push(name.into());
            }
        }
    }

    /// Whether a name from outside must go. `name` is in lower case, as [`HeaderName`] keeps it.
    #[must_use]
    pub fn governs(&self, name: &str) -> bool {
        // No early way out: without one the loop is a few vector instructions.
        if !name.bytes().fold(true, |plain, byte| plain & is_plain(byte)) {
            return true;
        }
        let letter = letter(name);
        let named = self.by_length.get(name.len()).is_some_and(|bucket| {
            bucket.letters & (1 << letter) != 0 && bucket.names.iter().any(|managed| **managed == *name)
        });
        named || self.prefixes.get(letter).is_some_and(|known| known.iter().any(|prefix| name.starts_with(prefix)))
    }

    /// Takes every managed header off; allocates only when there is one.
    pub fn strip(&self, headers: &mut HeaderMap) {
        let mut doomed = Vec::new();
        for name in headers.keys() {
            if self.governs(name.as_str()) {
                tracing::debug!(event = "headers.stripped", name = name.as_str());
                if let Some(stripped) = &self.stripped {
                    stripped.inc();
                }
                doomed.push(name.clone());
            }
        }
        for name in doomed {
            headers.remove(name);
        }
    }
}

pub(super) const fn is_plain(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')
}

fn fold(name: &str) -> String {
    name.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte.to_ascii_lowercase()) } else { '-' })
        .collect()
}

/// A number for the first letter; digits and `-` share the last one.
fn letter(name: &str) -> usize {
    match name.as_bytes().first() {
        Some(&first @ b'a'..=b'z') => usize::from(first - b'a'),
        _ => LETTERS - 1,
    }
}

#[cfg(test)]
mod tests;
