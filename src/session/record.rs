//! The inside of a record as bytes: a version, then postcard. No compression: its length would tell about its content.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::content::SessionContent;
use super::grant::{Grant, GrantKey, GrantTokens};
use super::ticket::StoreKey;
use crate::claims::{Claims, Identity};
use crate::clock::Timestamp;
use crate::secret::{AccessToken, RawIdToken, RefreshToken};

/// The most a record may hold.
pub(super) const MAX_RECORD_BYTES: usize = 64 << 10;

const VERSION: u8 = 1;

/// Tokens and claims of this session do not fit into a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session does not fit into 64 KiB, or with its card into 96 KiB")]
pub struct TooLarge;

/// The bytes are authentic, but of a form this version does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the record has an unknown form")]
pub(super) struct UnknownForm;

/// The serde mirror. It borrows, in both directions, so that no copy of a token is made that nobody wipes.
#[derive(Serialize, Deserialize)]
struct RecordDocument<'a> {
    client_id: &'a str,
    created: u64,
    login_issued: u64,
    absolute_expiry: u64,
    #[serde(borrow)]
    identity: IdentityDocument<'a>,
    sid: Option<&'a str>,
    auth_time: Option<u64>,
    acr: Option<&'a str>,
    browser: [u8; 32],
    upstreams: Vec<&'a str>,
    #[serde(borrow)]
    grants: Vec<GrantDocument<'a>>,
    predecessor: Option<[u8; 32]>,
    successor: Option<[u8; 32]>,
}

#[derive(Serialize, Deserialize)]
struct IdentityDocument<'a> {
    issuer: &'a str,
    subject: &'a str,
    username: Option<&'a str>,
    #[serde(borrow)]
    groups: Option<Vec<&'a str>>,
    email: Option<&'a str>,
    email_verified: bool,
    /// JSON: postcard has no form for values of any shape.
    claims: &'a str,
}

#[derive(Serialize, Deserialize)]
struct GrantDocument<'a> {
    provider: &'a str,
    scopes_asked: Vec<&'a str>,
    resource: Option<&'a str>,
    access_token: &'a str,
    access_expires: Option<u64>,
    refresh_token: Option<&'a str>,
    id_token: Option<&'a str>,
    scopes: Vec<&'a str>,
    obtained: u64,
    token_generation: u64,
    uncertain_since: Option<u64>,
    refresh_disabled: bool,
}

fn strs(strings: &[String]) -> Vec<&str> {
    strings.iter().map(String::as_str).collect()
}

fn strings(strs: Vec<&str>) -> Vec<String> {
    strs.into_iter().map(ToOwned::to_owned).collect()
}

/// Writes `content`.
///
/// # Errors
/// [`TooLarge`] over [`MAX_RECORD_BYTES`].
pub(super) fn encode(content: &SessionContent) -> Result<Zeroizing<Vec<u8>>, TooLarge> {
    let identity = &content.identity;
    let claims = serde_json::to_string(identity.claims.members()).map_err(|_| TooLarge)?;
    let document = RecordDocument {
        client_id: &content.client_id,
        created: content.created.as_seconds(),
        login_issued: content.login_issued.as_seconds(),
        absolute_expiry: content.absolute_expiry.as_seconds(),
        identity: IdentityDocument {
            issuer: &identity.issuer,
            subject: &identity.subject,
            username: identity.username.as_deref(),
            groups: identity.groups.as_deref().map(strs),
            email: identity.email.as_deref(),
            email_verified: identity.email_verified,
            claims: &claims,
        },
        sid: content.sid.as_deref(),
        auth_time: content.auth_time.map(Timestamp::as_seconds),
        acr: content.acr.as_deref(),
        browser: content.browser,
        upstreams: strs(&content.upstreams),
        grants: content.grants.iter().map(|grant| document_of(grant)).collect(),
        predecessor: content.predecessor.map(|key| *key.as_bytes()),
        successor: content.successor.map(|key| *key.as_bytes()),
    };
    // One buffer of the largest size: a growing one would leave tokens behind in its old allocations.
    let mut buffer = Zeroizing::new(vec![0; MAX_RECORD_BYTES]);
    let (version, rest) = buffer.split_first_mut().ok_or(TooLarge)?;
    *version = VERSION;
    let written = postcard::to_slice(&document, rest).map_err(|_| TooLarge)?.len();
    buffer.truncate(1 + written);
    Ok(buffer)
}

fn document_of(grant: &Grant) -> GrantDocument<'_> {
    let tokens = &grant.tokens;
    GrantDocument {
        provider: &grant.key.provider,
        scopes_asked: strs(&grant.key.scopes),
        resource: grant.key.resource.as_deref(),
        access_token: tokens.access_token.expose(),
        access_expires: tokens.access_expires.map(Timestamp::as_seconds),
        refresh_token: tokens.refresh_token.as_ref().map(RefreshToken::expose),
        id_token: tokens.id_token.as_ref().map(RawIdToken::expose),
        scopes: strs(&tokens.scopes),
        obtained: grant.obtained.as_seconds(),
        token_generation: grant.token_generation,
        uncertain_since: grant.uncertain_since.map(Timestamp::as_seconds),
        refresh_disabled: grant.refresh_disabled,
    }
}

