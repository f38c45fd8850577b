//! From claims to an identity: what the ID token and userinfo say together, and which of it the gateway goes by.

use serde_json::{Map, Value};

use crate::claims::{Claims, ClaimsMapping, Identity};
use crate::oidc::id_token::IdToken;
use crate::oidc::token_claims;
use crate::oidc::token_claims::MAX_CLAIMS;
use crate::oidc::userinfo::Userinfo;

/// Whether an e-mail address counts as verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EmailVerified {
    /// Only with `email_verified: true` (OpenID Connect Core §5.1).
    #[default]
    Claim,
    /// Always: for providers that verify addresses but send no claim.
    Trusted,
}

/// Why claims make no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// There is nothing usable where the subject should be.
    #[error("subject")]
    Subject,
    /// More than 16 KiB of claims.
    #[error("claims-size")]
    ClaimsSize,
}

impl IdentityError {
    /// The stable name of the check.
    #[must_use]
    pub const fn check(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::ClaimsSize => "claims-size",
        }
    }
}

/// What an identity is read by.
#[derive(Clone, Copy, Debug)]
pub struct IdentityRules<'a> {
    /// The issuer, or the name of a plain OAuth 2.0 provider.
    pub issuer: &'a str,
    /// Where things are found.
    pub mapping: &'a ClaimsMapping,
    /// Whether addresses count as verified.
    pub email_verified: EmailVerified,
}

/// The identity of an OpenID login. The ID token wins over userinfo, which is not signed.
///
/// # Errors
/// [`IdentityError`].
pub fn of_openid(
    rules: &IdentityRules<'_>,
    id_token: &IdToken,
    userinfo: Option<&Userinfo>,
) -> Result<Identity, IdentityError> {
    let no_members = Map::new();
    let lesser = userinfo.map_or(&no_members, Userinfo::members);
    build(rules, merge(id_token.claims(), lesser), false)
}

/// Claims about a token or the login, not about the person: userinfo has no say in them.
const ABOUT_THE_LOGIN: [&str; 14] =
    ["iss", "sub", "aud", "azp", "exp", "iat", "nbf", "jti", "nonce", "auth_time", "acr", "amr", "sid", "at_hash"];

/// The identity after a refresh that brought no ID token: userinfo is the newest word and wins; what it leaves out is
/// what the last ID token says. Whatever only an older userinfo answer has said is gone.
///
/// # Errors
/// [`IdentityError`].
pub fn of_refreshed_userinfo(
    rules: &IdentityRules<'_>,
    last_id_token: &Map<String, Value>,
    userinfo: &Userinfo,
) -> Result<Identity, IdentityError> {
    let mut members = merge(userinfo.members(), last_id_token);
    about_the_login(&mut members, last_id_token);
    build(rules, members, false)
}

/// The identity after a refresh that brought an ID token, while userinfo could not be had. What the ID token says wins
/// over what was known before; if both together are too large, the ID token stands alone.
///
/// # Errors
/// [`IdentityError::ClaimsSize`].
pub fn of_refreshed_id_token(
    rules: &IdentityRules<'_>,
    id_token: &IdToken,
    previous: &Identity,
) -> Result<Identity, IdentityError> {
    let mut members = merge(id_token.claims(), previous.claims.members());
    about_the_login(&mut members, id_token.claims());
    match build(rules, members, false) {
        Ok(identity) => Ok(identity),
        Err(_) => of_id_token_alone(rules, id_token, previous),
    }
}

/// The identity after a refresh by its ID token alone. Of what was known before nothing is left but the subject, where a
/// mapping takes it from a claim that the ID token does not have: the token has been verified to be this person's.
///
/// # Errors
/// [`IdentityError::ClaimsSize`].
pub fn of_id_token_alone(
    rules: &IdentityRules<'_>,
    id_token: &IdToken,
    previous: &Identity,
) -> Result<Identity, IdentityError> {
    let claims = bounded(id_token.claims().clone())?;
    let subject = subject(rules, &claims, false).unwrap_or_else(|_| previous.subject.clone());
    Ok(of_claims(rules, claims, subject))
}

fn about_the_login(members: &mut Map<String, Value>, id_token: &Map<String, Value>) {
    for name in ABOUT_THE_LOGIN {
        match id_token.get(name) {
            Some(value) => members.insert(name.to_owned(), value.clone()),
            None => members.remove(name),
        };
    }
}

