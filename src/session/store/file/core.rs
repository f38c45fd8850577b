//! What the store, those who read for it and its writer share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use redb::{ReadTransaction, ReadableDatabase};
use tokio::sync::{broadcast, watch};

use super::super::{Change, StoreError, StoreState};
use super::database::{self, Slot};
use super::directory::Directory;
use super::error::FileStoreError;
use super::layout::{LEAD_NAME, META, STEADY_NAME};
use super::operation::Setback;
use super::steady::{Now, SteadyClock};
use crate::clock::Clock;

/// How many changes a listener may be behind before it is told that it has missed some.
const CHANGES_KEPT: usize = 1024;

/// See the module.
pub(super) struct Core {
    pub(super) clock: SteadyClock,
    pub(super) changes: broadcast::Sender<Change>,
    state: watch::Sender<StoreState>,
    /// Sessions that take up room, as of the last commit.
    held: AtomicUsize,
    writing_fails: AtomicBool,
    /// After a failure redb refuses everything until the file is opened again. That is for the writer to do.
    reading_failed: AtomicBool,
    pub(super) slot: Slot,
}

impl fmt::Debug for Core {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Core")
            .field("held", &self.held)
            .field("state", &self.state.borrow())
            .finish_non_exhaustive()
    }
}

/// The file could not be read or written, or is not open after a failure.
#[derive(Debug, thiserror::Error)]
#[error("the session file cannot be used")]
struct OutOfUse;

impl Core {
    /// The core over an open database, which goes on in its time.
    pub(super) fn new(
        directory: &Directory,
        file: redb::Database,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FileStoreError> {
        let (noted, lead, held) = remembered(&file)
            .map_err(|error| FileStoreError::Damaged { path: directory.file(database::FILE), source: error.into() })?;
        Ok(Self {
            clock: SteadyClock::resume(clock, noted, lead),
            changes: broadcast::Sender::new(CHANGES_KEPT),
            state: watch::Sender::new(StoreState::GOOD),
            held: AtomicUsize::new(held),
            writing_fails: AtomicBool::new(false),
            reading_failed: AtomicBool::new(false),
            slot: Slot::new(file),
        })
    }

    /// Reads the file in its present state. Blocks for as long as the disk takes.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction, Now) -> Result<T, Setback>,
    ) -> Result<T, StoreError> {
        let result = self.slot.hold().as_ref().map(|file| read(&file.begin_read()?, self.clock.now()));
        match result {
            Some(Ok(value)) => {
                self.set_available(!self.writing_fails.load(Ordering::SeqCst));
                Ok(value)
            }
            Some(Err(Setback::Refused(error))) => Err(error),
            Some(Err(Setback::Storage(error))) => {
                self.note_failed_read();
                Err(StoreError::Unavailable(error.into()))
            }
            None => Err(out_of_use()),
        }
    }

    /// The file is to be opened again.
    pub(super) fn note_failed_read(&self) {
        self.reading_failed.store(true, Ordering::SeqCst);
        self.set_available(false);
    }

    /// Whether the file is to be opened again; asked by the writer, which does so.
    pub(super) fn take_failed_read(&self) -> bool {
        self.reading_failed.swap(false, Ordering::SeqCst)
    }

    /// Writing has gone well, or not.
    pub(super) fn note_write(&self, well: bool) {
        self.writing_fails.store(!well, Ordering::SeqCst);
        self.set_available(well);
    }

    fn set_available(&self, available: bool) {
        self.state.send_if_modified(|state| std::mem::replace(&mut state.available, available) != available);
    }

    /// Some changes may have happened that were not announced.
    pub(super) fn note_gap(&self) {
        self.state.send_modify(|state| state.gaps += 1);
    }

    pub(super) fn state(&self) -> watch::Receiver<StoreState> {
        self.state.subscribe()
    }

    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::SeqCst)
    }

    pub(super) fn note_held(&self, sessions: u64) {
        self.held.store(usize::try_from(sessions).unwrap_or(usize::MAX), Ordering::SeqCst);
    }
}

/// What an operation answers that the file has not done.
pub(super) fn out_of_use() -> StoreError {
    StoreError::Unavailable(OutOfUse.into())
}

/// The time that was noted last, its lead over the wall clock, and how many sessions there are.
fn remembered(file: &redb::Database) -> Result<(u64, u64, usize), redb::Error> {
    let meta = file.begin_read()?.open_table(META)?;
    let number = |name| Ok::<_, redb::Error>(meta.get(name)?.map_or(0, |number| number.value()));
    let held = usize::try_from(database::count(file)?).unwrap_or(usize::MAX);
    Ok((number(STEADY_NAME)?, number(LEAD_NAME)?, held))
}
