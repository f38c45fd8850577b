//! From a method and a URL to what the gateway makes of them, by the order of `ingress.rs`.

use http::Method;
use http::uri::PathAndQuery;

use super::Explanation;
use crate::gateway::code::Code;
use crate::gateway::method::may_be_forwarded;
use crate::gateway::settings::Settings;
use crate::origin::Host;

/// What somebody wants to know about.
#[derive(Clone, Debug)]
pub struct Question {
    /// The method.
    pub(super) method: Method,
    /// Host and port as they were written; without them those of `public_url`.
    authority: Option<String>,
    /// Path and query as they were written.
    target: String,
}

/// Why nothing can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuestion {
    /// The method is no token (RFC 9110 §9.1).
    #[error("the method is not a word such as GET")]
    Method,
    /// Neither a URL nor a path.
    #[error("write a URL such as https://wiki.example.com/page, or a path such as /page")]
    Url,
}

impl Question {
    /// Reads what was asked. A URL is not normalised: it is what a hostile program would send, too.
    ///
    /// # Errors
    /// [`InvalidQuestion`].
    pub fn new(method: &str, url: &str) -> Result<Self, InvalidQuestion> {
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| InvalidQuestion::Method)?;
        // A browser keeps the fragment to itself.
        let url = url.split('#').next().unwrap_or_default();
        let (authority, target) = match url.split_once("://") {
            Some((scheme, rest)) if ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) => {
                let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
                (Some(authority.to_owned()), target)
            }
            None if url.starts_with('/') => (None, url),
            _ => return Err(InvalidQuestion::Url),
        };
        let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
        Ok(Self { method, authority, target })
    }
}

/// Where a request goes, its path not yet judged.
pub(super) struct Address {
    pub(super) host: Host,
    pub(super) path: String,
    has_query: bool,
}

impl Address {
    /// No rule reads the query, and it may hold what is nobody's business.
    pub(super) const fn query_in_words(&self) -> &'static str {
        if self.has_query { " (the query goes on as it is)" } else { "" }
    }
}

/// Reads host and target; `None` when that is where it ends, which has been said.
pub(super) fn read(settings: &Settings, question: &Question, told: &mut Explanation) -> Option<Address> {
    if question.target.len() > settings.listen.limits.target_bytes {
        told.refuse(Code::TargetTooLong, "path and query are longer than listen.limits.target_bytes");
        return None;
    }
    let host = match &question.authority {
        None => settings.public_url.host().clone(),
        Some(authority) => match Host::parse(authority, settings.public_url.scheme()) {
            Ok(host) => host,
            Err(_) => {
                told.refuse(Code::MalformedHost, "that is no host with an optional port");
                return None;
            }
        },
    };
    if !may_be_forwarded(&question.method) {
        told.refuse(Code::MethodNotAllowed, "no upstream gets this method");
        return None;
    }
    let Ok(target) = PathAndQuery::try_from(question.target.as_str()) else {
        told.refuse(Code::MalformedPath, "path or query hold a character that HTTP does not allow there");
        return None;
    };
    Some(Address { host, path: target.path().to_owned(), has_query: target.query().is_some() })
}
