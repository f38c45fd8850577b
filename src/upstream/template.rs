//! Header templates: text with values of the session and the request in braces.
//!
//! A template is taken apart when the configuration is read; what a request pays is one buffer.

use std::fmt::Write as _;

use bytes::Bytes;
use http::HeaderValue;
use serde_json::Value;

use super::principal::Principal;
use crate::claims::Identity;
use crate::clock::Timestamp;

/// Longest value made from claims, in bytes.
const CLAIM_LIMIT: usize = 8 << 10;
/// Longest token, in bytes: as long as the gateway accepts one from a provider.
const TOKEN_LIMIT: usize = 16 << 10;

/// A template such as `Bearer {access_token}` or `{claims.email}`; `{{` and `}}` stand for the braces themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Text as it stands.
    Text(String),
    Claim(String),
    AccessToken,
    IdToken,
    SessionCreated,
    SessionExpires,
    RequestId,
    RequestHost,
}

/// Why something is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A `{` without its `}`, or the reverse.
    #[error("a brace is open or closes nothing; write `{{{{` or `}}}}` for the brace itself")]
    Brace,
    /// Something in braces that does not exist.
    #[error(
        "only {{claims.NAME}}, {{access_token}}, {{id_token}}, {{session.created}}, {{session.expires}}, \
         {{request.id}} and {{request.host}} may stand in braces"
    )]
    Placeholder,
    /// Text that cannot stand in a header.
    #[error("only printable ASCII characters may stand in a header")]
    Character,
}

/// Why a value cannot be a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableValue {
    /// A control character or one outside ASCII.
    #[error("the value holds a character that no header may hold")]
    Character,
    /// White space at an end, which the receiver would take off: ` admin` would become `admin`.
    #[error("the value begins or ends with white space")]
    Space,
    /// An item of a list holds a comma and would read as two.
    #[error("an item of the list holds a comma")]
    Comma,
    /// An object, or a list in a list.
    #[error("the value is not text, a number, a truth value or a list of those")]
    Shape,
    /// Longer than any header should be.
    #[error("the value is too long")]
    Length,
}

/// What of the request a template may show.
#[derive(Clone, Copy, Debug)]
pub struct RequestValues<'a> {
    /// The id of the request.
    pub id: &'a str,
    /// The canonical host.
    pub host: &'a str,
}

impl HeaderTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`InvalidTemplate`].
    pub fn parse(text: &str) -> Result<Self, InvalidTemplate> {
        if !text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) {
            return Err(InvalidTemplate::Character);
        }
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            if let Some(after) = from.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = from.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let (name, after) =
                    from.strip_prefix('{').and_then(|inner| inner.split_once('}')).ok_or(InvalidTemplate::Brace)?;
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                parts.push(Part::placeholder(name)?);
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Self { parts })
    }

    /// Whether the access token goes into it: without a live one, the upstream must not be asked.
    #[must_use]
    pub fn uses_access_token(&self) -> bool {
        self.parts.contains(&Part::AccessToken)
    }

    /// Fills the template. `None` when a value it needs is missing or empty: no header is sent then.
    ///
    /// Lists are joined with commas, times are seconds since the epoch.
    ///
    /// # Errors
    /// [`UnusableValue`] when a value cannot stand in a header as it is; it is never cut or escaped.
    pub fn render(
        &self,
        principal: &Principal<'_>,
        request: RequestValues<'_>,
    ) -> Result<Option<HeaderValue>, UnusableValue> {
        let mut text = String::with_capacity(self.room(principal));
        let mut secret = false;
        for part in &self.parts {
            let filled = match part {
                Part::Text(literal) => {
                    text.push_str(literal);
                    true
                }
                Part::Claim(name) => {
                    principal.identity.map_or(Ok(false), |identity| claim(&mut text, identity, name))?
                }
                Part::AccessToken => {
                    secret = true;
                    token(&mut text, principal.access_token.map(|token| token.expose()))?
                }
                Part::IdToken => {
                    secret = true;
                    token(&mut text, principal.id_token.map(|token| token.expose()))?
                }
                Part::SessionCreated => time(&mut text, principal.created),
                Part::SessionExpires => time(&mut text, principal.expires),
                Part::RequestId => plain(&mut text, request.id, CLAIM_LIMIT)?,
                Part::RequestHost => plain(&mut text, request.host, CLAIM_LIMIT)?,
            };
            if !filled {
                return Ok(None);
            }
        }
        let mut value = HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| UnusableValue::Character)?;
        value.set_sensitive(secret);
        Ok(Some(value))
    }

    fn room(&self, principal: &Principal<'_>) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(literal) => literal.len(),
                Part::AccessToken => principal.access_token.map_or(0, |token| token.len()),
                Part::IdToken => principal.id_token.map_or(0, |token| token.len()),
                _ => 32,
            })
            .sum()
    }
}

