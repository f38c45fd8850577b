//! The access log: lines go into a buffer near the thread, and one writer takes them to the sink in batches.
//!
//! A request never waits for the sink. When the sink is blocked the buffers fill up to their bound, and from then on
//! lines are dropped and counted.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use prometheus::IntCounter;

use super::access_line::{AccessLine, Stamp};
use super::settings::LogFormat;

/// Buffers; threads are spread over them, so that two hardly ever want the same.
const SHARDS: usize = 8;
/// Bytes in one buffer; over it lines are dropped.
const BOUND: usize = 1 << 20;
/// Bytes in one buffer that are worth waking the writer for.
const EAGER: usize = 64 << 10;
/// Capacity of a buffer that is kept for the next lines.
const KEPT: usize = 4 * EAGER;
/// How long the writer lets lines gather.
const GATHER: Duration = Duration::from_millis(50);

#[derive(Default)]
struct Shard {
    buffer: Vec<u8>,
    lines: u64,
    stamp: Stamp,
}

struct Shared {
    format: LogFormat,
    shards: [Mutex<Shard>; SHARDS],
    /// There is something to write, and the writer has been told.
    pending: AtomicBool,
    /// A buffer is filling up, and the writer has been told.
    eager: AtomicBool,
    closing: AtomicBool,
    dropped: IntCounter,
}

/// The access log; share it by reference or `Arc`.
pub struct AccessLog {
    shared: Arc<Shared>,
    writer: JoinHandle<()>,
    finished: Mutex<Receiver<()>>,
}

impl AccessLog {
    /// Starts the writer's thread on `sink`; `dropped` counts lines that were lost.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(format: LogFormat, sink: impl Write + Send + 'static, dropped: IntCounter) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            format,
            shards: Default::default(),
            pending: AtomicBool::new(false),
            eager: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            dropped,
        });
        let (signal, finished) = sync_channel(0);
        let writer = thread::Builder::new().name("access-log".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || write_batches(&shared, sink, signal)
        })?;
        Ok(Self { shared, writer, finished: Mutex::new(finished) })
    }

    /// Takes one line; never waits for the sink.
    pub fn write(&self, line: &AccessLine<'_>) {
        let Some(shard) = self.shared.shards.get(shard_of_this_thread()) else { return };
        let eager = {
            let mut shard = lock(shard);
            if shard.buffer.len() >= BOUND {
                self.shared.dropped.inc();
                return;
            }
            let Shard { buffer, lines, stamp } = &mut *shard;
            line.write(self.shared.format, stamp, buffer);
            *lines += 1;
            buffer.len() >= EAGER
        };
        // The load in front keeps the flag's cache line shared between threads while the writer is awake anyway.
        let told = |flag: &AtomicBool| flag.load(Ordering::SeqCst) || flag.swap(true, Ordering::SeqCst);
        let first = !told(&self.shared.pending);
        if first || (eager && !told(&self.shared.eager)) {
            self.writer.thread().unpark();
        }
    }

    /// Writes what is there and ends the writer; blocks the thread for `patience` at most.
    ///
    /// `false` when the sink did not take everything in time. Lines that come later are lost.
    #[must_use]
    pub fn close(&self, patience: Duration) -> bool {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.writer.thread().unpark();
        // The writer never sends: it drops its end when it is done.
        lock(&self.finished).recv_timeout(patience) == Err(RecvTimeoutError::Disconnected)
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        self.writer.thread().unpark();
    }
}

impl std::fmt::Debug for AccessLog {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("AccessLog").field("format", &self.shared.format).finish_non_exhaustive()
    }
}

/// The writer: waits for the first line, lets more gather, takes all buffers, writes them.
fn write_batches(shared: &Shared, mut sink: impl Write, signal: SyncSender<()>) {
    let mut batch = Vec::new();
    loop {
        let closing = shared.closing.load(Ordering::SeqCst);
        if !closing && !shared.pending.load(Ordering::SeqCst) {
            thread::park();
            continue;
        }
        if !closing && !shared.eager.load(Ordering::SeqCst) {
            thread::park_timeout(GATHER);
        }
        // Before the buffers are taken: a line that comes after its buffer was taken finds the flag down and wakes us.
        shared.eager.store(false, Ordering::SeqCst);
        shared.pending.store(false, Ordering::SeqCst);
        for shard in &shared.shards {
            batch.clear();
            if batch.capacity() > KEPT {
                // Memory of a burst is given back.
                batch = Vec::new();
            }
            let lines = {
                let mut shard = lock(shard);
                std::mem::swap(&mut shard.buffer, &mut batch);
                std::mem::take(&mut shard.lines)
            };
            if lines > 0 && sink.write_all(&batch).is_err() {
                shared.dropped.inc_by(lines);
            }
        }
        // A failed flush has lost bytes that were counted as written; there is nothing better to do with it.
        let _ = sink.flush();
        if closing {
            break;
        }
    }
    drop(signal);
}

/// A number below [`SHARDS`] that a thread keeps for its life.
fn shard_of_this_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
    }
    SHARD.get().unwrap_or_else(|| {
        let shard = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        SHARD.set(Some(shard));
        shard
    })
}

/// A panic while the lock was held leaves at worst half a line behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "access_log/tests.rs"]
mod tests;
