//! Finding sessions: by their key, by an index, and all of them.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};

use super::failure::RedisFailure;
use super::request::Request;
use super::{AT_ONCE, RedisStore, names, reply, scripts};
use crate::session::store::{IndexKey, ListedSession, StoredSession};
use crate::session::ticket::StoreKey;

impl RedisStore {
    pub(super) async fn load_one(&self, key: StoreKey) -> Result<Option<StoredSession>, RedisFailure> {
        let request = Request::script(&scripts::LOAD, [names::session(&key)]).arg(scripts::LONGEST).repeatable();
        self.ask_for(request, reply::session).await
    }

    /// What a list tells of a session, without its record.
    pub(super) async fn card_of(&self, key: StoreKey) -> Result<Option<ListedSession>, RedisFailure> {
        let request = Request::script(&scripts::CARD, [names::session(&key)]).arg(scripts::LONGEST).repeatable();
        self.ask_for(request, |answer| reply::listed(key, answer)).await
    }

    /// Takes members whose session is gone off an index.
    pub(super) async fn prune(&self, index: IndexKey) -> Result<(), RedisFailure> {
        let members = self.members(index).await?;
        let gone = stream::iter(members)
            .map(|member| async move {
                let request = Request::command("EXISTS", names::session(&member)).repeatable();
                (member, self.ask_for(request, |answer| reply::number(&answer)).await)
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(|(member, there)| std::future::ready(matches!(there, Ok(0)).then_some(member)))
            .collect::<Vec<_>>()
            .await;
        let keys = [names::members(&index), names::newcomers(&index)];
        let request = gone
            .iter()
            .fold(Request::script(&scripts::INDEX_PRUNE, keys), |request, member| request.arg(member.as_bytes()));
        self.ask(request).await.map(drop)
    }

    pub(super) async fn members(&self, index: IndexKey) -> Result<Vec<StoreKey>, RedisFailure> {
        let request = Request::script(&scripts::INDEX_MEMBERS, [names::members(&index)]).repeatable();
        self.ask_for(request, reply::keys).await
    }

    /// The keys on one part of the list of all.
    pub(super) async fn listed(&self, shard: u8) -> Result<HashSet<StoreKey>, RedisFailure> {
        let (mut found, mut cursor) = (HashSet::new(), 0);
        loop {
            let request = Request::command("ZSCAN", self.names.list(shard)).arg(cursor).arg("COUNT").arg(500);
            let (next, keys) = self.ask_for(request.repeatable(), reply::page).await?;
            found.extend(keys);
            if next == 0 {
                return Ok(found);
            }
            cursor = next;
        }
    }
}