impl Part {
    fn placeholder(name: &str) -> Result<Self, InvalidTemplate> {
        Ok(match name {
            "access_token" => Self::AccessToken,
            "id_token" => Self::IdToken,
            "session.created" => Self::SessionCreated,
            "session.expires" => Self::SessionExpires,
            "request.id" => Self::RequestId,
            "request.host" => Self::RequestHost,
            _ => match name.strip_prefix("claims.") {
                Some(claim) if !claim.is_empty() && !claim.contains('{') => Self::Claim(claim.to_owned()),
                _ => return Err(InvalidTemplate::Placeholder),
            },
        })
    }
}

/// Writes a claim; the names are those of [`Identity::value`], read here without copying.
fn claim(text: &mut String, identity: &Identity, name: &str) -> Result<bool, UnusableValue> {
    match name {
        "subject" => plain(text, &identity.subject, CLAIM_LIMIT),
        "username" => identity.username.as_deref().map_or(Ok(false), |value| plain(text, value, CLAIM_LIMIT)),
        "email" => identity.email.as_deref().map_or(Ok(false), |value| plain(text, value, CLAIM_LIMIT)),
        "groups" => match &identity.groups {
            Some(groups) => list(text, groups.iter(), |text, group| plain(text, group, CLAIM_LIMIT)),
            None => Ok(false),
        },
        _ => match identity.claims.lookup(name) {
            Some(Value::Array(items)) => list(text, items.iter(), scalar),
            Some(value) => scalar(text, value),
            None => Ok(false),
        },
    }
}

fn list<T>(
    text: &mut String,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(&mut String, T) -> Result<bool, UnusableValue>,
) -> Result<bool, UnusableValue> {
    let start = text.len();
    let mut any = false;
    for item in items {
        if any {
            text.push(',');
        }
        let from = text.len();
        any |= write(text, item)?;
        if text.get(from..).is_some_and(|written| written.contains(',')) {
            return Err(UnusableValue::Comma);
        }
        if text.len() - start > CLAIM_LIMIT {
            return Err(UnusableValue::Length);
        }
    }
    Ok(any)
}

fn scalar(text: &mut String, value: &Value) -> Result<bool, UnusableValue> {
    match value {
        Value::String(value) => plain(text, value, CLAIM_LIMIT),
        Value::Number(number) => {
            let written = write!(text, "{number}");
            Ok(written.is_ok())
        }
        Value::Bool(value) => plain(text, if *value { "true" } else { "false" }, CLAIM_LIMIT),
        Value::Null | Value::Array(_) | Value::Object(_) => Err(UnusableValue::Shape),
    }
}

fn plain(text: &mut String, value: &str, limit: usize) -> Result<bool, UnusableValue> {
    if value.len() > limit {
        return Err(UnusableValue::Length);
    }
    // No early way out: a token is long, and without one the loop is a few vector instructions.
    if !value.bytes().fold(true, |printable, byte| printable & matches!(byte, 0x20..=0x7e)) {
        return Err(UnusableValue::Character);
    }
    if value.starts_with(' ') || value.ends_with(' ') {
        return Err(UnusableValue::Space);
    }
    text.push_str(value);
    Ok(!value.is_empty())
}

fn token(text: &mut String, token: Option<&str>) -> Result<bool, UnusableValue> {
    token.map_or(Ok(false), |token| plain(text, token, TOKEN_LIMIT))
}

fn time(text: &mut String, time: Option<Timestamp>) -> bool {
    time.is_some_and(|time| write!(text, "{time}").is_ok())
}

#[cfg(test)]
mod tests;