/// The identity of a plain OAuth 2.0 login. With an endpoint for addresses (`Some`), what it says replaces the address
/// in the user resource, which anyone may have written there.
///
/// # Errors
/// [`IdentityError`].
pub fn of_plain_oauth(
    rules: &IdentityRules<'_>,
    userinfo: &Userinfo,
    primary_verified_email: Option<Option<String>>,
) -> Result<Identity, IdentityError> {
    let mut identity = build(rules, userinfo.members().clone(), true)?;
    if let Some(email) = primary_verified_email {
        identity.email = email.filter(|email| is_clean(email));
        identity.email_verified = identity.email.is_some();
    }
    Ok(identity)
}

/// The identity that these claims would make if a provider said them: nobody has verified anything, so that this is for
/// showing what a configuration does and for nothing else. `plain` is for plain OAuth 2.0.
///
/// # Errors
/// [`IdentityError`].
pub fn of_supposed(
    rules: &IdentityRules<'_>,
    claims: Map<String, Value>,
    plain: bool,
) -> Result<Identity, IdentityError> {
    build(rules, claims, plain)
}

fn merge(winner: &Map<String, Value>, lesser: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = lesser.clone();
    for (name, value) in winner {
        merged.insert(name.clone(), value.clone());
    }
    // `email_verified` vouches for the address beside it, not for that of the other source.
    if lesser.get("email") != merged.get("email") || winner.contains_key("email_verified") {
        let beside = if winner.contains_key("email") { winner } else { lesser };
        match beside.get("email_verified") {
            Some(flag) => merged.insert("email_verified".into(), flag.clone()),
            None => merged.remove("email_verified"),
        };
    }
    merged
}

fn build(
    rules: &IdentityRules<'_>,
    members: Map<String, Value>,
    integer_subject: bool,
) -> Result<Identity, IdentityError> {
    let claims = bounded(members)?;
    let subject = subject(rules, &claims, integer_subject)?;
    Ok(of_claims(rules, claims, subject))
}

fn bounded(members: Map<String, Value>) -> Result<Claims, IdentityError> {
    let size = serde_json::to_vec(&members).map_err(|_| IdentityError::ClaimsSize)?.len();
    if size > MAX_CLAIMS { Err(IdentityError::ClaimsSize) } else { Ok(Claims::new(members)) }
}

fn subject(rules: &IdentityRules<'_>, claims: &Claims, integer_subject: bool) -> Result<String, IdentityError> {
    let subject = match claims.lookup(&rules.mapping.subject) {
        Some(Value::String(subject)) => subject.clone(),
        Some(Value::Number(number)) if integer_subject && (number.is_u64() || number.is_i64()) => number.to_string(),
        _ => return Err(IdentityError::Subject),
    };
    if token_claims::is_subject(&subject) { Ok(subject) } else { Err(IdentityError::Subject) }
}

fn of_claims(rules: &IdentityRules<'_>, claims: Claims, subject: String) -> Identity {
    let username = text(claims.lookup(&rules.mapping.username));
    let email = text(claims.lookup(&rules.mapping.email)).filter(|email| is_clean(email));
    // The flag speaks of the claim `email`; a mapped address counts only if it is the same.
    let vouched = claims.lookup("email_verified") == Some(&Value::Bool(true))
        && claims.lookup("email").and_then(Value::as_str) == email.as_deref();
    let email_verified = email.is_some() && (vouched || rules.email_verified == EmailVerified::Trusted);
    let groups = if claims.groups_overage(rules.mapping) { None } else { groups(claims.lookup(&rules.mapping.groups)) };
    Identity { issuer: rules.issuer.to_owned(), subject, username, groups, email, email_verified, claims }
}

fn text(value: Option<&Value>) -> Option<String> {
    value?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

fn is_clean(email: &str) -> bool {
    !email.is_empty() && !email.chars().any(char::is_control)
}

/// A list of strings or integers, or one string. Anything else among them and the whole claim counts as missing: a rule
/// with `not` must not pass because an item could not be read.
fn groups(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(group) if !group.is_empty() => Some(vec![group.clone()]),
        Value::Array(items) => items.iter().map(group).collect(),
        _ => None,
    }
}

fn group(item: &Value) -> Option<String> {
    match item {
        Value::String(group) => Some(group.clone()),
        Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
