//! The one JSON reader for what a provider says: bounded, and refusing duplicate members at any depth.
//!
//! A plain map keeps the last of two members of one name; another reader keeps the first. A signature over such a text
//! says nothing about which one was meant (RFC 8725 §2.4), so it is refused (RFC 7515 §4, RFC 7519 §4).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Why a text is not the JSON that we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Longer than the caller allows.
    #[error("the text is longer than is read")]
    TooLong,
    /// Not JSON in UTF-8, a number out of range, or nested too deeply.
    #[error("not JSON")]
    Malformed,
    /// A member occurs twice in one object.
    #[error("a member occurs twice")]
    DuplicateMember,
    /// JSON, but no object.
    #[error("not a JSON object")]
    NotAnObject,
}

/// Reads one JSON text of at most `limit` bytes.
///
/// # Errors
/// [`JsonError`] for everything but one well-formed text without duplicate members.
pub fn read(text: &[u8], limit: usize) -> Result<Value, JsonError> {
    if text.len() > limit {
        return Err(JsonError::TooLong);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // serde_json bounds the depth at 128. The only error of the category "data" is our own.
    let value = AnyValue
        .deserialize(&mut deserializer)
        .map_err(|error| if error.is_data() { JsonError::DuplicateMember } else { JsonError::Malformed })?;
    deserializer.end().map_err(|_| JsonError::Malformed)?;
    Ok(value)
}

/// Reads one JSON object of at most `limit` bytes.
///
/// # Errors
/// As [`read`], and [`JsonError::NotAnObject`].
pub fn read_object(text: &[u8], limit: usize) -> Result<Map<String, Value>, JsonError> {
    match read(text, limit)? {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

struct AnyValue;

impl<'de> DeserializeSeed<'de> for AnyValue {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(Self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(Self)?;
            if members.insert(name, value).is_some() {
                return Err(A::Error::custom("duplicate member"));
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_json_is_read_as_it_stands() {
        let text = br#" {"a": [1, -2, 1.5, true, null, "x\u00e9"], "b": {"c": {}}} "#;
        assert_eq!(read(text, 1000), Ok(json!({"a": [1, -2, 1.5, true, null, "xé"], "b": {"c": {}}})));
    }

    #[test]
    fn jw_11_duplicate_members_are_refused_at_any_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"x":{"a":1,"a":2}}"#,
            r#"[[{"a":1,"a":2}]]"#,
            r#"{"sub":"a","s\u0075b":"b"}"#,
        ] {
            assert_eq!(read(text.as_bytes(), 1000), Err(JsonError::DuplicateMember), "{text}");
        }
    }

    #[test]
    fn if_04_what_is_no_json_object_is_refused() {
        for text in ["", "{", "{}x", "{} {}", "{a:1}", "{'a':1}", "NaN", "1e999", "\u{feff}{}", "{\"a\":\"\u{1}\"}"] {
            assert_eq!(read(text.as_bytes(), 1000), Err(JsonError::Malformed), "{text}");
        }
        assert_eq!(read(b"{\"a\":\"\xff\"}", 1000), Err(JsonError::Malformed));
        let utf_16: Vec<u8> = "{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(read(&utf_16, 1000), Err(JsonError::Malformed));
        for text in ["null", "[]", "\"x\"", "1"] {
            assert_eq!(read_object(text.as_bytes(), 1000), Err(JsonError::NotAnObject), "{text}");
        }
    }

    #[test]
    fn length_and_depth_are_bounded() {
        assert_eq!(read(b"{}  ", 3), Err(JsonError::TooLong));
        let deep = "[".repeat(100_000);
        assert_eq!(read(deep.as_bytes(), 200_000), Err(JsonError::Malformed));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_read_is_what_the_usual_reader_reads(text in r#"[\[\]{}:,"a0-9.eE\- ]{0,24}"#) {
            if let Ok(value) = read(text.as_bytes(), 1000) {
                proptest::prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
            }
        }
    }
}
