//! Listens to what happens to sessions, on a connection of its own, and knows when it does not hear.
//!
//! The server is asked for a sign of life several times a second. Whatever was announced before it gave one has arrived
//! before it: a connection keeps its order. When a sign does not come, everything since the last one may have been missed.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use redis::Value;
use redis::aio::{PubSub, PubSubStream};
use tokio::sync::{broadcast, watch};

use super::backoff::Backoff;
use super::dial::{Dialer, within};
use super::failure::{Failure, spelled};
use super::message;
use super::servers::Servers;
use crate::clock::Clock;
use crate::session::settings::ServerAddress;
use crate::session::store::{Change, StoreState};

/// Between two signs of life.
const BEAT: Duration = Duration::from_millis(250);

/// Without one for this long the connection is given up. Together with [`BEAT`] well under a second.
const SILENCE: Duration = Duration::from_millis(500);

/// How often others are asked whether this server is still the one to listen at.
const LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Subscriber {
    pub(super) servers: Arc<Servers>,
    pub(super) dialer: Arc<Dialer>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) channel: String,
    pub(super) changes: broadcast::Sender<Change>,
    pub(super) state: watch::Sender<StoreState>,
}

impl Subscriber {
    /// Listens until it is dropped.
    pub(super) async fn run(self) {
        let (mut backoff, mut turn, mut is_told) = (Backoff::default(), 0_usize, false);
        let mut editions = self.dialer.editions();
        loop {
            // Whatever is announced after this is heard, should the subscription be confirmed.
            if let Some(server) = self.servers.to_listen_at(turn).await {
                let mut heard_at = self.clock.monotonic();
                editions.mark_unchanged();
                match self.dialer.subscribe(&server, &self.channel).await {
                    Ok(subscription) => {
                        self.state.send_modify(|state| {
                            state.deaf_since = None;
                            state.gaps += 1;
                        });
                        tracing::debug!(event = "store.listening", server = spelled(&server));
                        is_told = true;
                        let failure = tokio::select! {
                            failure = self.listen(subscription, &mut heard_at, &mut backoff) => failure,
                            () = self.has_moved(&server) => Failure::Replica,
                            () = self.servers.remapped() => Failure::Replica,
                            _ = editions.changed() => Failure::Closed,
                        };
                        self.state.send_modify(|state| state.deaf_since = Some(heard_at));
                        tracing::warn!(event = "store.not-listening", server = spelled(&server), failure = %failure);
                    }
                    // A user that may not listen never does: said once, as when it was lost.
                    Err(failure) if !std::mem::replace(&mut is_told, true) => {
                        tracing::warn!(event = "store.not-listening", server = spelled(&server), failure = %failure);
                    }
                    Err(failure) => {
                        tracing::debug!(event = "store.cannot-listen", server = spelled(&server), failure = %failure);
                    }
                }
            }
            turn = turn.wrapping_add(1);
            tokio::time::sleep(backoff.next()).await;
        }
    }

    /// Hands on what is heard, until nothing is any more. `heard_at` is up to when everything was.
    async fn listen(&self, subscription: PubSub, heard_at: &mut Duration, backoff: &mut Backoff) -> Failure {
        let (mut questions, mut messages) = subscription.split();
        loop {
            let asked_at = self.clock.monotonic();
            let sign = within(SILENCE, async { Ok(questions.ping::<Value>().await?) });
            match self.announce_until(sign, &mut messages).await {
                Some(Ok(_)) => *heard_at = asked_at,
                Some(Err(failure)) => return failure,
                None => return Failure::Closed,
            }
            if self.announce_until(tokio::time::sleep(BEAT), &mut messages).await.is_none() {
                return Failure::Closed;
            }
            backoff.reset();
        }
    }

    /// Hands on what is heard until something else is done. `None`: the connection was closed before that.
    async fn announce_until<T>(&self, until: impl Future<Output = T>, messages: &mut PubSubStream) -> Option<T> {
        tokio::pin!(until);
        loop {
            tokio::select! {
                biased;
                message = messages.next() => match message {
                    Some(message) => self.announce(message.get_payload_bytes()),
                    None => return None,
                },
                done = &mut until => return Some(done),
            }
        }
    }

    fn announce(&self, message: &[u8]) {
        match message::decode(message) {
            // Nobody listening is fine.
            Some(change) => drop(self.changes.send(change)),
            None => tracing::debug!(event = "store.message-ignored"),
        }
    }

    async fn has_moved(&self, server: &ServerAddress) {
        loop {
            tokio::time::sleep(LOOK).await;
            if !self.servers.is_heard_at(server).await {
                return;
            }
        }
    }
}
