//! The one thread that writes. What has been asked for meanwhile goes into one transaction, so that a sync of the disk
//! serves many; each is answered once it is durable.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use redb::{Durability, ReadableTableMetadata};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::super::{Change, ChangeKind, StoreError};
use super::core::Core;
use super::database::Opening;
use super::directory::Directory;
use super::layout::{DUE, LEAD_NAME, STEADY_NAME, Tables};
use super::operation::Setback;
use super::steady::Now;
use super::sweep;

/// Operations in one transaction.
const MAX_BATCH: usize = 64;

/// So often the writer looks for what has expired when nobody asks for anything.
const IDLE: Duration = Duration::from_secs(1);

/// A use that was written down is durable after this. What is lost of it shortens a session's life.
const LAZY: Duration = Duration::from_secs(5);

/// The pause after a failure before the next write is tried; it doubles.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// The time is noted in the file at most this often, unless the wall clock has been set.
const NOTE_TIME: u64 = 60;

type Step = Box<dyn FnOnce(&mut Tables<'_>, Now, &mut Outcome) -> Result<(), redb::Error> + Send>;
type Reply = Box<dyn FnOnce() + Send>;

/// Something to write, and whom to answer. Dropped before that, it answers that it has failed.
pub(super) struct Job {
    step: Step,
    durable: bool,
}

impl Job {
    /// A step, and where its answer comes; `permit` is given back then.
    pub(super) fn new<T: Send + 'static>(
        durable: bool,
        permit: OwnedSemaphorePermit,
        step: impl FnOnce(&mut Tables<'_>, Now, &mut Vec<Change>) -> Result<T, Setback> + Send + 'static,
    ) -> (Self, oneshot::Receiver<Result<T, StoreError>>) {
        let (answer, answered) = oneshot::channel();
        let step: Step = Box::new(move |tables, now, outcome| {
            let result = match step(tables, now, &mut outcome.changes) {
                Ok(value) => Ok(Ok(value)),
                Err(Setback::Refused(error)) => Ok(Err(error)),
                Err(Setback::Storage(error)) => Err(error),
            };
            let (result, failed) = result.map_or_else(|error| (None, Err(error)), |result| (Some(result), Ok(())));
            outcome.replies.push(Box::new(move || {
                // Whoever has asked may have gone.
                let _ = result.map(|result| answer.send(result));
                drop(permit);
            }));
            failed
        });
        (Self { step, durable }, answered)
    }
}

/// A failure that is not over.
struct Trouble {
    /// Nothing is written before this, on the monotonic clock.
    until: Duration,
    pause: Duration,
    is_open: bool,
}

/// See the module.
pub(super) struct Writer {
    core: Arc<Core>,
    /// Given up with the writer, which has closed the file then: whoever reads late holds the core alone.
    directory: Directory,
    opening: Opening,
    trouble: Option<Trouble>,
    /// Since when something is committed that is not durable, on the monotonic clock.
    lazy_since: Option<Duration>,
    /// Steady time and lead, as noted in the file.
    noted: (u64, u64),
    /// The last step of sweeping has left something to do.
    behind: bool,
    /// Nobody was told of some changes, which may be on the disk or not.
    untold: bool,
}

/// What one turn of the writer has done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// Whether anything was committed.
    pub(super) committed: bool,
    /// How many entries were looked at to forget them.
    pub(super) swept: usize,
}

/// What is told once it is known how the transaction has ended.
#[derive(Default)]
struct Outcome {
    changes: Vec<Change>,
    replies: Vec<Reply>,
}

struct Committed {
    swept: usize,
    sessions: u64,
    durable: bool,
}

impl Writer {
    pub(super) const fn new(core: Arc<Core>, directory: Directory, opening: Opening) -> Self {
        let (noted, behind, untold) = ((0, 0), false, false);
        Self { core, directory, opening, trouble: None, lazy_since: None, noted, behind, untold }
    }

