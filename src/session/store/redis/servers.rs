//! The servers, however they stand to each other: where a request goes, and how long it may take in all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::Value;

use super::cluster::Cluster;
use super::dial::{Dialer, within};
use super::failure::{Failure, RedisFailure, RedisStoreError, spelled};
use super::node::{Condition, Finder, Node};
use super::request::Request;
use super::sentinel::Sentinels;
use crate::session::settings::{RedisTopology, ServerAddress};

/// A request is answered within this, or refused: waiting for a connection, being sent elsewhere and a second attempt
/// are part of it.
const OPERATION: Duration = Duration::from_millis(1_500);

/// See the module.
pub(super) struct Servers {
    topology: Topology,
    /// How errors call them.
    spelled: Arc<str>,
}

impl fmt::Debug for Servers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.spelled)
    }
}

enum Topology {
    One(Arc<Node>),
    Cluster(Cluster),
}

impl Servers {
    pub(super) fn new(topology: RedisTopology, dialer: &Arc<Dialer>) -> Result<Self, RedisStoreError> {
        let all = addresses(&topology);
        if all.is_empty() {
            return Err(RedisStoreError::NoServer);
        }
        let spelled = all.iter().map(spelled).collect::<Vec<_>>().join(",").into();
        let one = |finder| Topology::One(Node::new(finder, Arc::clone(dialer)));
        let topology = match topology {
            RedisTopology::Single { server, .. } => one(Finder::Fixed(server)),
            RedisTopology::Sentinel { sentinels, master } => one(Finder::Sentinels(Sentinels::new(sentinels, master))),
            RedisTopology::Cluster { seeds } => Topology::Cluster(Cluster::new(seeds, Arc::clone(dialer))),
        };
        Ok(Self { topology, spelled })
    }

    /// Asks the server that the request belongs to. What changes nothing is asked a second time when the connection was
    /// closed under it.
    pub(super) async fn send(&self, request: &Request) -> Result<Value, RedisFailure> {
        within(OPERATION, async {
            match self.send_once(request).await {
                Err(Failure::Closed) if request.is_repeatable() => self.send_once(request).await,
                answer => answer,
            }
        })
        .await
        .map_err(|failure| self.failed(failure))
    }

    async fn send_once(&self, request: &Request) -> Result<Value, Failure> {
        match &self.topology {
            Topology::One(node) => node.send(request, false).await,
            Topology::Cluster(cluster) => cluster.send(request).await,
        }
    }

    /// Everybody that holds sessions.
    pub(super) async fn all(&self) -> Result<Vec<Arc<Node>>, RedisFailure> {
        match &self.topology {
            Topology::One(node) => Ok(vec![Arc::clone(node)]),
            Topology::Cluster(cluster) => {
                let primaries = within(OPERATION, cluster.primaries()).await;
                let primaries = primaries.map_err(|failure| self.failed(failure))?;
                Ok(primaries.into_iter().map(|(_, node)| node).collect())
            }
        }
    }

    /// Where to listen, a different server each turn where several will do. Waits until there is one.
    pub(super) async fn to_listen_at(&self, turn: usize) -> Option<ServerAddress> {
        match &self.topology {
            Topology::One(node) => {
                let mut condition = node.condition();
                match condition.wait_for(|condition| matches!(condition, Condition::Up(_))).await.as_deref() {
                    Ok(Condition::Up(link)) => Some(link.server.clone()),
                    _ => None,
                }
            }
            Topology::Cluster(cluster) => cluster.any(turn),
        }
    }

    /// Returns once another server may have taken over without the connection that is listened on having broken.
    pub(super) async fn remapped(&self) {
        match &self.topology {
            Topology::One(_) => std::future::pending().await,
            Topology::Cluster(cluster) => cluster.remapped().await,
        }
    }

    /// Whether what is announced is still heard at this server, as far as others say.
    pub(super) async fn is_heard_at(&self, server: &ServerAddress) -> bool {
        match &self.topology {
            Topology::One(node) => match &*node.condition().borrow() {
                Condition::Up(link) => link.server == *server,
                // The subscription itself shows whether the server is there.
                _ => true,
            },
            Topology::Cluster(cluster) => cluster.is_part(server).await,
        }
    }

    pub(super) fn failed(&self, failure: Failure) -> RedisFailure {
        RedisFailure { server: Arc::clone(&self.spelled), failure }
    }
}

/// The configured servers.
pub(super) fn addresses(topology: &RedisTopology) -> Vec<ServerAddress> {
    match topology {
        RedisTopology::Single { server, .. } => vec![server.clone()],
        RedisTopology::Sentinel { sentinels: servers, .. } | RedisTopology::Cluster { seeds: servers } => {
            servers.clone()
        }
    }
}