/// Reads what [`encode`] wrote; the bytes have been verified before.
///
/// # Errors
/// [`UnknownForm`] for another version, or bytes that are missing or left over.
pub(super) fn decode(bytes: &[u8]) -> Result<SessionContent, UnknownForm> {
    let (&VERSION, rest) = bytes.split_first().ok_or(UnknownForm)? else { return Err(UnknownForm) };
    let (document, left): (RecordDocument<'_>, _) = postcard::take_from_bytes(rest).map_err(|_| UnknownForm)?;
    if !left.is_empty() {
        return Err(UnknownForm);
    }
    let identity = document.identity;
    let claims: Map<String, Value> = serde_json::from_str(identity.claims).map_err(|_| UnknownForm)?;
    Ok(SessionContent {
        client_id: document.client_id.to_owned(),
        created: Timestamp::from_seconds(document.created),
        login_issued: Timestamp::from_seconds(document.login_issued),
        absolute_expiry: Timestamp::from_seconds(document.absolute_expiry),
        identity: Identity {
            issuer: identity.issuer.to_owned(),
            subject: identity.subject.to_owned(),
            username: identity.username.map(ToOwned::to_owned),
            groups: identity.groups.map(strings),
            email: identity.email.map(ToOwned::to_owned),
            email_verified: identity.email_verified,
            claims: Claims::new(claims),
        }
        .into(),
        sid: document.sid.map(ToOwned::to_owned),
        auth_time: document.auth_time.map(Timestamp::from_seconds),
        acr: document.acr.map(ToOwned::to_owned),
        browser: document.browser,
        upstreams: strings(document.upstreams),
        grants: document.grants.into_iter().map(|grant| grant_of(grant).into()).collect(),
        predecessor: document.predecessor.map(StoreKey::of_bytes),
        successor: document.successor.map(StoreKey::of_bytes),
    })
}

fn grant_of(document: GrantDocument<'_>) -> Grant {
    Grant {
        key: GrantKey {
            provider: document.provider.to_owned(),
            scopes: strings(document.scopes_asked),
            resource: document.resource.map(ToOwned::to_owned),
        },
        tokens: GrantTokens {
            access_token: AccessToken::new(document.access_token.to_owned()),
            access_expires: document.access_expires.map(Timestamp::from_seconds),
            refresh_token: document.refresh_token.map(|token| RefreshToken::new(token.to_owned())),
            id_token: document.id_token.map(|token| RawIdToken::new(token.to_owned())),
            scopes: strings(document.scopes),
        },
        obtained: Timestamp::from_seconds(document.obtained),
        token_generation: document.token_generation,
        uncertain_since: document.uncertain_since.map(Timestamp::from_seconds),
        refresh_disabled: document.refresh_disabled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::fixtures::{content, tokens};
    use crate::session::grant::GrantMark;
    use crate::session::testing::hex;
    use std::sync::Arc;

    #[test]
    fn everything_comes_back() {
        let mut content = content("alice");
        assert_eq!(decode(&encode(&content).unwrap()).unwrap(), content);
        let grant = content.grants[0].marked(GrantMark::UncertainSince(Timestamp::MAX));
        content.grants = vec![grant.marked(GrantMark::RefreshDisabled).into()];
        let mut identity = Identity::clone(&content.identity);
        (identity.username, identity.groups, identity.email) = (None, None, None);
        content.identity = identity.into();
        (content.sid, content.auth_time, content.acr) = (None, None, None);
        content.upstreams = vec![];
        (content.predecessor, content.successor) =
            (Some(StoreKey::of_bytes([1; 32])), Some(StoreKey::of_bytes([2; 32])));
        assert_eq!(decode(&encode(&content).unwrap()).unwrap(), content);
    }

    #[test]
    fn the_bytes_are_those_of_the_fixed_vector() {
        assert_eq!(
            hex(&encode(&content("alice")).unwrap()),
            "010477696b6980a4a7da06ffa3a7da06a0bda9da061668747470733a2f2f69642e6578616d706c652e636f6d05616c696365010a6e\
             616d652d616c69636501020573746166660477696b690111616c696365406578616d706c652e636f6d01357b226e223a\
             312e352c226e6573746564223a7b226c697374223a5b22c3bc222c6e756c6c5d7d2c22737562223a22616c696365227d\
             01057369642d3101f6a3a7da06010f75726e3a6578616d706c653a6d66615a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a\
             5a5a5a5a5a5a5a5a5a5a5a5a5a5a010477696b690104636f727002066f70656e69640770726f66696c65000c61636365\
             73732d616c69636501aca6a7da06010d726566726573682d616c696365010869642d616c69636502066f70656e696407\
             70726f66696c6580a4a7da060100000000"
        );
    }

    #[test]
    fn rf_14_a_refreshed_record_is_read_by_the_same_code() {
        let before = content("alice");
        let grant = Arc::new(before.grants[0].refreshed(tokens("new"), Timestamp::from_seconds(1_800_000_200)));
        let after = before.with_grant(&grant);
        let bytes = encode(&after).unwrap();
        assert_eq!(bytes[0], VERSION);
        assert_eq!(decode(&bytes).unwrap(), after);
        assert_ne!(after, before);
    }

    #[test]
    fn ss_03_other_versions_and_other_lengths_are_refused() {
        let bytes = encode(&content("alice")).unwrap();
        let mut other = bytes.to_vec();
        other[0] = 2;
        assert_eq!(decode(&other), Err(UnknownForm));
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Err(UnknownForm), "{length} bytes");
        }
        assert_eq!(decode(&[&bytes[..], b"\0"].concat()), Err(UnknownForm));
    }

    #[test]
    fn what_does_not_fit_is_refused_and_not_cut() {
        let mut content = content("alice");
        content.acr = Some("a".repeat(MAX_RECORD_BYTES));
        assert_eq!(encode(&content), Err(TooLarge));
    }
}
