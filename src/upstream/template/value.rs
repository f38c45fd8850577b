//! How a value becomes a part of a header, or why it cannot: never cut, never changed, never two values instead of one.

use std::fmt::Write as _;

use serde_json::Value;

use super::UnusableValue;
use crate::claims::Identity;
use crate::clock::Timestamp;

/// Longest value made from claims, in bytes as it is sent.
pub(super) const CLAIM_LIMIT: usize = 8 << 10;
/// Longest token, in bytes: as long as the gateway accepts one from a provider.
const TOKEN_LIMIT: usize = 16 << 10;

/// How claims are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// As they are; what is not printable ASCII is an error.
    #[default]
    AsItIs,
    /// Percent-encoded UTF-8: of all characters only the unreserved stay (RFC 3986 §2.3).
    Percent,
}

/// The buffer of one header's value.
pub(super) struct Writer {
    text: String,
    encoding: Encoding,
}

impl Writer {
    pub(super) fn with_room(room: usize, encoding: Encoding) -> Self {
        Self { text: String::with_capacity(room), encoding }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Text of the template itself, which has been checked when the configuration was read.
    pub(super) fn literal(&mut self, literal: &str) {
        self.text.push_str(literal);
    }

    /// Writes a claim; the names are those of [`Identity::value`], read here without copying.
    pub(super) fn claim(&mut self, identity: &Identity, name: &str) -> Result<bool, UnusableValue> {
        match Found::claim(identity, name) {
            None => Ok(false),
            Some(Found::Text(text)) => self.value(text),
            Some(Found::Texts(texts)) => self.list(texts.iter(), |writer, text| writer.value(text)),
            Some(Found::Raw(Value::Array(items))) => self.list(items.iter(), Self::scalar),
            Some(Found::Raw(value)) => self.scalar(value),
        }
    }

    pub(super) fn token(&mut self, token: Option<&str>) -> Result<bool, UnusableValue> {
        token.map_or(Ok(false), |token| self.printable(token, TOKEN_LIMIT))
    }

    pub(super) fn time(&mut self, time: Option<Timestamp>) -> bool {
        time.is_some_and(|time| write!(self.text, "{time}").is_ok())
    }

    /// A value of the request.
    pub(super) fn plain(&mut self, value: &str) -> Result<bool, UnusableValue> {
        self.printable(value, CLAIM_LIMIT)
    }

    fn list<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T) -> Result<bool, UnusableValue>,
    ) -> Result<bool, UnusableValue> {
        let start = self.text.len();
        let mut any = false;
        for item in items {
            if any {
                self.text.push(',');
            }
            let from = self.text.len();
            any |= write(self, item)?;
            if self.text.get(from..).is_some_and(|written| written.contains(',')) {
                return Err(UnusableValue::Comma);
            }
            if self.text.len() - start > CLAIM_LIMIT {
                return Err(UnusableValue::Length);
            }
        }
        Ok(any)
    }

    fn scalar(&mut self, value: &Value) -> Result<bool, UnusableValue> {
        match value {
            Value::String(value) => self.value(value),
            Value::Number(number) => self.value(&number.to_string()),
            Value::Bool(value) => self.value(if *value { "true" } else { "false" }),
            Value::Null | Value::Array(_) | Value::Object(_) => Err(UnusableValue::Shape),
        }
    }

    fn value(&mut self, value: &str) -> Result<bool, UnusableValue> {
        match self.encoding {
            Encoding::AsItIs => self.printable(value, CLAIM_LIMIT),
            Encoding::Percent => self.percent(value),
        }
    }

    fn printable(&mut self, value: &str, limit: usize) -> Result<bool, UnusableValue> {
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
        self.text.push_str(value);
        Ok(!value.is_empty())
    }

    /// Percent-encoding of RFC 3986 §2.1, with capital digits as its §2.1 asks producers to write them.
    fn percent(&mut self, value: &str) -> Result<bool, UnusableValue> {
        let start = self.text.len();
        for byte in value.bytes() {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
                self.text.push(char::from(byte));
            } else {
                // Writing to a string does not fail.
                let _ = write!(self.text, "%{byte:02X}");
            }
            if self.text.len() - start > CLAIM_LIMIT {
                return Err(UnusableValue::Length);
            }
        }
        Ok(!value.is_empty())
    }
}

/// The items of a claim, each as a value of its own; a claim that is no list is one item, empty items are none.
///
/// A comma is refused as in a joined list: whoever gets several lines may join them (RFC 9110 §5.3).
pub(super) fn items(identity: &Identity, name: &str, encoding: Encoding) -> Result<Vec<String>, UnusableValue> {
    let mut items = Vec::new();
    let mut length = 0;
    let mut add = |write: &dyn Fn(&mut Writer) -> Result<bool, UnusableValue>| {
        let mut writer = Writer::with_room(32, encoding);
        if write(&mut writer)? {
            let item = writer.into_text();
            length += item.len();
            if item.contains(',') {
                return Err(UnusableValue::Comma);
            }
            if length > CLAIM_LIMIT || items.len() == ITEM_LIMIT {
                return Err(UnusableValue::Length);
            }
            items.push(item);
        }
        Ok(())
    };
    match Found::claim(identity, name) {
        None => {}
        Some(Found::Text(text)) => add(&|writer| writer.value(text))?,
        Some(Found::Texts(texts)) => texts.iter().try_for_each(|text| add(&|writer| writer.value(text)))?,
        Some(Found::Raw(Value::Array(values))) => {
            values.iter().try_for_each(|value| add(&|writer| writer.scalar(value)))?;
        }
        Some(Found::Raw(value)) => add(&|writer| writer.scalar(value))?,
    }
    Ok(items)
}

/// Most lines that one list may become: servers take about a hundred of all kinds.
pub(super) const ITEM_LIMIT: usize = 50;

/// Where a claim stands in an identity.
enum Found<'a> {
    Text(&'a str),
    Texts(&'a [String]),
    Raw(&'a Value),
}

impl<'a> Found<'a> {
    fn claim(identity: &'a Identity, name: &str) -> Option<Self> {
        match name {
            "subject" => Some(Self::Text(&identity.subject)),
            "username" => identity.username.as_deref().map(Self::Text),
            "email" => identity.verified_email().map(Self::Text),
            "groups" => identity.groups.as_deref().map(Self::Texts),
            _ => identity.claims.lookup(name).map(Self::Raw),
        }
    }
}
