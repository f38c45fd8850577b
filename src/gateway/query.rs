//! The query of our own endpoints: form-encoded, no parameter twice (RFC 6749 §3.1).

use super::code::Code;
use super::refusal::Refusal;

/// The parameters of one request.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a form-encoded query or body.
    ///
    /// # Errors
    /// 400 when one of `single` comes twice.
    pub(super) fn read(text: Option<&str>, single: &[&str]) -> Result<Self, Refusal> {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(text.unwrap_or_default().as_bytes()).into_owned().collect();
        for name in single {
            if pairs.iter().filter(|(key, _)| key == name).count() > 1 {
                return Err(Refusal::of(Code::DuplicateParameter).with_detail("query"));
            }
        }
        Ok(Self(pairs))
    }

    /// The first of these parameters that is there.
    pub(super) fn first(&self, names: &[&str]) -> Option<&str> {
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
