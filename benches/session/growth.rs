//! The number of sessions grows: what each one takes, and whether any of the times grows with it.

use std::hint::black_box;
use std::time::Instant;

use vestibule::origin::Host;
use vestibule::session::{Opened, Sessions};

use crate::fixture;
use crate::measure::{Spread, resident_kib};

/// So many cookies are kept for opening; a million would be a good part of the memory that is measured.
const SAMPLE: usize = 1_000;
/// Batches whose median counts.
const BATCHES: usize = 21;

pub async fn report(most: usize) {
    let clock = fixture::system_clock();
    let store = fixture::store(&clock);
    let sessions = fixture::sessions(&store, &clock, 1);
    let host = fixture::host();
    println!("Times in µs, median (least–most); memory is this process's, the cache of opened sessions included.\n");
    println!(
        "| sessions | begin | warm, the same one | warm, 1,000 in turn | cold | MiB | bytes per further session |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut begun = 0;
    let mut before = (0, resident_kib(std::process::id()));
    for step in [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|step| *step <= most) {
        let mut cookies = Vec::with_capacity(SAMPLE);
        let mut begin = Vec::new();
        while begun < step {
            let batch = (step - begun).min(1_000);
            let logins: Vec<_> = (begun..begun + batch).map(|number| fixture::login(number, clock.now())).collect();
            let last = begun + batch == step;
            let started = Instant::now();
            for login in logins {
                let begun = sessions.begin(login).await.unwrap();
                if last && cookies.len() < SAMPLE {
                    cookies.push(begun.cookie);
                }
            }
            begin.push(started.elapsed().as_secs_f64() * 1e6 / batch as f64);
            begun += batch;
        }
        let memory = resident_kib(std::process::id());
        let each = (memory - before.1) * 1024 / (step - before.0) as u64;
        before = (step, memory);
        let one = warm(&sessions, &host, &cookies[..1]).await;
        let many = warm(&sessions, &host, &cookies).await;
        // Others over the same store have opened nothing yet.
        let cold = once(&fixture::sessions(&store, &clock, 1), &host, &cookies).await;
        println!("| {step} | {} | {one} | {many} | {cold} | {} | {each} |", Spread::of(begin), memory / 1024);
    }
    let key = store.list().await.unwrap().first().unwrap().key;
    let sealed = store.load(key).await.unwrap().unwrap().sealed;
    let (record, card) = (sealed.record.len(), sealed.card.len());
    println!("\nA sealed record has {record} bytes, a card {card}.");
}

async fn warm(sessions: &Sessions, host: &Host, cookies: &[String]) -> Spread {
    let mut batches = Vec::new();
    for _ in 0..BATCHES {
        let started = Instant::now();
        for at in 0..10_000 {
            let opened = sessions.open(host, cookies[at % cookies.len()].as_bytes()).await.unwrap();
            assert!(matches!(black_box(opened), Opened::Live(_)));
        }
        batches.push(started.elapsed().as_secs_f64() * 1e6 / 10_000.0);
    }
    Spread::of(batches)
}

async fn once(sessions: &Sessions, host: &Host, cookies: &[String]) -> Spread {
    let mut batches = Vec::new();
    for batch in cookies.chunks(cookies.len().div_ceil(BATCHES)) {
        let started = Instant::now();
        for cookie in batch {
            let opened = sessions.open(host, cookie.as_bytes()).await.unwrap();
            assert!(matches!(black_box(opened), Opened::Live(_)));
        }
        batches.push(started.elapsed().as_secs_f64() * 1e6 / batch.len() as f64);
    }
    Spread::of(batches)
}
