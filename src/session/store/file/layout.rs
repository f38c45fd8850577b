//! What the file looks like: its tables, and the bytes of a session.

use redb::{StorageError, Table, TableDefinition, TableError, WriteTransaction};
use serde::{Deserialize, Serialize};

use super::super::{SealedSession, StoredSession};
use crate::clock::Timestamp;

/// Moves when a file written before can no longer be read.
pub(super) const FORMAT: u64 = 1;

/// Numbers about the file; the names are below.
pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
pub(super) const FORMAT_NAME: &str = "format";
pub(super) const STEADY_NAME: &str = "steady";
pub(super) const LEAD_NAME: &str = "lead";

/// Store key to the bytes of a [`SessionRecord`], of the record and of the card.
pub(super) const SESSIONS: TableDefinition<'_, &[u8; 32], &[u8]> = TableDefinition::new("sessions");
/// Store key of a session that has ended, to its deadline.
pub(super) const TOMBSTONES: TableDefinition<'_, &[u8; 32], u64> = TableDefinition::new("tombstones");
/// Marker to its deadline.
pub(super) const MARKERS: TableDefinition<'_, &[u8; 16], u64> = TableDefinition::new("markers");
/// Index and member to the deadline of the entry.
pub(super) const MEMBERS: TableDefinition<'_, &[u8; 64], u64> = TableDefinition::new("members");
/// Index to the time up to which its logins have been ended, and the deadline.
pub(super) const INDEX_TOMBSTONES: TableDefinition<'_, &[u8; 32], (u64, u64)> =
    TableDefinition::new("index tombstones");
/// What is to be looked at when: keys of [`Due`]. Not later than the deadline of what it names, often earlier.
pub(super) const DUE: TableDefinition<'_, &[u8], ()> = TableDefinition::new("due");

/// The tables, in a transaction that writes.
pub(super) struct Tables<'t> {
    pub(super) meta: Table<'t, &'static str, u64>,
    pub(super) sessions: Table<'t, &'static [u8; 32], &'static [u8]>,
    pub(super) tombstones: Table<'t, &'static [u8; 32], u64>,
    pub(super) markers: Table<'t, &'static [u8; 16], u64>,
    pub(super) members: Table<'t, &'static [u8; 64], u64>,
    pub(super) index_tombstones: Table<'t, &'static [u8; 32], (u64, u64)>,
    pub(super) due: Table<'t, &'static [u8], ()>,
}

impl<'t> Tables<'t> {
    /// Opens them, and makes those that are not there.
    pub(super) fn open(transaction: &'t WriteTransaction) -> Result<Self, TableError> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            sessions: transaction.open_table(SESSIONS)?,
            tombstones: transaction.open_table(TOMBSTONES)?,
            markers: transaction.open_table(MARKERS)?,
            members: transaction.open_table(MEMBERS)?,
            index_tombstones: transaction.open_table(INDEX_TOMBSTONES)?,
            due: transaction.open_table(DUE)?,
        })
    }

    /// Notes that something is to be looked at once `deadline` has been reached.
    pub(super) fn look_again(&mut self, due: Due, deadline: u64) -> Result<(), StorageError> {
        self.due.insert(due.key(deadline).as_slice(), ())?;
        Ok(())
    }
}

/// Something that will have expired one day: of which table, and its key there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Session([u8; 32]),
    Tombstone([u8; 32]),
    Marker([u8; 16]),
    Member([u8; 64]),
    IndexTombstone([u8; 32]),
}

impl Due {
    /// Deadline, big-endian so that the nearest comes first; one byte for the table; the key in it.
    fn key(&self, deadline: u64) -> Vec<u8> {
        let (table, name): (u8, &[u8]) = match self {
            Self::Session(name) => (1, name),
            Self::Tombstone(name) => (2, name),
            Self::Marker(name) => (3, name),
            Self::Member(name) => (4, name),
            Self::IndexTombstone(name) => (5, name),
        };
        [&deadline.to_be_bytes()[..], &[table], name].concat()
    }

    /// When something is to be looked at, and what. `None`: such a key is not written by this program.
    pub(super) fn read(key: &[u8]) -> Option<(u64, Self)> {
        let (deadline, rest) = key.split_first_chunk()?;
        let (table, name) = rest.split_first()?;
        let due = match table {
            1 => Self::Session(name.try_into().ok()?),
            2 => Self::Tombstone(name.try_into().ok()?),
            3 => Self::Marker(name.try_into().ok()?),
            4 => Self::Member(name.try_into().ok()?),
            5 => Self::IndexTombstone(name.try_into().ok()?),
            _ => return None,
        };
        Some((u64::from_be_bytes(*deadline), due))
    }
}

/// The head of a session's bytes; record and card follow it. Its numbers take as many bytes as they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    generation: u64,
    absolute_expiry: u64,
    /// By the wall clock, as it was given.
    pub(super) last_use: u64,
    /// The deadline of the absolute expiry; `expires` is never later.
    pub(super) ends: u64,
    /// The deadline of the session.
    pub(super) expires: u64,
    record_length: u32,
}

impl SessionRecord {
    pub(super) fn of(sealed: &SealedSession, last_use: Timestamp, ends: u64, expires: u64) -> Self {
        Self {
            generation: sealed.generation,
            absolute_expiry: sealed.absolute_expiry.as_seconds(),
            last_use: last_use.as_seconds(),
            ends,
            expires: expires.min(ends),
            // A longer one is not written by anybody; it would not be read again either.
            record_length: u32::try_from(sealed.record.len()).unwrap_or(u32::MAX),
        }
    }

    /// The same session with another last use, and the deadline that follows from it.
    pub(super) fn used(self, last_use: Timestamp, expires: u64) -> Self {
        Self { last_use: last_use.as_seconds(), expires: expires.min(self.ends), ..self }
    }

    pub(super) const fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) const fn absolute_expiry(&self) -> Timestamp {
        Timestamp::from_seconds(self.absolute_expiry)
    }

    /// The head, and record and card behind it.
    pub(super) fn read(bytes: &[u8]) -> Result<(Self, &[u8]), Unreadable> {
        postcard::take_from_bytes(bytes).map_err(|_| Unreadable)
    }

    /// Puts the head before what is to follow it.
    pub(super) fn write(&self, rest: &[&[u8]]) -> Result<Vec<u8>, Unreadable> {
        let bytes = Vec::with_capacity(48 + rest.iter().map(|part| part.len()).sum::<usize>());
        let mut bytes = postcard::to_extend(self, bytes).map_err(|_| Unreadable)?;
        rest.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(bytes)
    }
}

/// The head, the record and the card that some bytes hold.
pub(super) fn read_parts(bytes: &[u8]) -> Result<(SessionRecord, &[u8], &[u8]), Unreadable> {
    let (head, rest) = SessionRecord::read(bytes)?;
    let length = usize::try_from(head.record_length).map_err(|_| Unreadable)?;
    let (record, card) = rest.split_at_checked(length).ok_or(Unreadable)?;
    Ok((head, record, card))
}

/// The whole session that some bytes hold.
pub(super) fn read_session(bytes: &[u8]) -> Result<(SessionRecord, StoredSession), Unreadable> {
    let (head, record, card) = read_parts(bytes)?;
    let sealed = SealedSession {
        record: record.into(),
        card: card.into(),
        generation: head.generation,
        absolute_expiry: head.absolute_expiry(),
    };
    Ok((head, StoredSession { sealed, last_use: Timestamp::from_seconds(head.last_use) }))
}

/// An entry has another form than this program gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of the session file has another form than it should")]
pub(super) struct Unreadable;
