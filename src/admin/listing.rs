//! Which of the live sessions are shown: filtered, newest first, a page at a time.

use std::cmp::Reverse;
use std::fmt;
use std::str::FromStr;

use serde_json::{Value, json};
use url::form_urlencoded;

use crate::clock::Timestamp;
use crate::session::{SessionSummary, StoreKey};

const USUAL: usize = 100;
const MOST: usize = 1000;

/// A query that is not understood: better an error than a list of everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidQuery {
    /// A parameter that there is not.
    #[error("there is no such parameter; there are subject, issuer, host, user, limit and after")]
    Unknown,
    /// A parameter came twice.
    #[error("a parameter is repeated")]
    Repeated,
    /// Not a count of sessions.
    #[error("limit is a number from 1 to 1000")]
    Limit,
    /// No place in the list.
    #[error("after is what an earlier answer said under next")]
    After,
}

/// What to show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) subject: Option<String>,
    pub(super) issuer: Option<String>,
    pub(super) host: Option<String>,
    pub(super) user: Option<String>,
    limit: Option<usize>,
    after: Option<Place>,
    /// How many have ended just now, for the page that says so.
    pub(super) ended: Option<usize>,
}

/// A place in the list, which stays the same when sessions come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(Reverse<Timestamp>, StoreKey);

impl Place {
    const fn of(session: &SessionSummary) -> Self {
        Self(Reverse(session.card.created_at()), session.store_key)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.0.0, self.1)
    }
}

impl FromStr for Place {
    type Err = InvalidQuery;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (created, key) = text.split_once('-').ok_or(InvalidQuery::After)?;
        let created = created.parse().map_err(|_| InvalidQuery::After)?;
        Ok(Self(Reverse(Timestamp::from_seconds(created)), key.parse().map_err(|_| InvalidQuery::After)?))
    }
}

/// A part of the list.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) sessions: Vec<SessionSummary>,
    /// Where the next part begins.
    pub(super) next: Option<Place>,
    /// How many there are in all parts.
    pub(super) matching: usize,
}

impl Query {
    /// Reads the query of a request. An empty value is none: forms send all their fields.
    pub(super) fn read(query: &str) -> Result<Self, InvalidQuery> {
        let mut read = Self::default();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            if seen.contains(&name) {
                return Err(InvalidQuery::Repeated);
            }
            let text = (!value.is_empty()).then(|| value.clone().into_owned());
            match &*name {
                "subject" => read.subject = text,
                "issuer" => read.issuer = text,
                "host" => read.host = text,
                "user" => read.user = text,
                "limit" => read.limit = text.map(|text| limit(&text)).transpose()?,
                "after" => read.after = text.map(|text| text.parse()).transpose()?,
                "ended" => read.ended = text.and_then(|text| text.parse().ok()),
                _ => return Err(InvalidQuery::Unknown),
            }
            seen.push(name);
        }
        Ok(read)
    }

    /// What of all that is live belongs to this part.
    pub(super) fn select(&self, mut sessions: Vec<SessionSummary>) -> Part {
        let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
        sessions.retain(|SessionSummary { card, .. }| {
            is(&self.subject, &card.subject)
                && is(&self.issuer, &card.issuer)
                && is(&self.host, &card.host)
                && is(&self.user, card.username.as_deref().unwrap_or_default())
        });
        let matching = sessions.len();
        sessions.sort_unstable_by_key(Place::of);
        sessions.retain(|session| self.after.is_none_or(|after| Place::of(session) > after));
        let limit = self.limit.unwrap_or(USUAL);
        let next = (sessions.len() > limit).then(|| sessions.get(limit.saturating_sub(1)).map(Place::of)).flatten();
        sessions.truncate(limit);
        Part { sessions, next, matching }
    }

    /// The same list after another place, as a query.
    pub(super) fn at(&self, after: Option<Place>) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let filters =
            [("subject", &self.subject), ("issuer", &self.issuer), ("host", &self.host), ("user", &self.user)];
        for (name, value) in filters.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            query.append_pair(name, value);
        }
        let numbers = [("limit", self.limit.map(|limit| limit.to_string())), ("after", after.map(|at| at.to_string()))];
        for (name, value) in numbers.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            query.append_pair(name, &value);
        }
        query.finish()
    }

    /// This very part of the list, as a query.
    pub(super) fn here(&self) -> String {
        self.at(self.after)
    }

    /// Whether it is anything but the list from its beginning.
    pub(super) const fn is_filtered(&self) -> bool {
        self.subject.is_some() || self.issuer.is_some() || self.host.is_some() || self.user.is_some()
    }

    /// Whether it is not the first part.
    pub(super) const fn is_further_on(&self) -> bool {
        self.after.is_some()
    }
}

fn limit(text: &str) -> Result<usize, InvalidQuery> {
    text.parse().ok().filter(|limit| (1..=MOST).contains(limit)).ok_or(InvalidQuery::Limit)
}

/// A session as programs are told of it: what its card says, never a token.
pub(super) fn describe(session: &SessionSummary) -> Value {
    let SessionSummary { store_key, card, last_use, absolute_expiry } = session;
    json!({
        "id": store_key.to_string(),
        "subject": card.subject,
        "user": card.username,
        "issuer": card.issuer,
        "provider": card.provider,
        "host": card.host,
        "scopes": card.scopes,
        "begun": card.created_at().rfc3339(),
        "last_used": last_use.rfc3339(),
        "expires": absolute_expiry.rfc3339(),
        "access_token_expires": card.access_expires.map(|at| Timestamp::from_seconds(at).rfc3339()),
        "renewable": card.has_refresh_token,
        "upstreams": card.upstreams,
    })
}

/// A part of the list as programs are told of it.
pub(super) fn describe_part(part: &Part) -> Value {
    json!({
        "sessions": part.sessions.iter().map(describe).collect::<Vec<_>>(),
        "matching": part.matching,
        "next": part.next.map(|next| next.to_string()),
    })
}

#[cfg(test)]
#[path = "listing/tests.rs"]
mod tests;
