//! The operations, each a step within a transaction of the writer.

use std::time::Duration;

use redb::{ReadableTable, ReadableTableMetadata};

use super::super::{INDEX_GRACE, IndexKey, Inserted, LastUse, MarkerKey, Replaced, SealedSession, StoreError};
use super::layout::{Due, SessionRecord, Tables, Unreadable};
use super::steady::Now;
use super::sweep;
use crate::clock::Timestamp;
use crate::session::lifetime::TOMBSTONE_LIFETIME;
use crate::session::ticket::StoreKey;

/// Why an operation did not do what it was asked.
#[derive(Debug)]
pub(super) enum Setback {
    /// This operation alone; it has written nothing.
    Refused(StoreError),
    /// The transaction has failed, and with it everything in it.
    Storage(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for Setback {
    fn from(error: E) -> Self {
        Self::Storage(error.into())
    }
}

impl Setback {
    /// The entry this operation is about cannot be read.
    pub(super) fn unreadable(error: Unreadable) -> Self {
        Self::Refused(StoreError::Unavailable(error.into()))
    }
}

pub(super) fn insert(
    tables: &mut Tables<'_>,
    now: Now,
    key: &StoreKey,
    sealed: &SealedSession,
    last_use: LastUse,
) -> Result<Inserted, Setback> {
    let name = key.as_bytes();
    if has_tombstone(tables, now, key)? || tables.sessions.get(name)?.is_some() {
        return Ok(Inserted::Refused);
    }
    let head = SessionRecord::of(sealed, last_use.at, now.until(sealed.absolute_expiry), now.until(last_use.expires));
    tables
        .sessions
        .insert(name, head.write(&[&sealed.record, &sealed.card]).map_err(Setback::unreadable)?.as_slice())?;
    tables.look_again(Due::Session(*name), head.expires)?;
    Ok(Inserted::Stored)
}

pub(super) fn replace(
    tables: &mut Tables<'_>,
    now: Now,
    key: &StoreKey,
    expected: u64,
    sealed: &SealedSession,
) -> Result<Replaced, Setback> {
    let name = key.as_bytes();
    let Some((before, _)) = live(tables, now, key)? else { return Ok(Replaced::Absent) };
    if has_tombstone(tables, now, key)? {
        return Ok(Replaced::Absent);
    }
    if before.generation() != expected {
        return Ok(Replaced::Moved);
    }
    // A step-up shortens the life of what it leaves behind. The same expiry under a clock that has been set back is no
    // later one.
    let mut ends = now.until(sealed.absolute_expiry);
    if sealed.absolute_expiry <= before.absolute_expiry() {
        ends = ends.min(before.ends);
    }
    let after = SessionRecord::of(sealed, Timestamp::from_seconds(before.last_use), ends, before.expires);
    tables
        .sessions
        .insert(name, after.write(&[&sealed.record, &sealed.card]).map_err(Setback::unreadable)?.as_slice())?;
    if after.expires < before.expires {
        tables.look_again(Due::Session(*name), after.expires)?;
    }
    Ok(Replaced::Written)
}

pub(super) fn touch(tables: &mut Tables<'_>, now: Now, key: &StoreKey, last_use: LastUse) -> Result<bool, Setback> {
    let name = key.as_bytes();
    let Some((before, sealed)) = live(tables, now, key)? else { return Ok(false) };
    let after = before.used(last_use.at, now.until(last_use.expires));
    tables.sessions.insert(name, after.write(&[&sealed]).map_err(Setback::unreadable)?.as_slice())?;
    // A longer life needs no entry: the one that is there is looked at, and put off then.
    if after.expires < before.expires {
        tables.look_again(Due::Session(*name), after.expires)?;
    }
    Ok(true)
}

pub(super) fn remove(tables: &mut Tables<'_>, now: Now, key: &StoreKey) -> Result<bool, Setback> {
    let name = key.as_bytes();
    // What cannot be read is removed as well.
    let was_live = match tables.sessions.remove(name)? {
        Some(bytes) => SessionRecord::read(bytes.value()).is_ok_and(|(head, _)| !now.is_past(head.expires)),
        None => false,
    };
    let deadline = now.after(TOMBSTONE_LIFETIME);
    tables.tombstones.insert(name, deadline)?;
    tables.look_again(Due::Tombstone(*name), deadline)?;
    Ok(was_live)
}

pub(super) fn index_add(
    tables: &mut Tables<'_>,
    now: Now,
    index: &IndexKey,
    member: &StoreKey,
    expires: Timestamp,
) -> Result<(), Setback> {
    let (name, deadline) = (member_name(index, member.as_bytes()), now.until(expires));
    tables.members.insert(&name, deadline)?;
    tables.look_again(Due::Member(name), deadline.min(now.after(INDEX_GRACE)))?;
    Ok(())
}

pub(super) fn write_index_tombstone(
    tables: &mut Tables<'_>,
    now: Now,
    index: &IndexKey,
    at: Timestamp,
    ttl: Duration,
) -> Result<(), Setback> {
    let name = index.as_bytes();
    let standing = tables.index_tombstones.get(name)?.map(|entry| entry.value());
    let at = match standing {
        Some((standing, deadline)) if !now.is_past(deadline) => standing.max(at.as_seconds()),
        _ => at.as_seconds(),
    };
    let deadline = now.after(ttl);
    tables.index_tombstones.insert(name, (at, deadline))?;
    tables.look_again(Due::IndexTombstone(*name), deadline)?;
    Ok(())
}

pub(super) fn put_once(
    tables: &mut Tables<'_>,
    now: Now,
    marker: &MarkerKey,
    until: Timestamp,
    max_markers: u64,
) -> Result<bool, Setback> {
    let name = marker.as_bytes();
    if tables.markers.get(name)?.is_some_and(|deadline| !now.is_past(deadline.value())) {
        return Ok(false);
    }
    if tables.markers.len()? >= max_markers {
        sweep::step(tables, now)?;
    }
    if tables.markers.len()? >= max_markers {
        return Err(Setback::Refused(StoreError::Full));
    }
    let deadline = now.until(until);
    tables.markers.insert(name, deadline)?;
    tables.look_again(Due::Marker(*name), deadline)?;
    Ok(true)
}

/// The key of a member of an index: both names, so that the members of one index lie together.
pub(super) fn member_name(index: &IndexKey, member: &[u8; 32]) -> [u8; 64] {
    let mut name = [0; 64];
    let (first, second) = name.split_at_mut(32);
    first.copy_from_slice(index.as_bytes());
    second.copy_from_slice(member);
    name
}

fn has_tombstone(tables: &Tables<'_>, now: Now, key: &StoreKey) -> Result<bool, Setback> {
    Ok(tables.tombstones.get(key.as_bytes())?.is_some_and(|deadline| !now.is_past(deadline.value())))
}

/// The head of a session that has not expired, and the sealed bytes.
fn live(tables: &Tables<'_>, now: Now, key: &StoreKey) -> Result<Option<(SessionRecord, Vec<u8>)>, Setback> {
    let Some(bytes) = tables.sessions.get(key.as_bytes())? else { return Ok(None) };
    let (head, sealed) = SessionRecord::read(bytes.value()).map_err(Setback::unreadable)?;
    Ok((!now.is_past(head.expires)).then(|| (head, sealed.to_vec())))
}
