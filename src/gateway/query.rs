//! The query of our own endpoints: form-encoded, no parameter twice (RFC 6749 §3.1).

use super::code::Code;
use super::refusal::Refusal;

/// A parameter came twice that may come once: two readers could take different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a parameter is repeated")]
pub struct RepeatedParameter;

impl From<RepeatedParameter> for Refusal {
    fn from(_: RepeatedParameter) -> Self {
        Self::of(Code::DuplicateParameter).with_detail("query")
    }
}

/// The parameters of one request.
///
/// It has no `Debug`: a code or a token may be among them.
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a form-encoded query or body.
    ///
    /// # Errors
    /// [`RepeatedParameter`] when one of `single` comes twice (400).
    pub fn read(text: Option<&str>, single: &[&str]) -> Result<Self, RepeatedParameter> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect();
        for name in single {
            if pairs.iter().filter(|(key, _)| key == name).count() > 1 {
                return Err(RepeatedParameter);
            }
        }
        Ok(Self(pairs))
    }

    /// The first of these parameters that is there.
    #[must_use]
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().find_map(|name| self.0.iter().find(|(key, _)| key == name)).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ru_14_a_return_path_is_given_once() {
        assert!(Query::read(Some("rd=/a&rd=/a"), &["rd"]).is_err());
        assert_eq!(Query::read(Some("rd=%2Fa&x=1&x=2"), &["rd"]).unwrap().first(&["rd"]), Some("/a"));
        assert_eq!(Query::read(None, &["rd"]).unwrap().first(&["rd"]), None);
    }
}
