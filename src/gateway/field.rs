//! A header field that means something only when it is there once.

use http::{HeaderMap, HeaderName, HeaderValue};

/// How often a field is there, with its value where that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field<'a> {
    Absent,
    One(&'a HeaderValue),
    Several,
}

impl<'a> Field<'a> {
    pub(super) fn of(headers: &'a HeaderMap, name: &HeaderName) -> Self {
        let mut values = headers.get_all(name).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Absent,
            (Some(value), None) => Self::One(value),
            (Some(_), Some(_)) => Self::Several,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::ORIGIN;

    #[test]
    fn two_fields_are_never_taken_for_one() {
        let mut headers = HeaderMap::new();
        assert_eq!(Field::of(&headers, &ORIGIN), Field::Absent);
        let value = HeaderValue::from_static("https://a.example");
        headers.append(ORIGIN, value.clone());
        assert_eq!(Field::of(&headers, &ORIGIN), Field::One(&value));
        headers.append(ORIGIN, value);
        assert_eq!(Field::of(&headers, &ORIGIN), Field::Several);
    }
}
