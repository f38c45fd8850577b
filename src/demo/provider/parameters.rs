//! The parameters of a request, from its query or its form.

use url::form_urlencoded;

/// A parameter came twice (RFC 6749 §3.1: that must not be).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

/// Decoded parameters; each name but `resource` (RFC 8707 §2) occurs once.
#[derive(Debug, Default)]
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Repeated> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(encoded).into_owned() {
            // Sent without a value is as good as not sent (RFC 6749 §3.1).
            if value.is_empty() {
                continue;
            }
            if name != "resource" && pairs.iter().any(|(known, _)| *known == name) {
                return Err(Repeated);
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn owned(&self, name: &str) -> Option<String> {
        self.value(name).map(ToOwned::to_owned)
    }

    /// The words of a space-separated value; none when it is absent.
    pub(super) fn words(&self, name: &str) -> Vec<String> {
        self.value(name).unwrap_or_default().split(' ').filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.clone()).collect()
    }

    pub(super) fn encoded(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_parameter_is_refused_but_resource_may_repeat() {
        assert_eq!(Parameters::parse(b"a=1&a=1").err(), Some(Repeated));
        let resources = Parameters::parse(b"resource=https%3A%2F%2Fa&resource=b").unwrap();
        assert_eq!(resources.all("resource"), ["https://a", "b"]);
    }

    #[test]
    fn an_empty_parameter_is_an_absent_one() {
        let parameters = Parameters::parse(b"a=&b&scope=+openid++email").unwrap();
        assert_eq!((parameters.value("a"), parameters.value("b")), (None, None));
        assert_eq!(parameters.words("scope"), ["openid", "email"]);
    }
}
