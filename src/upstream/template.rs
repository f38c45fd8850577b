//! Header templates: text with values of the session and the request in braces.
//!
//! A template is taken apart when the configuration is read; what a request pays is one buffer.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use super::principal::Principal;
use crate::secret::BasicPassword;
use value::Writer;

mod value;

pub use value::Encoding;

/// A template such as `Bearer {access_token}` or `{claims.email}`; `{{` and `}}` stand for the braces themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderTemplate {
    parts: Vec<Part>,
    encoding: Encoding,
    /// A person for whom it has nothing to say is refused.
    required: bool,
    /// One line for each item of the list.
    repeated: bool,
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
    /// The signed identity assertion.
    Identity,
    /// The credentials of RFC 7617 §2: the user name and a fixed password in base64.
    Basic(Arc<BasicPassword>),
}

/// Why something is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTemplate {
    /// A `{` without its `}`, or the reverse.
    #[error("a brace is open or closes nothing; write `{{{{` or `}}}}` for the brace itself")]
    Brace,
    /// Something in braces that does not exist.
    #[error(
        "only {{claims.NAME}}, {{access_token}}, {{id_token}}, {{identity}}, {{session.created}}, {{session.expires}}, \
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
    /// A user name with a colon, behind which the password would begin (RFC 7617 §2).
    #[error("the user name holds a colon")]
    Colon,
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
        Ok(Self::of(parts))
    }

    /// `Basic` with the user name and a fixed password (RFC 7617), for software that knows nothing else.
    #[must_use]
    pub fn basic(password: BasicPassword) -> Self {
        Self::of(vec![Part::Text("Basic ".to_owned()), Part::Basic(Arc::new(password))])
    }

    const fn of(parts: Vec<Part>) -> Self {
        Self { parts, encoding: Encoding::AsItIs, required: false, repeated: false }
    }

    /// The same, and a person for whom it has nothing to say is refused.
    #[must_use]
    pub fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same with one line for each item of its list; `None` when it is not exactly one claim.
    #[must_use]
    pub fn repeated(self) -> Option<Self> {
        matches!(self.parts.as_slice(), [Part::Claim(_)]).then_some(Self { repeated: true, ..self })
    }

    /// The same with its claims percent-encoded (RFC 3986 §2.1); `None` when there is no claim in it.
    #[must_use]
    pub fn percent_encoded(self) -> Option<Self> {
        let has_claim = self.parts.iter().any(|part| matches!(part, Part::Claim(_)));
        has_claim.then_some(Self { encoding: Encoding::Percent, ..self })
    }

    /// Whether a person for whom it has nothing to say is refused.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// Whether the signed identity assertion goes into it.
    #[must_use]
    pub fn uses_identity(&self) -> bool {
        self.parts.contains(&Part::Identity)
    }

    /// Whether it says something whenever there is an assertion: besides it there is only text.
    #[must_use]
    pub fn is_identity_and_text(&self) -> bool {
        let others = self.parts.iter().filter(|part| !matches!(part, Part::Text(_)));
        others.collect::<Vec<_>>() == [&Part::Identity]
    }

    /// Whether the fixed password of `basic` goes into it.
    #[must_use]
    pub fn holds_password(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Basic(_)))
    }

    /// Whether the access token goes into it: without a live one, the upstream must not be asked.
    #[must_use]
    pub fn uses_access_token(&self) -> bool {
        self.parts.contains(&Part::AccessToken)
    }

    /// Whether it says the same of everybody: such a value is often a key that opens the application.
    #[must_use]
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// Whether a claim goes into it whose name `wanted` knows.
    #[must_use]
    pub fn uses_claim(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Claim(name) if wanted(name)))
    }

    /// Fills the template. `None` when a value it needs is missing or empty: no header is sent then. `{identity}` is
    /// missing here: only an upstream signs.
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
        self.joined(principal, request, None)
    }

    /// Fills the template and hands on each line: none, one, or one for each item of a repeated list.
    ///
    /// # Errors
    /// As of [`Self::render`].
    pub fn lines(
        &self,
        principal: &Principal<'_>,
        request: RequestValues<'_>,
        assertion: Option<&str>,
        mut line: impl FnMut(HeaderValue),
    ) -> Result<(), UnusableValue> {
        match (self.parts.as_slice(), principal.identity) {
            ([Part::Claim(name)], Some(identity)) if self.repeated => {
                for item in value::items(identity, name, self.encoding)? {
                    line(header_value(item)?);
                }
            }
            _ => {
                if let Some(value) = self.joined(principal, request, assertion)? {
                    line(value);
                }
            }
        }
        Ok(())
    }

    fn joined(
        &self,
        principal: &Principal<'_>,
        request: RequestValues<'_>,
        assertion: Option<&str>,
    ) -> Result<Option<HeaderValue>, UnusableValue> {
        let mut writer = Writer::with_room(self.room(principal, assertion), self.encoding);
        let mut secret = false;
        for part in &self.parts {
            secret |= part.is_secret();
            let filled = match part {
                Part::Text(literal) => {
                    writer.literal(literal);
                    true
                }
                Part::Claim(name) => principal.identity.map_or(Ok(false), |identity| writer.claim(identity, name))?,
                Part::AccessToken => writer.token(principal.access_token.map(|token| token.expose()))?,
                Part::IdToken => writer.token(principal.id_token.map(|token| token.expose()))?,
                Part::Identity => writer.token(assertion)?,
                Part::Basic(password) => match principal.identity.and_then(|identity| identity.username.as_deref()) {
                    Some(username) => writer.token(basic(username, password)?.as_deref())?,
                    None => false,
                },
                Part::SessionCreated => writer.time(principal.created),
                Part::SessionExpires => writer.time(principal.expires),
                Part::RequestId => writer.plain(request.id)?,
                Part::RequestHost => writer.plain(request.host)?,
            };
            if !filled {
                return Ok(None);
            }
        }
        let mut value = header_value(writer.into_text())?;
        value.set_sensitive(secret);
        Ok(Some(value))
    }

    fn room(&self, principal: &Principal<'_>, assertion: Option<&str>) -> usize {
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(literal) => literal.len(),
                Part::AccessToken => principal.access_token.map_or(0, |token| token.len()),
                Part::IdToken => principal.id_token.map_or(0, |token| token.len()),
                Part::Identity => assertion.map_or(0, str::len),
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
            "identity" => Self::Identity,
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

    /// Whether whoever sees it could act as somebody.
    const fn is_secret(&self) -> bool {
        matches!(self, Self::AccessToken | Self::IdToken | Self::Identity | Self::Basic(_))
    }
}

fn header_value(text: String) -> Result<HeaderValue, UnusableValue> {
    HeaderValue::from_maybe_shared(Bytes::from(text)).map_err(|_| UnusableValue::Character)
}

/// `user-pass` of RFC 7617 §2 in base64; UTF-8, as its §2.1 has it. `None` for an empty user name.
fn basic(username: &str, password: &BasicPassword) -> Result<Option<String>, UnusableValue> {
    if username.contains(':') {
        return Err(UnusableValue::Colon);
    }
    if username.chars().any(char::is_control) {
        return Err(UnusableValue::Character);
    }
    if username.trim() != username {
        return Err(UnusableValue::Space);
    }
    let credentials = Zeroizing::new(format!("{username}:{}", password.expose()));
    Ok((!username.is_empty()).then(|| STANDARD.encode(credentials.as_bytes())))
}

#[cfg(test)]
mod tests;
