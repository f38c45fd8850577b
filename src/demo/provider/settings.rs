//! What the development provider is told when it is made.

use std::time::Duration;

use crate::secret::ClientSecret;

/// Everything the development provider needs to know.
#[derive(Debug)]
pub struct DevelopmentProviderSettings {
    /// The issuer identifier: scheme, loopback address and port, without a slash at the end.
    pub issuer: String,
    /// The relying parties registered from the start; more can be registered later.
    pub clients: Vec<RegisteredClient>,
    /// Who can log in.
    pub accounts: Vec<Account>,
    /// How long an access token lives: short, so that a person can watch it being refreshed.
    pub access_token_lifetime: Duration,
    /// How long a refresh token lives when it is not used.
    pub refresh_token_lifetime: Duration,
    /// How long the provider remembers a browser that has logged in.
    pub session_lifetime: Duration,
}

impl DevelopmentProviderSettings {
    /// The settings of the demonstration: three accounts, access tokens of a minute, no client yet.
    #[must_use]
    pub fn new(issuer: &str) -> Self {
        Self {
            issuer: issuer.to_owned(),
            clients: Vec::new(),
            accounts: Account::examples(),
            access_token_lifetime: Duration::from_secs(60),
            refresh_token_lifetime: Duration::from_secs(24 * 3600),
            session_lifetime: Duration::from_secs(12 * 3600),
        }
    }
}

/// A relying party as registered at the provider (RFC 6749 §2).
#[derive(Debug)]
pub struct RegisteredClient {
    /// `client_id`.
    pub id: String,
    /// The client secret; `None` makes it a public client, which has PKCE alone.
    pub secret: Option<ClientSecret>,
    /// The redirect URIs, compared byte by byte.
    pub redirect_uris: Vec<String>,
    /// Where a logout may return to, compared byte by byte.
    pub post_logout_redirect_uris: Vec<String>,
}

/// A made-up person who can log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// `preferred_username`, and what is typed into the form.
    pub username: String,
    /// The password. It is printed on the page: it protects nothing and is no secret.
    pub password: String,
    /// `sub`.
    pub subject: String,
    /// `name`.
    pub name: String,
    /// `email`.
    pub email: String,
    /// `email_verified`.
    pub email_verified: bool,
    /// `groups`.
    pub groups: Vec<String>,
}

impl Account {
    /// The accounts of the demonstration: an administrator, a member of staff, and a guest with an unverified address.
    #[must_use]
    pub fn examples() -> Vec<Self> {
        let account = |username: &str, name: &str, email_verified, groups: &[&str]| Self {
            username: username.to_owned(),
            password: "demo".to_owned(),
            // Not the user name: whoever mixes the two up should notice here, not in production.
            subject: format!("subject-of-{username}"),
            name: name.to_owned(),
            email: format!("{username}@example.com"),
            email_verified,
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
        };
        vec![
            account("alice", "Alice Example", true, &["staff", "admins"]),
            account("bob", "Bob Example", true, &["staff"]),
            account("carol", "Carol Example", false, &["guests"]),
        ]
    }
}
