//! The page of live sessions: plain, without scripts. The templates escape every value; every link is one of ours.

use askama::Template;

use super::answer::Refusal;
use super::listing::{Part, Query};
use crate::clock::Timestamp;
use crate::session::{Card, SessionSummary};
use crate::telemetry::request_id::RequestId;

/// A time for people, with what it is for programs.
struct Told {
    machine: String,
    words: String,
}

impl From<Timestamp> for Told {
    fn from(at: Timestamp) -> Self {
        Self { machine: at.rfc3339(), words: at.in_words() }
    }
}

struct Row<'a> {
    id: String,
    /// What people know the person by.
    user: &'a str,
    card: &'a Card,
    begun: Told,
    last_used: Told,
    expires: Told,
    access_expires: Option<Told>,
}

impl<'a> From<&'a SessionSummary> for Row<'a> {
    fn from(session: &'a SessionSummary) -> Self {
        let card = &session.card;
        Self {
            id: session.store_key.to_string(),
            user: card.username.as_deref().unwrap_or(&card.subject),
            card,
            begun: card.created_at().into(),
            last_used: session.last_use.into(),
            expires: session.absolute_expiry.into(),
            access_expires: card.access_expires.map(|at| Timestamp::from_seconds(at).into()),
        }
    }
}

#[derive(Template)]
#[template(path = "admin/pages/sessions.html")]
struct Sessions<'a> {
    query: &'a Query,
    rows: Vec<Row<'a>>,
    matching: usize,
    /// Queries of this part and of the next.
    here: String,
    next: Option<String>,
    request_id: &'a str,
}

#[derive(Template)]
#[template(path = "admin/pages/refusal.html")]
struct Refused<'a> {
    title: &'a str,
    detail: &'a str,
    request_id: &'a str,
}

pub(super) fn sessions(query: &Query, part: &Part, request_id: &RequestId) -> String {
    let page = Sessions {
        query,
        rows: part.sessions.iter().map(Row::from).collect(),
        matching: part.matching,
        here: query.here(),
        next: part.next.map(|next| query.at(Some(next))),
        request_id: request_id.as_str(),
    };
    // Rendering into memory does not fail.
    page.render().unwrap_or_default()
}

pub(super) fn refusal(refusal: &Refusal, request_id: &RequestId) -> String {
    let page = Refused { title: refusal.title, detail: &refusal.detail, request_id: request_id.as_str() };
    page.render().unwrap_or_default()
}
