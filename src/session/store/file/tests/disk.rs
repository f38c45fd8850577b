//! A disk in memory, which fails when it is told to, and shows what a loss of power would leave of it.

use std::io::{Error, ErrorKind};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::StorageBackend;

/// What fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fails {
    Nothing,
    Reading(ErrorKind),
    Writing(ErrorKind),
    Growing(ErrorKind),
    Syncing(ErrorKind),
    Everything(ErrorKind),
}

type Watcher = Box<dyn FnMut(&Platter) + Send>;

/// What is on it.
pub(super) struct Platter {
    /// As whoever reads now sees it.
    seen: Vec<u8>,
    /// As it was at the last sync.
    synced: Vec<u8>,
    /// Where something was written since.
    unsynced: Vec<(usize, Vec<u8>)>,
    fails: Fails,
    /// Asked before each write and each sync.
    watcher: Option<Watcher>,
}

/// See the module. Clones are the same disk.
#[derive(Clone)]
pub(super) struct Disk(Arc<Mutex<Platter>>);

impl std::fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Disk")
    }
}

impl Platter {
    /// What a loss of power may leave: all that was synced, and of the rest whatever `keep` says for each block of 512
    /// bytes.
    pub(super) fn after_power_loss(&self, mut keep: impl FnMut() -> bool) -> Disk {
        let mut left = self.synced.clone();
        left.resize(self.seen.len().max(left.len()), 0);
        for (offset, bytes) in &self.unsynced {
            for (number, block) in bytes.chunks(512).enumerate() {
                if keep() {
                    let at = offset + number * 512;
                    left[at..at + block.len()].copy_from_slice(block);
                }
            }
        }
        Disk::holding(left)
    }
}

impl Disk {
    pub(super) fn holding(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Mutex::new(Platter {
            seen: bytes.clone(),
            synced: bytes,
            unsynced: Vec::new(),
            fails: Fails::Nothing,
            watcher: None,
        })))
    }

    fn platter(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().unwrap()
    }

    pub(super) fn set_fails(&self, fails: Fails) {
        self.platter().fails = fails;
    }

    /// Has `watcher` look before each write and each sync.
    pub(super) fn watch(&self, watcher: impl FnMut(&Platter) + Send + 'static) {
        self.platter().watcher = Some(Box::new(watcher));
    }

    fn look(platter: &mut Platter) {
        if let Some(mut watcher) = platter.watcher.take() {
            watcher(platter);
            platter.watcher = Some(watcher);
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> Result<u64, Error> {
        Ok(self.platter().seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<(), Error> {
        let platter = self.platter();
        if let Fails::Reading(kind) | Fails::Everything(kind) = platter.fails {
            return Err(kind.into());
        }
        let from = usize::try_from(offset).unwrap();
        out.copy_from_slice(platter.seen.get(from..from + out.len()).ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> Result<(), Error> {
        let mut platter = self.platter();
        if let Fails::Growing(kind) | Fails::Everything(kind) = platter.fails {
            return Err(kind.into());
        }
        let length = usize::try_from(length).unwrap();
        platter.seen.resize(length, 0);
        platter.unsynced.retain(|(offset, bytes)| offset + bytes.len() <= length);
        if platter.synced.len() > length {
            platter.synced.truncate(length);
        }
        Ok(())
    }

    fn sync_data(&self) -> Result<(), Error> {
        let mut platter = self.platter();
        Self::look(&mut platter);
        if let Fails::Syncing(kind) | Fails::Everything(kind) = platter.fails {
            return Err(kind.into());
        }
        platter.synced = platter.seen.clone();
        platter.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), Error> {
        let mut platter = self.platter();
        Self::look(&mut platter);
        if let Fails::Writing(kind) | Fails::Everything(kind) = platter.fails {
            return Err(kind.into());
        }
        let from = usize::try_from(offset).unwrap();
        platter.seen[from..from + bytes.len()].copy_from_slice(bytes);
        platter.unsynced.push((from, bytes.to_vec()));
        Ok(())
    }
}
