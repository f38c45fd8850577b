//! The access log against sinks that work, block and fail.

use std::sync::mpsc;

use super::*;

const PATIENCE: Duration = Duration::from_secs(20);

/// A sink that keeps what it gets.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Kept {
    fn lines(&self) -> Vec<String> {
        let bytes = lock(&self.0).clone();
        String::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
    }
}

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        lock(&self.0).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A sink that blocks until the sender of its gate is dropped.
struct Blocked {
    gate: Receiver<()>,
    behind: Kept,
}

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.gate.recv();
        self.behind.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn counter() -> IntCounter {
    IntCounter::new("dropped", "lines that were lost").unwrap()
}

fn line(request_id: &str) -> AccessLine<'_> {
    AccessLine {
        time_millis: 0,
        request_id,
        peer: None,
        host: "wiki.example.com",
        method: "GET",
        path: "/",
        status: 200,
        code: None,
        upstream: None,
        user: None,
        session: None,
        bytes: None,
        duration_micros: 1,
    }
}

#[test]
fn every_line_arrives_from_every_thread() {
    let (kept, dropped) = (Kept::default(), counter());
    let log = AccessLog::start(LogFormat::Json, kept.clone(), dropped.clone()).unwrap();
    thread::scope(|scope| {
        for thread in 0..4 {
            let log = &log;
            scope.spawn(move || {
                for number in 0..500 {
                    log.write(&line(&format!("{thread}-{number}")));
                }
            });
        }
    });
    assert!(log.close(PATIENCE));
    let lines = kept.lines();
    assert_eq!(lines.len(), 2000);
    for line in lines {
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }
    assert_eq!(dropped.get(), 0);
}

#[test]
fn lg_05_a_blocked_sink_stalls_nobody_and_losses_are_counted() {
    let (open, gate) = mpsc::channel();
    let (kept, dropped) = (Kept::default(), counter());
    let sink = Blocked { gate, behind: kept.clone() };
    let log = AccessLog::start(LogFormat::Text, sink, dropped.clone()).unwrap();
    let mut taken = 0;
    while dropped.get() < 100 {
        log.write(&line("x"));
        taken += 1;
        assert!(taken < 1_000_000, "the buffers have no bound");
    }
    assert!(!log.close(Duration::ZERO), "the sink is still blocked");
    drop(open);
    assert!(log.close(PATIENCE));
    assert_eq!(kept.lines().len() as u64 + dropped.get(), taken);
}

#[test]
fn lines_that_a_broken_sink_refuses_are_counted() {
    let dropped = counter();
    let log = AccessLog::start(LogFormat::Text, Broken, dropped.clone()).unwrap();
    for _ in 0..3 {
        log.write(&line("x"));
    }
    assert!(log.close(PATIENCE));
    assert_eq!(dropped.get(), 3);
}

#[test]
fn lines_reach_the_sink_without_closing() {
    struct Telling(mpsc::Sender<()>);
    impl Write for Telling {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (told, came) = mpsc::channel();
    let log = AccessLog::start(LogFormat::Text, Telling(told), counter()).unwrap();
    for _ in 0..3 {
        log.write(&line("x"));
        came.recv_timeout(PATIENCE).unwrap();
    }
}
