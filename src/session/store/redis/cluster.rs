//! A cluster: a node for every primary, and a map that says who has which key.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Value;
use tokio::sync::{Notify, watch};

use super::dial::{Dialer, Running, within};
use super::failure::Failure;
use super::node::{Finder, Node};
use super::request::Request;
use super::slots::{Slots, slot_of};
use crate::session::settings::ServerAddress;

/// How old the map may become when nothing speaks against it, and when something does.
const CALM: Duration = Duration::from_secs(10);
const TROUBLED: Duration = Duration::from_millis(500);

/// The map is not asked for more often than this.
const AT_MOST_EVERY: Duration = Duration::from_millis(100);

/// One server has this long to tell how the cluster is divided.
const ANSWER: Duration = Duration::from_secs(1);

/// A key that moves twice while it is asked for is asked for a third time.
const REDIRECTS: usize = 4;

#[derive(Clone)]
enum Map {
    Asking,
    Known(Arc<Slots>),
    Unknown(Failure),
}

struct Shared {
    dialer: Arc<Dialer>,
    seeds: Vec<ServerAddress>,
    map: watch::Sender<Map>,
    nodes: Mutex<Vec<(ServerAddress, Arc<Node>)>>,
    outdated: Notify,
}

/// See the module.
pub(super) struct Cluster {
    shared: Arc<Shared>,
    _mapper: Running,
}

impl Cluster {
    pub(super) fn new(seeds: Vec<ServerAddress>, dialer: Arc<Dialer>) -> Self {
        let map = watch::Sender::new(Map::Asking);
        let shared = Arc::new(Shared { dialer, seeds, map, nodes: Mutex::default(), outdated: Notify::new() });
        let _mapper = Running::spawn(Arc::clone(&shared).follow());
        Self { shared, _mapper }
    }

    /// Asks the server that has the key, and goes after it where it has moved.
    pub(super) async fn send(&self, request: &Request) -> Result<Value, Failure> {
        let slots = self.slots().await?;
        let mut server = slots.primary_of(slot_of(request.key())).cloned().ok_or(Failure::NoMap)?;
        let mut is_moving = false;
        for _ in 0..REDIRECTS {
            let answer = self.shared.node(&server).send(request, is_moving).await;
            let Err(failure) = answer else { return answer };
            if failure.calls_for_a_new_map() {
                self.shared.outdated.notify_one();
            }
            let (next, moving) = match failure {
                Failure::Moved(next) => (next, false),
                Failure::Moving(next) => (next, true),
                failure => return Err(failure),
            };
            let host = if next.host.is_empty() { server.host } else { next.host };
            (server, is_moving) = (ServerAddress { host, port: next.port }, moving);
        }
        Err(Failure::NotServing)
    }

    /// Every primary, once the map is there.
    pub(super) async fn primaries(&self) -> Result<Vec<(ServerAddress, Arc<Node>)>, Failure> {
        let primaries = self.slots().await?.primaries();
        Ok(primaries.into_iter().map(|server| (server.clone(), self.shared.node(&server))).collect())
    }

    /// Some server, a different one each turn: all of them hear what is said on a channel.
    pub(super) fn any(&self, turn: usize) -> Option<ServerAddress> {
        let candidates = self.shared.candidates();
        candidates.get(turn % candidates.len().max(1)).cloned()
    }

    /// Returns once other servers than now are the primaries: what one of them has said last may be lost, on whatever
    /// connection it was listened for.
    pub(super) async fn remapped(&self) {
        let mut map = self.shared.map.subscribe();
        let mut before = primaries(&map.borrow_and_update());
        while map.changed().await.is_ok() {
            let now = primaries(&map.borrow_and_update());
            if before.is_some() && now.is_some() && now != before {
                return;
            }
            before = now.or(before);
        }
    }

    /// Whether a server still belongs to a cluster that has a majority, as far as it can say.
    pub(super) async fn is_part(&self, server: &ServerAddress) -> bool {
        !matches!(self.shared.ask(server).await, Err(Failure::NotServing))
    }

