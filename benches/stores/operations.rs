//! One operation after the other, and 32 at a time: how long, and whose CPU.

use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};
use vestibule::session::StoreKey;
use vestibule::session::store::{Inserted, LastUse, Replaced, SealedSession};

use crate::fixture;
use crate::subject::{Cpu, Subject};

/// Sessions that the operations are done on.
const SESSIONS: usize = 8_000;
/// As a login of the fixture leaves them.
const RECORD: usize = 3_800;
const CARD: usize = 300;

/// What is sealed looks like this to a store. Made once: making it takes longer than storing it.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..16_384).map(|_| next()).collect()
});

pub fn sealed(generation: u64, number: usize, now: vestibule::clock::Timestamp) -> SealedSession {
    let noise = |length: usize| NOISE[number % 8_192..][..length].into();
    SealedSession { record: noise(RECORD), card: noise(CARD), generation, absolute_expiry: now.plus(fixture::LIFETIME) }
}

pub fn key(number: usize) -> StoreKey {
    let mut id = [0; 18];
    id[..8].copy_from_slice(&(number as u64).to_be_bytes());
    StoreKey::of("https://wiki.example.com", &fixture::host(), &vestibule::secret::SessionId::new(id))
}

pub async fn report(subjects: &[Subject]) {
    println!("Times in µs; CPU of this process and of the store's own, each per operation, {SESSIONS} sessions.\n");
    println!(
        "| store | operation | alone | CPU, ours | CPU, server | per second, 32 at a time | CPU, ours | CPU, server |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for subject in subjects {
        let store = &subject.store;
        let now = fixture::system_clock().now();
        let last_use = LastUse { at: now, expires: now.plus(Duration::from_secs(3_600)) };
        let half = SESSIONS / 2;
        row(subject, "insert", half, |number| {
            let sealed = sealed(1, number, now);
            async move {
                let stored = store.insert(key(number), sealed, last_use).await.unwrap();
                assert_eq!(stored, Inserted::Stored);
            }
        })
        .await;
        row(subject, "load", half, |number| async move { assert!(store.load(key(number)).await.unwrap().is_some()) })
            .await;
        row(subject, "replace", half, |number| {
            let sealed = sealed(2, number, now);
            async move {
                let written = store.replace(key(number), 1, sealed).await.unwrap();
                assert_eq!(written, Replaced::Written);
            }
        })
        .await;
        row(subject, "touch", half, |number| async move {
            assert!(store.touch(key(number), last_use).await.unwrap());
        })
        .await;
        row(subject, "lease, there and back", half, |number| async move {
            let grant = vestibule::session::GrantKey { provider: "p".into(), scopes: Vec::new(), resource: None }.id();
            assert!(store.take_lease(key(number), grant, [1; 16], Duration::from_secs(15)).await.unwrap());
            store.release_lease(key(number), grant, [1; 16]).await.unwrap();
        })
        .await;
        row(subject, "remove", half, |number| async move { assert!(store.remove(key(number)).await.unwrap()) }).await;
    }
    println!();
}

/// `operation` on the first half of the sessions one by one, on the other half many at a time.
async fn row<F: Future<Output = ()>>(subject: &Subject, name: &str, half: usize, operation: impl Fn(usize) -> F) {
    let (alone, ours, server) = run(subject, 0..half, 1, &operation).await;
    let (together, ours_together, server_together) = run(subject, half..2 * half, 32, &operation).await;
    println!(
        "| {} | {name} | {alone:.1} | {ours:.1} | {server:.1} | {:.0} | {ours_together:.1} | {server_together:.1} |",
        subject.name,
        1e6 / together
    );
}

async fn run<F: Future<Output = ()>>(
    subject: &Subject,
    numbers: std::ops::Range<usize>,
    at_once: usize,
    operation: &impl Fn(usize) -> F,
) -> (f64, f64, f64) {
    let count = numbers.len() as f64;
    let (cpu, started) = (Cpu::of(subject), Instant::now());
    stream::iter(numbers.map(operation)).for_each_concurrent(at_once, |done| done).await;
    let elapsed = started.elapsed().as_secs_f64() * 1e6 / count;
    let (ours, server) = Cpu::of(subject).since(&cpu);
    (elapsed, ours / count, server / count)
}
