//! The list, part by part.

use super::*;
use crate::origin::{Host, Scheme};
use crate::secret::SessionId;
use crate::session::Card;

fn session(number: u8, created: u64, username: &str, host: &str) -> SessionSummary {
    let at = Host::parse(host, Scheme::Https).unwrap();
    SessionSummary {
        store_key: StoreKey::of("https://wiki.example.com", &at, &SessionId::new([number; 18])),
        card: Card::for_listing("https://id.example.com", &format!("sub-{username}"), host, Some(username), created),
        last_use: Timestamp::from_seconds(created + 5),
        absolute_expiry: Timestamp::from_seconds(created + 3600),
    }
}

fn read(query: &str) -> Query {
    Query::read(query).unwrap()
}

#[test]
fn every_filter_must_hold_and_the_newest_come_first() {
    let all = || {
        vec![
            session(1, 100, "alice", "a.example"),
            session(2, 300, "alice", "b.example"),
            session(3, 200, "bob", "a.example"),
        ]
    };
    let shown = |query: &str| {
        let part = read(query).select(all());
        assert_eq!(part.matching, part.sessions.len());
        part.sessions.iter().map(|one| one.card.created).collect::<Vec<_>>()
    };
    assert_eq!(shown(""), [300, 200, 100]);
    assert_eq!(shown("user=alice"), [300, 100]);
    assert_eq!(shown("user=alice&host=a.example"), [100]);
    assert_eq!(shown("subject=sub-bob&issuer=https%3A%2F%2Fid.example.com"), [200]);
    assert_eq!(shown("issuer=https://other.example"), [0; 0]);
    assert_eq!(shown("user=&subject="), [300, 200, 100], "a form sends its empty fields too");
    assert_eq!(shown("user=ali"), [0; 0]);
}

#[test]
fn mm_04_the_parts_of_a_long_list_are_bounded_and_nothing_is_missed_or_shown_twice() {
    let all: Vec<_> = (0..=250).map(|number| session(number, u64::from(number / 7), "alice", "a.example")).collect();
    let (mut seen, mut query, mut parts) = (std::collections::HashSet::new(), read("user=alice&limit=40"), 0);
    loop {
        let part = query.select(all.clone());
        assert!(part.sessions.len() <= 40 && part.matching == 251);
        parts += 1;
        assert!(part.sessions.iter().all(|one| seen.insert(one.store_key)));
        let Some(next) = part.next else { break };
        query = read(&query.at(Some(next)));
        assert!(query.is_further_on() && query.here().starts_with("user=alice&limit=40&after="));
    }
    assert_eq!((parts, seen.len()), (7, 251));
    assert_eq!(read("").select(all.clone()).sessions.len(), USUAL);
    // The session that a place names may have ended: the place stays.
    let place = read("limit=1").select(all.clone()).next.unwrap();
    let rest: Vec<_> = all.into_iter().filter(|one| Place::of(one) != place).collect();
    assert_eq!(read(&format!("limit=1000&after={place}")).select(rest).sessions.len(), 250);
}

#[test]
fn a_query_that_is_not_understood_lists_nobody() {
    for (query, why) in [
        ("subjct=alice", InvalidQuery::Unknown),
        ("user=a&user=b", InvalidQuery::Repeated),
        ("limit=0", InvalidQuery::Limit),
        ("limit=1001", InvalidQuery::Limit),
        ("limit=x", InvalidQuery::Limit),
        ("after=1", InvalidQuery::After),
        ("after=x-y", InvalidQuery::After),
    ] {
        assert_eq!(Query::read(query), Err(why), "{query}");
    }
}

#[test]
fn ad_04_programs_are_told_what_the_card_says() {
    let told = describe(&session(1, 1_800_000_000, "alice", "a.example"));
    let mut told = told.as_object().unwrap().clone();
    assert_eq!(told.remove("id").unwrap().as_str().unwrap().len(), 64);
    let expected = json!({
        "subject": "sub-alice", "user": "alice", "issuer": "https://id.example.com", "provider": "corp",
        "host": "a.example", "scopes": ["openid"], "begun": "2027-01-15T08:00:00Z", "last_used": "2027-01-15T08:00:05Z",
        "expires": "2027-01-15T09:00:00Z", "access_token_expires": null, "renewable": true, "upstreams": ["wiki"],
    });
    assert_eq!(Value::Object(told), expected);
}
