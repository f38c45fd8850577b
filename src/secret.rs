//! Secrets: one type per kind, redacted in every representation, zeroized on drop, compared in constant time.
//!
//! The one way out is `expose`, and a test lists the files that may call it.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

macro_rules! secret_string {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name(String);

        impl $name {
            /// Takes the secret in.
            #[must_use]
            pub const fn new(value: String) -> Self {
                Self(value)
            }

            /// The secret itself, for the wire or for sealing.
            #[must_use]
            pub fn expose(&self) -> &str {
                &self.0
            }

            /// Length in bytes.
            #[must_use]
            pub const fn len(&self) -> usize {
                self.0.len()
            }

            /// Whether there is nothing in it.
            #[must_use]
            pub const fn is_empty(&self) -> bool {
                self.0.is_empty()
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "[redacted]"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
            }
        }

        impl Eq for $name {}
    };
}

macro_rules! secret_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Zeroize, ZeroizeOnDrop)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Length in bytes.
            pub const LENGTH: usize = $length;

            /// Takes the secret in.
            #[must_use]
            pub const fn new(value: [u8; $length]) -> Self {
                Self(value)
            }

            /// The secret itself, for deriving keys or for the cookie.
            #[must_use]
            pub const fn expose(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(concat!(stringify!($name), "[redacted]"))
            }
        }

        impl PartialEq for $name {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $name {}
    };
}

secret_string! {
    /// The client secret shared with the authorization server (RFC 6749 §2.3.1).
    ClientSecret
}
secret_string! {
    /// An access token (RFC 6749 §1.4).
    AccessToken
}
secret_string! {
    /// A refresh token (RFC 6749 §1.5).
    RefreshToken
}
secret_string! {
    /// An ID token in its compact serialisation, kept for headers and as `id_token_hint`.
    RawIdToken
}
secret_string! {
    /// The fixed password that goes to an application beside the user name (RFC 7617 §2).
    BasicPassword
}
secret_string! {
    /// The password of the session store.
    StorePassword
}
secret_string! {
    /// What opens the admin listener; sent as `Authorization: Bearer` (RFC 6750 §2.1) or as the password of `Basic`.
    AdminToken
}
secret_string! {
    /// An authorization code (RFC 6749 §1.3.1); moved into the one token request that spends it.
    AuthorizationCode
}
secret_string! {
    /// The PKCE code verifier (RFC 7636 §4.1); moved into the one token request that proves it.
    CodeVerifier
}
secret_string! {
    /// The `nonce` of an authentication request (OpenID Connect Core §3.1.2.1).
    Nonce
}
secret_bytes! {
    /// The identifier half of a session cookie.
    SessionId, 18
}
secret_bytes! {
    /// The secret half of a session cookie: without it a record cannot be opened.
    SessionSecret, 32
}
secret_bytes! {
    /// The secret of one browser in its login cookie; nonce and verifier are derived from it.
    BrowserSecret, 32
}
secret_bytes! {
    /// One key of the key ring, or one derived from it.
    SealingKey, 32
}

impl AdminToken {
    /// Whether it is the client secret as well: whoever knows one of them would have both.
    #[must_use]
    pub fn is_also(&self, secret: &ClientSecret) -> bool {
        self.0.as_bytes().ct_eq(secret.0.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_the_kind_and_nothing_else() {
        assert_eq!(format!("{:?}", ClientSecret::new("hunter2".into())), "ClientSecret[redacted]");
        assert_eq!(format!("{:?}", SealingKey::new([7; 32])), "SealingKey[redacted]");
    }

    #[test]
    fn equality_looks_at_the_whole_value() {
        assert_eq!(AccessToken::new("a".into()), AccessToken::new("a".into()));
        assert_ne!(AccessToken::new("a".into()), AccessToken::new("ab".into()));
    }
}
