//! Values the tests of this room build on.

use serde_json::{Value, json};

use super::content::SessionContent;
use super::grant::{Grant, GrantKey, GrantTokens};
use crate::claims::{Claims, Identity};
use crate::clock::Timestamp;
use crate::secret::{AccessToken, RawIdToken, RefreshToken};

/// Tokens that carry `mark` in their values.
pub(super) fn tokens(mark: &str) -> GrantTokens {
    GrantTokens {
        access_token: AccessToken::new(format!("access-{mark}")),
        access_expires: Some(Timestamp::from_seconds(1_800_000_300)),
        refresh_token: Some(RefreshToken::new(format!("refresh-{mark}"))),
        id_token: Some(RawIdToken::new(format!("id-{mark}"))),
        scopes: vec!["openid".into(), "profile".into()],
    }
}

/// A grant of the provider `corp`.
pub(super) fn grant(mark: &str) -> Grant {
    let key = GrantKey { provider: "corp".into(), scopes: vec!["openid".into(), "profile".into()], resource: None };
    Grant::new(key, tokens(mark), Timestamp::from_seconds(1_800_000_000))
}

/// A person.
pub(super) fn identity(subject: &str) -> Identity {
    let Value::Object(members) = json!({"sub": subject, "n": 1.5, "nested": {"list": ["ü", null]}}) else {
        unreachable!()
    };
    Identity {
        issuer: "https://id.example.com".into(),
        subject: subject.into(),
        username: Some(format!("name-{subject}")),
        groups: Some(vec!["staff".into(), "wiki".into()]),
        email: Some(format!("{subject}@example.com")),
        email_verified: true,
        claims: Claims::new(members),
    }
}

/// Everything that is sealed, for `subject`.
pub(super) fn content(subject: &str) -> SessionContent {
    SessionContent {
        client_id: "wiki".into(),
        created: Timestamp::from_seconds(1_800_000_000),
        login_issued: Timestamp::from_seconds(1_799_999_999),
        absolute_expiry: Timestamp::from_seconds(1_800_036_000),
        identity: identity(subject).into(),
        sid: Some("sid-1".into()),
        auth_time: Some(Timestamp::from_seconds(1_799_999_990)),
        acr: Some("urn:example:mfa".into()),
        browser: [0x5a; 32],
        upstreams: vec!["wiki".into()],
        grants: vec![grant(subject).into()],
        predecessor: None,
        successor: None,
    }
}
