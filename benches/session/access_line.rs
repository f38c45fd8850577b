//! A line of the access log, from the request's thread to a sink that takes everything.

use std::io;
use std::thread;
use std::time::Duration;

use vestibule::telemetry::access_line::AccessLine;
use vestibule::telemetry::access_log::AccessLog;
use vestibule::telemetry::metrics::Metrics;
use vestibule::telemetry::settings::LogFormat;

use crate::measure::{Spread, cpu_nanoseconds};

const BURST: usize = 1_000;
const BURSTS: usize = 200;

pub fn report() {
    println!("\n| a line of the access log | CPU µs, the writer's thread included |\n|---|---|");
    for (name, format) in [("JSON", LogFormat::Json), ("text", LogFormat::Text)] {
        println!("| {name} | {} |", Spread::of((0..9).map(|_| lines(format))));
    }
}

fn lines(format: LogFormat) -> f64 {
    let dropped = Metrics::new().access_log_dropped;
    let log = AccessLog::start(format, io::sink(), dropped.clone()).unwrap();
    let before = cpu_nanoseconds(std::process::id());
    for burst in 0..BURSTS {
        for line in 0..BURST {
            log.write(&AccessLine {
                time_millis: 1_795_254_540_000 + (burst * BURST + line) as u64 / 50,
                request_id: "0123456789abcdef0123456789abcdef",
                peer: Some([192, 0, 2, 7].into()),
                host: "wiki.example.com",
                method: "GET",
                path: "/spaces/engineering/pages/1234567/On-call",
                status: 200,
                code: None,
                upstream: Some("wiki"),
                user: Some("4ac18788da72cc4d"),
                session: Some("e894f791b0d1a6a0"),
                bytes: None,
                duration_micros: 1_234,
            });
        }
        // The writer takes it, as it does when requests come over time: a line that is dropped costs nothing.
        thread::sleep(Duration::from_millis(2));
    }
    assert!(log.close(Duration::from_secs(10)));
    assert_eq!(dropped.get(), 0, "no line was lost");
    (cpu_nanoseconds(std::process::id()) - before) as f64 / 1000.0 / (BURST * BURSTS) as f64
}
