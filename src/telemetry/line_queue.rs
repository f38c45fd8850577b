//! Lines on their way to a sink that may be slow: whoever writes one never waits, and one thread takes them on.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use prometheus::IntCounter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that may wait; over it they are dropped and counted.
const BOUND: usize = 8192;

enum Entry {
    Line(Box<[u8]>),
    Close,
}

/// The queue in front of one sink; clones share it.
#[derive(Clone)]
pub struct LineQueue {
    lines: SyncSender<Entry>,
    dropped: IntCounter,
    finished: Arc<Mutex<Receiver<()>>>,
}

impl LineQueue {
    /// Starts the thread that writes to `sink`; `dropped` counts lines that were lost.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(name: &'static str, sink: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(BOUND);
        let (signal, finished) = sync_channel::<()>(0);
        let lost = dropped.clone();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            take_on(&waiting, sink, &lost);
            drop(signal);
        })?;
        Ok(Self { lines, dropped, finished: Arc::new(Mutex::new(finished)) })
    }

    /// Takes one line with its line end.
    fn push(&self, line: &[u8]) {
        match self.lines.try_send(Entry::Line(line.into())) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => self.dropped.inc(),
        }
    }

    /// Writes what is there and ends the thread; blocks for `patience` at most. Lines that come later are lost.
    ///
    /// `false` when the sink did not take everything in time.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        // A queue that is full has a sink that is stuck: then there is nothing to wait for.
        if self.lines.try_send(Entry::Close).is_err() {
            return false;
        }
        // The thread never sends: it drops its end when it is done.
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        finished.recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

impl std::fmt::Debug for LineQueue {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("LineQueue").finish_non_exhaustive()
    }
}

fn take_on(waiting: &Receiver<Entry>, mut sink: impl Write, dropped: &IntCounter) {
    while let Ok(Entry::Line(line)) = waiting.recv() {
        if sink.write_all(&line).is_err() {
            dropped.inc();
        }
        // What is there already goes out with it.
        let mut closing = false;
        while let Ok(next) = waiting.try_recv() {
            match next {
                Entry::Line(line) if sink.write_all(&line).is_ok() => {}
                Entry::Line(_) => dropped.inc(),
                Entry::Close => {
                    closing = true;
                    break;
                }
            }
        }
        let _ = sink.flush();
        if closing {
            break;
        }
    }
}

/// Collects what a formatter writes for one event; its end is the end of the event.
#[derive(Debug)]
pub struct QueuedEvent {
    queue: LineQueue,
    text: Vec<u8>,
}

impl Write for QueuedEvent {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for QueuedEvent {
    fn drop(&mut self) {
        if !self.text.is_empty() {
            self.queue.push(&self.text);
        }
    }
}

impl<'writer> MakeWriter<'writer> for LineQueue {
    type Writer = QueuedEvent;

    fn make_writer(&'writer self) -> QueuedEvent {
        QueuedEvent { queue: self.clone(), text: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Takes nothing until its gate is opened.
    struct Gated {
        gate: Receiver<()>,
        open: bool,
        written: Sender<Vec<u8>>,
    }

    impl Write for Gated {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.open {
                let _ = self.gate.recv();
                self.open = true;
            }
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn counter() -> IntCounter {
        IntCounter::new("dropped", "lines").unwrap()
    }

    #[test]
    fn lg_05_a_sink_that_is_stuck_costs_lines_and_no_time() {
        let (open, gate) = channel();
        let (written, seen) = channel();
        let dropped = counter();
        let queue = LineQueue::start("test", Gated { gate, open: false, written }, dropped.clone()).unwrap();
        for number in 0..BOUND + 100 {
            writeln!(queue.make_writer(), "line {number}").unwrap();
        }
        let lost = usize::try_from(dropped.get()).unwrap();
        assert!((99..=100).contains(&lost), "one line is with the sink at most: {lost}");
        open.send(()).unwrap();
        let first = seen.recv().unwrap();
        assert_eq!(first, b"line 0\n");
        let mut count = 1;
        while count < BOUND + 100 - lost {
            assert_eq!(seen.recv().unwrap(), format!("line {count}\n").into_bytes());
            count += 1;
        }
        assert!(queue.close(Duration::from_secs(5)));
    }

    #[test]
    fn everything_is_written_before_the_end() {
        let (_open, gate) = channel();
        let (written, seen) = channel();
        let queue = LineQueue::start("test", Gated { gate, open: true, written }, counter()).unwrap();
        for _ in 0..100 {
            writeln!(queue.make_writer(), "x").unwrap();
        }
        assert!(queue.close(Duration::from_secs(5)));
        assert_eq!(seen.try_iter().count(), 100);
    }

    #[test]
    fn a_sink_that_fails_is_counted() {
        struct Failing;
        impl Write for Failing {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::from(io::ErrorKind::StorageFull))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let dropped = counter();
        let queue = LineQueue::start("test", Failing, dropped.clone()).unwrap();
        writeln!(queue.make_writer(), "x").unwrap();
        assert!(queue.close(Duration::from_secs(5)));
        assert_eq!(dropped.get(), 1);
    }
}
