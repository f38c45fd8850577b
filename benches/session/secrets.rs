//! Comparisons with secrets (TM-01): Welch's t between what differs early and what differs late. An absolute value that
//! stays below about 4.5, run after run, shows no leak.

use std::hint::black_box;
use std::time::Instant;

use vestibule::entropy::SystemEntropy;
use vestibule::origin::PublicUrl;
use vestibule::return_to::ReturnTo;
use vestibule::secret::AccessToken;
use vestibule::session::login_attempt::{self, Flow, UnverifiedAttempt};
use vestibule::session::login_cookie::LoginCookie;

use crate::fixture;

const SAMPLES: usize = 50_000;

pub async fn report() {
    println!("\n| comparison | Welch's t, early against late difference |\n|---|---|");
    println!("| code of the login cookie | {:.2} |", login_cookie());
    println!("| browser of a login attempt | {:.2} |", attempt());
    println!("| two tokens | {:.2} |", tokens());
}

fn login_cookie() -> f64 {
    let clock = fixture::system_clock();
    let sessions = fixture::sessions(&fixture::store(&clock), &clock, 1);
    let host = fixture::host();
    let rules = sessions.rules();
    let place = rules.login_place(&host);
    let good = LoginCookie::draw(&SystemEntropy).unwrap().encode(place);
    // 46 bytes are covered by the code of 32 bytes after them: it begins in character 61 and ends with the last.
    let [early, late] = [62, 103].map(|place| changed(&good, place));
    assert!(LoginCookie::decode(place, good.as_bytes()).is_ok());
    // Both are read from one place: where a text lies in memory would show more than what stands in it.
    let mut shown = good.into_bytes();
    compare(|is_late| {
        shown.copy_from_slice(if is_late { late.as_bytes() } else { early.as_bytes() });
        let started = Instant::now();
        assert!(black_box(LoginCookie::decode(place, black_box(&shown))).is_err());
        started.elapsed().as_nanos()
    })
}

fn attempt() -> f64 {
    let clock = fixture::system_clock();
    let sessions = fixture::sessions(&fixture::store(&clock), &clock, 1);
    let host = fixture::host();
    let rules = sessions.rules();
    let place = rules.login_place(&host);
    let ours = LoginCookie::draw(&SystemEntropy).unwrap();
    let home = ReturnTo::home(&PublicUrl::parse("https://wiki.example.com").unwrap());
    let flow = Flow::Login { interactive: false };
    let started = login_attempt::start(place, &ours, "default", flow, &home, clock.now(), &SystemEntropy).unwrap();
    // Other browsers' secrets whose hashes differ from ours in the first byte, and not in the first two.
    let same = |count: usize| {
        let drawn = std::iter::repeat_with(|| LoginCookie::draw(&SystemEntropy).unwrap());
        drawn.into_iter().find(|drawn| {
            drawn.browser()[..count] == ours.browser()[..count]
                && (count > 0 || drawn.browser()[0] != ours.browser()[0])
        })
    };
    let (early, late) = (same(0).unwrap(), same(2).unwrap());
    compare(|is_late| {
        let unverified = UnverifiedAttempt::open(place, started.state.as_bytes()).unwrap();
        let shown = if is_late { &late } else { &early };
        let begun = Instant::now();
        let bound = unverified.bound_to(shown, rules.key_ring(), clock.now());
        let took = begun.elapsed().as_nanos();
        assert!(bound.is_err());
        took
    })
}

fn tokens() -> f64 {
    let token = |text: String| AccessToken::new(text);
    let ours = token("a".repeat(1_000));
    let (early, late) = (token(format!("b{}", "a".repeat(999))), token(format!("{}b", "a".repeat(999))));
    compare(|is_late| {
        let shown = if is_late { &late } else { &early };
        let started = Instant::now();
        assert!(black_box(&ours) != black_box(shown));
        started.elapsed().as_nanos()
    })
}

/// Welch's t of two classes that are measured in turn. The slowest tenth is left out: that is the machine, not us.
fn compare(mut measure: impl FnMut(bool) -> u128) -> f64 {
    let mut times = [Vec::with_capacity(SAMPLES), Vec::with_capacity(SAMPLES)];
    for at in 0..2 * SAMPLES {
        // Neither class always comes second.
        let late = (at / 2 + at) % 2 == 1;
        times[usize::from(late)].push(measure(late) as f64);
    }
    let [early, late] = times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times.truncate(SAMPLES * 9 / 10);
        let count = times.len() as f64;
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (early.0 - late.0) / (early.1 + late.1).sqrt().max(f64::MIN_POSITIVE)
}

fn changed(text: &str, place: usize) -> String {
    let other = |character| if character == 'B' { 'C' } else { 'B' };
    text.char_indices().map(|(at, character)| if at == place { other(character) } else { character }).collect()
}
