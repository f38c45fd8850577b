//! The file itself: made whole or not at all, opened if it is ours, opened again after a failure.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use redb::{Database, DatabaseError, ReadableDatabase, ReadableTableMetadata, StorageError, TableError};

use super::directory::Directory;
use super::error::FileStoreError;
use super::layout::{FORMAT, FORMAT_NAME, META, SESSIONS, Tables};

/// The sessions.
pub(super) const FILE: &str = "sessions.redb";
/// The file while it is being made; it gets its name once it is whole.
const UNFINISHED: &str = "sessions.redb.new";

/// Pages kept in memory; the system's cache has the others.
const CACHE_BYTES: usize = 32 << 20;

/// A file below this is left as long as it is.
const COMPACT_FROM: u64 = 64 << 20;
/// What a session takes up at most, mostly, to tell a file that is empty for the most part.
const SESSION_BYTES: u64 = 8 << 10;

/// How the database is opened. Tests put something between it and the disk.
pub(super) type Opening = Box<dyn Fn(&Directory) -> Result<Database, FileStoreError> + Send>;

/// Opens the file of a directory, and makes it if it is not there.
pub(super) fn open_or_create(directory: &Directory) -> Result<Database, FileStoreError> {
    if directory.open(FILE)?.is_none() {
        create(directory)?;
    }
    let mut database = open(directory)?;
    compact_if_mostly_empty(directory, &mut database, COMPACT_FROM)?;
    Ok(database)
}

/// Opens the file of a directory. It is never made anew where one should be.
pub(super) fn open(directory: &Directory) -> Result<Database, FileStoreError> {
    let path = directory.file(FILE);
    let absent = || FileStoreError::Io { path: path.clone(), source: std::io::ErrorKind::NotFound.into() };
    let file = directory.open(FILE)?.ok_or_else(absent)?;
    // redb would begin a new database in an empty file.
    if file.metadata().map_err(|source| FileStoreError::Io { path: path.clone(), source })?.len() == 0 {
        return Err(FileStoreError::Damaged { path, source: "it is empty".into() });
    }
    opened(directory, || builder().create_file(file))
}

/// What `redb` says about opening it, and whether it is a file of ours.
pub(super) fn opened(
    directory: &Directory,
    opening: impl FnOnce() -> Result<Database, DatabaseError>,
) -> Result<Database, FileStoreError> {
    let path = || directory.file(FILE);
    let damaged = |source| FileStoreError::Damaged { path: path(), source };
    // Bytes that nobody has written may also make it panic.
    let looked = catch_unwind(AssertUnwindSafe(|| {
        let database = opening()?;
        let format = format(&database);
        Ok((database, format))
    }));
    let (database, format) = match looked {
        Ok(Ok(opened)) => opened,
        Ok(Err(DatabaseError::DatabaseAlreadyOpen)) => {
            return Err(FileStoreError::Owned { path: path(), process: None });
        }
        Ok(Err(DatabaseError::Storage(StorageError::Io(source)))) if !tells_of_damage(&source) => {
            return Err(FileStoreError::Io { path: path(), source });
        }
        Ok(Err(error)) => return Err(damaged(error.into())),
        Err(_) => return Err(damaged("it cannot be followed".into())),
    };
    match format {
        Ok(Some(FORMAT)) => Ok(database),
        Ok(Some(found)) => Err(FileStoreError::Format { path: path(), found, ours: FORMAT }),
        Ok(None) => Err(damaged("it names no format".into())),
        Err(redb::Error::Io(source)) if !tells_of_damage(&source) => Err(FileStoreError::Io { path: path(), source }),
        Err(error) => Err(damaged(error.into())),
    }
}

/// The builder that every database of ours is opened with.
pub(super) fn builder() -> redb::Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

fn tells_of_damage(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
}

fn format(database: &Database) -> Result<Option<u64>, redb::Error> {
    Ok(match database.begin_read()?.open_table(META) {
        Ok(meta) => meta.get(FORMAT_NAME)?.map(|format| format.value()),
        Err(TableError::TableDoesNotExist(_)) => None,
        Err(error) => return Err(error.into()),
    })
}

/// Makes the file under another name first: if the process ends in between, there is none of its name.
fn create(directory: &Directory) -> Result<(), FileStoreError> {
    let path = directory.file(UNFINISHED);
    if directory.open(UNFINISHED)?.is_some() {
        std::fs::remove_file(&path).map_err(|source| FileStoreError::Io { path: path.clone(), source })?;
    }
    let file = directory.create(UNFINISHED)?;
    let made = || -> Result<(), redb::Error> { initialise(&builder().create_file(file)?) };
    made().map_err(|error| FileStoreError::Io { path, source: std::io::Error::other(error) })?;
    directory.rename(UNFINISHED, FILE)
}

/// Makes a new database one of ours.
pub(super) fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    Tables::open(&transaction)?.meta.insert(FORMAT_NAME, FORMAT)?;
    Ok(transaction.commit()?)
}

/// Gives the disk back what a flood of sessions took, if that is most of the file. In between, freed pages are used
/// again, so the file stays as long as it was at its fullest.
pub(super) fn compact_if_mostly_empty(
    directory: &Directory,
    database: &mut Database,
    from: u64,
) -> Result<(), FileStoreError> {
    let path = directory.file(FILE);
    let length = path.metadata().map_err(|source| FileStoreError::Io { path: path.clone(), source })?.len();
    let sessions = count(database).unwrap_or(u64::MAX);
    if length < from || sessions.saturating_mul(SESSION_BYTES) > length / 4 {
        return Ok(());
    }
    match database.compact() {
        Ok(_) => tracing::info!(event = "store.compacted", sessions),
        // The sessions are there; nothing else matters.
        Err(error) => tracing::warn!(event = "store.compact-failed", error = %error),
    }
    Ok(())
}

/// How many sessions there are, those that have expired and are not swept yet included.
pub(super) fn count(database: &Database) -> Result<u64, redb::Error> {
    Ok(database.begin_read()?.open_table(SESSIONS)?.len()?)
}

/// The place of the one open database. Whoever reads or writes holds it open; only the writer puts another in.
pub(super) struct Slot(RwLock<Option<Database>>);

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Slot").finish_non_exhaustive()
    }
}

impl Slot {
    pub(super) const fn new(database: Database) -> Self {
        Self(RwLock::new(Some(database)))
    }

    /// The database, held open for as long as this is held. `None`: it has failed and could not be opened again yet.
    pub(super) fn hold(&self) -> RwLockReadGuard<'_, Option<Database>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the database. Waits for those who read.
    pub(super) fn close(&self) {
        take(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Closes the database and opens it again, which also undoes whatever was not committed.
    pub(super) fn reopen(&self, opening: &Opening, directory: &Directory) -> Result<(), FileStoreError> {
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        take(&mut place);
        *place = Some(opening(directory)?);
        Ok(())
    }
}

fn take(place: &mut Option<Database>) {
    let database = place.take();
    // One that has failed may do so again when it is closed. It is gone all the same.
    let _ = catch_unwind(AssertUnwindSafe(|| drop(database)));
}