    /// Writes until nobody can ask for anything any more, then closes the file.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        while let Some(batch) = self.wait(jobs) {
            self.turn(batch);
        }
        if self.trouble.is_none() {
            self.commit_and_settle(Vec::new());
        }
        self.core.slot.close();
    }

    /// What is to be done next, perhaps nothing. `None`: the store is gone.
    pub(super) fn wait(&self, jobs: &Receiver<Job>) -> Option<Vec<Job>> {
        let first = if self.behind {
            jobs.try_recv().map_err(|error| error == TryRecvError::Disconnected)
        } else {
            jobs.recv_timeout(IDLE).map_err(|error| error == RecvTimeoutError::Disconnected)
        };
        let mut batch = match first {
            Ok(job) => vec![job],
            Err(true) => return None,
            Err(false) => Vec::new(),
        };
        while batch.len() < MAX_BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        Some(batch)
    }

    /// One turn: the batch, one step of sweeping, one commit.
    pub(super) fn turn(&mut self, batch: Vec<Job>) -> Turn {
        // Until the pause after a failure is over the jobs are dropped, which answers them.
        if !self.is_ready() || (batch.is_empty() && !self.has_chores()) {
            self.behind = false;
            return Turn::default();
        }
        self.commit_and_settle(batch)
    }

    fn commit_and_settle(&mut self, mut batch: Vec<Job>) -> Turn {
        let now = self.core.clock.now();
        let mut outcome = Outcome::default();
        let committed = catch_unwind(AssertUnwindSafe(|| self.commit(&mut batch, now, &mut outcome)));
        let (turn, failure) = match committed {
            Ok(Ok(committed)) => (self.settle(&committed, now), None),
            Ok(Err(error)) => (Turn::default(), Some(error.to_string())),
            Err(_) => (Turn::default(), Some("a panic".to_owned())),
        };
        for change in outcome.changes {
            if failure.is_none() || change.kind == ChangeKind::Removed {
                // An end also after a failure: nobody knows then whether it has reached the disk, and whoever hears of it
                // reads again. Nobody listening is fine.
                let _ = self.core.changes.send(change);
            } else {
                // Told of, a record that was not written would be waited for by everybody.
                self.untold = true;
            }
        }
        match failure {
            None => outcome.replies.into_iter().for_each(|reply| reply()),
            // Those who wait are answered after this, by what is dropped.
            Some(error) => self.recover(&error),
        }
        turn
    }

    fn commit(&self, batch: &mut Vec<Job>, now: Now, outcome: &mut Outcome) -> Result<Committed, redb::Error> {
        let held = self.core.slot.hold();
        let Some(database) = held.as_ref() else { return Err(redb::Error::DatabaseClosed) };
        let durable = batch.is_empty() || self.is_lazy_long_enough() || batch.iter().any(|job| job.durable);
        let mut transaction = database.begin_write()?;
        // After a crash, and after a full disk, the file is open in milliseconds, however large it is.
        transaction.set_quick_repair(true);
        transaction.set_durability(if durable { Durability::Immediate } else { Durability::None })?;
        let mut tables = Tables::open(&transaction)?;
        for job in batch.drain(..) {
            (job.step)(&mut tables, now, outcome)?;
        }
        let swept = sweep::step(&mut tables, now)?;
        if self.is_time_to_note(now) {
            tables.meta.insert(STEADY_NAME, now.steady())?;
            tables.meta.insert(LEAD_NAME, now.lead())?;
        }
        let sessions = tables.sessions.len()?;
        drop(tables);
        transaction.commit()?;
        Ok(Committed { swept, sessions, durable })
    }

    fn settle(&mut self, committed: &Committed, now: Now) -> Turn {
        self.lazy_since =
            if committed.durable { None } else { self.lazy_since.or_else(|| Some(self.core.clock.monotonic())) };
        if self.is_time_to_note(now) {
            self.noted = (now.steady(), now.lead());
        }
        self.behind = committed.swept == sweep::STEP;
        self.core.note_held(committed.sessions);
        self.core.note_write(true);
        if self.trouble.take().is_some() {
            tracing::info!(event = "store.recovered");
        }
        Turn { committed: true, swept: committed.swept }
    }

    /// After a failure: opens the file again, so that it can be read, and lets some time pass before the next write.
    fn recover(&mut self, error: &str) {
        if self.trouble.is_none() {
            tracing::error!(event = "store.write-failed", error);
        }
        self.core.note_write(false);
        (self.lazy_since, self.behind) = (None, false);
        let is_open = self.reopen();
        self.pause(is_open);
    }

    fn pause(&mut self, is_open: bool) {
        self.core.note_write(false);
        let pause = self.trouble.take().map_or(FIRST_PAUSE, |before| LONGEST_PAUSE.min(before.pause * 2));
        self.trouble = Some(Trouble { until: self.core.clock.monotonic().saturating_add(pause), pause, is_open });
    }

    fn reopen(&mut self) -> bool {
        match self.core.slot.reopen(&self.opening, &self.directory) {
            Ok(()) => {
                // What failed meanwhile failed of the same.
                self.core.take_failed_read();
                if std::mem::take(&mut self.untold) {
                    // Only from here on is what is read what is on the disk.
                    self.core.note_gap();
                }
                true
            }
            Err(error) => {
                tracing::error!(event = "store.not-reopened", error = %error);
                false
            }
        }
    }

    /// Whether a write may be tried.
    fn is_ready(&mut self) -> bool {
        if self.core.take_failed_read() && self.trouble.is_none() && !self.reopen() {
            self.pause(false);
        }
        let now = self.core.clock.monotonic();
        match self.trouble.as_ref().map(|trouble| (trouble.until, trouble.is_open)) {
            None => true,
            Some((until, _)) if now < until => false,
            Some((_, is_open)) if is_open || self.reopen() => true,
            Some(_) => {
                self.pause(false);
                false
            }
        }
    }

    /// Whether there is something to do that nobody has asked for.
    fn has_chores(&self) -> bool {
        // After a failure an empty commit finds out whether it is over.
        self.trouble.is_some()
            || self.is_lazy_long_enough()
            // A panic over damaged pages is met again by the commit, which is made for it.
            || catch_unwind(AssertUnwindSafe(|| self.something_is_due())).unwrap_or(true)
    }

    fn something_is_due(&self) -> bool {
        self.core.read(|file, now| Ok(sweep::is_due(&file.open_table(DUE)?, now)?)).unwrap_or(false)
    }

    fn is_lazy_long_enough(&self) -> bool {
        self.lazy_since.is_some_and(|since| self.core.clock.monotonic().saturating_sub(since) >= LAZY)
    }

    const fn is_time_to_note(&self, now: Now) -> bool {
        let (steady, lead) = self.noted;
        now.lead().abs_diff(lead) > 1 || now.steady() >= steady.saturating_add(NOTE_TIME)
    }
}
