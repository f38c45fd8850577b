//! How long a cookie takes that opens no session (TM-02, CR-03), and a logout of a session that is not there (TM-04).
//!
//! What is reported is for people to judge: times on a busy machine are no ground for a test.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vestibule::clock::{Clock, OffsetClock};
use vestibule::session::{EndReason, IndexName, Opened};

use crate::fixture;

const SAMPLES: usize = 5_000;

pub async fn report() {
    let clock = fixture::system_clock();
    let store = fixture::store(&clock);
    let first = fixture::sessions(&store, &clock, 1);
    let mut cookies = Vec::new();
    for number in 0..SAMPLES {
        cookies.push(first.begin(fixture::login(number, clock.now())).await.unwrap().cookie);
    }
    let late = Arc::new(OffsetClock::default());
    late.advance(fixture::LIFETIME + Duration::from_secs(60));
    // Each has its own cache, so that every cookie is cold; the store's clock is the first one.
    let fresh = fixture::sessions(&store, &clock, 1);
    let expired = fixture::sessions(&store, &(late as Arc<dyn Clock>), 1);
    let other_key = fixture::sessions(&store, &clock, 2);
    let kinds = [
        ("unknown", &fresh, Some(10), "session-missing"),
        ("tampered: another secret", &fresh, Some(60), "session-tampered"),
        ("expired", &expired, None, "session-expired"),
        ("sealed under a removed key", &other_key, None, "session-key-removed"),
        ("malformed", &fresh, Some(0), "session-cookie-malformed"),
        ("live, for comparison", &fresh, None, ""),
    ];
    let mut times = vec![Vec::new(); kinds.len()];
    for cookie in &cookies {
        for (kind, (_, sessions, changed, expected)) in kinds.iter().enumerate() {
            let shown = changed.map_or_else(|| cookie.clone(), |at| with_another(cookie, at));
            let started = Instant::now();
            let opened = sessions.open(&fixture::host(), shown.as_bytes()).await.unwrap();
            times[kind].push(started.elapsed().as_nanos());
            match opened {
                Opened::None(why) => assert_eq!(why.as_str(), *expected),
                Opened::Live(_) => assert_eq!("", *expected),
            }
        }
    }
    println!("\n| a cold cookie | ns, median | 5 % | 95 % |\n|---|---|---|---|");
    for ((name, ..), times) in kinds.iter().zip(&mut times) {
        println!("| {name} | {} |", quantiles(times));
    }
    let mut times = [Vec::new(), Vec::new()];
    for number in 0..SAMPLES {
        // Sessions of the second half of these numbers never were.
        for (kind, number) in [number, number + SAMPLES].into_iter().enumerate() {
            let sid = fixture::sid(number);
            let name = IndexName::Sid { issuer: fixture::issuer(), sid: &sid };
            let started = Instant::now();
            let ended = first.end_by_index(name, None, EndReason::BackChannelLogout).await.unwrap();
            times[kind].push(started.elapsed().as_nanos());
            assert_eq!(ended.len(), 1 - kind);
        }
    }
    println!("\n| a logout by `sid` | ns, median | 5 % | 95 % |\n|---|---|---|---|");
    for (name, times) in ["of a live session", "of an unknown one"].into_iter().zip(&mut times) {
        println!("| {name} | {} |", quantiles(times));
    }
}

/// The cookie with another character at a place; every place and every character carries bits.
fn with_another(cookie: &str, place: usize) -> String {
    let other = |character| if character == 'B' { 'C' } else { 'B' };
    cookie.char_indices().map(|(at, character)| if at == place { other(character) } else { character }).collect()
}

fn quantiles(times: &mut [u128]) -> String {
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100];
    format!("{} | {} | {}", at(50), at(5), at(95))
}
