//! The store in one file: sessions outlive the process, and a crash of the machine.
//!
//! One process owns the directory. One thread in it writes, and answers once what it wrote is on the disk; reads go past
//! it, on threads that may block. The file holds sealed bytes under hashed names, like every store.
//!
//! Uses of sessions are written down lazily: a crash may lose those of the last seconds, which shortens a life and never
//! lengthens one. Everything else is durable before it is answered.
//!
//! Leases are kept in memory: the one process that could hold one is this one, and with it they are gone.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::ReadTransaction;
use tokio::sync::{Semaphore, broadcast, watch};

use self::core::{Core, out_of_use};
use self::database::Opening;
use self::directory::Directory;
pub use self::error::FileStoreError;
use self::layout::Tables;
use self::operation::Setback;
use self::steady::Now;
use self::writer::{Job, Writer};
use super::expiring::{Expiring, Moment};
use super::{
    Change, ChangeKind, IndexKey, Inserted, LastUse, LeaseOwner, ListedSession, MarkerKey, Replaced, SealedSession,
    SessionStore, StoreError, StoreFuture, StoreState, StoredSession,
};
use crate::clock::{Clock, Timestamp};
use crate::session::grant::GrantId;
use crate::session::ticket::StoreKey;

mod core;
mod database;
mod directory;
mod error;
mod layout;
mod operation;
mod reading;
mod steady;
mod sweep;
mod writer;

/// More than 200 callbacks a second can make in the hour that each marker stands.
const MAX_MARKERS: u64 = 1 << 20;

/// Operations that wait for the writer; those beyond wait to be let in.
const QUEUE: usize = 1024;

/// Threads that read at the same time.
const READERS: usize = 32;

/// Nothing waits longer for a disk. What was to be written may be written all the same.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
pub struct FileStore {
    core: Arc<Core>,
    clock: Arc<dyn Clock>,
    leases: Mutex<Expiring<(StoreKey, GrantId), LeaseOwner>>,
    readers: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Taken when the store is dropped, which lets the writer come to its end.
    jobs: Option<Sender<Job>>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for FileStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("FileStore").field("core", &self.core).finish_non_exhaustive()
    }
}

impl FileStore {
    /// Opens the store of a directory, which is made with mode 0700 if it is not there. Blocks; after a crash the file is
    /// made good first, which takes milliseconds.
    ///
    /// # Errors
    /// [`FileStoreError`], whose text says what to do.
    pub fn open(directory: &Path, clock: Arc<dyn Clock>) -> Result<Self, FileStoreError> {
        let directory = Directory::claim(directory)?;
        let file = database::open_or_create(&directory)?;
        Self::start(directory, file, Box::new(database::open), clock)
    }

    /// A store over an open database; `opening` opens it again after a failure.
    fn start(
        directory: Directory,
        file: redb::Database,
        opening: Opening,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, FileStoreError> {
        let path = directory.file(database::FILE);
        let core = Arc::new(Core::new(&directory, file, Arc::clone(&clock))?);
        let (jobs, queued) = mpsc::channel();
        let writer = Writer::new(Arc::clone(&core), directory, opening);
        let writer = std::thread::Builder::new()
            .name("session-file".to_owned())
            .spawn(move || writer.run(&queued))
            .map_err(|source| FileStoreError::Io { path, source })?;
        Ok(Self {
            core,
            clock,
            leases: Mutex::default(),
            readers: Arc::new(Semaphore::new(READERS)),
            queue: Arc::new(Semaphore::new(QUEUE)),
            jobs: Some(jobs),
            writer: Some(writer),
        })
    }

    /// Has the writer do something. Once it has begun it happens, also when nobody waits for it any more.
    fn write<T: Send + 'static>(
        &self,
        durable: bool,
        step: impl FnOnce(&mut Tables<'_>, Now, &mut Vec<Change>) -> Result<T, Setback> + Send + 'static,
    ) -> StoreFuture<'_, T> {
        patiently(async move {
            let permit = Arc::clone(&self.queue).acquire_owned().await.map_err(|_| out_of_use())?;
            let (job, answer) = Job::new(durable, permit, step);
            let jobs = self.jobs.as_ref().ok_or_else(out_of_use)?;
            jobs.send(job).map_err(|_| out_of_use())?;
            answer.await.map_err(|_| out_of_use())?
        })
    }

    /// Reads on a thread that may block: what is not in memory comes from the disk.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction, Now) -> Result<T, Setback> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = Arc::clone(&self.readers).acquire_owned().await.map_err(|_| out_of_use())?;
        let core = Arc::clone(&self.core);
        let reading = tokio::task::spawn_blocking(move || {
            let result = core.read(read);
            drop(permit);
            result
        });
        reading.await.unwrap_or_else(|error| {
            self.core.note_failed_read();
            Err(StoreError::Unavailable(error.into()))
        })
    }

    fn leases(&self) -> MutexGuard<'_, Expiring<(StoreKey, GrantId), LeaseOwner>> {
        // No operation stops halfway.
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn moment(&self) -> Moment {
        Moment::of(&*self.clock)
    }
}

