//! What is read of the file, each in one state of it.

use redb::{ReadTransaction, ReadableTable};

use super::super::{IndexKey, ListedSession, StoredSession};
use super::layout::{INDEX_TOMBSTONES, MEMBERS, SESSIONS, read_parts, read_session};
use super::operation::{Setback, member_name};
use super::steady::Now;
use crate::clock::Timestamp;
use crate::session::ticket::StoreKey;

pub(super) fn load(file: &ReadTransaction, now: Now, key: &StoreKey) -> Result<Option<StoredSession>, Setback> {
    let Some(bytes) = file.open_table(SESSIONS)?.get(key.as_bytes())? else { return Ok(None) };
    let (head, stored) = read_session(bytes.value()).map_err(Setback::unreadable)?;
    Ok((!now.is_past(head.expires)).then_some(stored))
}

/// What cannot be read must not hide the others, and is nobody's session.
pub(super) fn list(file: &ReadTransaction, now: Now) -> Result<Vec<ListedSession>, Setback> {
    let mut listed = Vec::new();
    for entry in file.open_table(SESSIONS)?.iter()? {
        let (key, bytes) = entry?;
        if let Ok((head, _, card)) = read_parts(bytes.value())
            && !now.is_past(head.expires)
        {
            listed.push(ListedSession {
                key: StoreKey::of_bytes(*key.value()),
                card: card.into(),
                absolute_expiry: head.absolute_expiry(),
                last_use: Timestamp::from_seconds(head.last_use),
            });
        }
    }
    Ok(listed)
}

pub(super) fn index_members(file: &ReadTransaction, now: Now, index: &IndexKey) -> Result<Vec<StoreKey>, Setback> {
    let (first, last) = (member_name(index, &[0; 32]), member_name(index, &[0xff; 32]));
    let mut members = Vec::new();
    for entry in file.open_table(MEMBERS)?.range::<&[u8; 64]>(&first..=&last)? {
        let (name, deadline) = entry?;
        if let Some(member) = name.value().last_chunk()
            && !now.is_past(deadline.value())
        {
            members.push(StoreKey::of_bytes(*member));
        }
    }
    Ok(members)
}

pub(super) fn index_tombstone(
    file: &ReadTransaction,
    now: Now,
    index: &IndexKey,
) -> Result<Option<Timestamp>, Setback> {
    let standing = file.open_table(INDEX_TOMBSTONES)?.get(index.as_bytes())?.map(|entry| entry.value());
    Ok(standing.filter(|(_, deadline)| !now.is_past(*deadline)).map(|(at, _)| Timestamp::from_seconds(at)))
}
