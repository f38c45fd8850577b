//! The operations of a store on the state of a schedule.

use std::time::Duration;

use tokio::sync::{broadcast, watch};

use super::store::{Done, Entry};
use super::view::View;
use crate::clock::Timestamp;
use crate::session::store::{
    Change, ChangeKind, IndexKey, Inserted, LastUse, LeaseOwner, ListedSession, MarkerKey, Replaced, SealedSession,
    SessionStore, StoreFuture, StoreState, StoredSession,
};
use crate::session::{GrantId, StoreKey};

impl SessionStore for View {
    fn insert(&self, key: StoreKey, sealed: SealedSession, last_use: LastUse) -> StoreFuture<'_, Inserted> {
        self.perform(move |state, now, _| {
            if state.is_buried(&key, now) || state.sessions.contains_key(&key) {
                return Done::read(Inserted::Refused);
            }
            let expires = last_use.expires.min(sealed.absolute_expiry);
            state.sessions.insert(key, Entry { stored: StoredSession { sealed, last_use: last_use.at }, expires });
            Done::wrote(Inserted::Stored)
        })
    }

    fn load(&self, key: StoreKey) -> StoreFuture<'_, Option<StoredSession>> {
        self.perform(move |state, _, wall| Done::read(state.live(&key, wall).map(|entry| entry.stored.clone())))
    }

    fn replace(&self, key: StoreKey, expected: u64, sealed: SealedSession) -> StoreFuture<'_, Replaced> {
        self.perform(move |state, now, wall| {
            if state.is_buried(&key, now) {
                return Done::read(Replaced::Absent);
            }
            match state.live(&key, wall) {
                None => Done::read(Replaced::Absent),
                Some(entry) if entry.stored.sealed.generation != expected => Done::read(Replaced::Moved),
                Some(entry) => {
                    let generation = sealed.generation;
                    entry.expires = entry.expires.min(sealed.absolute_expiry);
                    entry.stored.sealed = sealed;
                    Done::announced(Replaced::Written, key, ChangeKind::Changed { generation })
                }
            }
        })
    }

    fn touch(&self, key: StoreKey, last_use: LastUse) -> StoreFuture<'_, bool> {
        self.perform(move |state, _, wall| match state.live(&key, wall) {
            None => Done::read(false),
            Some(entry) => {
                entry.expires = last_use.expires.min(entry.stored.sealed.absolute_expiry);
                entry.stored.last_use = last_use.at;
                Done::wrote(true)
            }
        })
    }

    fn remove(&self, key: StoreKey) -> StoreFuture<'_, bool> {
        self.perform(move |state, now, wall| {
            let there = state.live(&key, wall).is_some();
            state.sessions.remove(&key);
            state.bury(key, now);
            Done::announced(there, key, ChangeKind::Removed)
        })
    }

    fn index_add(&self, index: IndexKey, member: StoreKey, _: Timestamp) -> StoreFuture<'_, ()> {
        self.perform(move |state, _, _| {
            state.members.entry(*index.as_bytes()).or_default().insert(member);
            Done::wrote(())
        })
    }

    fn index_members(&self, index: IndexKey) -> StoreFuture<'_, Vec<StoreKey>> {
        self.perform(move |state, _, _| {
            Done::read(state.members.get(index.as_bytes()).into_iter().flatten().copied().collect())
        })
    }

    fn write_index_tombstone(&self, index: IndexKey, at: Timestamp, ttl: Duration) -> StoreFuture<'_, ()> {
        self.perform(move |state, now, _| {
            let until = now + u64::try_from(ttl.as_millis()).unwrap();
            let standing = state.ended.get(index.as_bytes()).filter(|(_, until)| now < *until);
            let at = standing.map_or(at, |(standing, _)| at.max(*standing));
            state.ended.insert(*index.as_bytes(), (at, until));
            Done::wrote(())
        })
    }

    fn index_tombstone(&self, index: IndexKey) -> StoreFuture<'_, Option<Timestamp>> {
        self.perform(move |state, now, _| {
            let standing = state.ended.get(index.as_bytes()).filter(|(_, until)| now < *until);
            Done::read(standing.map(|(at, _)| *at))
        })
    }

    fn put_once(&self, _: MarkerKey, _: Timestamp) -> StoreFuture<'_, bool> {
        // Nobody in a schedule uses markers.
        self.perform(|_, _, _| Done::read(true))
    }

    fn take_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner, ttl: Duration) -> StoreFuture<'_, bool> {
        self.perform(move |state, now, _| {
            if state.leases.get(&(key, grant)).is_some_and(|(_, until)| now < *until) {
                return Done::read(false);
            }
            state.leases.insert((key, grant), (owner, now + u64::try_from(ttl.as_millis()).unwrap()));
            Done::wrote(true)
        })
    }

    fn release_lease(&self, key: StoreKey, grant: GrantId, owner: LeaseOwner) -> StoreFuture<'_, ()> {
        self.perform(move |state, now, _| {
            let held = state.leases.get(&(key, grant)).is_some_and(|held| held.0 == owner && now < held.1);
            if !held {
                return Done::read(());
            }
            state.leases.remove(&(key, grant));
            Done::announced((), key, ChangeKind::LeaseReleased)
        })
    }

    fn list(&self) -> StoreFuture<'_, Vec<ListedSession>> {
        self.perform(|state, _, wall| {
            let live = state.sessions.iter().filter(|(_, entry)| wall < entry.expires);
            Done::read(live.map(|(key, entry)| entry.stored.listed(*key)).collect())
        })
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.listen()
    }

    fn state(&self) -> watch::Receiver<StoreState> {
        Self::state(self)
    }

    fn live_sessions(&self) -> usize {
        0
    }
}
