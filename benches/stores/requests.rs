//! What a request and a login cost with each store, above the operations themselves: sealing, opening, the cache.

use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{self, StreamExt as _};
use vestibule::session::{Opened, Sessions};

use crate::fixture;
use crate::subject::{Cpu, Subject};

const LOGINS: usize = 2_000;

pub async fn report(subjects: &[Subject]) {
    println!("A request's session and a login, in µs; CPU of this process and of the store's own, each per one.\n");
    println!(
        "| store | warm | cold | CPU, ours | CPU, server | round trips | logins per second, 32 at a time | CPU, ours | CPU, server |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for subject in subjects {
        let clock = fixture::system_clock();
        let sessions = fixture::sessions(&subject.store, &clock, 1);
        let (cpu, started) = (Cpu::of(subject), Instant::now());
        let cookies: Vec<String> = stream::iter(0..LOGINS)
            .map(|number| {
                let (sessions, login) = (&sessions, fixture::login(number, clock.now()));
                async move { sessions.begin(login).await.unwrap().cookie }
            })
            .buffer_unordered(32)
            .collect()
            .await;
        let logins = LOGINS as f64 / started.elapsed().as_secs_f64();
        let (login_ours, login_server) = Cpu::of(subject).since(&cpu);
        let (warm, ..) = open(subject, &sessions, &cookies).await;
        // Others over the same store have opened nothing yet.
        let (cold, ours, server, round_trips) =
            open(subject, &fixture::sessions(&subject.store, &clock, 1), &cookies).await;
        let each = LOGINS as f64;
        println!(
            "| {} | {warm:.2} | {cold:.1} | {ours:.1} | {server:.1} | {round_trips} | {logins:.0} | {:.0} | {:.0} |",
            subject.name,
            login_ours / each,
            login_server / each,
        );
    }
    println!();
}

/// Opens each session once, one after the other: time, CPU, and how many times the server had something to
/// read for one.
async fn open(subject: &Subject, sessions: &Arc<Sessions>, cookies: &[String]) -> (f64, f64, f64, String) {
    let host = fixture::host();
    let count = cookies.len() as f64;
    let before = reads(subject).await;
    let (cpu, started) = (Cpu::of(subject), Instant::now());
    for cookie in cookies {
        assert!(matches!(sessions.open(&host, cookie.as_bytes()).await.unwrap(), Opened::Live(_)));
    }
    let elapsed = started.elapsed().as_secs_f64() * 1e6 / count;
    let (ours, server) = Cpu::of(subject).since(&cpu);
    let sent = match (before, reads(subject).await) {
        (Some(before), Some(after)) => format!("{:.2}", (after - before) as f64 / count),
        _ => "–".to_owned(),
    };
    (elapsed, ours / count, server / count, sent)
}

/// How often something has come in at the server: as requests here follow one another, that is once for each.
async fn reads(subject: &Subject) -> Option<u64> {
    let server = subject.server.as_ref()?;
    let told = server.cli(&["INFO", "stats"]);
    told.lines().find_map(|line| line.trim().strip_prefix("total_reads_processed:")?.parse().ok())
}
