//! Forgetting what has expired, a little at a time.

use redb::{ReadableTable, StorageError};

use super::layout::{Due, SessionRecord, Tables};
use super::steady::Now;

/// So many entries are looked at in one step, whose time the operations of the same transaction wait.
pub(super) const STEP: usize = 128;

/// Looks at what is due, up to [`STEP`] entries, and forgets what has expired. Returns how many it has looked at.
pub(super) fn step(tables: &mut Tables<'_>, now: Now) -> Result<usize, StorageError> {
    for looked in 0..STEP {
        if !is_due(&tables.due, now)? {
            return Ok(looked);
        }
        let due = tables.due.pop_first()?.and_then(|(key, _)| Due::read(key.value()));
        if let Some((_, due)) = due {
            look(tables, now, due)?;
        }
    }
    Ok(STEP)
}

/// Whether there is something to look at.
pub(super) fn is_due(due: &impl ReadableTable<&'static [u8], ()>, now: Now) -> Result<bool, StorageError> {
    // A key that cannot be read is due: it is to go.
    Ok(due.first()?.is_some_and(|(key, _)| Due::read(key.value()).is_none_or(|(deadline, _)| now.is_past(deadline))))
}

/// Forgets something if it has expired; what lives on is looked at again at its deadline.
fn look(tables: &mut Tables<'_>, now: Now, due: Due) -> Result<(), StorageError> {
    let deadline = match &due {
        // What cannot be read has expired.
        Due::Session(name) => tables
            .sessions
            .get(name)?
            .map(|bytes| SessionRecord::read(bytes.value()).map_or(0, |(head, _)| head.expires)),
        Due::Tombstone(name) => tables.tombstones.get(name)?.map(|entry| entry.value()),
        Due::Marker(name) => tables.markers.get(name)?.map(|entry| entry.value()),
        Due::Member(name) => deadline_of_member(tables, name)?,
        Due::IndexTombstone(name) => tables.index_tombstones.get(name)?.map(|entry| entry.value().1),
    };
    match (deadline, &due) {
        (None, _) => {}
        (Some(deadline), _) if !now.is_past(deadline) => tables.look_again(due, deadline)?,
        (_, Due::Session(name)) => drop(tables.sessions.remove(name)?),
        (_, Due::Tombstone(name)) => drop(tables.tombstones.remove(name)?),
        (_, Due::Marker(name)) => drop(tables.markers.remove(name)?),
        (_, Due::Member(name)) => drop(tables.members.remove(name)?),
        (_, Due::IndexTombstone(name)) => drop(tables.index_tombstones.remove(name)?),
    }
    Ok(())
}

/// A member goes with its session. It is not looked at before that can no longer be on its way.
fn deadline_of_member(tables: &Tables<'_>, name: &[u8; 64]) -> Result<Option<u64>, StorageError> {
    let Some(deadline) = tables.members.get(name)?.map(|entry| entry.value()) else { return Ok(None) };
    let session = name.last_chunk().map(|key| tables.sessions.get(key)).transpose()?.flatten();
    let expires = session.map_or(0, |bytes| SessionRecord::read(bytes.value()).map_or(0, |(head, _)| head.expires));
    Ok(Some(deadline.min(expires)))
}
