//! The room that a session takes up in a store: in this process, in the file, in the server.

use futures_util::stream::{self, StreamExt as _};

use crate::fixture;
use crate::measure::resident_kib;
use crate::subject::Subject;

pub async fn report(name: &'static str, most: usize) {
    println!("\n| {name}: sessions | bytes per session, this process | in the file or the server |");
    println!("|---|---|---|");
    let subject = Subject::start(name).await;
    let clock = fixture::system_clock();
    let (ours, theirs) = (resident_kib(std::process::id()), held(&subject).await);
    let mut begun = 0;
    for step in [1_000, 100_000, 1_000_000].into_iter().filter(|step| *step <= most) {
        while begun < step {
            // Each thousand begins where nothing is cached, so that it is the store that grows. What a cache takes up is
            // in the benchmark of sessions.
            let sessions = fixture::sessions(&subject.store, &clock, 1);
            stream::iter(begun..begun + 1_000)
                .for_each_concurrent(64, |number| {
                    let (sessions, login) = (&sessions, fixture::login(number, clock.now()));
                    async move { drop(sessions.begin(login).await.unwrap()) }
                })
                .await;
            begun += 1_000;
        }
        let each = |before: u64, after: u64| after.saturating_sub(before) * 1024 / step as u64;
        println!(
            "| {step} | {} | {} |",
            each(ours, resident_kib(std::process::id())),
            each(theirs, held(&subject).await)
        );
    }
    let listed = subject.store.list().await.unwrap();
    let key = listed.first().expect("sessions have begun").key;
    let stored = subject.store.load(key).await.unwrap().expect("it is listed");
    println!("\nA sealed record has {} bytes, a card {}.", stored.sealed.record.len(), stored.sealed.card.len());
}

/// What the store holds outside this process, in KiB.
async fn held(subject: &Subject) -> u64 {
    if let Some(directory) = &subject.directory {
        return size_of_files(&directory.path().join("store")) / 1024;
    }
    let Some(server) = &subject.server else { return 0 };
    let told = server.cli(&["INFO", "memory"]);
    told.lines().find_map(|line| line.trim().strip_prefix("used_memory:")?.parse::<u64>().ok()).expect("used_memory")
        / 1024
}

fn size_of_files(directory: &std::path::Path) -> u64 {
    std::fs::read_dir(directory)
        .map_or(0, |entries| entries.flatten().map(|entry| entry.metadata().unwrap().len()).sum())
}