    async fn slots(&self) -> Result<Arc<Slots>, Failure> {
        let mut map = self.shared.map.subscribe();
        match map.wait_for(|map| !matches!(map, Map::Asking)).await.as_deref() {
            Ok(Map::Known(slots)) => Ok(Arc::clone(slots)),
            Ok(Map::Unknown(failure)) => Err(failure.clone()),
            _ => Err(Failure::Closed),
        }
    }
}

fn primaries(map: &Map) -> Option<Vec<ServerAddress>> {
    match map {
        Map::Known(slots) => Some(slots.primaries()),
        Map::Asking | Map::Unknown(_) => None,
    }
}

impl Shared {
    /// Keeps the map up to date.
    async fn follow(self: Arc<Self>) {
        let mut turn = 0;
        loop {
            match self.survey(turn).await {
                Ok(slots) => self.take_in(slots),
                Err(failure) => {
                    // An old map is better than none: the servers themselves say where it is wrong.
                    if !matches!(&*self.map.borrow(), Map::Known(_)) {
                        self.map.send_replace(Map::Unknown(failure));
                    }
                }
            }
            turn += 1;
            tokio::time::sleep(AT_MOST_EVERY).await;
            let age = if self.is_troubled() { TROUBLED } else { CALM };
            tokio::select! {
                () = self.outdated.notified() => {}
                () = tokio::time::sleep(age) => {}
            }
        }
    }

    /// The first answer of a server that is part of a working cluster.
    async fn survey(&self, turn: usize) -> Result<Slots, Failure> {
        let candidates = self.candidates();
        let mut failure = Failure::NoMap;
        for place in 0..candidates.len() {
            let Some(server) = candidates.get((turn + place) % candidates.len()) else { break };
            match self.ask(server).await {
                Ok(slots) => return Ok(slots),
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }

    /// All servers that are known, those that are up first.
    fn candidates(&self) -> Vec<ServerAddress> {
        let mut found: Vec<ServerAddress> = Vec::new();
        let (mut up, mut down) = (Vec::new(), Vec::new());
        for (server, node) in self.lock().iter() {
            if node.is_down() { &mut down } else { &mut up }.push(server.clone());
        }
        let replicas = match &*self.map.borrow() {
            Map::Known(slots) => slots.replicas.clone(),
            _ => Vec::new(),
        };
        for server in up.into_iter().chain(replicas).chain(self.seeds.iter().cloned()) {
            if !found.contains(&server) && !down.contains(&server) {
                found.push(server);
            }
        }
        found.extend(down);
        found
    }

    async fn ask(&self, server: &ServerAddress) -> Result<Slots, Failure> {
        within(ANSWER, async {
            let connection = self.dialer.connect(server).await?;
            let mut both = redis::pipe();
            both.cmd("CLUSTER").arg("INFO").cmd("CLUSTER").arg("SLOTS");
            let (state, slots): (String, Value) = both.query_async(&mut connection.requests.clone()).await?;
            if !state.lines().any(|line| line.trim_end() == "cluster_state:ok") {
                return Err(Failure::NotServing);
            }
            Slots::read(&slots, server).ok_or(Failure::NoMap)
        })
        .await
    }

    fn take_in(&self, slots: Slots) {
        let primaries = slots.primaries();
        self.lock().retain(|(server, _)| primaries.contains(server));
        self.map.send_replace(Map::Known(Arc::new(slots)));
        for server in &primaries {
            self.node(server);
        }
    }

    fn is_troubled(&self) -> bool {
        !matches!(&*self.map.borrow(), Map::Known(_)) || self.lock().iter().any(|(_, node)| node.is_down())
    }

    fn node(&self, server: &ServerAddress) -> Arc<Node> {
        let mut nodes = self.lock();
        if let Some((_, node)) = nodes.iter().find(|(known, _)| known == server) {
            return Arc::clone(node);
        }
        let node = Node::new(Finder::Fixed(server.clone()), Arc::clone(&self.dialer));
        nodes.push((server.clone(), Arc::clone(&node)));
        node
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(ServerAddress, Arc<Node>)>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
