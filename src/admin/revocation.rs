//! What a request to end sessions asks for: exactly one of a name, a subject, or all.

use serde::Deserialize;
use url::form_urlencoded;

use super::ends::ToEnd;

/// Why nothing is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidRevocation {
    /// Neither JSON nor a form.
    #[error("send JSON or a URL-encoded form, and say so in Content-Type")]
    ContentType,
    /// It cannot be read.
    #[error("the body is an object or a form with id, or subject and perhaps issuer, or all")]
    Malformed,
    /// None of them, or several.
    #[error("say exactly one of: id, subject, all (true)")]
    NotOne,
    /// Not the name of any session.
    #[error("id is the name of a session: 64 hexadecimal digits")]
    Id,
    /// There are several.
    #[error("there are several issuers: say issuer besides subject")]
    Issuer,
}

/// The body, whichever way it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevocationDocument {
    id: Option<String>,
    subject: Option<String>,
    issuer: Option<String>,
    all: Option<bool>,
    /// The list that the page with the button has shown, as its query.
    #[serde(skip)]
    pub(super) back: String,
}

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    Json,
    Form,
}

impl Written {
    pub(super) fn of(content_type: Option<&str>) -> Result<Self, InvalidRevocation> {
        let media = content_type.and_then(|text| text.split(';').next()).map(str::trim).unwrap_or_default();
        if media.eq_ignore_ascii_case("application/json") {
            Ok(Self::Json)
        } else if media.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            Ok(Self::Form)
        } else {
            Err(InvalidRevocation::ContentType)
        }
    }
}

impl RevocationDocument {
    pub(super) fn read(written: Written, body: &[u8]) -> Result<Self, InvalidRevocation> {
        match written {
            Written::Json => serde_json::from_slice(body).map_err(|_| InvalidRevocation::Malformed),
            Written::Form => Self::of_form(body).ok_or(InvalidRevocation::Malformed),
        }
    }

    fn of_form(body: &[u8]) -> Option<Self> {
        let (mut read, mut seen) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(body) {
            if seen.contains(&name) {
                return None;
            }
            let text = value.into_owned();
            match &*name {
                "id" => read.id = Some(text),
                "subject" => read.subject = Some(text),
                "issuer" => read.issuer = Some(text),
                "all" => read.all = Some(text.parse().ok()?),
                "back" => read.back = text,
                _ => return None,
            }
            seen.push(name);
        }
        Some(read)
    }

    /// What is to end; `issuers` are those that sessions can be of.
    pub(super) fn which(&self, issuers: &[String]) -> Result<ToEnd, InvalidRevocation> {
        match (&self.id, &self.subject, &self.issuer, self.all) {
            (Some(id), None, None, None) => id.parse().map(ToEnd::One).map_err(|_| InvalidRevocation::Id),
            (None, Some(subject), issuer, None) => {
                let issuer = match (issuer, issuers) {
                    (Some(issuer), _) | (None, [issuer]) => issuer.clone(),
                    (None, _) => return Err(InvalidRevocation::Issuer),
                };
                Ok(ToEnd::Subject { issuer, subject: subject.clone() })
            }
            (None, None, None, Some(true)) => Ok(ToEnd::All),
            _ => Err(InvalidRevocation::NotOne),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "50291ce9129119b3fe4b5b14cd1b5976cbcca6bf1ded2f0d02d71d9c6eb9cfc8";

    fn of(written: Written, body: &str, issuers: &[&str]) -> Result<ToEnd, InvalidRevocation> {
        let issuers: Vec<_> = issuers.iter().map(|issuer| (*issuer).to_owned()).collect();
        RevocationDocument::read(written, body.as_bytes())?.which(&issuers)
    }

    #[test]
    fn json_and_forms_say_the_same() {
        let subject = |issuer: &str| ToEnd::Subject { issuer: issuer.into(), subject: "alice".into() };
        for (json, form, wanted) in [
            (format!("{{\"id\":\"{ID}\"}}"), format!("id={ID}&back=user%3Da"), Ok(ToEnd::One(ID.parse().unwrap()))),
            (r#"{"subject":"alice"}"#.into(), "subject=alice".into(), Ok(subject("https://a.example"))),
            (r#"{"subject":"alice","issuer":"b"}"#.into(), "subject=alice&issuer=b".into(), Ok(subject("b"))),
            (r#"{"all":true}"#.into(), "all=true".into(), Ok(ToEnd::All)),
            (r#"{"all":false}"#.into(), "all=false".into(), Err(InvalidRevocation::NotOne)),
            ("{}".into(), String::new(), Err(InvalidRevocation::NotOne)),
            (r#"{"id":"x"}"#.into(), "id=x".into(), Err(InvalidRevocation::Id)),
            (r#"{"issuer":"b"}"#.into(), "issuer=b".into(), Err(InvalidRevocation::NotOne)),
            (r#"{"all":true,"subject":"a"}"#.into(), "all=true&subject=a".into(), Err(InvalidRevocation::NotOne)),
            (r#"{"subjct":"a"}"#.into(), "subjct=a".into(), Err(InvalidRevocation::Malformed)),
            (r#"{"id":"a","id":"b"}"#.into(), "id=a&id=b".into(), Err(InvalidRevocation::Malformed)),
            (r#"{"all":"yes"}"#.into(), "all=yes".into(), Err(InvalidRevocation::Malformed)),
        ] {
            assert_eq!(of(Written::Json, &json, &["https://a.example"]), wanted, "{json}");
            assert_eq!(of(Written::Form, &form, &["https://a.example"]), wanted, "{form}");
        }
    }

    #[test]
    fn with_several_issuers_one_is_named() {
        for issuers in [&["a", "b"][..], &[]] {
            assert_eq!(of(Written::Form, "subject=alice", issuers), Err(InvalidRevocation::Issuer));
        }
        assert!(of(Written::Form, "subject=alice&issuer=b", &["a", "b"]).is_ok());
    }

    #[test]
    fn other_kinds_of_bodies_are_not_guessed_at() {
        assert_eq!(Written::of(Some("application/json; charset=utf-8")), Ok(Written::Json));
        assert_eq!(Written::of(Some("Application/X-www-form-urlencoded")), Ok(Written::Form));
        for other in [None, Some("text/plain"), Some("multipart/form-data; boundary=x")] {
            assert_eq!(Written::of(other), Err(InvalidRevocation::ContentType));
        }
    }
}