impl Drop for FileStore {
    /// Everything that was asked for is written, and the file is closed, before another may open it.
    fn drop(&mut self) {
        drop(self.jobs.take());
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!(event = "store.writer-panicked");
        }
    }
}

/// Waits, but not for ever.
fn patiently<'a, T: Send + 'a>(answer: impl Future<Output = Result<T, StoreError>> + Send + 'a) -> StoreFuture<'a, T> {
    Box::pin(async move {
        let late = |error: tokio::time::error::Elapsed| Err(StoreError::Unavailable(error.into()));
        tokio::time::timeout(PATIENCE, answer).await.unwrap_or_else(late)
    })
}

impl SessionStore for FileStore {
    fn insert(&self, key: StoreKey, sealed: SealedSession, last_use: LastUse) -> StoreFuture<'_, Inserted> {
        self.write(true, move |tables, now, _| operation::insert(tables, now, &key, &sealed, last_use))
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredSession>> {
        patiently(self.read(move |file, now| reading::load(file, now, &key)))
    }

    fn replace(&self, key: StoreKey, expected: u64, sealed: SealedSession) -> StoreFuture<'_, Replaced> {
        self.write(true, move |tables, now, changes| {
            let replaced = operation::replace(tables, now, &key, expected, &sealed)?;
            if replaced == Replaced::Written {
                changes.push(Change { key, kind: ChangeKind::Changed { generation: sealed.generation } });
            }
            Ok(replaced)
        })
    }

    fn touch(&self, key: StoreKey, last_use: LastUse) -> StoreFuture<'_, bool> {
        self.write(false, move |tables, now, _| operation::touch(tables, now, &key, last_use))
    }

    fn remove(&self, key: StoreKey) -> StoreFuture<'_, bool> {
        self.write(true, move |tables, now, changes| {
            let removed = operation::remove(tables, now, &key)?;
            changes.push(Change { key, kind: ChangeKind::Removed });
            Ok(removed)
        })
    }

    fn index_add(&self, index: IndexKey, member: StoreKey, expires: Timestamp) -> StoreFuture<'_, ()> {
        self.write(true, move |tables, now, _| operation::index_add(tables, now, &index, &member, expires))
    }

    fn index_members(&self, index: IndexKey) -> StoreFuture<'_, Vec<StoreKey>> {
        patiently(self.read(move |file, now| reading::index_members(file, now, &index)))
    }

    fn write_index_tombstone(&self, index: IndexKey, at: Timestamp, ttl: Duration) -> StoreFuture<'_, ()> {
        self.write(true, move |tables, now, _| operation::write_index_tombstone(tables, now, &index, at, ttl))
    }

    fn index_tombstone(&self, index: IndexKey) -> StoreFuture<'_, Option<Timestamp>> {
        patiently(self.read(move |file, now| reading::index_tombstone(file, now, &index)))
    }

    fn put_once(&self, marker: MarkerKey, until: Timestamp) -> StoreFuture<'_, bool> {
        self.write(true, move |tables, now, _| operation::put_once(tables, now, &marker, until, MAX_MARKERS))
    }

    fn take_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner, ttl: Duration) -> StoreFuture<'_, bool> {
        let now = self.moment();
        let mut leases = self.leases();
        let free = leases.find(&(key, grant), now).is_none();
        if free {
            leases.put((key, grant), owner, now.after(ttl));
        }
        Box::pin(std::future::ready(Ok(free)))
    }

    fn release_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner) -> StoreFuture<'_, ()> {
        let mut leases = self.leases();
        if leases.find(&(key, grant), self.moment()) == Some(&owner) {
            leases.remove(&(key, grant));
            // Nobody listening is fine.
            let _ = self.core.changes.send(Change { key, kind: ChangeKind::LeaseReleased });
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn list(&self) -> StoreFuture<'_, Vec<ListedSession>> {
        // It takes as long as there are sessions.
        Box::pin(self.read(reading::list))
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.core.changes.subscribe()
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        self.core.state()
    }

    fn sweep(&self) -> StoreFuture<'_, ()> {
        self.leases().sweep(self.moment());
        // Every turn of the writer sweeps a step; it goes on by itself.
        self.write(false, |_, _, _| Ok(()))
    }

    fn live_sessions(&self) -> usize {
        self.core.held()
    }
}

#[cfg(test)]
mod tests;
